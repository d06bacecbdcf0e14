//! How long sessions last.

use serde_json::json;

use super::site::{DAY, HOUR, Held, NOW, Site, new_cookie, ok, pass, set_cookies, sites};
use crate::session::{Expiry, Lifetime};

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

/// The cookie after a log-in that chooses an expiry, and the attributes that it was set with.
async fn log_in(site: &Site, lifetime: Lifetime, persistent: Option<bool>) -> (String, String) {
    let response = site
        .ask(None, move |session| {
            Held::of(session).set("user", json!("ada"));
            session.set_expiry(Expiry { lifetime, persistent }).expect("it is read");
            ok()
        })
        .await;
    let attributes = set_cookies(response.headers())[0].split_once("; ").expect("attributes").1.to_owned();
    (new_cookie(&response).expect("a cookie"), attributes)
}

#[tokio::test]
async fn a_session_may_last_longer_than_the_layers_and_outlive_the_browser() {
    for (site, _kept) in sites(&json!({"idle": "1h", "absolute": "1d"})) {
        let (cookie, attributes) = log_in(&site, Lifetime::Unused(30 * DAY), Some(true)).await;
        assert!(attributes.ends_with("; Max-Age=2592000"), "{attributes}");
        pass(29 * DAY);
        let used = site
            .ask(Some(&cookie), |session| {
                Held::of(session);
                assert_eq!(session.max_age().expect("it is read"), DAY);
                ok()
            })
            .await;
        // Its use is noted, but `absolute` is as long as the session's own time.
        assert!(set_cookies(used.headers())[0].ends_with("; Max-Age=86400"), "{used:?}");
        let cookie = new_cookie(&used).expect("a fresh cookie");
        pass(DAY - 1);
        assert_eq!(site.values(&cookie).await, json!({"user": "ada"}));
        pass(1);
        assert_eq!(site.values(&cookie).await, json!({}));
    }
}

#[tokio::test]
async fn a_session_may_last_shorter_and_is_prolonged_by_its_use() {
    for (site, _kept) in sites(&json!({"idle": "1h"})) {
        let (mut cookie, attributes) = log_in(&site, Lifetime::Unused(300), None).await;
        assert!(!attributes.contains("Max-Age"), "{attributes}");
        for _ in 0..3 {
            pass(200);
            let used = site
                .ask(Some(&cookie), |session| {
                    assert_eq!(Held::of(session).0.lock().expect("no panic")["user"], "ada");
                    ok()
                })
                .await;
            cookie = new_cookie(&used).unwrap_or(cookie);
        }
        pass(300);
        assert_eq!(site.values(&cookie).await, json!({}));
    }
}

#[tokio::test]
async fn a_session_may_end_at_a_point_in_time() {
    for (site, _kept) in sites(&json!({"idle": "1h"})) {
        let until = NOW.get() + 3 * HOUR;
        let (cookie, attributes) = log_in(&site, Lifetime::Until(until), Some(true)).await;
        assert!(attributes.ends_with("; Max-Age=10800"), "{attributes}");
        pass(3 * HOUR - 1);
        assert_eq!(site.values(&cookie).await, json!({"user": "ada"}));
        pass(1);
        assert_eq!(site.values(&cookie).await, json!({}));
    }
}

#[tokio::test]
async fn an_expiry_is_kept_changed_and_given_up() {
    for (site, _kept) in sites(&json!({"idle": "1h"})) {
        let (cookie, _) = log_in(&site, Lifetime::Unused(DAY), Some(true)).await;
        let choose = |cookie: String, expiry| {
            let site = &site;
            async move {
                let response = site
                    .ask(Some(&cookie), move |session| {
                        Held::of(session);
                        session.rotate().expect("it is read");
                        session.set_expiry(expiry).expect("it is read");
                        ok()
                    })
                    .await;
                (new_cookie(&response).unwrap_or(cookie), set_cookies(response.headers()).join(""))
            }
        };
        let kept = Expiry { lifetime: Lifetime::Unused(DAY), persistent: Some(true) };
        let (cookie, set) = choose(cookie, kept).await;
        assert!(set.ends_with("; Max-Age=86400"), "{set}");
        let (cookie, set) = choose(cookie, Expiry::default()).await;
        assert!(set.ends_with("; SameSite=Lax"), "{set}");
        pass(HOUR);
        assert_eq!(site.values(&cookie).await, json!({}));
    }
}

#[tokio::test]
async fn a_persistent_cookie_becomes_one_of_the_browsers_session_without_a_new_id() {
    for (site, _kept) in sites(&json!({})) {
        let (cookie, _) = log_in(&site, Lifetime::OfLayer, Some(true)).await;
        let response = site
            .ask(Some(&cookie), |session| {
                Held::of(session);
                session.set_expiry(Expiry::default()).expect("it is read");
                ok()
            })
            .await;
        assert!(set_cookies(response.headers())[0].ends_with("; SameSite=Lax"), "{response:?}");
    }
}

#[tokio::test]
async fn a_session_that_ends_in_the_past_is_ended() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        let response = site
            .ask(Some(&cookie), |session| {
                Held::of(session);
                let lifetime = Lifetime::Until(NOW.get() - 1);
                session.set_expiry(Expiry { lifetime, persistent: None }).expect("it is read");
                ok()
            })
            .await;
        assert!(set_cookies(response.headers())[0].ends_with("; Max-Age=0"), "{response:?}");
        assert!(!site.0.waits() || site.values(&cookie).await == json!({}));
    }
}
