//! A document as the application sent it, and where its stylesheet is.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;

use super::charset::{self, Decoded, DefaultCharset};
use super::engine::Document;
use super::prolog;

pub(super) struct Raw {
    pub(super) bytes: Bytes,
    pub(super) is_html: bool,
    /// The label in `Content-Type`.
    pub(super) charset: Option<String>,
}

impl Raw {
    /// The document for a parser.
    pub(super) fn decoded(
        &self,
        default: DefaultCharset,
        parameters: Arc<[(String, String)]>,
        url: Option<String>,
    ) -> Result<Document, String> {
        let decode = if self.is_html { charset::html } else { charset::xml };
        let Decoded { bytes, is_utf8 } = decode(&self.bytes, self.charset.as_deref(), default)?;
        Ok(Document { bytes, is_html: self.is_html, is_utf8, parameters, url })
    }

    /// The `href` of the stylesheet that the document names.
    pub(super) fn named(&self, default: DefaultCharset) -> Option<String> {
        if !charset::is_wide(&self.bytes) {
            return prolog::stylesheet_of(&self.bytes);
        }
        let decoded = charset::xml(&self.bytes, self.charset.as_deref(), default).ok()?;
        prolog::stylesheet_of(&decoded.bytes)
    }
}

/// The absolute path, with the query, that `href` stands for in a document at the path `base`; `None` if it is on
/// another host. `is_here` knows this host's authorities.
pub(super) fn path_of(base: &str, href: &str, is_here: impl Fn(&str) -> bool) -> Option<String> {
    let href = href.trim().split('#').next().filter(|href| !href.is_empty())?;
    let end = href.find(['/', '?']).unwrap_or(href.len());
    let href = match href[..end].split_once(':') {
        Some((scheme, "")) if ["http", "https"].contains(&&*scheme.to_ascii_lowercase()) => {
            Some(&href[end..]).filter(|rest| rest.starts_with("//"))?
        }
        Some(_) => return None,
        None => href,
    };
    let target = if let Some(rest) = href.strip_prefix("//") {
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if !is_here(authority) {
            return None;
        }
        if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
    } else if href.starts_with('/') {
        href.to_owned()
    } else if href.starts_with('?') {
        format!("{base}{href}")
    } else {
        format!("{}/{href}", &base[..base.rfind('/').unwrap_or(0)])
    };
    let (path, query) = target.split_once('?').map_or((&*target, None), |(path, query)| (path, Some(query)));
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Some(escaped(&format!("{}{query}", without_dots(path))))
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut is_folder = false;
    for segment in path.split('/').skip(1) {
        is_folder = [".", ".."].contains(&segment);
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    if is_folder {
        segments.push("");
    }
    format!("/{}", segments.join("/"))
}

/// With what a URI cannot hold percent-encoded.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            escaped.push(byte.into());
        } else {
            write!(escaped, "%{byte:02X}").expect("a string takes everything");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_href_is_resolved_against_the_document() {
        for (href, expected) in [
            ("rss.xsl", Some("/feeds/rss.xsl")),
            ("../a/./b/../rss.xsl?v=1#top", Some("/a/rss.xsl?v=1")),
            ("../../../rss.xsl", Some("/rss.xsl")),
            ("/static/x y.xsl", Some("/static/x%20y.xsl")),
            ("/caf\u{e9}%20.xsl", Some("/caf%C3%A9%20.xsl")),
            ("?style", Some("/feeds/new.xml?style")),
            ("/a?b=/../c", Some("/a?b=/../c")),
            ("//here/a.xsl", Some("/a.xsl")),
            ("HTTP://here/a.xsl", Some("/a.xsl")),
            ("https://here?x", Some("/?x")),
            ("./a:b.xsl", Some("/feeds/a:b.xsl")),
            ("http://there/a.xsl", None),
            ("//there/a.xsl", None),
            ("http:/a.xsl", None),
            ("data:text/xsl,x", None),
            ("file:///etc/passwd", None),
            ("#embedded", None),
            ("", None),
        ] {
            let found = path_of("/feeds/new.xml", href, |authority| authority == "here");
            assert_eq!(found.as_deref(), expected, "{href}");
        }
    }
}
