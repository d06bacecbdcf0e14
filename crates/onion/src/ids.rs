//! What tells a request apart from others in the logs: its id, and the trace that it belongs to.

use std::fmt;
use std::sync::Arc;

use http::HeaderValue;

use crate::{Context, Notes, Request, RequestExt, Value};

/// The ids of one request, as far as it has any.
#[derive(Clone, Debug, Default)]
pub enum Ids {
    /// It has none.
    #[default]
    None,
    /// Somebody looks on, and they are noted there, if there are any.
    Noted(Arc<Notes>),
    /// Layers have told them.
    Told(Arc<Told>),
}

/// What layers have told.
#[derive(Debug)]
pub struct Told {
    request: Option<HeaderValue>,
    trace: Option<HeaderValue>,
}

impl Ids {
    /// Those that layers, or the server's own tracing, have given `request` so far.
    pub fn of(request: &Request) -> Self {
        request.context().map(Ids::told_in).unwrap_or_default()
    }

    /// The same, by the request's context.
    pub fn told_in(context: &Context) -> Self {
        if let Some(notes) = &context.notes {
            return Ids::Noted(Arc::clone(notes));
        }
        // As with notes, the first word stands: it was said nearest to the client.
        let told = |name: &str| {
            context.told.iter().find_map(|(key, value)| match value {
                Value::Header(id) if key == name => Some(id.clone()),
                _ => None,
            })
        };
        match (told("onionskin.request_id"), told("onionskin.trace_id")) {
            (None, None) => Ids::None,
            (request, trace) => Ids::Told(Arc::new(Told { request, trace })),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.request().is_none() && self.trace().is_none()
    }

    /// The id that `RequestId` gave the request.
    pub fn request(&self) -> Option<&str> {
        match self {
            Ids::None => None,
            Ids::Noted(notes) => notes.request_id(),
            Ids::Told(told) => told.request.as_ref()?.to_str().ok(),
        }
    }

    /// The trace that the request belongs to.
    pub fn trace(&self) -> Option<&str> {
        match self {
            Ids::None => None,
            Ids::Noted(notes) => notes.trace_id(),
            Ids::Told(told) => told.trace.as_ref()?.to_str().ok(),
        }
    }
}

/// In a line for people: `(request ID)`, or where there is only a trace `(trace ID)`. One is enough to find the other.
impl fmt::Display for Ids {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.request(), self.trace()) {
            (Some(id), _) => write!(formatter, "(request {})", id.escape_debug()),
            (None, Some(id)) => write!(formatter, "(trace {})", id.escape_debug()),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Body;

    fn header(id: &'static str) -> Value {
        Value::Header(HeaderValue::from_static(id))
    }

    #[test]
    fn the_id_that_is_nearest_to_the_client_stands() {
        let mut request = Request::new(Body::empty());
        request.tell("onionskin.request_id", header("outer"));
        request.tell("onionskin.request_id", header("inner"));
        request.tell("onionskin.trace_id", header("abc"));

        let ids = Ids::of(&request);
        assert_eq!((ids.request(), ids.trace()), (Some("outer"), Some("abc")));
        assert_eq!(ids.to_string(), "(request outer)");
    }

    #[test]
    fn where_somebody_looks_on_the_ids_are_those_that_were_noted() {
        let mut request = Request::new(Body::empty());
        request.context_mut().notes = Some(Arc::default());
        request.tell("onionskin.trace_id", header("abc"));

        let ids = Ids::of(&request);
        assert_eq!((ids.request(), ids.trace()), (None, Some("abc")));
        assert_eq!(ids.to_string(), "(trace abc)");
    }

    #[test]
    fn a_request_without_ids_shows_none() {
        let ids = Ids::of(&Request::new(Body::empty()));
        assert!(ids.is_empty());
        assert_eq!(ids.to_string(), "");
    }
}
