//! What is promised of sessions, with real stores.

mod cookies;
mod faults;
mod site;

use std::sync::Arc;

use http::{StatusCode, header};
use onion::Response;
use serde_json::json;

use crate::testing::refusal;
use site::{DAY, HOUR, Held, SECRET, Site, new_cookie, ok, pass, set_cookies, sites};

// The common way.

#[tokio::test]
async fn a_session_that_nobody_touches_leaves_no_trace() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        for cookie in [None, Some(cookie.as_str()), Some("__Host-sid=rubbish")] {
            let response = site.ask(cookie, |_| ok()).await;
            assert_eq!(response.headers().len(), 1, "{:?}", response.headers());
        }
    }
}

#[tokio::test]
async fn a_store_is_not_even_opened_for_a_session_that_nobody_touches() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions");
    let site = Site::new(json!({"store": format!("sqlite:{}", path.display())}));

    site.ask(Some("__Host-sid=rubbish"), |_| ok()).await;
    assert!(!path.exists());
    site.set(None, "user", json!("ada")).await;
    assert!(path.exists());
}

#[tokio::test]
async fn values_come_back_and_change() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        let cookie = site.set(Some(&cookie), "cart", json!([1, {"two": null}])).await;
        assert_eq!(site.values(&cookie).await, json!({"user": "ada", "cart": [1, {"two": null}]}));
    }
}

#[tokio::test]
async fn the_cookie_is_as_safe_as_browsers_make_it() {
    let response = Site::new(json!({}))
        .ask(None, |session| {
            Held::of(session).set("a", json!(1));
            ok()
        })
        .await;
    let cookie = set_cookies(response.headers())[0];

    assert!(cookie.starts_with("__Host-sid="), "{cookie}");
    assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
}

#[tokio::test]
async fn reading_marks_the_response_and_sets_no_cookie() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        for cookie in [None, Some(cookie.as_str())] {
            let response = site
                .ask(cookie, |session| {
                    Held::of(session);
                    ok()
                })
                .await;
            assert_eq!(response.headers()[header::VARY], "Cookie");
            assert_eq!(response.headers()[header::CACHE_CONTROL], "private");
            assert_eq!(new_cookie(&response), None);
        }
    }
}

#[tokio::test]
async fn the_applications_cache_control_stands_unless_a_cookie_goes_out() {
    let site = Site::new(json!({}));
    let with = |control: &'static str, change: bool| {
        site.ask(None, move |session| {
            let held = Held::of(session);
            if change {
                held.set("a", json!(1));
            }
            let mut response = ok();
            let headers = response.headers_mut();
            headers.insert(header::CACHE_CONTROL, control.parse().expect("a value"));
            headers.insert(header::VARY, "Accept, cookie".parse().expect("a value"));
            response
        })
    };

    for (control, change, expected) in [
        ("public, max-age=60", false, "public, max-age=60"),
        ("public, max-age=60", true, "private"),
        ("no-store", true, "no-store"),
        ("max-age=5, Private", true, "max-age=5, Private"),
    ] {
        let response = with(control, change).await;
        assert_eq!(response.headers()[header::CACHE_CONTROL], expected);
        assert_eq!(response.headers()[header::VARY], "Accept, cookie");
    }
}

#[tokio::test]
async fn setting_what_is_there_already_is_no_change() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        let response = site
            .ask(Some(&cookie), |session| {
                Held::of(session).set("user", json!("ada"));
                ok()
            })
            .await;
        assert_eq!(new_cookie(&response), None);
    }
}

// Rotation and the end.

#[tokio::test]
async fn rotation_keeps_the_values_and_changes_the_id() {
    for (site, _kept) in sites(&json!({})) {
        let before = site.set(None, "user", json!("ada")).await;
        let response = site.ask(Some(&before), |session| {
            let old = session.name();
            session.rotate().expect("it is read");
            assert_ne!(session.name().expect("a name"), old.expect("a name"));
            assert!(!session.is_new().expect("it is read"));
            ok()
        });
        let after = new_cookie(&response.await).expect("a new cookie");
        assert_eq!(site.values(&after).await, json!({"user": "ada"}));
        assert!(!site.0.waits() || site.values(&before).await == json!({}));
    }
}

#[tokio::test]
async fn invalidation_ends_the_session_and_takes_the_cookie_away() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        let response = site.ask(Some(&cookie), |session| {
            let held = Held::of(session);
            session.invalidate().expect("it is read");
            held.0.lock().expect("no panic").clear();
            ok()
        });
        let response = response.await;
        assert!(set_cookies(response.headers())[0].starts_with("__Host-sid=; Path=/; "), "{response:?}");
        assert!(set_cookies(response.headers())[0].ends_with("; Max-Age=0"), "{response:?}");
        assert!(!site.0.waits() || site.values(&cookie).await == json!({}));
    }
}

#[tokio::test]
async fn a_session_that_was_ended_is_not_brought_back_by_a_request_under_way() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        let (inner, own) = (Site(Arc::clone(&site.0)), cookie.clone());
        let response = site.ask(Some(&cookie), move |session| {
            let held = Held::of(session);
            // Meanwhile somebody logs out.
            let logout = inner.ask(Some(&own), |session| {
                Held::of(session).0.lock().expect("no panic").clear();
                session.invalidate().expect("it is read");
                ok()
            });
            blocking(logout);
            held.set("more", json!(1));
            ok()
        });
        let response = response.await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(new_cookie(&response), None);
        assert!(!site.0.waits() || site.values(&cookie).await == json!({}));
    }
}

// Two at once.

#[tokio::test]
async fn the_second_of_two_changes_at_once_is_refused() {
    for (site, _kept) in sites(&json!({})) {
        let response = overtaken(&site).await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(new_cookie(&response), None);
    }
}

#[tokio::test]
async fn with_drop_the_second_answer_goes_out_and_the_first_change_stands() {
    for (site, _kept) in sites(&json!({"on_conflict": "drop"})) {
        let response = overtaken(&site).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(new_cookie(&response), None);
    }
}

/// The answer to a request that changes its session after another one did.
async fn overtaken(site: &Site) -> Response {
    let cookie = site.set(None, "count", json!(0)).await;
    let (inner, own) = (Site(Arc::clone(&site.0)), cookie.clone());
    let response = site
        .ask(Some(&cookie), move |session| {
            let held = Held::of(session);
            blocking(inner.set(Some(&own), "count", json!(1)));
            held.set("count", json!(2));
            ok()
        })
        .await;
    if site.0.waits() {
        assert_eq!(site.values(&cookie).await, json!({"count": 1}));
    }
    response
}

/// Another request, while one is in the application's hands.
fn blocking<T>(future: impl Future<Output = T>) -> T {
    // On this very thread, for the clock is this thread's; stores work on others.
    let mut future = std::pin::pin!(future);
    let waker = std::task::Waker::noop();
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
            std::task::Poll::Ready(output) => return output,
            std::task::Poll::Pending => std::thread::yield_now(),
        }
    }
}

// Times.

#[tokio::test]
async fn a_session_that_is_not_used_expires() {
    for (site, _kept) in sites(&json!({"idle": "2h"})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        pass(2 * HOUR - 1);
        assert_eq!(site.values(&cookie).await, json!({"user": "ada"}));
        pass(2 * HOUR);
        assert_eq!(site.values(&cookie).await, json!({}));
    }
}

#[tokio::test]
async fn use_is_noted_when_a_tenth_of_the_idle_time_has_passed() {
    for (site, _kept) in sites(&json!({"idle": "100s", "persistent": true})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        pass(9);
        let early = site
            .ask(Some(&cookie), |session| {
                Held::of(session);
                ok()
            })
            .await;
        assert_eq!(new_cookie(&early), None);
        pass(1);
        let due = site
            .ask(Some(&cookie), |session| {
                Held::of(session);
                ok()
            })
            .await;
        let cookie = new_cookie(&due).expect("a fresh cookie");
        assert!(set_cookies(due.headers())[0].ends_with("; Max-Age=100"), "{due:?}");
        pass(99);
        assert_eq!(site.values(&cookie).await, json!({"user": "ada"}));
    }
}

#[tokio::test]
async fn no_use_keeps_a_session_beyond_its_absolute_time() {
    for (site, _kept) in sites(&json!({"idle": "2d", "absolute": "7d"})) {
        let mut cookie = site.set(None, "day", json!(0)).await;
        for day in 1..7 {
            pass(DAY);
            cookie = site.set(Some(&cookie), "day", json!(day)).await;
        }
        pass(DAY - 1);
        assert_eq!(site.values(&cookie).await, json!({"day": 6}));
        pass(1);
        assert_eq!(site.values(&cookie).await, json!({}));
    }
}

// Options.

#[test]
fn options_that_contradict_each_other_are_refused() {
    for (options, expected) in [
        (json!({"domain": "example.org"}), "session: domain: a __Host- cookie has none; "),
        (json!({"path": "/shop"}), "session: path: a __Host- cookie is for all paths; "),
        (
            json!({"name": "__Host-x", "secure": false}),
            "session: name: browsers take this prefix only with secure; ",
        ),
        (
            json!({"same_site": "none", "secure": false}),
            "session: same_site: browsers take \"none\" only with secure; ",
        ),
        (json!({"name": "a b"}), "session: name: \"a b\" is no cookie's name; "),
        (json!({"idle": "0s"}), "session: idle: it is no time for a session; "),
        (
            json!({"store": "memcached://:hunter2@there"}),
            "session: store: \"memcached\" is no kind of store; ",
        ),
        (json!({"store": "redis://:hunter2@there:port"}), "session: store: "),
        (json!({"store": "sqlite:relative"}), "session: store: \"relative\" is no absolute path; "),
        (
            json!({"store": "sqlite:/no/such/place"}),
            "session: store: there is no directory for \"/no/such/place\"; ",
        ),
        (json!({"secret": 5}), "session: secret: a secret is not a string; "),
        (json!({"secret": ["hunter2"]}), "session: secret[0]: it has 7 bytes; "),
    ] {
        let mut given = json!({"secret": SECRET});
        given.as_object_mut().expect("a table").extend(options.as_object().expect("a table").clone());
        let refusal = refusal("session", given);
        assert!(refusal.starts_with(expected), "{refusal}");
        assert!(!refusal.contains("hunter2"), "{refusal}");
    }
    assert!(refusal("session", json!({})).starts_with("session: secret is missing; set secret to "));
}
