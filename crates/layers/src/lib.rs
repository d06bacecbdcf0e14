//! The layers: one file a layer, and one table that lists them.
//!
//! ```
//! let allow = layers::declaration("allow_addresses")?;
//! let options = serde_json::json!({"allowed_addresses": ["10.0.0.0/8"], "unless": {"path": "/health"}});
//! let built = layers::build(allow, options.as_object().cloned().unwrap_or_default())?;
//! # let _onion = |application| onion::wrap_when(built.layer, built.when, application);
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! A layer's file declares its options, its class and its place. Everything else about it (the Python class, the
//! tables of its page) is made from that declaration.

#![forbid(unsafe_code)]

use std::sync::Arc;

use onion::{Declaration, Layer, Matching, OptionError, When, text_options};
use schemars::{Schema, schema_for};
use serde_json::{Map, Value};

pub mod accept;
mod begun;
pub mod conditions;
mod fields;
pub mod media;
pub mod ranges;
#[cfg(test)]
mod testing;
mod trace_context;

mod allow_addresses;
mod balance;
mod compress;
mod errors;
mod headers;
mod mount;
mod proxy;
mod request_id;
mod session;
mod static_files;
pub mod xslt;

pub use session::{Contents, Expiry, Lifetime, OpenSession, Unavailable};

/// Every layer of the house, in the order of their names.
pub static LAYERS: &[Declaration] = &[
    allow_addresses::DECLARATION,
    balance::DECLARATION,
    compress::DECLARATION,
    errors::DECLARATION,
    headers::DECLARATION,
    mount::DECLARATION,
    proxy::DECLARATION,
    request_id::DECLARATION,
    session::DECLARATION,
    static_files::DECLARATION,
    xslt::DECLARATION,
];

/// A layer, ready to be put around a handler with [`onion::wrap_when`].
pub struct Built {
    /// The layer.
    pub layer: Arc<dyn Layer>,
    /// The requests that it is there for.
    pub when: When,
}

/// The layer that is called `name` in configuration files.
pub fn declaration(name: &str) -> Result<&'static Declaration, OptionError> {
    let found = LAYERS.iter().find(|declaration| declaration.name == name);
    found.ok_or_else(|| {
        let known: Vec<&str> = LAYERS.iter().map(|declaration| declaration.name).collect();
        let nearest = onion::reading::nearest(name, &known);
        OptionError(format!("there is no layer {name:?}; {nearest}the layers are {}", known.join(", ")))
    })
}

/// Makes a layer from its options and from those that every layer takes (`match` and `unless`).
pub fn build(declaration: &Declaration, options: Map<String, Value>) -> Result<Built, OptionError> {
    build_unnamed(declaration, options).map_err(|error| named(declaration, &error))
}

/// Reads options that are given as text, on a command line or in an `.ini` file.
pub fn from_text<'a>(
    declaration: &Declaration,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Map<String, Value>, OptionError> {
    text_options::from_text(&(declaration.schema)(), pairs).map_err(|error| named(declaration, &error))
}

/// The schema of the options that every layer takes: `match` and `unless` each have this one.
pub fn matching_schema() -> Schema {
    schema_for!(Matching)
}

/// All that is wrong with the options of a layer, without the layer's name.
pub fn problems(declaration: &Declaration, options: Map<String, Value>) -> Vec<OptionError> {
    onion::reading::problems(options, |options| build_unnamed(declaration, options))
}

fn build_unnamed(declaration: &Declaration, mut given: Map<String, Value>) -> Result<Built, OptionError> {
    let schema = (declaration.schema)();
    onion::reading::check_names(&schema, &given, COMMON)?;
    given.iter().try_for_each(|(name, value)| onion::placeholders::check(name, value))?;
    let [matching, unless] = COMMON.map(|name| given.remove(name).filter(|value| !value.is_null()));
    let when = When::new(condition("match", matching)?.as_ref(), condition("unless", unless)?.as_ref())?;
    Ok(Built { layer: (declaration.build)(given)?, when })
}

fn condition(name: &str, given: Option<Value>) -> Result<Option<Matching>, OptionError> {
    let within = |error: OptionError| OptionError(format!("{name}: {error}"));
    match given {
        None => Ok(None),
        Some(Value::Object(given)) => {
            onion::reading::check_names(&matching_schema(), &given, []).map_err(within)?;
            onion::reading::read(given).map(Some).map_err(within)
        }
        Some(other) => Err(OptionError(format!(
            "{name}: {other} is no condition; give one such as {{\"path\": \"/api/*\"}}"
        ))),
    }
}

fn named(declaration: &Declaration, error: &OptionError) -> OptionError {
    OptionError(format!("{}: {error}", declaration.name))
}

/// The options that every layer takes.
const COMMON: [&str; 2] = ["match", "unless"];

#[cfg(test)]
mod tests {
    use super::testing::{refusal, request, send};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_layer_is_found_by_its_name() {
        for row in LAYERS {
            assert_eq!(declaration(row.name).expect("a layer").class, row.class);
        }
    }

    #[test]
    fn an_unknown_layer_is_refused_with_the_nearest_and_all_names() {
        let error = declaration("alow_addresses").err().expect("no such layer").to_string();

        assert!(
            error.starts_with(r#"there is no layer "alow_addresses"; did you mean allow_addresses? "#),
            "{error}"
        );
        let all = LAYERS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ");
        assert!(error.ends_with(&format!("the layers are {all}")), "{error}");
    }

    #[test]
    fn an_unknown_option_is_refused_with_the_nearest_and_all_names() {
        assert_eq!(
            refusal("request_id", json!({"headers": "x-id"})),
            "request_id: there is no option \"headers\"; did you mean header?"
        );
        let refusal = refusal("request_id", json!({"colour": "red"}));
        assert!(!refusal.contains("did you mean"), "{refusal}");
    }

    #[test]
    fn a_missing_option_is_named_with_an_example() {
        assert_eq!(
            refusal("allow_addresses", json!({})),
            r#"allow_addresses: allowed_addresses is missing; give a list, such as ["127.0.0.1","10.0.0.0/8","::1"]"#
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_with_what_would() {
        for (options, expected) in [
            (json!({"header": 5}), "request_id: header: 5 does not fit; give a text"),
            (
                json!({"trust_inbound": "x"}),
                r#"request_id: trust_inbound: "x" does not fit; give true or false"#,
            ),
            (json!({"max_len": -1}), "request_id: max_len: -1 does not fit; give an integer from 1 to 65535"),
            (
                json!({"format": "uuid"}),
                r#"request_id: format: "uuid" does not fit; give "uuid7" or "uuid4""#,
            ),
        ] {
            assert_eq!(refusal("request_id", options), expected);
        }
    }

    #[test]
    fn a_condition_that_does_not_fit_is_refused_by_its_place() {
        let refusal = |condition| refusal("request_id", json!({"match": condition}));

        assert!(
            refusal(json!({"paths": "/"})).starts_with("request_id: match: there is no option \"paths\"; ")
        );
        assert!(
            refusal(json!({"path": 5})).starts_with("request_id: match: path: 5 does not fit; give a list")
        );
        assert!(refusal(json!({})).starts_with("request_id: match: nothing to match on was given; "));
        assert!(
            refusal(json!("/x")).starts_with("request_id: match: \"/x\" is no condition; give one such as ")
        );
    }

    #[tokio::test]
    async fn a_layer_is_there_only_for_the_requests_it_is_meant_for() {
        let options = json!({"allowed_addresses": [], "unless": {"header": "x-inside"}});

        let outside = send("allow_addresses", options.clone(), request(None, &[])).await;
        let inside = send("allow_addresses", options, request(None, &[("x-inside", "yes")])).await;

        assert!(outside.seen.is_none());
        assert!(inside.seen.is_some());
    }

    #[test]
    fn options_given_as_text_build_a_layer() {
        let pairs = [("allowed_addresses", "::1,10.0.0.0/8"), ("status", "404"), ("match.path", "/admin/**")];
        let allow = declaration("allow_addresses").expect("a layer");
        let options = from_text(allow, pairs).expect("options");

        assert!(build(allow, options).is_ok());
        let error = from_text(allow, [("status", "high")]).expect_err("no status").to_string();
        assert_eq!(error, "allow_addresses: status: \"high\" does not fit; give a whole number");
    }
}
