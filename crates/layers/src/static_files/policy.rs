//! What is said of a file besides its bytes, by its name: how long it may be kept, its type, headers from the options.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use onion::{Glob, OptionError};
use regex::bytes::{Regex, RegexBuilder};

use super::Options;

/// The options about headers, compiled.
pub(super) struct Policy {
    cache_control: HeaderValue,
    immutable: Option<Regex>,
    all_origins: bool,
    /// By globs, in the order in which they are applied.
    given: Vec<(Glob, HeaderMap)>,
}

impl Policy {
    pub(super) fn new(options: &Options) -> Result<Self, OptionError> {
        let immutable = options.immutable.as_deref().map(|pattern| {
            let built = RegexBuilder::new(pattern).unicode(false).build();
            built.map_err(|_| {
                OptionError(format!(
                    "immutable: {pattern:?} is no regular expression; give one such as /assets/.*-[0-9a-zA-Z_-]{{8}}[.]"
                ))
            })
        });
        let given = options.headers.iter().map(|(glob, fields)| {
            let fields = fields.iter().map(|(name, value)| field(glob, name, value));
            let compiled = Glob::file(glob).map_err(|why| OptionError(format!("headers: {why}")))?;
            Ok((compiled, fields.collect::<Result<_, _>>()?))
        });
        Ok(Policy {
            cache_control: max_age(options.max_age.0.as_secs(), ""),
            immutable: immutable.transpose()?,
            all_origins: options.allow_all_origins,
            given: given.collect::<Result<_, _>>()?,
        })
    }

    /// The headers for the file called `name` that do not depend on its content.
    pub(super) fn headers(&self, name: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let immutable = self.immutable.as_ref().map_or_else(|| is_hashed(name), |regex| regex.is_match(name));
        headers.insert(header::CONTENT_TYPE, media_type(name));
        headers
            .insert(header::CACHE_CONTROL, if immutable { for_ever() } else { self.cache_control.clone() });
        if self.all_origins {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        for (glob, given) in &self.given {
            if glob.matches(name) {
                headers.extend(given.clone());
            }
        }
        headers
    }

    /// How long what is no file (a redirect) may be kept.
    pub(super) fn cache_control(&self) -> HeaderValue {
        self.cache_control.clone()
    }
}

/// One of the headers that the options give to a file.
fn field(glob: &str, name: &str, value: &str) -> Result<(HeaderName, HeaderValue), OptionError> {
    let refused = |why: &str| OptionError(format!("headers: {glob}: {why}"));
    let known: HeaderName = name
        .parse()
        .map_err(|_| refused(&format!("{name:?} is no header name; give one such as Content-Language")))?;
    if TAKEN.contains(&known.as_str()) {
        return Err(refused(&format!("{name} is the server's or the layer's own; leave it out")));
    }
    let value = HeaderValue::from_str(value).map_err(|_| {
        refused(&format!("{value:?} is no header value; give visible characters on one line"))
    })?;
    Ok((known, value))
}

/// Whether a part of the file's name, between two dots, looks like a hash.
fn is_hashed(name: &[u8]) -> bool {
    let file = name.rsplit(|byte| *byte == b'/').next().unwrap_or(name);
    let parts: Vec<&[u8]> = file.split(|byte| *byte == b'.').collect();
    let is_hash = |part: &&[u8]| {
        part.len() >= 8
            && part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            // Neither the date in `report.20240101.pdf` nor a word.
            && part.iter().any(u8::is_ascii_digit)
            && part.iter().any(u8::is_ascii_alphabetic)
    };
    parts.len() > 2 && parts[1..parts.len() - 1].iter().any(is_hash)
}

fn media_type(name: &[u8]) -> HeaderValue {
    let name = String::from_utf8_lossy(name);
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = EXTENSIONS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known));
    let essence = known.map(|(_, essence)| *essence);
    let essence = essence.or_else(|| mime_guess::from_ext(extension).first_raw());
    match essence.unwrap_or("application/octet-stream") {
        text if text.starts_with("text/") => {
            HeaderValue::try_from(format!("{text}; charset=utf-8")).expect("a media type is ASCII")
        }
        other => HeaderValue::from_static(other),
    }
}

fn max_age(seconds: u64, more: &str) -> HeaderValue {
    HeaderValue::try_from(format!("max-age={seconds}{more}")).expect("a number is ASCII")
}

fn for_ever() -> HeaderValue {
    HeaderValue::from_static("max-age=31536000, immutable")
}

/// What the crate's table does not have, or has under an older name. Not `text/xml`: its charset would win over what the
/// document itself says (RFC 7303 section 3.2).
const EXTENSIONS: &[(&str, &str)] = &[
    ("cjs", "text/javascript"),
    ("m3u8", "application/vnd.apple.mpegurl"),
    ("map", "application/json"),
    ("mjs", "text/javascript"),
    ("otf", "font/otf"),
    ("ts", "video/mp2t"),
    ("woff", "font/woff"),
    ("xml", "application/xml"),
    ("xsl", "application/xml"),
    ("xslt", "application/xml"),
    ("zst", "application/zstd"),
];

/// Headers that are made from the content or the connection.
const TAKEN: &[&str] = &[
    "accept-ranges",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "etag",
    "last-modified",
    "transfer-encoding",
    "vary",
];
