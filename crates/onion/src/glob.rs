//! Globs, as options take them: `*` stands for any characters within a segment, `**` for any at all, `?` for one.
//!
//! A glob that no text can match would be a guard that never guards, so it is an error where it is read.

use std::borrow::Cow;
use std::fmt;

use crate::path;
use crate::stars::Stars;

/// A glob that can match something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: Box<str>,
    /// How many bytes at its beginning stand for themselves.
    literal: usize,
    /// The rest, unless all of it stands for itself.
    stars: Option<Box<Stars>>,
}

impl Glob {
    /// A glob over the decoded paths of requests. `/admin/**` matches `/admin` too, and `/a/**/b` matches `/a/b`.
    ///
    /// Fails, with what is wrong and what to write, if no path can match.
    pub fn path(text: &str) -> Result<Self, String> {
        if !text.starts_with('/') && !text.starts_with("**") {
            return Err(format!(
                "{text:?} matches no path, since paths begin with a slash; expected a glob such as {:?}",
                as_path(text)
            ));
        }
        if let Cow::Owned(decoded) = path::decode(text) {
            let decoded = String::from_utf8_lossy(&decoded);
            return Err(format!("{text:?} is compared with decoded paths; expected {decoded:?}"));
        }
        Ok(Glob::compile(text, true))
    }

    /// A glob over the paths of files within a folder: `fonts/**`, `**/*.pdf`.
    ///
    /// Fails, with what is wrong and what to write, if no file can match.
    pub fn file(text: &str) -> Result<Self, String> {
        let name = text.trim_start_matches("./").trim_start_matches('/');
        if name != text || name.is_empty() {
            let expected = if name.is_empty() { "**" } else { name };
            return Err(format!(
                "{text:?} matches no file, since paths are relative to the folder; expected {expected:?}"
            ));
        }
        Glob::watched(text)
    }

    /// A glob over the paths of files, absolute or relative.
    ///
    /// Fails, with what is wrong and what to write, if no file can match.
    pub fn watched(text: &str) -> Result<Self, String> {
        let is_dotted = |segment| segment == "." || segment == "..";
        if text.is_empty() || text.ends_with('/') || text.split('/').any(is_dotted) {
            let kept: Vec<_> = text.split('/').filter(|segment| !is_dotted(segment)).collect();
            let kept = kept.join("/");
            let expected = if kept.ends_with('/') || kept.is_empty() { format!("{kept}**") } else { kept };
            return Err(format!("{text:?} matches no file; expected a glob such as {expected:?}"));
        }
        Ok(Glob::compile(text, true))
    }

    /// A glob over media types without parameters, in lower case: `text/*`, `application/*+xml`.
    ///
    /// Fails, with what is wrong and what to write, if no media type can match.
    pub fn media_type(text: &str) -> Result<Self, String> {
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-*?".contains(&byte))
        };
        match text.split_once('/') {
            Some((kind, subtype)) if is_part(kind) && is_part(subtype) => {
                Ok(Glob::compile(&text.to_ascii_lowercase(), true))
            }
            _ => Err(format!(
                "{text:?} matches no media type; expected text/html, text/* or application/*+xml"
            )),
        }
    }

    /// A glob over text in which a slash is a character like any other, such as the value of a header field.
    pub fn text(text: &str) -> Self {
        Glob::compile(text, false)
    }

    /// The glob as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a request path, decoded, is of this form. An empty one, of a request for a mount point, is `/`.
    pub fn matches_path(&self, path: &[u8]) -> bool {
        self.matches(if path.is_empty() { b"/" } else { path })
    }

    /// Whether the whole of `text` is of this form.
    ///
    /// The work is linear in the length of the text, which is the client's to choose, whatever the glob is.
    pub fn matches(&self, text: &[u8]) -> bool {
        let Some(stars) = &self.stars else { return self.text.as_bytes() == text };
        text.strip_prefix(&self.text.as_bytes()[..self.literal]).is_some_and(|rest| stars.decide(rest).0)
    }

    fn compile(text: &str, segments: bool) -> Self {
        let first = text.bytes().position(|byte| b"*?".contains(&byte));
        // What is before the first star must be there as it is, but for the slash of `/**`, which may be missing.
        let literal = first.map_or(text.len(), |first| first.saturating_sub(1));
        let stars =
            first.map(|_| Box::new(Stars::compile(&text.as_bytes()[literal..], literal == 0, segments)));
        Glob { text: text.into(), literal, stars }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The glob that was probably meant by one without a slash in front: of a URL its path, of a regular expression the path
/// with stars.
fn as_path(text: &str) -> String {
    let below = text.split_once("://").map(|(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let path = below.unwrap_or(text).trim().trim_start_matches('^').trim_end_matches('$');
    let path = path.replace(".*", "**").replace("\\.", ".");
    if path.starts_with('/') || path.starts_with("**") { path } else { format!("/{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(glob: &str, path: &str) -> bool {
        Glob::path(glob).expect("a glob").matches_path(path.as_bytes())
    }

    #[test]
    fn a_star_stays_within_its_segment_and_two_do_not() {
        assert!(matches("/api/*", "/api/items"));
        assert!(!matches("/api/*", "/api/items/7"));
        assert!(matches("/api/**", "/api/items/7"));
        assert!(matches("/a?c", "/abc") && !matches("/a?c", "/a/c") && !matches("/a?c", "/ac"));
        assert!(matches("**.css", "/x/y.css") && !matches("**.css", "/x/y.css/z"));
    }

    #[test]
    fn two_stars_after_a_slash_cover_what_is_before_it() {
        for path in ["/admin", "/admin/", "/admin/x", "/admin/x/y"] {
            assert!(matches("/admin/**", path), "{path}");
        }
        for path in ["/", "", "/administrator", "/admi", "/x/admin"] {
            assert!(!matches("/admin/**", path), "{path}");
        }
        for path in ["/a/b", "/a/x/b", "/a/x/y/b"] {
            assert!(matches("/a/**/b", path), "{path}");
        }
        assert!(!matches("/a/**/b", "/ab") && !matches("/a/**/b", "/a/xb"));
        assert!(matches("/a/**/**/b", "/a/b") && matches("/a/**/**", "/a") && matches("/a***b", "/a/b"));
        for path in ["/edit", "/x/edit", "/x/y/edit"] {
            assert!(matches("/**/edit", path), "{path}");
        }
        assert!(!matches("/admin/*", "/admin"));
    }

    #[test]
    fn an_empty_path_is_a_slash() {
        for glob in ["/", "/**", "**", "/*"] {
            assert!(matches(glob, ""), "{glob}");
        }
        assert!(!matches("/x", ""));
    }

    #[test]
    fn a_glob_of_many_stars_is_decided_at_once() {
        assert!(!matches("/**a**a**a**a**a**a**a**a**b", &format!("/{}", "a".repeat(5000))));
    }

    #[test]
    fn a_glob_that_no_path_can_match_is_rejected_with_the_one_that_was_meant() {
        for (glob, expected) in [
            ("admin/**", "\"/admin/**\""),
            ("^/x.*$", "\"/x**\""),
            ("", "\"/\""),
            ("*.css", "\"/*.css\""),
            (" /x", "\"/x\""),
            ("https://example.org/admin", "\"/admin\""),
            ("https://example.org", "\"/\""),
            ("/a%20b", "\"/a b\""),
        ] {
            let why = Glob::path(glob).expect_err(glob);
            assert!(why.ends_with(expected), "{glob}: {why}");
        }
        assert!(Glob::path("/100%").is_ok());
    }

    #[test]
    fn files_are_relative_to_their_folder() {
        for (glob, expected) in [
            ("/fonts/**", "\"fonts/**\""),
            ("./a.css", "\"a.css\""),
            ("fonts/", "\"fonts/**\""),
            ("", "\"**\""),
        ] {
            let why = Glob::file(glob).expect_err(glob);
            assert!(why.ends_with(expected), "{glob}: {why}");
        }
        let pdf = Glob::file("**/*.pdf").expect("a glob");
        assert!(pdf.matches(b"a.pdf") && pdf.matches(b"x/y/a.pdf") && !pdf.matches(b"x/a.txt"));
        let named = Glob::file("**/a.pdf").expect("a glob");
        assert!(named.matches(b"a.pdf") && named.matches(b"x/a.pdf") && !named.matches(b"xa.pdf"));
        assert!(Glob::watched("/etc/site/*.toml").is_ok());
        assert!(Glob::watched("../templates/*.html").is_err());
    }

    #[test]
    fn media_types_have_two_parts_and_no_parameters() {
        assert!(Glob::media_type("Application/*+XML").expect("a glob").matches(b"application/rss+xml"));
        for text in ["xml", "*", "text/html; charset=utf-8", "/xml", "text/", ""] {
            assert!(Glob::media_type(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_slash_in_text_is_a_character() {
        assert!(Glob::text("*bot*").matches(b"Mozilla/5.0 (compatible; Googlebot/2.1)"));
        assert!(Glob::text("a?b").matches(b"a/b"));
        assert!(!Glob::text("a/**").matches(b"a"));
    }
}
