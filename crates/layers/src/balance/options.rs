//! The options that `Balance` has besides those of `Proxy`.

use onion::Span;
use schemars::JsonSchema;
use serde::Deserialize;

use super::policy::Policy;
use super::sticky::SameSite;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Options {
    /// The servers, each as a target of `Proxy`: `http://HOST:PORT`, `https://HOST` or `unix:PATH`.
    #[schemars(example = &["http://10.0.0.1:9000", "http://10.0.0.2:9000"])]
    pub(super) targets: Vec<String>,
    /// How one is chosen: `p2c` (the less busy of two that chance picks), `round_robin` (one after the other), or
    /// `hash` (the same for the same `hash_by`, as long as it is well).
    #[serde(default = "default_policy")]
    pub(super) policy: Policy,
    /// What `hash` goes by: `client` (the client's address), `path`, or the name of a header.
    #[serde(default = "default_hash_by")]
    pub(super) hash_by: String,
    /// A cookie of this name keeps a client with its target, as long as that is well. Nothing means that there is none.
    #[serde(default)]
    pub(super) sticky: Option<String>,
    /// Which requests from other sites bring that cookie along: none (`strict`), those that lead here (`lax`), or all of
    /// them (`none`; the cookie is `Secure` then).
    #[serde(default)]
    pub(super) sticky_same_site: SameSite,
    /// Keep a separate cookie for each site that embeds this one (`Partitioned`; the cookie is `Secure` then).
    #[serde(default)]
    pub(super) sticky_partitioned: bool,
    /// After so many failures within `fail_time`, a target rests. 0 means that it never does.
    #[serde(default = "default_max_fails")]
    pub(super) max_fails: u32,
    /// How long failures are counted, and how long a target rests then.
    #[serde(default = "default_fail_time")]
    pub(super) fail_time: Span,
    /// A path that every target is asked for from time to time; what is no 2xx or 3xx takes the target out, until it
    /// answers so again. Nothing means that targets are not asked.
    #[serde(default)]
    pub(super) health_path: Option<String>,
    /// How often they are asked.
    #[serde(default = "default_health_every")]
    pub(super) health_every: Span,
    /// How many targets a request is tried on, at most. Only what can do no harm is tried again.
    #[serde(default = "default_tries")]
    pub(super) tries: u8,
    /// How many requests may be tried again, in percent of all; ten more after quiet times.
    #[serde(default = "default_retry_budget")]
    pub(super) retry_budget: u8,
}

fn default_policy() -> Policy {
    Policy::P2c
}

fn default_hash_by() -> String {
    "client".to_owned()
}

fn default_max_fails() -> u32 {
    3
}

fn default_fail_time() -> Span {
    Span::seconds(10)
}

fn default_health_every() -> Span {
    Span::seconds(10)
}

fn default_tries() -> u8 {
    2
}

fn default_retry_budget() -> u8 {
    20
}
