//! The error log of this process, as the configuration has it.

use std::io;

use onion::{ErrorLog, LogFormat, LogLevel, LogPlace, OptionError, report};

use super::AccessLog;
use crate::Config;

/// Opens the log that `config` names; none if that is [standard error](ErrorLog::standard).
pub fn error_log(config: &Config) -> Result<Option<ErrorLog>, OptionError> {
    let (place, level, format) = (&config.error_log, config.error_log_level, config.error_log_format);
    if (place, level, format) == (&LogPlace::Standard, LogLevel::default(), LogFormat::default()) {
        return Ok(None);
    }
    ErrorLog::open(place, level, format).map(Some).map_err(|error| unopened("error_log", place, &error))
}

/// Goes over from the log of one configuration to that of another.
pub(crate) fn change_error_log(before: &Config, now: &Config) {
    let of = |config: &Config| (config.error_log.clone(), config.error_log_level, config.error_log_format);
    if of(before) == of(now) {
        return;
    }
    match error_log(now) {
        Ok(log) => ErrorLog::install(Some(log.unwrap_or_else(ErrorLog::standard))),
        // The workers could open it.
        Err(error) => report(&format!("the old error log is kept: {error}")),
    }
}

/// Refuses logs that could not be opened, and opens none.
pub fn check_logs(config: &Config) -> Result<(), OptionError> {
    config.error_log.check().map_err(|error| unopened("error_log", &config.error_log, &error))?;
    AccessLog::check(config)
}

/// What is said of a log that cannot be opened.
pub(super) fn unopened(option: &str, place: &LogPlace, error: &io::Error) -> OptionError {
    let place = String::from(place.clone());
    OptionError(format!(
        "{option}: {place:?} cannot be opened: {error}; give a file in a folder that can be written to, - or off"
    ))
}
