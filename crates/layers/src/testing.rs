//! What the tests of every layer use: a request sent through one layer, and what came of it on both sides.

use std::sync::{Arc, Mutex};

use http::request::Parts;
use onion::{Answer, Body, Connection, Handler, Peer, Request, RequestExt, Response};

/// What came of a request.
pub(crate) struct Outcome {
    /// The head of the request as the application saw it, if it was asked at all.
    pub(crate) seen: Option<Parts>,
    /// The answer to the client.
    pub(crate) response: Response,
}

impl Outcome {
    /// The values of a header that the application saw.
    pub(crate) fn seen_header(&self, name: &str) -> Vec<&str> {
        let headers = &self.seen.as_ref().expect("the application was asked").headers;
        headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
    }

    /// What the application was told under `key` of environ.
    pub(crate) fn told(&self, key: &str) -> Option<String> {
        let context = self.seen.as_ref()?.extensions.get::<onion::Context>()?;
        context
            .told
            .iter()
            .rev()
            .find(|(told, _)| told == key)
            .map(|(_, value)| value.as_str().map_or_else(|| format!("{value:?}"), str::to_owned))
    }
}

/// A request for `/` from `client`, with `headers`.
pub(crate) fn request(client: Option<&str>, headers: &[(&str, &str)]) -> Request {
    let mut builder = http::Request::builder();
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let mut request = builder.body(Body::empty()).expect("a request");
    let peer = Peer { address: client.map(|client| client.parse().expect("an address")), port: None };
    request.context_mut().connection = Arc::new(Connection { peer, ..Connection::default() });
    request
}

/// Sends `request` through the layer `name` to an application that answers with an `x-request-id` of its own.
pub(crate) async fn send(name: &str, options: serde_json::Value, request: Request) -> Outcome {
    let built = build(name, options).expect("a layer");
    let application = Arc::new(Application::default());
    let onion = onion::wrap_when(built.layer, built.when, application.clone());
    let response = onion.call(request).await;
    let seen = application.seen.lock().expect("no test panicked with it").take();
    Outcome { seen, response }
}

/// The refusal of these options of the layer `name`.
pub(crate) fn refusal(name: &str, options: serde_json::Value) -> String {
    build(name, options).err().expect("the options are refused").to_string()
}

fn build(name: &str, options: serde_json::Value) -> Result<crate::Built, onion::OptionError> {
    let serde_json::Value::Object(options) = options else { unreachable!("a test gives a table") };
    crate::build(crate::declaration(name)?, options)
}

#[derive(Default)]
struct Application {
    seen: Mutex<Option<Parts>>,
}

impl Handler for Application {
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            *self.seen.lock().expect("no test panicked with it") = Some(request.into_parts().0);
            let mut response = Response::new("the resource".into());
            response
                .headers_mut()
                .insert("x-request-id", http::HeaderValue::from_static("of-the-application"));
            response
        })
    }
}
