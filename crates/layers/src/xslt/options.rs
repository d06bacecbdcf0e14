//! The options of `Xslt`.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use onion::{Size, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(super) struct Options {
    /// The stylesheet's path. Of several, each is applied to what the one before it made.
    pub(super) sheet: Option<SheetPaths>,
    /// Stylesheets by path, a glob such as `"/feed/*"`, or by media type, such as `"application/rss+xml"`; one path or
    /// several, as for `sheet`. A path counts before a media type, a longer glob before a shorter one, and all of them
    /// before `sheet`.
    pub(super) sheets: BTreeMap<String, SheetPaths>,
    /// Whether documents may name their stylesheet themselves, with `<?xml-stylesheet type="text/xsl" href="..."?>`.
    /// It is a file of `directory` that ends in `.xsl` or `.xslt`, or else fetched (see `fetch`), and takes precedence over
    /// all others.
    pub(super) processing_instruction: bool,
    /// Fetch stylesheets that documents name from the application itself, by requests to what is inside this layer: from
    /// the same host only, without cookies or credentials. Everything that they import comes from there, too. Defaults to
    /// true without a `directory`, and to false with one.
    pub(super) fetch: Option<bool>,
    /// Reuse a fetched stylesheet for this long before revalidating it.
    pub(super) fetch_lifetime: Span,
    /// Transform XML only for clients that prefer HTML to it by their `Accept` header, as browsers do. Feed readers and
    /// programs receive the XML. Adds `Vary: Accept`.
    pub(super) only_browsers: bool,
    /// The folder that all stylesheets lie in, with all that they import or read, and that their paths start from. If
    /// none is given, a stylesheet's own folder is what it may read.
    pub(super) directory: Option<String>,
    /// The media types that are transformed, apart from those named in `sheets`: globs such as `application/*+xml`.
    /// `text/html` is read as browsers do, all others as XML.
    pub(super) types: Vec<String>,
    /// The charset of documents that declare none, in `Content-Type` or themselves, such as `"windows-1252"`. By default
    /// XML is UTF-8, and HTML is UTF-8 if it is valid, or else windows-1252.
    pub(super) default_charset: Option<String>,
    /// Parameters for the stylesheets (`xsl:param`): names and texts. A text is never taken for XPath.
    pub(super) parameters: BTreeMap<String, String>,
    /// The longest document that is transformed.
    pub(super) max_input: Size,
    /// The longest result that is sent.
    pub(super) max_output: Size,
    /// How long a client waits for a transformation, the wait for a free thread included.
    pub(super) timeout: Span,
    /// How many transformations run at once, each on a thread of its own. One that takes too long keeps its thread.
    pub(super) threads: NonZeroU16,
    /// What becomes of a response that can't be transformed: with `fail` it is answered with `500` (`503` if all threads
    /// are busy), with `pass` it is sent as the application made it.
    pub(super) on_error: OnError,
    /// Whether stylesheets that have changed are compiled anew. Their files are looked at once a second at most.
    pub(super) reload: bool,
    /// Whether `ETag` (made weak) and `Last-Modified` stay. They tell of the document only: who has an older page is then
    /// not told that a stylesheet has changed.
    pub(super) keep_validators: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            sheet: None,
            sheets: BTreeMap::new(),
            processing_instruction: false,
            fetch: None,
            fetch_lifetime: Span::seconds(60),
            only_browsers: false,
            directory: None,
            types: ["text/xml", "application/xml", "application/rss+xml", "application/atom+xml"]
                .map(str::to_owned)
                .to_vec(),
            default_charset: None,
            parameters: BTreeMap::new(),
            max_input: Size(10 << 20),
            max_output: Size(50 << 20),
            timeout: Span::seconds(10),
            threads: NonZeroU16::new(4).expect("4 is not zero"),
            on_error: OnError::Fail,
            reload: true,
            keep_validators: false,
        }
    }
}

/// One path or several.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("x-one-or-many" = true))]
pub(super) struct SheetPaths(#[serde(deserialize_with = "onion::one_or_many")] pub(super) Vec<String>);

#[derive(Clone, Copy, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum OnError {
    Fail,
    Pass,
}
