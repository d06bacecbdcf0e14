//! Which media types are worth compressing.

use onion::OptionError;

/// Media types: `text/html`, `text/*`, `*/*+json`.
pub(super) struct MediaTypes(Vec<Pattern>);

struct Pattern {
    /// `None`: any.
    kind: Option<String>,
    subtype: Subtype,
}

enum Subtype {
    Any,
    Exactly(String),
    /// With its plus sign.
    Suffix(String),
}

impl MediaTypes {
    pub(super) fn new<T: AsRef<str>>(given: &[T]) -> Result<Self, OptionError> {
        let patterns = given.iter().map(AsRef::as_ref).map(|text| {
            Pattern::of(text).ok_or_else(|| {
                let advice = "write one such as text/html, text/* or */*+json";
                OptionError(format!("types: {text:?} is no media type; {advice}"))
            })
        });
        Ok(MediaTypes(patterns.collect::<Result<_, _>>()?))
    }

    /// Whether the value of a Content-Type is one of them; its parameters don't matter.
    pub(super) fn contain(&self, content_type: &str) -> bool {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let Some((kind, subtype)) = essence.split_once('/') else { return false };
        self.0.iter().any(|pattern| pattern.matches(kind, subtype))
    }
}

impl Pattern {
    fn of(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/')?;
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
        };
        let subtype = match subtype.strip_prefix('*') {
            Some("") => Subtype::Any,
            Some(suffix) if suffix.starts_with('+') && is_name(&suffix[1..]) => {
                Subtype::Suffix(suffix.to_owned())
            }
            None if is_name(subtype) => Subtype::Exactly(subtype.to_owned()),
            _ => return None,
        };
        match kind {
            "*" => Some(Pattern { kind: None, subtype }),
            kind => is_name(kind).then(|| Pattern { kind: Some(kind.to_owned()), subtype }),
        }
    }

    fn matches(&self, kind: &str, subtype: &str) -> bool {
        let fits = match &self.subtype {
            Subtype::Any => true,
            Subtype::Exactly(name) => name.eq_ignore_ascii_case(subtype),
            Subtype::Suffix(suffix) => {
                let from = subtype.len().checked_sub(suffix.len()).and_then(|from| subtype.get(from..));
                from.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
        };
        fits && self.kind.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(kind))
    }
}

/// What is compressed unless somebody says otherwise: texts by any name, and the binary formats that are not compressed
/// in themselves.
pub(super) const WORTHWHILE: &[&str] = &[
    "text/*",
    "*/*+json",
    "*/*+xml",
    "*/*+text",
    "application/javascript",
    "application/json",
    "application/jsonl",
    "application/sql",
    "application/toml",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "application/vnd.ms-fontobject",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/vnd.microsoft.icon",
    "image/x-icon",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_worth_it_and_what_is_compressed_in_itself_is_not() {
        let worthwhile = MediaTypes::new(WORTHWHILE).expect("media types");

        for yes in [
            "text/html; charset=utf-8",
            "TEXT/HTML",
            "text/event-stream",
            "application/json",
            "application/problem+json",
            "application/vnd.api+JSON;version=1",
            "image/svg+xml",
            "application/wasm ; x=y",
        ] {
            assert!(worthwhile.contain(yes), "{yes}");
        }
        for no in [
            "image/png",
            "video/mp4",
            "application/zip",
            "application/octet-stream",
            "",
            "text",
            "application/xjson",
        ] {
            assert!(!worthwhile.contain(no), "{no}");
        }
    }

    #[test]
    fn what_is_no_media_type_is_refused() {
        for wrong in ["", "text", "text/", "/html", "te xt/html", "text/*html", "*/*+", "text/html; a=b"] {
            assert!(MediaTypes::new(&[wrong]).is_err(), "{wrong}");
        }
        assert!(MediaTypes::new(&["*/*"]).expect("a media type").contain("a/b"));
    }
}
