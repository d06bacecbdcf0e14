//! Cookies that are none of ours.

use std::sync::Arc;

use serde_json::json;

use super::site::{Held, OTHER_SECRET, SECRET, Site, ok, set_cookies, sites};

#[tokio::test]
async fn no_byte_of_a_cookie_can_be_changed() {
    for (site, _kept) in sites(&json!({})) {
        let cookie = site.set(None, "user", json!("ada")).await;
        let value = "__Host-sid=".len();
        for index in value..cookie.len() {
            let other = if cookie.as_bytes()[index] == b'A' { "B" } else { "A" };
            let mut changed = cookie.clone();
            changed.replace_range(index..=index, other);
            assert_eq!(site.values(&changed).await, json!({}), "byte {index}");
            assert_eq!(site.values(&cookie[..index]).await, json!({}), "{index} bytes");
        }
        assert_eq!(site.values(&cookie).await, json!({"user": "ada"}));
    }
}

#[tokio::test]
async fn a_cookie_of_another_name_secret_or_store_is_refused() {
    let all = sites(&json!({}));
    let foreign = [json!({"name": "__Host-other"}), json!({"secret": [OTHER_SECRET]})].map(Site::new);
    for (site, _) in &all {
        for other in
            all.iter().map(|(site, _)| site).filter(|other| !Arc::ptr_eq(&other.0, &site.0)).chain(&foreign)
        {
            let cookie = other.set(None, "user", json!("mallory")).await;
            let value = cookie.split_once('=').expect("a value").1;
            assert_eq!(site.values(&format!("__Host-sid={value}")).await, json!({}));
        }
    }
}

#[tokio::test]
async fn an_old_secret_opens_until_it_is_taken_away_and_the_new_one_seals() {
    let old = Site::new(json!({"secret": [OTHER_SECRET]})).set(None, "user", json!("ada")).await;
    let both = Site::new(json!({"secret": [SECRET, OTHER_SECRET]}));
    assert_eq!(both.values(&old).await, json!({"user": "ada"}));

    let new = both.set(Some(&old), "user", json!("bob")).await;
    let one = Site::new(json!({"secret": SECRET}));
    assert_eq!(one.values(&new).await, json!({"user": "bob"}));
    assert_eq!(one.values(&old).await, json!({}));
}

#[tokio::test]
async fn a_bad_cookie_before_a_good_one_does_no_harm() {
    let site = Site::new(json!({"secure": false}));
    let cookie = site.set(None, "user", json!("ada")).await;
    assert_eq!(site.values(&format!("a=b; sid=rubbish; {cookie}; c=d")).await, json!({"user": "ada"}));
}

#[tokio::test]
async fn a_bad_cookie_is_taken_away() {
    let response = Site::new(json!({}))
        .ask(Some("__Host-sid=rubbish"), |session| {
            Held::of(session);
            ok()
        })
        .await;
    assert!(set_cookies(response.headers())[0].ends_with("Max-Age=0"), "{response:?}");
}
