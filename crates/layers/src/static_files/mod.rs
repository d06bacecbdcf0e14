//! `StaticFiles`: serves the files of a folder, and passes on what it has no file for.
//!
//! ```
//! let static_files = layers::declaration("static_files")?;
//! let options = [("root", "src"), ("prefix", "/static"), ("max_age", "5m")];
//! let built = layers::build(static_files, layers::from_text(static_files, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: nothing outside of the root is served, whatever the path and wherever links lead; an entity tag names
//! the bytes of what is sent, a compressed form has another one; every condition and range of RFC 9110 is honoured;
//! nothing that is no regular file is read; a request for another method, or for what is not there, reaches the
//! application untouched.
//!
//! It does not compress, it lists no folders, and it does not watch the disk: it looks again after `recheck`.

mod answer;
mod files;
mod found;
mod name;
mod parts;
mod policy;
mod root;
mod shelf;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderValue, Method, StatusCode, header};
use onion::{
    Answer, Declaration, Layer, Next, OptionError, Phase, Request, Response, Span, answer, path, plain,
};
use schemars::JsonSchema;
use serde::Deserialize;

use files::{Entry, Files};
use name::{Name, Prefix};
use policy::Policy;
use root::Root;
use shelf::Shelf;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "static_files",
    class: "StaticFiles",
    summary: "Serves the files of a folder, and passes on what it has no file for.",
    phase: Phase::Answer,
    stands_alone: true,
    positional: Some("root"),
    schema: Declaration::schema_of::<Options>,
    build: |given| Ok(Arc::new(StaticFiles::new(&onion::reading::read(given)?)?)),
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own, by its name")]
struct Options {
    /// The folder whose files are served. A relative one is looked for where the server was started.
    #[schemars(extend("format" = "path"), example = "static")]
    root: PathBuf,
    /// The path, below the mount point, at which the root appears.
    #[serde(default = "slash")]
    prefix: String,
    /// How long clients and caches may use a file without asking again; `0s`: they ask each time.
    #[serde(default = "minute")]
    max_age: Span,
    /// A regular expression for paths within the root whose files never change: clients use these for a year and do
    /// not ask. By default these are names with a hash between dots, such as `app.3f8a21cc.css`: 8 or more lower-case
    /// hexadecimal digits, letters and decimal ones among them. `^$` is true of none.
    #[serde(default)]
    immutable: Option<String>,
    /// The file that is served for a folder, such as `index.html`; by default folders are not there.
    #[serde(default)]
    index: Option<String>,
    /// Whether `app.js.zst`, `app.js.br` and `app.js.gz`, where they lie beside `app.js` and are not older, are sent
    /// in its place to clients that accept them.
    #[serde(default = "yes")]
    precompressed: bool,
    /// Headers for some files: from globs over paths within the root (`fonts/**`, `**.pdf`) to names and values. Of
    /// two that set the same header, the one whose glob comes later in the alphabet is used; a `*` comes before
    /// letters.
    #[serde(default)]
    headers: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether pages of all origins may read the files (`Access-Control-Allow-Origin: *`), as fonts need it.
    #[serde(default)]
    allow_all_origins: bool,
    /// Whether files are served that have a dot at the beginning of their name, or of a folder's on the way to them.
    /// What is below `.well-known` always is.
    #[serde(default)]
    hidden_files: bool,
    /// Whether symbolic links are followed out of the root. Links that stay within it always are.
    #[serde(default)]
    follow_symlinks: bool,
    /// Whether the application is asked about what is no file, and about methods other than GET and HEAD. If not,
    /// these are answered `404 Not Found` and `405 Method Not Allowed`.
    #[serde(default = "yes")]
    fallthrough: bool,
    /// How long what was found on the disk is used before it is looked for again; `0s`: it is looked for each time.
    #[serde(default = "second")]
    recheck: Span,
}

struct StaticFiles {
    files: Files,
    prefix: Prefix,
    index: Option<String>,
    hidden_files: bool,
    fallthrough: bool,
}

impl Layer for StaticFiles {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Answer<'a> {
        match self.answer(&request) {
            Some(response) => answer(response),
            None => next.run(request),
        }
    }
}

impl StaticFiles {
    fn new(options: &Options) -> Result<Self, OptionError> {
        let recheck = options.recheck.0;
        Ok(StaticFiles {
            files: Files {
                root: Root::new(&options.root, options.follow_symlinks, recheck)?,
                policy: Policy::new(options)?,
                shelf: Shelf::new(recheck),
                precompressed: options.precompressed,
            },
            prefix: Prefix::new(&options.prefix)?,
            index: options.index.as_deref().map(file_name).transpose()?,
            hidden_files: options.hidden_files,
            fallthrough: options.fallthrough,
        })
    }

    /// The answer, unless the application is to give it.
    fn answer(&self, request: &Request) -> Option<Response> {
        let path = path::decode(request.uri().path());
        let rest = self.prefix.below(&path)?;
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return self.refusal(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n");
        }
        match Name::of(rest, self.hidden_files).map_or(Ok(Entry::Nothing), |name| self.look_up(name)) {
            Ok(Entry::File(found)) => Some(answer::file(&found, request, SystemTime::now())),
            Ok(Entry::Folder) => Some(answer::slash(request, self.files.policy.cache_control())),
            Ok(Entry::Nothing) => self.refusal(StatusCode::NOT_FOUND, "Not Found\n"),
            // There may be such a file, but it can't be got at now: nobody may make a "not found" of that.
            Err(error) => {
                let path = String::from_utf8_lossy(&path);
                onion::report(&format!("static_files: {path:?} cannot be read: {error}"));
                Some(plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n"))
            }
        }
    }

    /// The file that `name` stands for; a folder if there is an index in it, and the name lacks its slash.
    fn look_up(&self, name: Name<'_>) -> io::Result<Entry> {
        let entry = match name {
            Name::File(name) => self.files.get(name)?,
            Name::Folder(_) => Entry::Folder,
        };
        let (Entry::Folder, Some(index)) = (&entry, &self.index) else {
            return Ok(if matches!(entry, Entry::File(_)) { entry } else { Entry::Nothing });
        };
        let (Name::File(folder) | Name::Folder(folder)) = name;
        let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
        match (self.files.get(&[folder, slash, index.as_bytes()].concat())?, name) {
            (Entry::File(_), Name::File(_)) => Ok(Entry::Folder),
            (Entry::File(found), Name::Folder(_)) => Ok(Entry::File(found)),
            _ => Ok(Entry::Nothing),
        }
    }

    fn refusal(&self, status: StatusCode, text: &'static str) -> Option<Response> {
        let mut refused = (!self.fallthrough).then(|| plain(status, text))?;
        if status == StatusCode::METHOD_NOT_ALLOWED {
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        }
        Some(refused)
    }
}

/// The name of an index: one segment of a path.
fn file_name(given: &str) -> Result<String, OptionError> {
    let path = format!("/{given}");
    let is_name = !given.contains('/') && matches!(Name::of(path.as_bytes(), true), Some(Name::File(_)));
    let refused = || OptionError(format!("index: {given:?} is no file name; give one such as index.html"));
    is_name.then(|| given.to_owned()).ok_or_else(refused)
}

fn slash() -> String {
    "/".to_owned()
}

fn minute() -> Span {
    Span::seconds(60)
}

fn second() -> Span {
    Span::seconds(1)
}

fn yes() -> bool {
    true
}
