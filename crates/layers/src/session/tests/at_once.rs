//! Requests of one session that run at once.

use std::sync::Arc;

use http::StatusCode;
use onion::Response;
use serde_json::{Value, json};

use super::site::{DAY, Held, Site, new_cookie, ok, sites};
use crate::session::{Expiry, Lifetime, OpenSession};

/// The response to a request that does `ours`, while another one that does `theirs` comes and goes.
async fn at_once(
    site: &Site,
    cookie: &str,
    theirs: impl Fn(&OpenSession) + Copy + Send + Sync + 'static,
    ours: impl Fn(&OpenSession, &Held) + Send + Sync + 'static,
) -> Response {
    let (inner, own) = (Site(Arc::clone(&site.0)), cookie.to_owned());
    site.ask(Some(cookie), move |session| {
        let held = Held::of(session);
        let other = inner.ask(Some(&own), move |session| {
            theirs(session);
            ok()
        });
        assert_eq!(blocking(other).status(), StatusCode::OK);
        ours(session, &held);
        ok()
    })
    .await
}

/// The values that the client has after a response.
async fn after(site: &Site, response: &Response, before: &str) -> Value {
    site.values(&new_cookie(response).unwrap_or_else(|| before.to_owned())).await
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

#[tokio::test]
async fn changes_of_different_keys_are_merged_under_every_policy() {
    for policy in ["overwrite", "drop", "refuse"] {
        for (site, _kept) in sites(&json!({"on_conflict": policy})) {
            let cookie = site.set(None, "a", json!(1)).await;
            let cookie = site.set(Some(&cookie), "b", json!(1)).await;
            let theirs = |session: &OpenSession| {
                let held = Held::of(session);
                held.set("a", json!(2));
                held.set("theirs", json!([1]));
            };
            let response = at_once(&site, &cookie, theirs, |_, held| {
                held.0.lock().expect("no panic").remove("b");
                held.set("ours", json!({"x": 1}));
            });
            let response = response.await;
            assert_eq!(response.status(), StatusCode::OK);
            let expected = json!({"a": 2, "theirs": [1], "ours": {"x": 1}});
            assert_eq!(after(&site, &response, &cookie).await, expected, "{policy}");
        }
    }
}

#[tokio::test]
async fn of_two_changes_of_one_key_the_policy_decides() {
    for (policy, status, expected) in [
        ("overwrite", StatusCode::OK, json!({"count": 2, "ours": 1})),
        ("drop", StatusCode::OK, json!({"count": 1, "ours": 1})),
        ("refuse", StatusCode::CONFLICT, json!({"count": 1})),
    ] {
        for (site, _kept) in sites(&json!({"on_conflict": policy})) {
            let cookie = site.set(None, "count", json!(0)).await;
            let theirs = |session: &OpenSession| Held::of(session).set("count", json!(1));
            let response = at_once(&site, &cookie, theirs, |_, held| {
                held.set("count", json!(2));
                held.set("ours", json!(1));
            });
            let response = response.await;
            assert_eq!((response.status(), policy), (status, policy));
            assert_eq!(after(&site, &response, &cookie).await, expected, "{policy}");
        }
    }
}

#[tokio::test]
async fn the_last_write_wins_unless_the_options_say_otherwise() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "count", json!(0)).await;
        let theirs = |session: &OpenSession| Held::of(session).set("count", json!(1));
        let response = at_once(&site, &cookie, theirs, |_, held| held.set("count", json!(2))).await;
        assert_eq!(after(&site, &response, &cookie).await, json!({"count": 2}));
    }
}

#[tokio::test]
async fn a_log_in_takes_over_what_another_request_has_saved() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "cart", json!([1])).await;
        let theirs = |session: &OpenSession| Held::of(session).set("cart", json!([1, 2]));
        let response = at_once(&site, &cookie, theirs, |session, held| {
            session.rotate().expect("it is read");
            held.set("user", json!("ada"));
        });
        let response = response.await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(after(&site, &response, &cookie).await, json!({"cart": [1, 2], "user": "ada"}));
        assert!(!site.0.waits() || site.values(&cookie).await == json!({}));
    }
}

#[tokio::test]
async fn taking_the_last_value_away_leaves_what_another_request_has_added() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "a", json!(1)).await;
        let theirs = |session: &OpenSession| Held::of(session).set("b", json!(2));
        let response =
            at_once(&site, &cookie, theirs, |_, held| held.0.lock().expect("no panic").clear()).await;
        assert_eq!(after(&site, &response, &cookie).await, json!({"b": 2}));
    }
}

#[tokio::test]
async fn a_session_that_was_ended_or_rotated_is_not_brought_back_by_a_request_under_way() {
    let ends: fn(&OpenSession) = |session| {
        Held::of(session).0.lock().expect("no panic").clear();
        session.invalidate().expect("it is read");
    };
    let rotates: fn(&OpenSession) = |session| {
        Held::of(session);
        session.rotate().expect("it is read");
    };
    for theirs in [ends, rotates] {
        for (policy, status) in
            [("overwrite", StatusCode::OK), ("drop", StatusCode::OK), ("refuse", StatusCode::CONFLICT)]
        {
            for (site, _kept) in sites(&json!({"on_conflict": policy})) {
                let cookie = site.set(None, "user", json!("ada")).await;
                let response = at_once(&site, &cookie, theirs, |_, held| held.set("more", json!(1))).await;
                assert_eq!((response.status(), new_cookie(&response)), (status, None));
                assert!(!site.0.waits() || site.values(&cookie).await == json!({}));
            }
        }
    }
}

#[tokio::test]
async fn requests_one_after_the_other_with_one_cookie_lose_nothing() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "a", json!(1)).await;
        site.set(Some(&cookie), "b", json!(2)).await;
        let response = site
            .ask(Some(&cookie), |session| {
                Held::of(session);
                ok()
            })
            .await;
        // A client that has not taken the newest cookie over gets it again.
        assert_eq!(new_cookie(&response).is_some(), !site.0.waits());
        let newest = site.set(Some(&cookie), "c", json!(3)).await;
        assert_eq!(site.values(&newest).await, json!({"a": 1, "b": 2, "c": 3}));
    }
}

#[tokio::test]
async fn an_expiry_is_merged_as_a_value_is() {
    let expiry = Expiry { lifetime: Lifetime::Unused(30 * DAY), persistent: None };
    let choose = move |session: &OpenSession| session.set_expiry(expiry).expect("it is read");
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "a", json!(1)).await;
        let theirs = move |session: &OpenSession| {
            Held::of(session);
            choose(session);
        };
        let response = at_once(&site, &cookie, theirs, |_, held| held.set("b", json!(2))).await;
        let cookie = new_cookie(&response).unwrap_or(cookie);
        let response = site
            .ask(Some(&cookie), move |session| {
                assert_eq!(session.expiry().expect("it is read"), expiry);
                ok()
            })
            .await;
        assert_eq!(response.status(), StatusCode::OK);
    }
}
