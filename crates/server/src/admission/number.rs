//! How many connections a process takes: a number, or as many as it may have files open for.

use std::fmt;
use std::str::FromStr;

use onion::{Written, report};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number of connections, or `auto`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "String")]
#[schemars(with = "String")]
pub enum Connections {
    /// So many.
    Number(u32),
    /// Three quarters of the files that the process may have open, and no more than [`AUTO_MOST`].
    #[default]
    Auto,
}

/// What `auto` comes to where the system would allow more: some 80 MiB, when all are idle.
const AUTO_MOST: u64 = 32_768;

/// So many descriptors are left for anything else, whatever was asked for.
const RESERVED: u64 = 32;

/// The limit of open files is not raised beyond this: there are programs that close every descriptor there could be.
const FILES_MOST: u64 = 1 << 20;

impl Connections {
    /// How many that makes in this process, whose limit of open files is raised for it. Says so if it is less than what
    /// was asked for.
    pub(crate) fn number(self) -> usize {
        let files = raise();
        let number = self.within(files);
        if let Connections::Number(asked) = self
            && u64::from(asked) > number
        {
            report(&format!(
                "connections = {asked}: the system allows {files} open files, so {number} are taken; raise the limit \
                 (ulimit -n, systemd's LimitNOFILE)"
            ));
        }
        usize::try_from(number).unwrap_or(usize::MAX)
    }

    fn within(self, files: u64) -> u64 {
        match self {
            Connections::Auto => (files / 4 * 3).clamp(1, AUTO_MOST),
            Connections::Number(number) => u64::from(number).min(files.saturating_sub(RESERVED)).max(1),
        }
    }
}

/// Raises the limit of open files as far as that is allowed. Gives what it is then.
fn raise() -> u64 {
    let unlimited = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    let limit = getrlimit(Resource::Nofile);
    let wanted = unlimited(limit.maximum).min(FILES_MOST);
    if unlimited(limit.current) < wanted {
        // Where that is refused, the limit is what it was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
    unlimited(getrlimit(Resource::Nofile).current)
}

/// How many files the process may have open when its limit is raised.
pub(crate) fn open_files() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX).min(FILES_MOST)
}

impl FromStr for Connections {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Connections::Auto);
        }
        let number = text.parse().ok().filter(|number| *number > 0);
        number
            .map(Connections::Number)
            .ok_or_else(|| format!("{text:?} is no number of connections; write auto, or a number from 1 on"))
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Connections::Number(number) => number.fmt(formatter),
            Connections::Auto => formatter.write_str("auto"),
        }
    }
}

impl From<Connections> for String {
    fn from(connections: Connections) -> String {
        connections.to_string()
    }
}

impl TryFrom<Written> for Connections {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        written.text().trim().parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_leaves_files_for_the_application() {
        assert_eq!(Connections::Auto.within(1024), 768);
        assert_eq!(Connections::Auto.within(u64::MAX), AUTO_MOST);
        assert_eq!(Connections::Auto.within(1), 1);
    }

    #[test]
    fn a_number_is_taken_as_far_as_there_are_files() {
        assert_eq!(Connections::Number(500).within(1024), 500);
        assert_eq!(Connections::Number(5000).within(1024), 992);
        assert_eq!(Connections::Number(5000).within(3), 1);
    }

    #[test]
    fn anything_else_is_refused_with_the_way_out() {
        assert_eq!("auto".parse(), Ok(Connections::Auto));
        assert_eq!("12".parse(), Ok(Connections::Number(12)));
        for text in ["", "0", "-1", "1.5", "many"] {
            let error = text.parse::<Connections>().expect_err(text);
            assert!(error.contains("; write auto"), "{error}");
        }
    }
}
