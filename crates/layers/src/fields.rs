//! Small ways with header fields that several layers need.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The value of a header that is given exactly once, as text.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The values of a list by which a client chooses among representations, as far as they are read: the client decides
/// how long the list is, and several layers read it. Members beyond [`MOST_READ`] bytes count for nothing.
pub(crate) fn choices<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let mut left = MOST_READ;
    headers.get_all(name).iter().map_while(move |value| {
        let value = value.as_bytes();
        if value.len() <= left {
            left -= value.len();
            return Some(value);
        }
        let end = memchr::memrchr(b',', &value[..left]);
        left = 0;
        end.map(|end| &value[..end])
    })
}

/// The longest list of a browser has some 200 bytes.
pub(crate) const MOST_READ: usize = 4096;

/// Says that the response depends on the request's header `name` (RFC 9110 section 12.5.5), unless it says so already.
pub(crate) fn vary(headers: &mut HeaderMap, name: HeaderName) {
    let says = |field: &str| field.split(',').map(str::trim).any(|member| member == "*" || name == member);
    let said = headers.get_all(header::VARY).iter().filter_map(|field| field.to_str().ok()).any(says);
    if !said {
        headers.append(header::VARY, HeaderValue::from(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_response_depends_on_is_said_once() {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("Cookie"));

        vary(&mut headers, header::ACCEPT);
        vary(&mut headers, header::ACCEPT);
        vary(&mut headers, header::COOKIE);

        let fields: Vec<_> = headers.get_all(header::VARY).iter().collect();
        assert_eq!(fields, ["Cookie", "accept"]);
    }

    #[test]
    fn a_star_says_it_all() {
        let mut headers = HeaderMap::new();
        headers.insert(header::VARY, HeaderValue::from_static("*"));

        vary(&mut headers, header::ACCEPT);

        assert_eq!(headers.len(), 1);
    }
}
