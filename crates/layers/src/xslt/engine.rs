//! What compiles and applies stylesheets. The house has no engine of its own: the room that has one provides it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Compiles stylesheets.
pub trait Engine: Send + Sync {
    /// Compiles `chain`, of which each sheet is applied to what the one before it gave. What the sheets import or read
    /// lies in `directory`, or in the folder of each; a refusal says in one line what is wrong.
    fn compile(&self, chain: &[PathBuf], directory: Option<&Path>)
    -> Result<Arc<dyn Transformation>, String>;

    /// Compiles the stylesheet at `url`, an absolute path. It and what it imports come from `fetch`.
    fn compile_fetched(&self, url: &str, fetch: &Arc<dyn Fetch>) -> Result<Arc<dyn Transformation>, String>;
}

/// Reads what a stylesheet names.
pub trait Fetch: Send + Sync {
    /// What is at `url`; an error says why not in one line. Blocks, for worker threads.
    fn fetch(&self, url: &str) -> Result<bytes::Bytes, String>;
}

/// A compiled chain of stylesheets.
pub trait Transformation: Send + Sync {
    /// The files that were read to compile it.
    fn files(&self) -> &[PathBuf];

    /// The media type of what it makes, unless that depends on the document.
    fn media_type(&self) -> Option<&str>;

    /// Transforms a document; `None` if it has no element, as an empty one. An error says why not in one line. This may
    /// take long: never call it on a network thread.
    ///
    /// What a fetched stylesheet reads meanwhile comes from `fetch`.
    fn apply(
        &self,
        document: &Document,
        fetch: Option<&Arc<dyn Fetch>>,
    ) -> Result<Option<Transformed>, String>;
}

/// What a stylesheet is applied to.
#[derive(Clone, Debug)]
pub struct Document {
    /// The bytes.
    pub bytes: bytes::Bytes,
    /// Whether they are HTML, which is read forgivingly; if not, they are XML.
    pub is_html: bool,
    /// Whether the bytes are UTF-8, whatever the document declares. HTML always is.
    pub is_utf8: bool,
    /// The path that it has for clients, if its stylesheet is fetched: `document()` starts from there.
    pub url: Option<String>,
    /// The parameters of the stylesheets: names and texts.
    pub parameters: Arc<[(String, String)]>,
}

/// What became of a document.
#[derive(Clone, Debug)]
pub struct Transformed {
    /// The bytes.
    pub bytes: bytes::Bytes,
    /// Their media type, without parameters.
    pub media_type: String,
    /// Their charset.
    pub charset: String,
}

static ENGINE: OnceLock<Box<dyn Engine>> = OnceLock::new();

/// Provides the engine of this process. The first one stays.
pub fn provide(engine: impl Engine + 'static) {
    let _ = ENGINE.set(Box::new(engine));
}

/// The engine, or what to do about there being none.
pub(super) fn engine() -> Result<&'static dyn Engine, String> {
    ENGINE.get().map(|engine| &**engine).ok_or_else(|| {
        "there is no engine for stylesheets in this program; use onionskin's Python package".to_owned()
    })
}
