//! Small ways with header fields that several layers need.

use http::{HeaderMap, HeaderName};

/// The value of a header that is given exactly once, as text.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
