//! An application with sessions, for tests: without Python, and with a clock in the test's hands.

use std::borrow::Borrow;
use std::cell::Cell;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, StatusCode, header};
use onion::{Answer, Handler, Request, RequestExt, Response, Value, plain};
use serde_json::{Map, json};

use crate::session::keeper::Keeper;
use crate::session::{Contents, KEY, OpenSession, Options, Session};

pub(super) const SECRET: &str = "kP2vN8xQ4mT7wR1zL5cB9hF3jD6gS0yA";
pub(super) const OTHER_SECRET: &str = "Yt6Ue3Wq9Pz1Xo4Mk8Bv2Nc7Lr5Hs0Jd";
pub(super) const HOUR: u64 = 3600;
pub(super) const DAY: u64 = 86400;

thread_local! {
    pub(super) static NOW: Cell<u64> = const { Cell::new(1_800_000_000) };
}

pub(super) fn pass(seconds: u64) {
    NOW.set(NOW.get() + seconds);
}

/// An application with sessions.
pub(super) struct Site(pub(super) Arc<Keeper>);

/// The values of a session, as an application has them.
#[derive(Default)]
pub(super) struct Held(pub(super) Mutex<Map<String, serde_json::Value>>);

impl Contents for Held {
    fn json(&self) -> Result<String, String> {
        serde_json::to_string(&*self.0.lock().expect("no panic")).map_err(|error| error.to_string())
    }
}

impl Held {
    pub(super) fn of(session: &OpenSession) -> Arc<Self> {
        let values = serde_json::from_str(&session.read().expect("the store answers")).expect("JSON");
        let held = Arc::new(Held(Mutex::new(values)));
        session.hold(held.clone());
        held
    }

    pub(super) fn set(&self, key: &str, value: serde_json::Value) {
        self.0.lock().expect("no panic").insert(key.to_owned(), value);
    }
}

/// What an application does with its session.
pub(super) struct View<F>(F);

impl<F> Handler for View<F>
where
    F: Fn(&OpenSession) -> Response + Send + Sync + 'static,
{
    fn call(&self, request: Request) -> Answer<'_> {
        Box::pin(async move {
            let told = &request.context().expect("a context").told;
            let (_, Value::Live(live)) = told.iter().rev().find(|(key, _)| key == KEY).expect("it is told")
            else {
                panic!("a session is alive");
            };
            self.0(live.downcast_ref::<OpenSession>().expect("a session"))
        })
    }
}

impl Site {
    pub(super) fn new(options: impl Borrow<serde_json::Value>) -> Self {
        let mut given = json!({"secret": [SECRET]});
        given
            .as_object_mut()
            .expect("a table")
            .extend(options.borrow().as_object().expect("a table").clone());
        let options: Options = serde_json::from_value(given).expect("options");
        let mut keeper = Keeper::new(&options).expect("a keeper");
        Arc::get_mut(&mut keeper).expect("nobody else has it").clock = || NOW.get();
        Site(keeper)
    }

    pub(super) async fn ask(
        &self,
        cookie: Option<&str>,
        view: impl Fn(&OpenSession) -> Response + Send + Sync + 'static,
    ) -> Response {
        let headers: Vec<_> = cookie.map(|cookie| ("cookie", cookie)).into_iter().collect();
        let request = crate::testing::request(None, &headers);
        let layer = Arc::new(Session { keeper: Arc::clone(&self.0) });
        onion::wrap(layer, Arc::new(View(view))).call(request).await
    }

    /// Sets one value, and gives the cookie that the client has afterwards.
    pub(super) async fn set(
        &self,
        cookie: Option<&str>,
        key: &'static str,
        value: serde_json::Value,
    ) -> String {
        let response = self
            .ask(cookie, move |session| {
                Held::of(session).set(key, value.clone());
                ok()
            })
            .await;
        assert_eq!(response.status(), StatusCode::OK);
        new_cookie(&response).unwrap_or_else(|| cookie.expect("there was one before").to_owned())
    }

    /// The values that a cookie leads to.
    pub(super) async fn values(&self, cookie: &str) -> serde_json::Value {
        let seen = Arc::new(Mutex::new(None));
        let told = Arc::clone(&seen);
        self.ask(Some(cookie), move |session| {
            *told.lock().expect("no panic") = Some(session.read().expect("the store answers"));
            ok()
        })
        .await;
        let json = seen.lock().expect("no panic").take().expect("the application was asked");
        serde_json::from_str(&json).expect("JSON")
    }
}

pub(super) fn ok() -> Response {
    plain(StatusCode::OK, "")
}

pub(super) fn set_cookies(headers: &HeaderMap) -> Vec<&str> {
    headers.get_all(header::SET_COOKIE).iter().map(|cookie| cookie.to_str().expect("text")).collect()
}

/// Name and value of the cookie that a response sets.
pub(super) fn new_cookie(response: &Response) -> Option<String> {
    let cookies = set_cookies(response.headers());
    assert!(cookies.len() <= 1, "{cookies:?}");
    cookies.first().map(|cookie| cookie.split(';').next().expect("a first part").to_owned())
}

/// The stores that are tested without anything else running.
pub(super) fn sites(options: &serde_json::Value) -> Vec<(Site, Option<tempfile::TempDir>)> {
    let directory = tempfile::tempdir().expect("a directory");
    let store = json!({"store": format!("sqlite:{}", directory.path().join("sessions").display())});
    let mut with_store = options.clone();
    with_store.as_object_mut().expect("a table").extend(store.as_object().expect("a table").clone());
    let mut in_memory = options.clone();
    in_memory.as_object_mut().expect("a table").insert("store".to_owned(), json!("memory"));
    vec![
        (Site::new(options.clone()), None),
        (Site::new(with_store), Some(directory)),
        (Site::new(in_memory), None),
    ]
}
