//! The path of the site on which metrics are told.

use std::str::FromStr;

use onion::OptionError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Config, Speaks};

/// A path such as `/-/metrics`, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline)]
pub struct MetricsPath(Option<String>);

impl MetricsPath {
    pub(crate) fn get(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl FromStr for MetricsPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_path = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#".contains(&byte));
        match text {
            "off" => Ok(MetricsPath(None)),
            path if path.starts_with('/') && path.len() > 1 && is_path(path) => {
                Ok(MetricsPath(Some(path.to_owned())))
            }
            _ => Err(format!("{text:?} is no path of a page; write /-/metrics, /metrics or off")),
        }
    }
}

impl TryFrom<String> for MetricsPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<MetricsPath> for String {
    fn from(path: MetricsPath) -> String {
        path.0.unwrap_or_else(|| "off".to_owned())
    }
}

impl Config {
    /// Whether somebody may ask for metrics.
    pub(crate) fn is_measured(&self) -> bool {
        !self.metrics_bind.is_empty() || self.metrics_path.0.is_some()
    }

    /// Refuses places and paths at which no metrics can be told.
    pub fn check_metrics(&self) -> Result<(), OptionError> {
        if let Some(bind) = self.metrics_bind.iter().find(|bind| bind.speaks() == Speaks::Redirect) {
            let message =
                format!("metrics_bind: {bind} sends everybody away; give a place, such as 127.0.0.1:9100");
            return Err(OptionError(message));
        }
        match self.metrics_path.get() {
            Some(path) if self.health_path.tells_at(path) => Err(OptionError(format!(
                "metrics_path: health is told at {path:?}, by health_path; give another path, such as /-/metrics"
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_path() {
        assert_eq!("off".parse(), Ok(MetricsPath::default()));
        assert_eq!("/-/metrics".parse::<MetricsPath>().map(String::from), Ok("/-/metrics".to_owned()));
        for text in ["", "/", "metrics", "/a b", "/a?b", "/a#b", "/\u{fc}"] {
            assert!(text.parse::<MetricsPath>().expect_err(text).contains("write /-/metrics"), "{text}");
        }
    }

    #[test]
    fn the_path_of_health_is_taken() {
        let config = |health: &str, metrics: &str| Config {
            health_path: health.parse().expect("a path"),
            metrics_path: metrics.parse().expect("a path"),
            ..Config::default()
        };
        for (health, metrics) in
            [("/-/", "/-/metrics"), ("off", "/-/live"), ("/h/", "/-/ready"), ("/-/", "off")]
        {
            assert!(config(health, metrics).check_metrics().is_ok(), "{health} {metrics}");
        }
        for (health, metrics) in [("/-/", "/-/live"), ("/h/", "/h/ready")] {
            assert!(config(health, metrics).check_metrics().is_err(), "{health} {metrics}");
        }
    }

    #[test]
    fn a_place_that_sends_clients_away_tells_nothing() {
        let place = "redirect://127.0.0.1:9100".parse().expect("a place");
        let config = Config { metrics_bind: vec![place], ..Config::default() };
        let refused = config.check_metrics().expect_err("it tells nothing").0;
        assert!(
            refused.starts_with("metrics_bind: redirect://127.0.0.1:9100 sends everybody away"),
            "{refused}"
        );
    }
}
