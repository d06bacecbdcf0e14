//! What compression means for entity tags.
//!
//! The compressed response is not the same bytes as the other, so its tag may not be a strong one with the same text
//! (RFC 9110 section 8.8.3.3): it becomes the weak one. A client that has it asks with it, `If-None-Match: W/"a"`, and
//! the application that gave `"a"` should know it again. By the weak comparison, which is the one for If-None-Match,
//! the two are equal; but many an application compares texts. So it is asked with the tag that it gave. If-Match and
//! If-Range want the strong comparison, by which a weak tag equals none: they are left alone.

use std::borrow::Cow;

use http::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};

/// Makes the entity tag a weak one.
pub(super) fn weaken(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(ETAG).map(HeaderValue::as_bytes) else { return };
    if tag.starts_with(b"\"") {
        let weak = HeaderValue::from_bytes(&[b"W/", tag].concat()).ok();
        // A weak tag is made of what a header may hold if the strong one was; else better none.
        match weak {
            Some(weak) => drop(headers.insert(ETAG, weak)),
            None => drop(headers.remove(ETAG)),
        }
    }
}

/// What the client asked with, if that was changed.
pub(super) struct Asked(Vec<HeaderValue>);

/// Asks with strong tags in the place of weak ones.
pub(super) fn ask_strongly(headers: &mut HeaderMap) -> Option<Asked> {
    let has_weak = |field: &HeaderValue| matches!(strong(field.as_bytes()), Cow::Owned(_));
    if !headers.get_all(IF_NONE_MATCH).iter().any(has_weak) {
        return None;
    }
    let asked: Vec<HeaderValue> = headers.get_all(IF_NONE_MATCH).iter().cloned().collect();
    headers.remove(IF_NONE_MATCH);
    for field in &asked {
        let changed = HeaderValue::from_bytes(&strong(field.as_bytes()));
        headers.append(IF_NONE_MATCH, changed.unwrap_or_else(|_| field.clone()));
    }
    Some(Asked(asked))
}

impl Asked {
    /// Whether the client has the weak form of `tag`, and not the strong one.
    pub(super) fn weakly(&self, tag: &HeaderValue) -> bool {
        let tag = tag.as_bytes();
        tag.starts_with(b"\"") && {
            let has =
                |wanted: &[u8]| self.0.iter().any(|field| tags(field.as_bytes()).any(|one| one == wanted));
            has(&[b"W/", tag].concat()) && !has(tag)
        }
    }
}

/// A list of entity tags with strong ones in the place of the weak.
fn strong(list: &[u8]) -> Cow<'_, [u8]> {
    if tags(list).all(|tag| !tag.starts_with(WEAK)) {
        return Cow::Borrowed(list);
    }
    let strong: Vec<&[u8]> =
        tags(list).map(|tag| if tag.starts_with(WEAK) { &tag[2..] } else { tag }).collect();
    Cow::Owned(strong.join(&b", "[..]))
}

/// How a weak tag begins.
const WEAK: &[u8] = b"W/\"";

/// The members of a list of entity tags, which may hold commas in their quotes. What is no tag stays as it is.
fn tags(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let members = list.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b',' && !quoted
    });
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[&'static str]) -> (Option<Asked>, Vec<HeaderValue>) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(IF_NONE_MATCH, HeaderValue::from_static(field));
        }
        let asked = ask_strongly(&mut headers);
        (asked, headers.get_all(IF_NONE_MATCH).iter().cloned().collect())
    }

    #[test]
    fn weak_tags_are_asked_for_as_strong_ones() {
        assert_eq!(asked(&[r#"W/"a""#]).1, [r#""a""#]);
        assert_eq!(asked(&[r#""a", W/"b,W/c" ,W/"d""#, r#"W/"e""#]).1, [r#""a", "b,W/c", "d""#, r#""e""#]);
    }

    #[test]
    fn what_has_no_weak_tag_is_left_as_it_is() {
        for field in ["*", r#""a"  ,"b""#, r#""W/""#, "", "W/", "nonsense, \""] {
            let (asked, headers) = asked(&[field]);
            assert_eq!(headers, [field]);
            assert!(asked.is_none(), "{field}");
        }
        assert!(asked(&[]).0.is_none());
    }

    #[test]
    fn it_is_known_which_form_the_client_has() {
        let weakly =
            |fields, tag| asked(fields).0.is_some_and(|asked| asked.weakly(&HeaderValue::from_static(tag)));

        assert!(weakly(&[r#"W/"a""#], r#""a""#));
        assert!(!weakly(&[r#"W/"a", "a""#], r#""a""#));
        assert!(!weakly(&[r#"W/"a""#], r#"W/"a""#));
        assert!(!weakly(&[r#"W/"a""#], r#""b""#));
    }

    #[test]
    fn a_strong_tag_becomes_a_weak_one() {
        for (given, expected) in [(r#""a""#, r#"W/"a""#), (r#"W/"a""#, r#"W/"a""#), ("nonsense", "nonsense")]
        {
            let mut headers = HeaderMap::new();
            headers.insert(ETAG, HeaderValue::from_static(given));
            weaken(&mut headers);
            assert_eq!(headers[ETAG], expected);
        }
    }
}
