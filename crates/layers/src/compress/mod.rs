//! `Compress`: responses in zstd, brotli or gzip, as the client likes it best.
//!
//! ```
//! let compress = layers::declaration("compress")?;
//! let options = [("encodings", "br,gzip"), ("min_size", "1KiB"), ("br_level", "5")];
//! let built = layers::build(compress, layers::from_text(compress, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: each block that the application yields is with the client, decodable, before the next one is asked for; a
//! body that fails never ends like a whole one; what is encoded already, partial, or not to be transformed stays as it
//! is; every response that could have been compressed says so (`Vary`); a strong entity tag becomes a weak one.
//!
//! It does not guard against BREACH: see its page.

use std::mem;
use std::sync::Arc;

use http::{Method, header};
use onion::body::Kind;
use onion::{Answer, Body, Declaration, Layer, Next, OptionError, Phase, Request, Response, Size};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::accept::{Accepted, Coding};
use crate::fields::vary;

mod encoder;
mod head;
mod stream;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod types;
mod validators;
mod whole;

use encoder::{Encoders, Levels};
use stream::Encoded;
use types::MediaTypes;
use whole::Whole;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "compress",
    class: "Compress",
    summary: "Compresses responses with zstd, brotli or gzip, as the client likes it best.",
    phase: Phase::Outgoing,
    stands_alone: false,
    positional: None,
    schema: Declaration::schema_of::<Options>,
    build: |given| Ok(Arc::new(Compress::new(&onion::reading::read(given)?)?)),
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The codings to choose from, the best first: of those that a client likes equally it gets the first.
    encodings: Vec<Encoding>,
    /// A response that is known to be shorter stays as it is.
    min_size: Size,
    /// The media types that are compressed: `text/html`, `text/*`, or `*/*+json` for all that end so. Without it, texts,
    /// JSON, XML, scripts, WebAssembly, and fonts and images that are not compressed in themselves.
    types: Option<Vec<String>>,
    /// How hard zstd tries, from 1 (fast) to 19 (small).
    #[schemars(range(min = 1, max = 19))]
    zstd_level: u8,
    /// How hard brotli tries, from 0 (fast) to 11 (small).
    #[schemars(range(min = 0, max = 11))]
    br_level: u8,
    /// How hard gzip tries, from 1 (fast) to 9 (small).
    #[schemars(range(min = 1, max = 9))]
    gzip_level: u8,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            encodings: vec![Encoding::Zstd, Encoding::Br, Encoding::Gzip],
            min_size: Size(512),
            types: None,
            zstd_level: 3,
            br_level: 4,
            gzip_level: 6,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Encoding {
    Zstd,
    Br,
    Gzip,
}

struct Compress {
    codings: Vec<Coding>,
    min_size: u64,
    types: MediaTypes,
    encoders: Arc<Encoders>,
}

impl Layer for Compress {
    fn call<'a>(&'a self, mut request: Request, next: Next<'a>) -> Answer<'a> {
        let accepted = Accepted::of(request.headers());
        let is_head = request.method() == Method::HEAD;
        let asked = validators::ask_strongly(request.headers_mut());
        let answer = next.run(request);
        Box::pin(async move {
            let mut response = answer.await;
            let headers = response.headers_mut();
            if let (Some(asked), Some(tag)) = (asked, headers.get(header::ETAG))
                && asked.weakly(tag)
            {
                // Also, and above all, that of a 304: the client knows its copy by the weak one.
                validators::weaken(headers);
            }
            if !head::may_be_compressed(&response, &self.types) {
                return response;
            }
            vary(response.headers_mut(), header::ACCEPT_ENCODING);
            match accepted.best(&self.codings) {
                // Who rules out all of it gets it as it is rather than nothing (RFC 9110 section 12.5.3).
                None | Some(Coding::Identity) => {}
                Some(coding) => self.encode(&mut response, coding, is_head).await,
            }
            response
        })
    }

    fn needs_runtime(&self) -> bool {
        true
    }
}

impl Compress {
    fn new(options: &Options) -> Result<Self, OptionError> {
        let levels = Levels {
            zstd: level("zstd_level", options.zstd_level, 1, 19)?,
            brotli: level("br_level", options.br_level, 0, 11)?,
            gzip: level("gzip_level", options.gzip_level, 1, 9)?,
        };
        let mut codings = Vec::new();
        for encoding in &options.encodings {
            let coding = match encoding {
                Encoding::Zstd => Coding::Zstd,
                Encoding::Br => Coding::Brotli,
                Encoding::Gzip => Coding::Gzip,
            };
            if codings.contains(&coding) {
                return Err(OptionError(format!(
                    "encodings: {} is there twice; name it once",
                    coding.name()
                )));
            }
            codings.push(coding);
        }
        if codings.is_empty() {
            return Err(OptionError(
                "encodings: there is none; give one or more of zstd, br, gzip".to_owned(),
            ));
        }
        Ok(Compress {
            codings,
            min_size: options.min_size.0.max(1),
            types: match &options.types {
                Some(given) => MediaTypes::new(given)?,
                None => MediaTypes::new(types::WORTHWHILE)?,
            },
            encoders: Encoders::new(levels),
        })
    }

    async fn encode(&self, response: &mut Response, coding: Coding, is_head: bool) {
        let Ok(declared) = head::declared_length(response.headers()) else { return };
        if matches!(response.body().kind(), Kind::Foreign(_))
            && let Some(bytes) = response.body_mut().take_bytes()
        {
            *response.body_mut() = bytes.into();
        }
        let known = response.body().length();
        let length = match (declared, known) {
            // The answer to HEAD may come with a body or without: it is the head for what GET would get.
            (_, Some(0)) if is_head => declared,
            (Some(declared), Some(known)) if declared != known => return, // The server knows what to do with it.
            _ => declared.or(known),
        };
        if length.is_some_and(|length| length < self.min_size) {
            return;
        }
        let compressed = if is_head {
            Body::empty()
        } else if let Some(whole) = Whole::of(response.body()) {
            match whole.encode(&self.encoders, coding).await {
                Some(compressed) => compressed.into(),
                None => return,
            }
        } else {
            let Ok(encoder) = self.encoders.start(coding, None) else { return };
            let inner = mem::take(response.body_mut());
            Body::stream(Encoded::new(inner, encoder, declared))
        };
        response.body_mut().complete();
        *response.body_mut() = compressed;
        head::announce(response.headers_mut(), coding);
    }
}

fn level(name: &str, given: u8, least: u8, most: u8) -> Result<u8, OptionError> {
    if (least..=most).contains(&given) {
        return Ok(given);
    }
    Err(OptionError(format!("{name}: {given} does not fit; give an integer from {least} to {most}")))
}
