//! What goes wrong, and what becomes of the session.

use http::StatusCode;
use onion::plain;
use serde_json::json;

use super::site::{Held, Site, new_cookie, ok, set_cookies, sites};

#[tokio::test]
async fn what_does_not_fit_into_a_cookie_is_an_error_and_not_lost() {
    let fill = |letters: usize| {
        let site = Site::new(json!({}));
        async move {
            site.ask(None, move |session| {
                Held::of(session).set("a", json!("x".repeat(letters)));
                ok()
            })
            .await
        }
    };
    let largest = fill(2900).await;
    assert_eq!(largest.status(), StatusCode::OK);
    assert!(set_cookies(largest.headers())[0].len() <= 4096);
    let refused = fill(3000).await;
    assert_eq!((refused.status(), new_cookie(&refused)), (StatusCode::INTERNAL_SERVER_ERROR, None));
}

#[tokio::test]
async fn a_session_larger_than_max_size_is_refused() {
    for (site, _kept) in sites(&json!({"max_size": 20})) {
        let refused = site
            .ask(None, |session| {
                Held::of(session).set("a", json!("x".repeat(20)));
                ok()
            })
            .await;
        assert_eq!(refused.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}

#[tokio::test]
async fn what_a_failing_application_changed_is_not_saved() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        let response = site.ask(Some(&cookie), |session| {
            Held::of(session).set("user", json!("bob"));
            plain(StatusCode::INTERNAL_SERVER_ERROR, "")
        });
        assert_eq!(new_cookie(&response.await), None);
        assert_eq!(site.values(&cookie).await, json!({"user": "ada"}));
    }
}

#[tokio::test]
async fn a_store_that_is_down_refuses_or_is_anonymous_but_never_opens() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = format!("sqlite:{}", directory.path().join("sessions").display());
    let cookie = Site::new(json!({"store": store})).set(None, "user", json!("ada")).await;
    std::fs::write(directory.path().join("sessions"), "this is no database, and long enough to show it")
        .expect("written");
    for file in ["sessions-wal", "sessions-shm"] {
        let _ = std::fs::remove_file(directory.path().join(file));
    }

    let refusing = Site::new(json!({"store": store}));
    let refused = refusing
        .ask(Some(&cookie), |session| {
            assert!(session.read().is_err());
            ok()
        })
        .await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);

    let anonymous = Site::new(json!({"store": store, "on_store_error": "anonymous"}));
    assert_eq!(anonymous.values(&cookie).await, json!({}));
    let response = anonymous
        .ask(Some(&cookie), |session| {
            Held::of(session).set("user", json!("bob"));
            ok()
        })
        .await;
    assert_eq!((response.status(), new_cookie(&response)), (StatusCode::OK, None));

    let logout = anonymous
        .ask(Some(&cookie), |session| {
            session.invalidate().expect("anonymous");
            ok()
        })
        .await;
    assert_eq!(logout.status(), StatusCode::SERVICE_UNAVAILABLE);
}
