//! From the path of a request to a name below the root, or to nothing.
//!
//! A path is decoded once. What could mean another place than it seems to, here or to a system behind us, is the name
//! of nothing: `.` and `..`, an empty segment, a backslash, a NUL, what is longer than a name can be.

use onion::OptionError;

/// Where the root appears among the paths.
pub(super) struct Prefix {
    /// Without a slash at its end: empty, or `/static`.
    path: Vec<u8>,
}

/// What a path asks for, relative to the root and without a slash at either end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    File(&'a [u8]),
    /// There was a slash at its end.
    Folder(&'a [u8]),
}

impl Prefix {
    pub(super) fn new(given: &str) -> Result<Self, OptionError> {
        let path = given.strip_suffix('/').unwrap_or(given);
        let is_name = path.starts_with('/') && matches!(Name::of(path.as_bytes(), true), Some(Name::File(_)));
        let plain = path.is_empty() || is_name;
        if given.is_empty() || !plain || given.contains(['?', '#', '%', '*']) {
            return Err(OptionError(format!(
                "prefix: {given:?} is not a path; expected one such as \"/static\""
            )));
        }
        Ok(Prefix { path: path.into() })
    }

    /// The rest of a decoded path that lies below: empty, or with a slash at its beginning.
    pub(super) fn below<'a>(&self, path: &'a [u8]) -> Option<&'a [u8]> {
        path.strip_prefix(&*self.path).filter(|rest| rest.is_empty() || rest[0] == b'/')
    }
}

impl<'a> Name<'a> {
    /// The name that the rest of a path, below the prefix, asks for.
    pub(super) fn of(rest: &'a [u8], hidden_files: bool) -> Option<Self> {
        let Some(path) = rest.strip_prefix(b"/") else { return Some(Name::File(rest)) };
        match path {
            [] => Some(Name::Folder(path)),
            [folder @ .., b'/'] => is_name(folder, hidden_files).then_some(Name::Folder(folder)),
            file => is_name(file, hidden_files).then_some(Name::File(file)),
        }
    }
}

fn is_name(path: &[u8], hidden_files: bool) -> bool {
    let mut segments = path.split(|byte| *byte == b'/').enumerate();
    path.len() <= LONGEST_PATH
        && segments.all(|(depth, segment)| match segment {
            b"" | b"." | b".." => false,
            b".well-known" if depth == 0 => true,
            [b'.', ..] if !hidden_files => false,
            _ => segment.len() <= LONGEST_SEGMENT && !segment.iter().any(|byte| b"\\\0".contains(byte)),
        })
}

/// What the usual file systems have as limits, in bytes.
const LONGEST_SEGMENT: usize = 255;
const LONGEST_PATH: usize = 4000;

#[cfg(test)]
mod tests {
    use super::*;

    fn named(rest: &str) -> Option<Name<'_>> {
        Name::of(rest.as_bytes(), false)
    }

    #[test]
    fn a_slash_at_the_end_makes_a_folder() {
        assert_eq!(named("/css/a b.css"), Some(Name::File(b"css/a b.css")));
        assert_eq!(named("/css/"), Some(Name::Folder(b"css")));
        assert_eq!(named("/"), Some(Name::Folder(b"")));
        assert_eq!(named(""), Some(Name::File(b"")));
    }

    #[test]
    fn what_could_mean_another_place_is_no_name() {
        for rest in [
            "/..", "/../x", "/a/../b", "/a/..", "/../", "/.", "/./a", "/a/.", "//", "//a", "/a//b", "/a//",
            "/..\\x", "/a\\b", "/a\0", "/\0/b", "/C:\\x",
        ] {
            assert_eq!(named(rest), None, "{rest:?}");
        }
        assert_eq!(named("/a..b"), Some(Name::File(b"a..b")));
        assert_eq!(named("/a..."), Some(Name::File(b"a...")));
    }

    #[test]
    fn hidden_files_are_no_names_unless_that_is_wanted() {
        for rest in ["/.env", "/.git/config", "/a/.b", "/.a/", "/a/.well-known/b", "/.well-known/.b", "/..."]
        {
            assert_eq!(named(rest), None, "{rest}");
        }
        assert_eq!(named("/.well-known/security.txt"), Some(Name::File(b".well-known/security.txt")));
        assert_eq!(Name::of(b"/.env", true), Some(Name::File(b".env")));
        assert_eq!(Name::of(b"/..", true), None);
    }

    #[test]
    fn what_is_too_long_is_no_name() {
        let segment = "a".repeat(255);
        assert!(named(&format!("/{segment}")).is_some());
        assert!(named(&format!("/{segment}a")).is_none());
        assert!(named(&format!("/{segment}").repeat(16)).is_none());
    }

    #[test]
    fn only_whole_segments_are_a_prefix() {
        let prefix = Prefix::new("/static/").expect("a prefix");

        assert_eq!(prefix.below(b"/static/a"), Some(&b"/a"[..]));
        assert_eq!(prefix.below(b"/static"), Some(&b""[..]));
        assert_eq!(prefix.below(b"/static-report"), None);
        assert_eq!(prefix.below(b"/"), None);
        assert_eq!(Prefix::new("/").expect("a prefix").below(b"/a"), Some(&b"/a"[..]));
        assert_eq!(Prefix::new("/").expect("a prefix").below(b"*"), None);
    }

    #[test]
    fn what_is_no_path_is_no_prefix() {
        for given in ["", "static", "//", "/a//b", "/..", "/a?b", "/a%20b", "http://a/b"] {
            assert!(Prefix::new(given).is_err(), "{given:?}");
        }
        assert!(Prefix::new("/a b/.c").is_ok());
    }
}
