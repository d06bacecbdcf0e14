//! The error log of this process, as the configuration has it.

use onion::{ErrorLog, LogFormat, LogLevel, LogPlace, OptionError, report};

use crate::Config;

/// Opens the log that `config` names; none if that is what there is anyway.
pub fn error_log(config: &Config) -> Result<Option<ErrorLog>, OptionError> {
    let (place, level, format) = (&config.error_log, config.error_log_level, config.error_log_format);
    if (place, level, format) == (&LogPlace::Standard, LogLevel::default(), LogFormat::default()) {
        return Ok(None);
    }
    let refused = |error| OptionError(format!("error_log: {} cannot be opened: {error}", shown(place)));
    ErrorLog::open(place, level, format).map(Some).map_err(refused)
}

/// Goes over from the log of one configuration to that of another.
pub(crate) fn change_error_log(before: &Config, now: &Config) {
    let of = |config: &Config| (config.error_log.clone(), config.error_log_level, config.error_log_format);
    if of(before) == of(now) {
        return;
    }
    match error_log(now) {
        Ok(log) => ErrorLog::install(log),
        // The workers could open it.
        Err(error) => report(&format!("the old error log is kept: {error}")),
    }
}

fn shown(place: &LogPlace) -> String {
    place.clone().into()
}
