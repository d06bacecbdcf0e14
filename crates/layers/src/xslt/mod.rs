//! `Xslt`: transforms XML and HTML responses with stylesheets.
//!
//! ```no_run
//! // Where an engine was provided:
//! let xslt = layers::declaration("xslt")?;
//! let options = [("sheet", "sheets/page.xsl"), ("types", "text/xml,application/xml,text/html")];
//! let built = layers::build(xslt, layers::from_text(xslt, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: stylesheets are compiled at start-up and when they change. They read files of their folder, or ask the
//! application if documents may name them, and write nothing. A document that is too large, malformed or slow is an error,
//! or passes unchanged if that is asked for. No network thread waits for a transformation, and none can be stopped.

use std::sync::Arc;

use self::charset::DefaultCharset;
use self::choice::Sheets;
use self::document::Raw;
use self::engine::Transformed;
use self::fetched::{Line, Store};
use self::options::{OnError, Options};
use self::sheet::Sheet;
use self::work::{Undone, Work, Workshop, until_done};
use crate::begun::{Collected, collect};
use crate::fields::vary;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use onion::{
    Answer, Declaration, Layer, LogLevel, Next, OptionError, Origin, Phase, Request, RequestLabel, Response,
    Subrequest, plain,
};

mod charset;
mod choice;
mod document;
pub mod engine;
mod fetched;
mod head;
mod options;
pub mod prolog;
mod sheet;
#[cfg(test)]
mod tests;
mod work;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "xslt",
    class: "Xslt",
    summary: "Transforms XML and HTML responses with XSLT stylesheets.",
    phase: Phase::Incoming,
    stands_alone: false,
    positional: Some("sheet"),
    schema: Declaration::schema_of::<Options>,
    build: |given| Ok(Arc::new(Xslt::new(onion::reading::read(given)?)?)),
};

struct Xslt {
    sheets: Arc<Sheets>,
    fetched: Arc<Store>,
    workshop: Workshop,
    parameters: Arc<[(String, String)]>,
    default_charset: DefaultCharset,
    options: Options,
}

/// What is kept of a request until its response is there.
struct Of {
    label: RequestLabel,
    /// Its `Accept` fields, if they matter.
    accept: Option<HeaderMap>,
    /// What stylesheets are fetched with.
    origin: Option<Origin>,
}

impl Layer for Xslt {
    fn call<'a>(&'a self, mut request: Request, next: Next<'a>) -> Answer<'a> {
        if request.extensions().get::<Subrequest>().is_some() {
            return next.run(request);
        }
        let for_path = self.sheets.for_path(&onion::path::decode(request.uri().path()));
        let accept = self.options.only_browsers.then(|| head::accept_of(request.headers()));
        let may_apply = self.sheets.may_apply(for_path);
        if may_apply && accept.as_ref().is_none_or(|accept| self.sheets.may_prefer_html(accept)) {
            // Of a part of a document nothing can be made.
            request.headers_mut().remove(header::RANGE);
            request.headers_mut().remove(header::IF_RANGE);
        }
        let origin = self.sheets.fetches.then(|| Origin::of(&request));
        let of = Of { label: RequestLabel::of(&request), accept, origin };
        let answer = next.run(request);
        Box::pin(async move { self.treat(for_path, of, answer.await, next).await })
    }

    fn needs_runtime(&self) -> bool {
        true
    }
}

impl Xslt {
    fn new(options: Options) -> Result<Self, OptionError> {
        if let Some(name) = options.parameters.keys().find(|name| !is_parameter(name)) {
            return Err(OptionError(format!(
                "parameters: {name:?} is no name of a parameter; write letters"
            )));
        }
        let parameters = options.parameters.clone().into_iter().collect();
        let workshop = Workshop::new(options.threads.get().into(), options.timeout.0);
        let default_charset = DefaultCharset::new(options.default_charset.as_deref())?;
        let sheets = Arc::new(Sheets::new(&options)?);
        let fetched = Arc::new(Store::new(options.fetch_lifetime.0));
        Ok(Xslt { sheets, fetched, workshop, parameters, default_charset, options })
    }

    /// Transforms `response`, if there is a stylesheet for it.
    async fn treat(
        &self,
        for_path: Option<&Arc<Sheet>>,
        mut of: Of,
        response: Response,
        next: Next<'_>,
    ) -> Response {
        let (mut parts, body) = response.into_parts();
        if of.accept.is_some() && parts.status == StatusCode::NOT_MODIFIED {
            vary(&mut parts.headers, header::ACCEPT);
        }
        let Some((media_type, charset)) =
            head::content_type(&parts.headers).filter(|_| head::has_document(&parts))
        else {
            return Response::from_parts(parts, body);
        };
        let sheet = self.sheets.for_response(for_path, &media_type);
        let may_name = self.sheets.may_name(&media_type);
        if sheet.is_none() && !may_name {
            return Response::from_parts(parts, body);
        }
        if let Some(accept) = of.accept.as_ref().filter(|_| media_type != HTML) {
            vary(&mut parts.headers, header::ACCEPT);
            if !head::prefers_html(accept, &media_type) {
                return Response::from_parts(parts, body);
            }
        }
        if of.label.method() == Method::HEAD {
            let compiled = sheet.filter(|_| !may_name).map(|sheet| sheet.compiled());
            let media_type = compiled.as_ref().and_then(|compiled| compiled.media_type());
            head::announce_unseen(&mut parts, media_type, self.options.keep_validators);
            return Response::from_parts(parts, body);
        }
        let bytes = match collect(body, self.options.max_input.0).await {
            Collected::Whole(bytes) => bytes,
            Collected::TooLong(body) => {
                let trouble =
                    Trouble::because(format!("the document is longer than {}", self.options.max_input));
                return self.fail(&of, &trouble, Response::from_parts(parts, body));
            }
            Collected::Broken(error) => return onion::broken(error),
        };
        if bytes.trim_ascii().is_empty() {
            // A redirect or a challenge often has no document.
            return Response::from_parts(parts, bytes.into());
        }
        let raw = Raw { bytes: bytes.clone(), is_html: media_type == HTML, charset };
        let named = if may_name { raw.named(self.default_charset) } else { None };
        let made =
            match self.transform(sheet, named, raw, of.origin.take().map(|origin| (origin, next))).await {
                Ok(None) => return Response::from_parts(parts, bytes.into()),
                Ok(Some(made)) => {
                    head::announce(&mut parts, &made, self.options.keep_validators).map(|()| made.bytes)
                }
                Err(trouble) => Err(trouble),
            };
        match made {
            Ok(made) => Response::from_parts(parts, made.into()),
            Err(trouble) => self.fail(&of, &trouble, Response::from_parts(parts, bytes.into())),
        }
    }

    /// Applies the stylesheet that the document names, or else `sheet`; `None` without either, or without a document.
    async fn transform(
        &self,
        sheet: Option<&Arc<Sheet>>,
        named: Option<String>,
        raw: Raw,
        site: Option<(Origin, Next<'_>)>,
    ) -> Result<Option<Transformed>, Trouble> {
        if sheet.is_none() && named.is_none() {
            return Ok(None);
        }
        let site = site.filter(|_| named.is_some()).map(|(origin, next)| (Arc::new(origin), next));
        let line = site.map(|(origin, next)| (Line::new(&self.fetched, origin), next));
        let (line, serving) = line.map(|((line, serving), next)| (Arc::new(line), serving.run(next))).unzip();
        let work = Work {
            sheets: Arc::clone(&self.sheets),
            fetched: Arc::clone(&self.fetched),
            sheet: sheet.cloned(),
            named,
            raw,
            line,
            parameters: Arc::clone(&self.parameters),
            default_charset: self.default_charset,
            max_output: self.options.max_output,
        };
        match until_done(self.workshop.run(|| work.run()), serving).await {
            Ok(done) => done.map_err(Trouble::because),
            Err(Undone::Busy) => Err(Trouble::busy()),
            Err(Undone::TooLong) => {
                Err(Trouble::because(format!("it takes longer than {}", self.options.timeout)))
            }
            Err(Undone::Failed) => Err(Trouble::because("its thread ended".to_owned())),
        }
    }

    /// The answer to a request whose response could not be transformed, and a line in the log.
    fn fail(&self, of: &Of, trouble: &Trouble, untouched: Response) -> Response {
        of.label.log(LogLevel::Warning, &format!("xslt: {} on {}", trouble.reason, of.label));
        if self.options.on_error == OnError::Pass {
            return untouched;
        }
        let mut response = plain(trouble.status, trouble.status.canonical_reason().unwrap_or("Error"));
        if trouble.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(self.options.timeout.0.as_secs().max(1)));
        }
        response
    }
}

/// Why a response could not be transformed.
struct Trouble {
    status: StatusCode,
    reason: String,
}

impl Trouble {
    fn because(reason: String) -> Self {
        Trouble { status: StatusCode::INTERNAL_SERVER_ERROR, reason }
    }

    fn busy() -> Self {
        Trouble { status: StatusCode::SERVICE_UNAVAILABLE, reason: "all threads are busy".to_owned() }
    }
}

/// Whether a stylesheet can have a parameter of this name.
fn is_parameter(name: &str) -> bool {
    name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && name.chars().all(|letter| letter.is_alphanumeric() || "-._".contains(letter))
}

const HTML: &str = "text/html";
