//! `AllowAddresses`: lets only the clients of some addresses pass.
//!
//! ```
//! let allow = layers::declaration("allow_addresses")?;
//! let options = [("allowed_addresses", "127.0.0.1,10.0.0.0/8"), ("denied_addresses", "10.0.0.66")];
//! let built = layers::build(allow, layers::from_text(allow, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: a client without a known address is refused; a denied address is refused whatever else allows it; an
//! IPv4-mapped IPv6 client is the IPv4 client that it is; the application sees nothing of a refused request.
//!
//! It does not look at `X-Forwarded-For`: the address is that of the connection, or the one that a layer for
//! trusted proxies further out has put in its place.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use ipnet::IpNet;
use onion::{
    AddressRange, Answer, Declaration, Layer, Next, OptionError, Phase, Refusal, Request, RequestExt,
    Response, answer,
};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "allow_addresses",
    class: "AllowAddresses",
    summary: "Lets only the clients of some addresses pass; all others are answered `403 Forbidden`.",
    phase: Phase::Protect,
    stands_alone: false,
    positional: Some("allowed_addresses"),
    schema: Declaration::schema_of::<Options>,
    build: |given| Ok(Arc::new(AllowAddresses::new(&onion::reading::read(given)?)?)),
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The addresses and CIDR ranges, IPv4 or IPv6, whose clients pass. An empty list lets nobody in.
    #[schemars(example = ["127.0.0.1", "10.0.0.0/8", "::1"])]
    allowed_addresses: Vec<AddressRange>,
    /// The addresses and CIDR ranges whose clients are refused even if they are allowed; these are looked at
    /// first.
    #[serde(default)]
    denied_addresses: Vec<AddressRange>,
    /// The status that refused clients get: `403`, or `404` to keep quiet about what is there.
    #[serde(default = "forbidden")]
    #[schemars(extend("enum" = [403, 404]))]
    status: u16,
}

struct AllowAddresses {
    allowed: Addresses,
    denied: Addresses,
    status: StatusCode,
    text: &'static str,
}

impl Layer for AllowAddresses {
    fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Answer<'a> {
        if self.allows(request.peer().address) { next.run(request) } else { answer(self.refusal()) }
    }
}

impl AllowAddresses {
    fn new(options: &Options) -> Result<Self, OptionError> {
        let (status, text) = match options.status {
            403 => (StatusCode::FORBIDDEN, "You are forbidden to view this resource"),
            // A 404 that speaks of forbidden things would tell what it is there to hide.
            404 => (StatusCode::NOT_FOUND, "Not Found"),
            other => return Err(OptionError(format!("status: {other} is no refusal; give 403 or 404"))),
        };
        let allowed = Addresses::new(&options.allowed_addresses);
        let denied = Addresses::new(&options.denied_addresses);
        Ok(AllowAddresses { allowed, denied, status, text })
    }

    fn allows(&self, client: Option<IpAddr>) -> bool {
        client.is_some_and(|client| !self.denied.contain(client) && self.allowed.contain(client))
    }

    fn refusal(&self) -> Response {
        let mut response = Response::new(self.text.into());
        *response.status_mut() = self.status;
        response.headers_mut().insert(header::CONTENT_TYPE, TEXT_HTML);
        response.extensions_mut().insert(Refusal);
        response
    }
}

/// A set of addresses: ranges that do not overlap, in ascending order, so that one of them at most is looked at.
struct Addresses(Vec<IpNet>);

impl Addresses {
    fn new(ranges: &[AddressRange]) -> Self {
        let ranges =
            ranges.iter().map(|range| String::from(*range).parse().expect("a range is written as one"));
        let mut merged = IpNet::aggregate(&ranges.collect());
        merged.sort_unstable();
        Addresses(merged)
    }

    fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let behind = self.0.partition_point(|range| range.network() <= address);
        self.0[..behind].last().is_some_and(|range| range.contains(&address))
    }
}

fn forbidden() -> u16 {
    403
}

const TEXT_HTML: HeaderValue = HeaderValue::from_static("text/html");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::{Outcome, refusal, request, send};

    async fn send_from(client: Option<&str>, options: serde_json::Value) -> Outcome {
        send("allow_addresses", options, request(client, &[])).await
    }

    async fn passes(client: &str, options: serde_json::Value) -> bool {
        send_from(Some(client), options).await.seen.is_some()
    }

    #[tokio::test]
    async fn a_client_of_an_allowed_address_or_range_passes() {
        let options = json!({"allowed_addresses": ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]});

        for client in ["127.0.0.1", "10.255.255.255", "2001:db8::7"] {
            assert!(passes(client, options.clone()).await, "{client}");
        }
        for client in ["127.0.0.2", "11.0.0.0", "9.255.255.255", "2001:db9::", "::1"] {
            assert!(!passes(client, options.clone()).await, "{client}");
        }
    }

    #[tokio::test]
    async fn all_others_are_forbidden_to_view_the_resource() {
        let Outcome { seen, response } =
            send_from(Some("127.0.0.2"), json!({"allowed_addresses": ["127.0.0.1"]})).await;

        assert!(seen.is_none());
        assert_eq!(response.status(), 403);
        assert_eq!(response.headers().len(), 1);
        assert_eq!(response.headers()["content-type"], "text/html");
        let body = response.into_body().take_bytes().expect("in memory");
        assert_eq!(body, "You are forbidden to view this resource");
    }

    #[tokio::test]
    async fn a_client_without_address_is_refused() {
        let outcome = send_from(None, json!({"allowed_addresses": ["0.0.0.0/0", "::/0"]})).await;

        assert!(outcome.seen.is_none());
    }

    #[tokio::test]
    async fn a_denied_address_is_refused_whatever_else_allows_it() {
        let options =
            json!({"allowed_addresses": ["10.0.0.0/8", "10.0.0.66"], "denied_addresses": ["10.0.0.64/26"]});

        assert!(!passes("10.0.0.66", options.clone()).await);
        assert!(passes("10.0.0.63", options.clone()).await);
        assert!(passes("10.0.0.128", options).await);
    }

    #[tokio::test]
    async fn an_ipv4_mapped_client_is_the_ipv4_client_that_it_is() {
        let options = json!({"allowed_addresses": ["10.0.0.0/8"], "denied_addresses": ["::ffff:10.0.0.66"]});

        assert!(passes("::ffff:10.0.0.1", options.clone()).await);
        assert!(!passes("::ffff:10.0.0.66", options.clone()).await);
        assert!(!passes("10.0.0.66", options).await);
    }

    #[tokio::test]
    async fn ranges_may_overlap_touch_and_come_in_any_order() {
        let many: Vec<String> = (0..200).rev().map(|third| format!("10.1.{third}.0/25")).collect();
        let allowed: Vec<&str> =
            many.iter().map(String::as_str).chain(["10.1.7.0/24", "10.1.7.9", "::1"]).collect();
        let options = json!({"allowed_addresses": allowed});

        for client in ["10.1.0.0", "10.1.199.127", "10.1.7.255", "::1"] {
            assert!(passes(client, options.clone()).await, "{client}");
        }
        for client in ["10.0.255.255", "10.1.8.128", "10.1.199.128", "10.1.200.0", "::2", "::"] {
            assert!(!passes(client, options.clone()).await, "{client}");
        }
    }

    #[tokio::test]
    async fn an_empty_list_lets_nobody_in() {
        assert!(!passes("127.0.0.1", json!({"allowed_addresses": []})).await);
    }

    #[tokio::test]
    async fn a_404_says_nothing_of_what_is_forbidden() {
        let outcome = send_from(Some("::2"), json!({"allowed_addresses": ["::1"], "status": 404})).await;

        assert_eq!(outcome.response.status(), 404);
        assert_eq!(outcome.response.into_body().take_bytes().expect("in memory"), "Not Found");
    }

    #[test]
    fn what_is_no_address_or_no_refusal_is_refused_at_start_up() {
        assert_eq!(
            refusal("allow_addresses", json!({"allowed_addresses": ["::1", "10.0.0"]})),
            "allow_addresses: allowed_addresses[1]: \"10.0.0\" is neither an IP address nor a CIDR range; \
             write 192.0.2.7, 10.0.0.0/8 or ::1"
        );
        assert_eq!(
            refusal("allow_addresses", json!({"allowed_addresses": [], "status": 200})),
            "allow_addresses: status: 200 is no refusal; give 403 or 404"
        );
    }
}
