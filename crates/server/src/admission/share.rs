//! How much one client address may hold: a number, a part of what there is, or everything.

use std::fmt;
use std::str::FromStr;

use onion::Written;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number for each address, `auto`, or `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "String")]
#[schemars(with = "String")]
pub enum AddressLimit {
    /// At most this many.
    Number(u32),
    /// A part of what the process accepts.
    #[default]
    Auto,
    /// No limit.
    Off,
}

impl AddressLimit {
    /// The number, which is `auto` for `auto`; `u32::MAX` for none.
    pub(super) fn number(self, auto: u32) -> u32 {
        match self {
            AddressLimit::Number(number) => number,
            AddressLimit::Auto => auto.max(1),
            AddressLimit::Off => u32::MAX,
        }
    }
}

impl FromStr for AddressLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(AddressLimit::Auto),
            ("off", _) | (_, Ok(0)) => Ok(AddressLimit::Off),
            (_, Ok(number)) => Ok(AddressLimit::Number(number)),
            _ => Err(format!(
                "{text:?} is not a valid limit; expected auto, a number such as 100, or 0 for no limit"
            )),
        }
    }
}

impl fmt::Display for AddressLimit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressLimit::Number(number) => number.fmt(formatter),
            AddressLimit::Auto => formatter.write_str("auto"),
            AddressLimit::Off => formatter.write_str("off"),
        }
    }
}

impl From<AddressLimit> for String {
    fn from(limit: AddressLimit) -> String {
        limit.to_string()
    }
}

impl TryFrom<Written> for AddressLimit {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        written.text().trim().parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_off_are_no_limit() {
        assert_eq!(
            ["0", "off", "auto", "7"].map(|text| text.parse::<AddressLimit>().map(|limit| limit.number(9))),
            [Ok(u32::MAX), Ok(u32::MAX), Ok(9), Ok(7)]
        );
        assert_eq!(AddressLimit::Auto.number(0), 1);
    }

    #[test]
    fn anything_else_is_rejected_with_examples() {
        for text in ["", "-1", "1.5", "many"] {
            let error = text.parse::<AddressLimit>().expect_err(text);
            assert!(error.contains("expected auto, a number"), "{error}");
        }
    }
}
