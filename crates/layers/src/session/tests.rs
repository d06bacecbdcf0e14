//! What is promised of sessions, with real stores.

mod at_once;
mod cookies;
mod faults;
mod site;
mod times;

use http::header;
use serde_json::json;

use crate::testing::refusal;
use site::{Held, SECRET, Site, new_cookie, ok, set_cookies, sites};

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
async fn a_partitioned_cookie_is_set_and_taken_away_as_one() {
    let site = Site::new(json!({"partitioned": true, "same_site": "none"}));
    let response = site
        .ask(None, |session| {
            Held::of(session).set("a", json!(1));
            ok()
        })
        .await;
    assert!(set_cookies(response.headers())[0].ends_with("; SameSite=None; Partitioned"), "{response:?}");
    let cookie = new_cookie(&response).expect("a cookie");
    let response = site
        .ask(Some(&cookie), |session| {
            session.invalidate().expect("it is read");
            ok()
        })
        .await;
    assert!(set_cookies(response.headers())[0].ends_with("; Partitioned; Max-Age=0"), "{response:?}");
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
        (json!({"partitioned": true, "secure": false}), "session: partitioned: browsers accept this only "),
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
