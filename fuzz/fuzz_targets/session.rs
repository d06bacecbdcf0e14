//! Whatever a client sends as its cookies, it gets no session that was not sealed for it.
#![no_main]

use std::sync::Arc;

use http::HeaderValue;
use layers::OpenSession;
use libfuzzer_sys::fuzz_target;
use onion::{Answer, Body, Handler, Request, RequestExt, Response, Value, wrap_when};
use serde_json::json;

/// Reads its session, which must be empty.
struct Reader;

impl Handler for Reader {
    fn call(&self, request: Request) -> Answer<'_> { Box::pin(async move {
        let told = &request.context().expect("the layer has made one").told;
        let Some((_, Value::Live(live))) = told.last() else { panic!("the session is told") };
        let session = live.downcast_ref::<OpenSession>().expect("it is a session");
        assert_eq!(session.read().expect("a cookie is always there"), "{}");
        assert!(session.is_new().expect("it was read"));
        Response::new(Body::empty())
    }) }
}

fuzz_target!(|cookie: &[u8]| {
    // Both as the whole header, and as the value of our cookie.
    for header in [cookie.to_vec(), [b"sid=", cookie].concat()] {
        let Ok(header) = HeaderValue::from_bytes(&header) else { continue };
        let options = json!({"secret": "kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA", "secure": false});
        let declaration = layers::declaration("session").expect("there is such a layer");
        let options = options.as_object().cloned().expect("a table");
        let built = layers::build(declaration, options).expect("good options");
        let onion = wrap_when(built.layer, built.when, Arc::new(Reader));
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(http::header::COOKIE, header);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(onion.call(request));
    }
});
