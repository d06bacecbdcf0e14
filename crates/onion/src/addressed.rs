//! Where a request was sent, for the lines of the error log that are about it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Uri};

use crate::{Context, Ids, LogLevel, Record, Request, RequestExt, path};

/// Where a request was sent: its whole path, its host, and the application that a dispatcher chose for it.
#[derive(Clone, Debug, Default)]
pub struct Addressed {
    /// The target: as the client sent it, if that is known.
    target: Bytes,
    host: Option<HeaderValue>,
    application: Option<Arc<str>>,
}

impl Addressed {
    /// Where `request` was sent.
    pub fn of(request: &Request) -> Self {
        Addressed::of_head(request.headers(), request.uri(), request.context())
    }

    fn of_head(headers: &HeaderMap, uri: &Uri, context: Option<&Context>) -> Self {
        let host = headers.get(HOST).cloned();
        let Some(context) = context else { return Addressed::at(b"", uri, host, None) };
        let application = context.application.clone();
        if context.target.starts_with(b"/") {
            return Addressed { target: context.target.clone(), host, application };
        }
        Addressed::at(&context.script_name, uri, host, application)
    }

    /// A request for `uri` below the decoded path `script_name`.
    pub fn at(
        script_name: &[u8],
        uri: &Uri,
        host: Option<HeaderValue>,
        application: Option<Arc<str>>,
    ) -> Self {
        let target = format!("{}{}", path::encode(script_name), uri.path());
        Addressed { target: target.into(), host, application }
    }

    /// The path, with what is above the mount point.
    pub fn path(&self) -> Cow<'_, str> {
        let end = self.target.iter().position(|byte| *byte == b'?').unwrap_or(self.target.len());
        String::from_utf8_lossy(&self.target[..end])
    }

    /// The host that was asked for.
    pub fn host(&self) -> Option<&str> {
        self.host.as_ref()?.to_str().ok()
    }

    /// The application that a dispatcher chose.
    pub fn application(&self) -> Option<&str> {
        self.application.as_deref()
    }
}

/// A request as a layer's lines in the error log show it: method, whole path, host, application and id.
#[derive(Clone, Debug)]
pub struct RequestLabel {
    method: Method,
    addressed: Addressed,
    ids: Ids,
}

impl RequestLabel {
    /// That of `request`, with the ids that outer layers have given it.
    pub fn of(request: &Request) -> Self {
        RequestLabel {
            method: request.method().clone(),
            addressed: Addressed::of(request),
            ids: Ids::of(request),
        }
    }

    /// The same of a request without its body.
    pub fn of_parts(parts: &Parts) -> Self {
        let context = parts.extensions.get::<Context>();
        RequestLabel {
            method: parts.method.clone(),
            addressed: Addressed::of_head(&parts.headers, &parts.uri, context),
            ids: context.map(Ids::told_in).unwrap_or_default(),
        }
    }

    /// The request's method.
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Logs one line about the request.
    #[track_caller]
    pub fn log(&self, level: LogLevel, what: &str) {
        let (ids, addressed, request) = (Some(&self.ids), Some(&self.addressed), &*self.to_string());
        Record { ids, addressed, request, ..Record::new(level, what) }.say();
    }
}

/// `GET /path`
impl fmt::Display for RequestLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.addressed.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    #[test]
    fn the_path_is_the_whole_one_wherever_a_request_is_mounted() {
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_static("/shop/caf%C3%A9/cart?x=1");
        request.headers_mut().insert(HOST, HeaderValue::from_static("example.org"));
        request.mount_at("/shop/caf%C3%A9".len());
        request.context_mut().application = Some("shop".into());
        let addressed = Addressed::of(&request);
        assert_eq!(addressed.path(), "/shop/caf%C3%A9/cart");
        assert_eq!((addressed.host(), addressed.application()), (Some("example.org"), Some("shop")));

        request.context_mut().target = Bytes::from_static(b"/shop/caf%c3%a9/cart?x=1");
        assert_eq!(Addressed::of(&request).path(), "/shop/caf%c3%a9/cart");
    }
}
