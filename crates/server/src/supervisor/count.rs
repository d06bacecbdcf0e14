//! How many workers: a number, or one a processor.

use std::fmt;
use std::str::FromStr;
use std::thread::available_parallelism;

use onion::Written;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number of worker processes, or `auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "String")]
#[schemars(with = "String")]
pub enum Workers {
    /// So many; 0 is none, and no supervisor either.
    Number(u16),
    /// One for each processor that this process may use.
    Auto,
}

/// More are a mistake.
const MOST: u16 = 1024;

impl Workers {
    /// How many that makes on this machine.
    pub fn number(self) -> usize {
        match self {
            Workers::Number(number) => number.into(),
            Workers::Auto => available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

impl Default for Workers {
    fn default() -> Self {
        Workers::Number(0)
    }
}

impl FromStr for Workers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Workers::Auto);
        }
        let number = text.parse().ok().filter(|number| *number <= MOST);
        number.map(Workers::Number).ok_or_else(|| {
            format!("{text:?} is no number of workers; write auto, or a number from 0 to {MOST}")
        })
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Workers::Number(number) => number.fmt(formatter),
            Workers::Auto => formatter.write_str("auto"),
        }
    }
}

impl From<Workers> for String {
    fn from(workers: Workers) -> String {
        workers.to_string()
    }
}

impl TryFrom<Written> for Workers {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        written.text().trim().parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_auto_are_taken() {
        assert_eq!("3".parse(), Ok(Workers::Number(3)));
        assert_eq!("auto".parse(), Ok(Workers::Auto));
        assert!(Workers::Auto.number() >= 1);
    }

    #[test]
    fn anything_else_is_refused_with_the_way_out() {
        for text in ["", "-1", "1.5", "many", "1025"] {
            let error = text.parse::<Workers>().expect_err(text);
            assert!(error.contains("; write auto"), "{error}");
        }
    }
}
