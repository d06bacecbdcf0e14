//! Conditional requests (RFC 9110 section 13): whether the client has already got what it asks for.
//!
//! ```
//! use layers::conditions::{Validators, Verdict};
//!
//! let mut headers = http::HeaderMap::new();
//! headers.insert("if-none-match", http::HeaderValue::from_static(r#""old", "v7""#));
//! let current = Validators { etag: Some(r#""v7""#), modified: None };
//! assert_eq!(current.evaluate(&http::Method::GET, &headers), Verdict::NotModified);
//! ```
//!
//! Promises: the fields are looked at in the order of section 13.2.2; a list is read as a list, and a comma within
//! an entity tag is a part of it; If-None-Match compares weakly, If-Match and If-Range strongly. A date that is none
//! is as good as not given.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderName};
use http::{HeaderValue, Method};

use crate::fields::only;

/// What there is to compare with: the validators of the representation that would be sent.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The entity tag, as its field has it: `"v7"`, or `W/"v7"`.
    pub etag: Option<&'a str>,
    /// When it was changed last.
    pub modified: Option<SystemTime>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The request is answered as if it had none.
    Proceed,
    /// The client has it already: 304.
    NotModified,
    /// It is not what the client wants to deal with: 412.
    Failed,
}

impl Validators<'_> {
    /// The verdict on a request with this method and these headers.
    pub fn evaluate(&self, method: &Method, headers: &HeaderMap) -> Verdict {
        let reads = method == Method::GET || method == Method::HEAD;
        if headers.contains_key(header::IF_MATCH) {
            if !self.is_listed(headers, &header::IF_MATCH, strongly) {
                return Verdict::Failed;
            }
        } else if self.changed_since(headers, &header::IF_UNMODIFIED_SINCE) == Some(true) {
            return Verdict::Failed;
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            return match self.is_listed(headers, &header::IF_NONE_MATCH, weakly) {
                false => Verdict::Proceed,
                true if reads => Verdict::NotModified,
                true => Verdict::Failed,
            };
        }
        if reads && self.changed_since(headers, &header::IF_MODIFIED_SINCE) == Some(false) {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether a Range field counts: there is no If-Range, or it names what the client would get a part of.
    ///
    /// A date names it only if it is exact, and not so young that there may have been two changes in its second (RFC
    /// 9110 section 8.8.2.2).
    pub fn range_counts(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        let mut fields = headers.get_all(header::IF_RANGE).iter();
        let Some(field) = fields.next() else { return true };
        if fields.next().is_some() {
            return false;
        }
        if let (Some(given), Some(etag)) = (tags(field.as_bytes()).next(), self.etag) {
            return tags(etag.as_bytes()).next().is_some_and(|etag| strongly(given, etag));
        }
        let date = field.to_str().ok().and_then(|date| httpdate::parse_http_date(date).ok());
        let (Some(date), Some(modified)) = (date, self.modified) else { return false };
        seconds(date) == seconds(modified) && modified + Duration::from_secs(1) < now
    }

    fn is_listed(&self, headers: &HeaderMap, name: &HeaderName, alike: fn(Tag<'_>, Tag<'_>) -> bool) -> bool {
        let own = self.etag.and_then(|etag| tags(etag.as_bytes()).next());
        let lists = |field: &HeaderValue| {
            field.as_bytes().trim_ascii() == b"*"
                || own.is_some_and(|own| tags(field.as_bytes()).any(|given| alike(given, own)))
        };
        headers.get_all(name).iter().any(lists)
    }

    fn changed_since(&self, headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
        let since = httpdate::parse_http_date(only(headers, name)?).ok()?;
        Some(seconds(self.modified?) > seconds(since))
    }
}

/// An entity tag: `W/"opaque"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag<'a> {
    weak: bool,
    opaque: &'a [u8],
}

fn strongly(one: Tag<'_>, other: Tag<'_>) -> bool {
    !one.weak && !other.weak && one.opaque == other.opaque
}

fn weakly(one: Tag<'_>, other: Tag<'_>) -> bool {
    one.opaque == other.opaque
}

/// The members of a list of entity tags, up to the first that is none.
fn tags(mut list: &[u8]) -> impl Iterator<Item = Tag<'_>> {
    std::iter::from_fn(move || {
        let start = list.iter().position(|byte| !b", \t".contains(byte))?;
        let member = &list[start..];
        let (weak, quoted) = match member.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, member),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let opaque = &inner[..inner.iter().position(|byte| *byte == b'"')?];
        let rest = inner[opaque.len() + 1..].trim_ascii_start();
        if opaque.iter().any(|byte| *byte <= b' ' || *byte == 0x7f) || !(rest.is_empty() || rest[0] == b',') {
            return None;
        }
        list = rest;
        Some(Tag { weak, opaque })
    })
}

/// A date as HTTP can tell it.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "Sat, 01 Jan 2022 00:00:00 GMT";
    const EXACTLY: &str = "Sun, 02 Jan 2022 00:00:00 GMT";
    const AFTER: &str = "Mon, 03 Jan 2022 00:00:00 GMT";

    fn changed() -> SystemTime {
        httpdate::parse_http_date(EXACTLY).expect("a date") + Duration::from_millis(300)
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    fn verdict(fields: &[(&'static str, &'static str)]) -> Verdict {
        let current = Validators { etag: Some(r#""v7""#), modified: Some(changed()) };
        current.evaluate(&Method::GET, &headers(fields))
    }

    fn range_counts(etag: &str, field: &'static str) -> bool {
        let current = Validators { etag: Some(etag), modified: Some(changed()) };
        current.range_counts(&headers(&[("if-range", field)]), changed() + Duration::from_secs(60))
    }

    #[test]
    fn a_tag_is_found_anywhere_in_a_list() {
        for list in [r#""v7""#, r#"W/"v7""#, r#""a", "v7""#, r#""a,"v7"#, r#" , "a" ,"v7","#, "*"] {
            let expected = if list == r#""a,"v7"# { Verdict::Proceed } else { Verdict::NotModified };
            assert_eq!(verdict(&[("if-none-match", list)]), expected, "{list}");
        }
        assert_eq!(
            verdict(&[("if-none-match", r#""a""#), ("if-none-match", r#""v7""#)]),
            Verdict::NotModified
        );
        for list in [r#""v8""#, "v7", r#""a, "v7""#, r#"w/"v7""#, "", r#""v7"#, r#""v 7""#] {
            assert_eq!(verdict(&[("if-none-match", list)]), Verdict::Proceed, "{list}");
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        assert_eq!(verdict(&[("if-match", r#""a", "v7""#)]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-match", "*")]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-match", r#"W/"v7""#)]), Verdict::Failed);
        assert_eq!(verdict(&[("if-match", r#""v8""#)]), Verdict::Failed);
    }

    #[test]
    fn dates_are_compared_by_the_second() {
        assert_eq!(verdict(&[("if-modified-since", BEFORE)]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-modified-since", EXACTLY)]), Verdict::NotModified);
        assert_eq!(verdict(&[("if-modified-since", AFTER)]), Verdict::NotModified);
        assert_eq!(verdict(&[("if-unmodified-since", BEFORE)]), Verdict::Failed);
        assert_eq!(verdict(&[("if-unmodified-since", EXACTLY)]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-modified-since", "Sunday")]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-unmodified-since", "yesterday")]), Verdict::Proceed);
    }

    #[test]
    fn a_tag_counts_before_a_date_and_a_failure_before_both() {
        assert_eq!(verdict(&[("if-none-match", r#""v8""#), ("if-modified-since", AFTER)]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-match", r#""v7""#), ("if-unmodified-since", BEFORE)]), Verdict::Proceed);
        assert_eq!(verdict(&[("if-match", r#""v8""#), ("if-none-match", r#""v7""#)]), Verdict::Failed);
        assert_eq!(verdict(&[("if-match", r#""v7""#), ("if-none-match", r#""v7""#)]), Verdict::NotModified);
    }

    #[test]
    fn a_method_that_changes_something_fails_where_a_reading_one_is_spared() {
        let current = Validators { etag: Some(r#""v7""#), modified: Some(changed()) };

        assert_eq!(current.evaluate(&Method::PUT, &headers(&[("if-none-match", "*")])), Verdict::Failed);
        assert_eq!(
            current.evaluate(&Method::PUT, &headers(&[("if-modified-since", AFTER)])),
            Verdict::Proceed
        );
    }

    #[test]
    fn a_range_counts_only_of_what_if_range_names() {
        assert!(range_counts(r#""v7""#, r#""v7""#));
        assert!(!range_counts(r#""v7""#, r#""v8""#));
        assert!(!range_counts(r#"W/"v7""#, r#"W/"v7""#));
        assert!(!range_counts(r#""v7""#, r#"W/"v7""#));
        assert!(range_counts(r#""v7""#, EXACTLY));
        assert!(!range_counts(r#""v7""#, AFTER));
        assert!(!range_counts(r#""v7""#, BEFORE));
        assert!(!range_counts(r#""v7""#, "nonsense"));
    }

    #[test]
    fn a_date_of_this_very_second_names_nothing() {
        let current = Validators { etag: None, modified: Some(changed()) };
        let headers = headers(&[("if-range", EXACTLY)]);

        assert!(!current.range_counts(&headers, changed() + Duration::from_millis(900)));
        assert!(current.range_counts(&headers, changed() + Duration::from_millis(1100)));
    }
}
