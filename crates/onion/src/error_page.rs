//! An error page: a text with places for the status, the reason and the request's id, read at start-up.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use http::{HeaderValue, StatusCode};

use crate::OptionError;

/// What the places of a page are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Filling<'a> {
    /// The status.
    pub status: StatusCode,
    /// Its reason phrase.
    pub reason: &'a str,
    /// The request's id; empty if it has none.
    pub request_id: &'a str,
}

/// A page, taken apart at its places.
#[derive(Clone, Debug)]
pub struct Page {
    pieces: Vec<Piece>,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Status,
    Reason,
    RequestId,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Html,
    Plain,
}

impl Page {
    /// The built-in page, for every status that has no other.
    #[expect(clippy::missing_panics_doc, reason = "the page is one of ours")]
    pub fn own() -> Self {
        Page::parse(include_str!("error_page.html"), Kind::Html)
            .expect("the page of the house has known places")
    }

    /// Reads the page at `path`.
    fn read(path: &str) -> Result<Self, OptionError> {
        let refused = |why: &str| OptionError(format!("{path:?} {why}"));
        let kind = kind_of(Path::new(path))
            .ok_or_else(|| refused("is no page; give a file that ends in .html, .htm or .txt"))?;
        let bytes = fs::read(path)
            .map_err(|error| refused(&format!("cannot be read: {error}; give the path of a page")))?;
        if bytes.len() > LARGEST {
            return Err(refused("is larger than 1 MiB; give a smaller page"));
        }
        let text = String::from_utf8(bytes).map_err(|_| refused("is not UTF-8; save it as UTF-8"))?;
        Page::parse(&text, kind).map_err(|unknown| {
            refused(&format!(
                "has a place {{{{{unknown}}}}} that nothing is known for; \
                 the places are {{{{status}}}}, {{{{reason}}}} and {{{{request_id}}}}"
            ))
        })
    }

    /// Takes `text` apart; gives the name of the first place that is not known.
    fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let place = after.split_once("}}").map(|(name, behind)| (name.trim(), behind));
            let Some((name, behind)) = place.filter(|(name, _)| is_word(name)) else {
                // Two braces that belong to the page.
                pieces.push(Piece::Text(format!("{before}{{{{")));
                rest = after;
                continue;
            };
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(match name {
                "status" => Piece::Status,
                "reason" => Piece::Reason,
                "request_id" => Piece::RequestId,
                unknown => return Err(unknown.to_owned()),
            });
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Page { pieces, kind })
    }

    /// The page for one response.
    pub fn fill(&self, filling: &Filling<'_>) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(own) => text.push_str(own),
                Piece::Status => text.push_str(filling.status.as_str()),
                Piece::Reason => self.put(&mut text, filling.reason),
                Piece::RequestId => self.put(&mut text, filling.request_id),
            }
        }
        text
    }

    /// Its `Content-Type`.
    pub fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match self.kind {
            Kind::Html => "text/html; charset=utf-8",
            Kind::Plain => "text/plain; charset=utf-8",
        })
    }

    /// Its media type.
    pub fn media_type(&self) -> &'static str {
        match self.kind {
            Kind::Html => "text/html",
            Kind::Plain => "text/plain",
        }
    }

    fn put(&self, text: &mut String, value: &str) {
        for letter in value.chars() {
            match letter {
                '&' if self.kind == Kind::Html => text.push_str("&amp;"),
                '<' if self.kind == Kind::Html => text.push_str("&lt;"),
                '>' if self.kind == Kind::Html => text.push_str("&gt;"),
                '"' if self.kind == Kind::Html => text.push_str("&quot;"),
                '\'' if self.kind == Kind::Html => text.push_str("&#39;"),
                other => text.push(other),
            }
        }
    }
}

/// The page of `pages` for an error: its own, or that of its class.
pub fn page_for(pages: &BTreeMap<String, Page>, status: StatusCode) -> Option<&Page> {
    let class = if status.is_client_error() { "4xx" } else { "5xx" };
    pages.get(status.as_str()).or_else(|| pages.get(class))
}

/// The pages of `directory` that are called after what they are for, and those of `pages`, which come first.
pub fn read_all(
    directory: Option<&str>,
    pages: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Page>, OptionError> {
    let mut read = BTreeMap::new();
    if let Some(directory) = directory {
        read = read_directory(directory).map_err(|error| OptionError(format!("directory: {error}")))?;
    }
    for (key, path) in pages {
        if !is_key(key) {
            let message = format!("pages: {key:?} is no status of an error; write 404, \"4xx\" or \"5xx\"");
            return Err(OptionError(message));
        }
        let page = Page::read(path);
        read.insert(key.clone(), page.map_err(|error| OptionError(format!("pages: {key}: {error}")))?);
    }
    Ok(read)
}

/// The pages of `directory` that are called after what they are for.
pub fn read_directory(directory: &str) -> Result<BTreeMap<String, Page>, OptionError> {
    named_after_statuses(directory)?.into_iter().map(|(key, path)| Ok((key, Page::read(&path)?))).collect()
}

/// The files of `directory` that are called `404.html`, `5xx.txt` and the like.
fn named_after_statuses(directory: &str) -> Result<BTreeMap<String, String>, OptionError> {
    let unreadable = |error| {
        OptionError(format!(
            "{directory:?} cannot be read: {error}; give a folder with pages such as 404.html"
        ))
    };
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let (Some(stem), Some(shown)) = (path.file_stem().and_then(|stem| stem.to_str()), path.to_str())
        else {
            continue;
        };
        if !is_key(stem) || kind_of(&path).is_none() {
            continue;
        }
        if let Some(other) = found.insert(stem.to_owned(), shown.to_owned()) {
            return Err(OptionError(format!(
                "{other:?} and {shown:?} are for the same status; keep one of them"
            )));
        }
    }
    if found.is_empty() {
        let message =
            format!("{directory:?} has no pages; put some there that are called 404.html or 5xx.html");
        return Err(OptionError(message));
    }
    Ok(found)
}

fn kind_of(path: &Path) -> Option<Kind> {
    match path.extension()?.to_str()? {
        "html" | "htm" => Some(Kind::Html),
        "txt" => Some(Kind::Plain),
        _ => None,
    }
}

/// Whether pages may be called so: `404`, `4xx`, `5xx`.
fn is_key(key: &str) -> bool {
    matches!(key, "4xx" | "5xx") || matches!(key.parse(), Ok(400..=599))
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

const LARGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, kind: Kind) -> String {
        let page = Page::parse(text, kind).expect("known places");
        page.fill(&Filling { status: StatusCode::NOT_FOUND, reason: "Gone <'&\">", request_id: "r-1" })
    }

    #[test]
    fn places_are_filled_and_escaped() {
        let text = "<b>{{status}}</b> {{ reason }} {{request_id}}.";
        assert_eq!(filled(text, Kind::Html), "<b>404</b> Gone &lt;&#39;&amp;&quot;&gt; r-1.");
        assert_eq!(filled("{{reason}}", Kind::Plain), "Gone <'&\">");
    }

    #[test]
    fn braces_that_are_no_place_belong_to_the_page() {
        for text in ["p {color: red}", "{{", "}}", "{{}}", "{{ a b }}", "{ {status} }", "{{{"] {
            assert_eq!(filled(text, Kind::Html), text);
        }
        assert_eq!(filled("{{{status}}}", Kind::Html), "{{{status}}}");
        assert_eq!(filled("{{{{status}}", Kind::Html), "{{404");
    }

    #[test]
    fn a_place_that_nothing_is_known_for_is_named() {
        assert_eq!(Page::parse("{{status}} {{traceback}}", Kind::Html).err().as_deref(), Some("traceback"));
    }

    #[test]
    fn the_page_of_the_house_tells_the_status() {
        let filling = Filling { status: StatusCode::NOT_FOUND, reason: "Not Found", request_id: "" };
        assert!(Page::own().fill(&filling).contains("<title>404 Not Found</title>"));
    }
}
