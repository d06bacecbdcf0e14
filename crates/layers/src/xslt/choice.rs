//! Which stylesheet a response gets: by path, by content type, or by what the document names itself.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use http::HeaderMap;
use onion::{Glob, OptionError, path};

use super::head;
use super::options::{Options, SheetPaths};
use super::sheet::Sheet;

/// All stylesheets of a layer.
pub(super) struct Sheets {
    /// Globs over paths, those with the most characters first.
    by_path: Vec<(Glob, Arc<Sheet>)>,
    by_type: HashMap<String, Arc<Sheet>>,
    other: Option<Arc<Sheet>>,
    /// Globs over media types.
    types: Vec<Glob>,
    named: Option<Named>,
    /// Whether documents may name their stylesheet.
    may_name: bool,
    /// Whether stylesheets that documents name are fetched if they are not in the directory.
    pub(super) fetches: bool,
}

/// Stylesheets that documents name.
struct Named {
    /// Where they must lie, without detours.
    directory: PathBuf,
    reloads: bool,
    /// Those that were asked for so far: no more than there are files.
    compiled: Mutex<HashMap<PathBuf, Arc<Sheet>>>,
}

impl Sheets {
    pub(super) fn new(options: &Options) -> Result<Self, OptionError> {
        let directory = options.directory.as_deref().map(Path::new);
        let compile = |option: &str, SheetPaths(paths): &SheetPaths| {
            let located = |path: &String| directory.map_or_else(|| path.into(), |within| within.join(path));
            let chain: Vec<PathBuf> = paths.iter().map(located).collect();
            if chain.is_empty() {
                return Err(OptionError(format!("{option}: there is no stylesheet; give one or more paths")));
            }
            let sheet = Sheet::new(&chain, directory, options.reload);
            sheet.map(Arc::new).map_err(|reason| OptionError(format!("{option}: {reason}")))
        };
        let (mut by_path, mut by_type) = (Vec::new(), HashMap::new());
        for (key, paths) in &options.sheets {
            let sheet = compile(&format!("sheets: {key}"), paths)?;
            match key.split_once('/') {
                Some(("", _)) => {
                    let glob = Glob::path(key).map_err(|why| OptionError(format!("sheets: {why}")))?;
                    by_path.push((glob, sheet));
                }
                Some((kind, subtype)) if is_media_type(kind, subtype) => {
                    by_type.insert(key.to_ascii_lowercase(), sheet);
                }
                _ => {
                    let message = format!("sheets: {key:?} is neither a path nor a media type");
                    return Err(OptionError(format!("{message}; expected /feed/* or application/rss+xml")));
                }
            }
        }
        by_path.sort_by_key(|(glob, _): &(Glob, _)| std::cmp::Reverse(glob.as_str().len()));
        let other = options.sheet.as_ref().map(|paths| compile("sheet", paths)).transpose()?;
        let types = options.types.iter().map(|glob| Glob::media_type(glob)).collect::<Result<_, _>>();
        let types = types.map_err(|why| OptionError(format!("types: {why}")))?;
        let named = match &options.directory {
            Some(directory) if options.processing_instruction => Some(Named::new(directory, options.reload)?),
            _ => None,
        };
        let fetches = options.fetch.unwrap_or(directory.is_none()) && options.processing_instruction;
        if options.processing_instruction && named.is_none() && !fetches {
            let message = "directory is missing; expected the folder of the stylesheets that documents may name, \
                or fetch=true";
            return Err(OptionError(message.to_owned()));
        }
        if by_path.is_empty() && by_type.is_empty() && other.is_none() && !options.processing_instruction {
            let message =
                "sheet is missing; give the path of a stylesheet, or sheets, or processing_instruction";
            return Err(OptionError(message.to_owned()));
        }
        let may_name = options.processing_instruction;
        Ok(Sheets { by_path, by_type, other, types, named, may_name, fetches })
    }

    /// The stylesheet for a path, decoded, whatever comes from there.
    pub(super) fn for_path(&self, path: &[u8]) -> Option<&Arc<Sheet>> {
        let fits = |(glob, _): &&(Glob, _)| glob.matches_path(path);
        self.by_path.iter().find(fits).map(|(_, sheet)| sheet)
    }

    /// Whether a response to a request for this path may be transformed at all.
    pub(super) fn may_apply(&self, for_path: Option<&Arc<Sheet>>) -> bool {
        for_path.is_some() || !self.by_type.is_empty() || self.other.is_some() || self.may_name
    }

    /// The stylesheet for a response of this media type.
    pub(super) fn for_response<'a>(
        &'a self,
        for_path: Option<&'a Arc<Sheet>>,
        media_type: &str,
    ) -> Option<&'a Arc<Sheet>> {
        let is_document = self.is_document(media_type);
        let by_type = || self.by_type.get(media_type);
        for_path
            .filter(|_| is_document)
            .or_else(by_type)
            .or_else(|| self.other.as_ref().filter(|_| is_document))
    }

    /// Whether a document of this media type may name its stylesheet.
    pub(super) fn may_name(&self, media_type: &str) -> bool {
        self.may_name && self.is_document(media_type) && media_type != super::HTML
    }

    /// Whether a client with these headers prefers HTML to a document that may be transformed.
    pub(super) fn may_prefer_html(&self, accept: &HeaderMap) -> bool {
        let mut types = self.types.iter().map(Glob::as_str).chain(self.by_type.keys().map(String::as_str));
        types.any(|media_type| head::prefers_html(accept, media_type))
    }

    fn is_document(&self, media_type: &str) -> bool {
        self.types.iter().any(|glob| glob.matches(media_type.as_bytes()))
    }

    /// The stylesheet at `href`, if it is a file of the directory. Reads files: not for a network thread.
    pub(super) fn at(&self, href: &str) -> Option<Result<Arc<Sheet>, String>> {
        self.named.as_ref()?.at(href)
    }
}

/// Whether these are the two parts of a media type that a response may have.
fn is_media_type(kind: &str, subtype: &str) -> bool {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte);
    (TOP_LEVEL_TYPES.contains(&&*kind.to_ascii_lowercase()) || kind.starts_with("x-"))
        && !subtype.is_empty()
        && subtype.bytes().all(is_name)
}

/// The IANA registry of top-level media types.
const TOP_LEVEL_TYPES: &[&str] =
    &["application", "audio", "font", "haptics", "image", "message", "model", "multipart", "text", "video"];

impl Named {
    fn new(directory: &str, reloads: bool) -> Result<Self, OptionError> {
        let unreadable =
            |error| OptionError(format!("directory: {directory:?} cannot be read: {error}; give a folder"));
        let directory = Path::new(directory).canonicalize().map_err(unreadable)?;
        Ok(Named { directory, reloads, compiled: Mutex::default() })
    }

    fn at(&self, href: &str) -> Option<Result<Arc<Sheet>, String>> {
        let file = self.directory.join(below(href)?).canonicalize().ok()?;
        let is_sheet = file.extension().is_some_and(|ending| ending == "xsl" || ending == "xslt");
        if !file.starts_with(&self.directory) || !is_sheet || !file.is_file() {
            return None;
        }
        let compiled = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sheet) = compiled().get(&file) {
            return Some(Ok(Arc::clone(sheet)));
        }
        // Without the lock. Two at once do the same work twice.
        let sheet = match Sheet::new(std::slice::from_ref(&file), Some(&self.directory), self.reloads) {
            Ok(sheet) => Arc::new(sheet),
            Err(reason) => return Some(Err(reason)),
        };
        compiled().insert(file, Arc::clone(&sheet));
        Some(Ok(sheet))
    }
}

/// The path below the directory that `href` stands for. One with a scheme, a host, a query or `..` stands for none.
fn below(href: &str) -> Option<PathBuf> {
    if href.contains(['?', '#', ':', '\\', '\0']) || href.starts_with("//") {
        return None;
    }
    let decoded = path::decode(href.trim_start_matches('/'));
    let relative = PathBuf::from(str::from_utf8(&decoded).ok()?);
    relative.components().all(|part| matches!(part, Component::Normal(_))).then_some(relative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_href_stands_for_a_path_below_the_directory() {
        assert_eq!(below("/static/page%20one.xsl"), Some("static/page one.xsl".into()));
        assert_eq!(below("page.xsl"), Some("page.xsl".into()));
        for href in [
            "//host/a.xsl",
            "http://host/a.xsl",
            "../a.xsl",
            "a/../../b.xsl",
            "%2e%2e/a.xsl",
            "a.xsl?b",
            "a\\b",
            "a%00b:",
        ] {
            assert_eq!(below(href), None, "{href}");
        }
    }
}
