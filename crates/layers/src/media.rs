//! Which media type a client wants: `Accept` (RFC 9110 section 12.5.1).
//!
//! ```
//! let mut headers = http::HeaderMap::new();
//! headers.insert("accept", http::HeaderValue::from_static("application/json, text/*;q=0.5"));
//! assert_eq!(layers::media::weight(&headers, "application/json"), 1000);
//! assert_eq!(layers::media::weight(&headers, "text/html"), 500);
//! assert_eq!(layers::media::weight(&headers, "image/png"), 0);
//! ```
//!
//! Promises: the most specific range that fits a type decides on it; a client that says nothing accepts everything
//! alike. A member that is not well formed counts for nothing; of two that are alike the smaller weight counts.
//! Nothing is allocated. Of a very long list only the beginning counts.
//!
//! It does not compare parameters: `text/html;level=1` stands for `text/html`.

use std::cmp::Reverse;

use http::{HeaderMap, header};

use crate::accept::weight_of;
use crate::fields;

/// The weight, from 0 (not at all) to 1000 (most of all), that all `Accept` fields together give to the media type
/// `offered`, which is written in lower case and without parameters.
pub fn weight(headers: &HeaderMap, offered: &str) -> u16 {
    if !headers.contains_key(header::ACCEPT) {
        return MOST;
    }
    let fields = fields::choices(headers, &header::ACCEPT).filter_map(|field| str::from_utf8(field).ok());
    let ranges = fields.flat_map(|field| split(field, b','));
    let fitting = ranges.filter_map(|range| fit(range, offered));
    // The most specific, and of these the least.
    let best = fitting.min_by_key(|(specific, weight)| (Reverse(*specific), *weight));
    best.map_or(0, |(_, weight)| weight)
}

/// The media type of a `Content-Type`, in lower case and without parameters.
pub(crate) fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim_matches(BLANK).to_ascii_lowercase()
}

/// The value of a parameter of a `Content-Type`.
pub(crate) fn parameter(content_type: &str, wanted: &str) -> Option<String> {
    let mut parameters = split(content_type, b';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, value) = parameters.find(|(name, _)| name.trim_matches(BLANK).eq_ignore_ascii_case(wanted))?;
    let value = value.trim_matches(BLANK);
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some(quoted.unwrap_or(value).replace('\\', ""))
}

/// How specific the media range is that fits `offered`, and its weight.
fn fit(range: &str, offered: &str) -> Option<(u8, u16)> {
    let mut parts = split(range, b';').map(|part| part.trim_matches(BLANK));
    let name = parts.next()?;
    let kind = offered.split_once('/')?.0;
    let specific = match name.split_once('/')? {
        ("*", "*") => 0,
        (wanted, "*") if wanted.eq_ignore_ascii_case(kind) => 1,
        _ if name.eq_ignore_ascii_case(offered) => 2,
        _ => return None,
    };
    let mut weight = MOST;
    for parameter in parts {
        let (key, value) = parameter.split_once('=')?;
        if key.eq_ignore_ascii_case("q") {
            weight = weight_of(value)?;
            break; // What follows are extensions, not parameters of the type.
        }
    }
    Some((specific, weight))
}

/// The parts of `text` between `separator`s that do not stand within a quoted string.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |letter: char| {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return !quoted && letter == char::from(separator),
        }
        false
    })
}

const BLANK: [char; 2] = [' ', '\t'];

const MOST: u16 = 1000;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn weights(fields: &[&'static str]) -> [u16; 3] {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::ACCEPT, HeaderValue::from_static(field));
        }
        ["text/html", "text/plain", "application/json"].map(|offered| weight(&headers, offered))
    }

    #[test]
    fn who_says_nothing_accepts_everything_alike() {
        assert_eq!(weights(&[]), [1000, 1000, 1000]);
        assert_eq!(weights(&["*/*"]), [1000, 1000, 1000]);
    }

    #[test]
    fn the_most_specific_range_decides() {
        assert_eq!(weights(&["text/html;q=0.3, text/*;q=0.5, */*;q=0.1"]), [300, 500, 100]);
        assert_eq!(weights(&["*/*, text/*;q=0"]), [0, 0, 1000]);
        assert_eq!(weights(&["text/plain;q=0.2, text/plain;q=0.7"]), [0, 200, 0]);
    }

    #[test]
    fn several_fields_are_one_list_and_names_have_no_case() {
        assert_eq!(weights(&["TEXT/HTML ; Q=0.4", "Application/JSON"]), [400, 0, 1000]);
    }

    #[test]
    fn parameters_and_extensions_do_not_matter() {
        assert_eq!(weights(&["text/html;level=1;q=0.4;ext=\"a,b;q=1\", */*;q=0.2"]), [400, 200, 200]);
        assert_eq!(weights(&[r#"text/html;a="\",text/plain;q=0""#]), [1000, 0, 0]);
    }

    #[test]
    fn a_content_type_is_taken_apart() {
        assert_eq!(essence(" Text/HTML ; charset=x"), "text/html");
        assert_eq!(
            parameter("text/xml; a=\"b; charset=c\"; Charset=\"utf-8\"", "charset").as_deref(),
            Some("utf-8")
        );
        assert_eq!(parameter("text/xml; charset=latin1", "charset").as_deref(), Some("latin1"));
        assert_eq!(parameter("text/xml", "charset"), None);
    }

    #[test]
    fn only_the_beginning_of_a_long_list_counts() {
        let list = |before: usize| {
            let mut headers = HeaderMap::new();
            let list = format!("{}text/html", "a/b,".repeat(before));
            headers.insert(header::ACCEPT, list.parse().expect("a value"));
            weight(&headers, "text/html")
        };
        assert_eq!((list(fields::MOST_READ / 4 - 10), list(fields::MOST_READ / 4)), (MOST, 0));
    }

    #[test]
    fn what_is_not_well_formed_counts_for_nothing() {
        for field in ["", "html", "text/html;q=2", "text/html;q", "text html", "*", "*/html"] {
            assert_eq!(weights(&[field]), [0, 0, 0], "{field}");
        }
        assert_eq!(weights(&[",;,/,text/html;q=0.5,"]), [500, 0, 0]);
    }
}
