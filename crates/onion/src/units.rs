//! Times and sizes as people write them in options: `30s`, `1.5m`, `10MiB`, `64KiB`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A length of time: a number with `ms`, `s` (the default), `m`, `h` or `d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "String")]
#[schemars(with = "String")]
pub struct Span(pub Duration);

/// A number of bytes: a number with `B` (the default), `KiB`, `MiB` or `GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "String")]
#[schemars(with = "String")]
pub struct Size(pub u64);

/// A length of time, or `off`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "String")]
#[schemars(with = "String")]
pub struct SpanOrOff(pub Option<Span>);

impl FromStr for SpanOrOff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().eq_ignore_ascii_case("off") {
            return Ok(SpanOrOff(None));
        }
        match text.parse() {
            Ok(Span(Duration::ZERO)) => Err("a time of 0 leaves none; write 30s, 5m or off".to_owned()),
            span => span.map(|span| SpanOrOff(Some(span))),
        }
    }
}

impl TryFrom<Written> for SpanOrOff {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        written.text().parse()
    }
}

impl From<SpanOrOff> for String {
    fn from(span: SpanOrOff) -> String {
        span.0.map_or_else(|| "off".to_owned(), |span| span.to_string())
    }
}

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0), ("", 1.0)];
        let seconds =
            measure(text, &units).ok_or_else(|| format!("{text:?} is no length of time; write 30s or 5m"))?;
        // Longer ones could not be added to a clock's time.
        Duration::try_from_secs_f64(seconds).ok().filter(|span| *span <= LONGEST).map(Span).ok_or_else(|| {
            format!("{text:?} is longer than 100 years; expected a duration such as 30s or 5m")
        })
    }
}

const LONGEST: Duration = Duration::from_secs(100 * 365 * 86400);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kib = 1024.0;
        let units = [("KiB", kib), ("MiB", kib * kib), ("GiB", kib * kib * kib), ("B", 1.0), ("", 1.0)];
        let bytes =
            measure(text, &units).ok_or_else(|| format!("{text:?} is no size; write 64KiB or 10MiB"))?;
        if bytes >= 2f64.powi(53) {
            return Err(format!("{text:?} is too large a size; write 64KiB or 10MiB"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "measure() gives 0 to 2^53"
        )]
        Ok(Size(bytes as u64))
    }
}

/// A number and its unit, as a multiple of the first unit.
fn measure(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let factor = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1;
    let number: f64 = digits.trim_end().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number * factor)
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.subsec_millis(), self.0.as_secs()) {
            (0, seconds) if seconds >= 86400 && seconds % 86400 == 0 => {
                write!(formatter, "{}d", seconds / 86400)
            }
            (0, seconds) if seconds >= 3600 && seconds % 3600 == 0 => {
                write!(formatter, "{}h", seconds / 3600)
            }
            (0, seconds) => write!(formatter, "{seconds}s"),
            _ => write!(formatter, "{}ms", self.0.as_millis()),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |unit: u64| self.0 >= unit && self.0.is_multiple_of(unit);
        match self.0 {
            bytes if fits(1 << 30) => write!(formatter, "{}GiB", bytes >> 30),
            bytes if fits(1 << 20) => write!(formatter, "{}MiB", bytes >> 20),
            bytes if fits(1 << 10) => write!(formatter, "{}KiB", bytes >> 10),
            bytes => write!(formatter, "{bytes}B"),
        }
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl From<Size> for String {
    fn from(size: Size) -> String {
        size.to_string()
    }
}

/// Either form in which a measure or a number is given: as a text, or as a bare number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Written {
    /// With its unit, or a word such as `auto`.
    Text(String),
    /// Bare.
    Number(f64),
}

impl TryFrom<Written> for Span {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        written.text().parse()
    }
}

impl TryFrom<Written> for Size {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        written.text().parse()
    }
}

impl Written {
    /// What is to be read.
    pub fn text(self) -> String {
        match self {
            Written::Text(text) => text,
            Written::Number(number) => number.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        assert_eq!("30s".parse(), Ok(Span::seconds(30)));
        assert_eq!("1.5m".parse(), Ok(Span::seconds(90)));
        assert_eq!("250ms".parse(), Ok(Span(Duration::from_millis(250))));
        assert_eq!(serde_json::from_str::<Span>("7").expect("a bare number"), Span::seconds(7));
    }

    #[test]
    fn a_time_may_be_off_but_not_zero() {
        assert_eq!("off".parse(), Ok(SpanOrOff(None)));
        assert_eq!("2s".parse(), Ok(SpanOrOff(Some(Span::seconds(2)))));
        assert!("0".parse::<SpanOrOff>().expect_err("no time").contains("off"));
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        assert_eq!("64KiB".parse(), Ok(Size(65536)));
        assert_eq!("10 mib".parse(), Ok(Size(10 << 20)));
        assert_eq!("512".parse(), Ok(Size(512)));
    }

    #[test]
    fn what_is_no_measure_is_refused_with_the_way_out() {
        for text in ["", "s", "-1s", "1 week", "inf", "NaN", "36501d", "1e300"] {
            assert!(text.parse::<Span>().is_err(), "{text:?}");
        }
        assert!("10 stones".parse::<Size>().expect_err("no size").contains("10MiB"));
    }

    #[test]
    fn a_measure_is_shown_as_it_may_be_written() {
        assert_eq!(Span::seconds(30).to_string(), "30s");
        assert_eq!(Span::seconds(7200).to_string(), "2h");
        assert_eq!(Span::seconds(7 * 86400).to_string(), "7d");
        assert_eq!(Size(100 << 20).to_string(), "100MiB");
    }
}
