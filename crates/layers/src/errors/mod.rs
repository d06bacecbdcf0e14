//! `Errors`: words what went wrong: pages of your own for people, problem details (RFC 9457) for programs.
//!
//! ```
//! let errors = layers::declaration("errors")?;
//! let options = [("problem_json", "accept"), ("intercept_app_errors", "no")];
//! let built = layers::build(errors, layers::from_text(errors, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: an exception of the application, a refusal of a layer inside, and an error without a body become a page
//! or problem details, as the client prefers; status and headers that are not about the old body stay, `Retry-After`,
//! `WWW-Authenticate` and `Allow` among them; nothing of an exception is ever shown, it goes to the log.
//!
//! It can't replace what has been sent: a response that breaks off in the middle stays one. Bytes that are no request
//! are refused by the server before any layer sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use onion::error_page::{self, Filling, Page};
use onion::{
    Answer, Body, Declaration, Fault, Layer, Next, OptionError, Phase, ReasonPhrase, Refusal, Request,
    RequestExt, Response, Value,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::begun::unless_empty;
use crate::{fields, media};

#[cfg(test)]
mod tests;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "errors",
    class: "Errors",
    summary: "Answers what went wrong with pages of your own, or with problem details (RFC 9457) for programs.",
    phase: Phase::Outgoing,
    stands_alone: false,
    positional: None,
    schema: Declaration::schema_of::<Options>,
    build: |given| Ok(Arc::new(Errors::new(&onion::reading::read(given)?)?)),
};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Paths of pages by what they are for: a status such as `404`, or `"4xx"` and `"5xx"` for those that have no page
    /// of their own. UTF-8 files that end in `.html`, `.htm` or `.txt`, up to 1 MiB, which are read at start-up.
    /// Errors without a page get a plain one of the house.
    pages: BTreeMap<String, String>,
    /// A folder with such pages, called after what they are for: `404.html`, `5xx.html`. Its other files are not
    /// looked at.
    directory: Option<String>,
    /// Who gets problem details (`application/problem+json`) in place of a page: with `accept` the clients that
    /// prefer JSON by their `Accept` header, with `always` everybody, with `never` nobody.
    problem_json: ProblemJson,
    /// Whether error responses of the application are replaced too. If not, those that have a body are left as they
    /// are.
    intercept_app_errors: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum ProblemJson {
    #[default]
    Accept,
    Always,
    Never,
}

struct Errors {
    pages: BTreeMap<String, Page>,
    own: Page,
    problem_json: ProblemJson,
    intercepts: bool,
}

/// What the answer must know of its request.
struct Asked {
    is_head: bool,
    /// The `Accept` fields, if they count.
    accept: Vec<HeaderValue>,
    request_id: Option<Value>,
}

impl Layer for Errors {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Answer<'a> {
        let asked = self.remember(&request);
        let answer = next.run(request);
        Box::pin(async {
            let response = answer.await;
            if !response.status().is_client_error() && !response.status().is_server_error() {
                return response;
            }
            // Boxed, so that those that go well do not carry the room for it.
            Box::pin(self.treat(asked, response)).await
        })
    }
}

impl Errors {
    fn new(options: &Options) -> Result<Self, OptionError> {
        let pages = error_page::read_all(options.directory.as_deref(), &options.pages)?;
        let (problem_json, intercepts) = (options.problem_json, options.intercept_app_errors);
        Ok(Errors { pages, own: Page::own(), problem_json, intercepts })
    }

    fn remember(&self, request: &Request) -> Asked {
        let counts =
            self.problem_json == ProblemJson::Accept && request.headers().contains_key(header::ACCEPT);
        let accept = if counts {
            request.headers().get_all(header::ACCEPT).iter().cloned().collect()
        } else {
            Vec::new()
        };
        let told = request.context().into_iter().flat_map(|context| &context.told);
        let request_id = told.rev().find(|(key, _)| key == "onionskin.request_id");
        let request_id = request_id.map(|(_, id)| id.clone());
        Asked { is_head: request.method() == Method::HEAD, accept, request_id }
    }

    async fn treat(&self, asked: Asked, response: Response) -> Response {
        match self.kept(&asked, response).await {
            Ok(response) => response,
            Err(response) => self.replace(&asked, response),
        }
    }

    /// `Ok` if the error response speaks for itself and stays, `Err` if it is to be replaced.
    async fn kept(&self, asked: &Asked, response: Response) -> Result<Response, Response> {
        let speechless = response.extensions().get::<Fault>().is_some()
            || response.extensions().get::<Refusal>().is_some();
        if speechless || self.intercepts {
            return Err(response);
        }
        let declared = response.headers().get(header::CONTENT_LENGTH);
        match declared.map(|length| length == "0").or(response.body().length().map(|length| length == 0)) {
            // Without a length an answer to HEAD does not tell what a GET would get.
            _ if declared.is_none() && asked.is_head => Ok(response),
            Some(true) => Err(response),
            Some(false) => Ok(response),
            None => {
                let (parts, body) = response.into_parts();
                match unless_empty(body).await {
                    Some(body) => Ok(Response::from_parts(parts, body)),
                    None => Err(Response::from_parts(parts, Body::empty())),
                }
            }
        }
    }

    /// The page or the problem details in place of `response`, under its own head. The old body is closed, and what
    /// the application raised goes to the log.
    fn replace(&self, asked: &Asked, response: Response) -> Response {
        let (mut parts, _) = response.into_parts();
        parts.extensions.remove::<Fault>();
        parts.extensions.remove::<Refusal>();
        let phrase = parts.extensions.get::<ReasonPhrase>();
        let phrase = phrase.map(|phrase| String::from_utf8_lossy(&phrase.0).into_owned());
        let reason = phrase.as_deref().or(parts.status.canonical_reason()).unwrap_or("Error");
        let request_id = asked.request_id.as_ref().and_then(Value::as_str);

        let page = self.page_for(parts.status);
        let (text, content_type) = if self.wants_problem(asked, page) {
            (problem(parts.status, reason, request_id), PROBLEM_JSON)
        } else {
            let filling = Filling { status: parts.status, reason, request_id: request_id.unwrap_or("") };
            (page.fill(&filling), page.content_type())
        };
        for name in ABOUT_THE_OLD_BODY {
            parts.headers.remove(name);
        }
        parts.headers.insert(header::CONTENT_TYPE, content_type);
        if parts.status.is_server_error() && !parts.headers.contains_key(header::CACHE_CONTROL) {
            parts.headers.insert(header::CACHE_CONTROL, NO_STORE);
        }
        if self.problem_json == ProblemJson::Accept {
            fields::vary(&mut parts.headers, header::ACCEPT);
        }
        Response::from_parts(parts, text.into())
    }

    fn page_for(&self, status: StatusCode) -> &Page {
        error_page::page_for(&self.pages, status).unwrap_or(&self.own)
    }

    /// Of equal weights the page wins: `*/*` says nothing.
    fn wants_problem(&self, asked: &Asked, page: &Page) -> bool {
        match self.problem_json {
            ProblemJson::Always => true,
            ProblemJson::Never => false,
            ProblemJson::Accept => {
                let mut accept = HeaderMap::new();
                accept.extend(asked.accept.iter().map(|field| (header::ACCEPT, field.clone())));
                let weight = |offered| media::weight(&accept, offered);
                weight("application/problem+json").max(weight("application/json")) > weight(page.media_type())
            }
        }
    }
}

/// Problem details (RFC 9457). A request id that is a UUID names the occurrence.
fn problem(status: StatusCode, reason: &str, request_id: Option<&str>) -> String {
    let mut details = json!({"type": "about:blank", "title": reason, "status": status.as_u16()});
    if let Some(id) = request_id {
        details["request_id"] = id.into();
        if let Ok(uuid) = uuid::Uuid::try_parse(id) {
            details["instance"] = uuid.urn().to_string().into();
        }
    }
    details.to_string()
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Headers that speak of the body that is replaced (RFC 9110 section 8).
const ABOUT_THE_OLD_BODY: [HeaderName; 10] = [
    header::ACCEPT_RANGES,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_RANGE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::TRANSFER_ENCODING,
];
