//! Which bytes a client wants: `Range` (RFC 9110 section 14).
//!
//! ```
//! use layers::ranges::Wanted;
//!
//! assert_eq!(Wanted::of("bytes=0-4,-2", 10), Wanted::Parts(vec![0..5, 8..10]));
//! assert_eq!(Wanted::of("bytes=10-", 10), Wanted::Unsatisfiable);
//! assert_eq!(Wanted::of("lines=1-2", 10), Wanted::Whole);
//! ```
//!
//! Promises: a part lies within the content and is not empty; parts come in the order in which they were asked for;
//! there are at most 16, and together they are not longer than the content. Who asks for more, for overlapping
//! parts that come to more, or in a form that is none, gets the whole: a server may ignore this field (section
//! 14.2), and may not let itself be made to send more by it.

use std::ops::Range;

/// What a Range field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: the field is ignored.
    Whole,
    /// These bytes.
    Parts(Vec<Range<u64>>),
    /// Nothing that there is.
    Unsatisfiable,
}

impl Wanted {
    /// What `field` asks for of a content of `length` bytes.
    pub fn of(field: &str, length: u64) -> Self {
        let ranges = match field.split_once('=') {
            Some((unit, ranges)) if unit.trim().eq_ignore_ascii_case("bytes") => ranges,
            _ => return Wanted::Whole,
        };
        let mut parts = Vec::new();
        let mut given = 0;
        let members = ranges.split(',').map(|member| member.trim_matches([' ', '\t']));
        for member in members.filter(|member| !member.is_empty()) {
            given += 1;
            let Some(part) = part_of(member, length).filter(|_| given <= MOST_PARTS) else {
                return Wanted::Whole;
            };
            if !part.is_empty() {
                parts.push(part);
            }
        }
        let total: u128 = parts.iter().map(|part| u128::from(part.end - part.start)).sum();
        match parts.is_empty() {
            true if given == 0 || (length == 0 && ranges.trim_start().starts_with('-')) => Wanted::Whole,
            true => Wanted::Unsatisfiable,
            false if total > u128::from(length) => Wanted::Whole,
            false => Wanted::Parts(parts),
        }
    }
}

/// `0-4`, `5-` or `-2`; an empty part if it cannot be satisfied, `None` if it is no range.
fn part_of(member: &str, length: u64) -> Option<Range<u64>> {
    match member.split_once('-')? {
        ("", suffix) => Some(length.saturating_sub(number(suffix)?)..length),
        (first, "") => Some(number(first)?.min(length)..length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first.min(length)..last.saturating_add(1).min(length))
        }
    }
}

/// A decimal number. One that is too large for any file is as large as can be.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The most parts of one answer.
const MOST_PARTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn part(part: Range<u64>) -> Wanted {
        Wanted::Parts([part].into())
    }

    #[test]
    fn a_range_has_two_ends_or_one() {
        for (field, expected) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-9", 0..10),
            ("bytes=0-", 0..10),
            ("bytes=9-", 9..10),
            ("bytes=-1", 9..10),
            ("bytes=-10", 0..10),
            ("Bytes=2-3", 2..4),
            ("bytes= 2-3 ,", 2..4),
        ] {
            assert_eq!(Wanted::of(field, 10), part(expected), "{field}");
        }
    }

    #[test]
    fn an_end_beyond_the_last_byte_is_the_last_byte() {
        assert_eq!(Wanted::of("bytes=5-99", 10), part(5..10));
        assert_eq!(Wanted::of("bytes=-99", 10), part(0..10));
        assert_eq!(Wanted::of("bytes=5-99999999999999999999999", 10), part(5..10));
        assert_eq!(Wanted::of("bytes=0-18446744073709551615", 10), part(0..10));
    }

    #[test]
    fn a_start_beyond_the_last_byte_cannot_be_satisfied() {
        for field in ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(Wanted::of(field, 10), Wanted::Unsatisfiable, "{field}");
        }
        assert_eq!(Wanted::of("bytes=0-", 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn the_end_of_nothing_is_all_of_it() {
        assert_eq!(Wanted::of("bytes=-5", 0), Wanted::Whole);
    }

    #[test]
    fn several_come_in_the_order_asked_for_without_those_that_are_not_there() {
        assert_eq!(Wanted::of("bytes=8-9, 0-1", 10), Wanted::Parts(vec![8..10, 0..2]));
        assert_eq!(Wanted::of("bytes=20-30,4-4,50-", 10), part(4..5));
    }

    #[test]
    fn what_is_no_range_is_ignored_whole() {
        for field in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=3-2",
            "bytes=a-b",
            "bytes=0-1;2",
            "bytes=0x1-2",
            "bytes=1-2-3",
            "bytes=+1-2",
            "bytes=0-1,x",
            "bytes 0-1",
            "chars=0-1",
        ] {
            assert_eq!(Wanted::of(field, 10), Wanted::Whole, "{field}");
        }
    }

    #[test]
    fn nobody_gets_more_by_ranges_than_without() {
        assert_eq!(Wanted::of("bytes=0-,0-,0-", 10), Wanted::Whole);
        assert_eq!(Wanted::of("bytes=0-5,4-9", 10), Wanted::Whole);
        assert_eq!(Wanted::of("bytes=0-,0-0", u64::MAX), Wanted::Whole);
        let many = format!("bytes={}", ["0-0"; 17].join(","));
        assert_eq!(Wanted::of(&many, 1000), Wanted::Whole);
    }
}
