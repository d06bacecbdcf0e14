//! How a layer declares itself and its options: once, as a serde struct, for every way in which options are given.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use crate::Layer;

/// Where in the onion a layer belongs, from the outside in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Who is it, really? Proxies, hosts, request ids.
    Edge,
    /// Looks on: logs, metrics, traces.
    Observe,
    /// Answers by itself: health, redirects, static files.
    Answer,
    /// Keeps harm away: addresses, rates, sizes, times.
    Protect,
    /// Says who the user is: credentials, sessions.
    Identify,
    /// Treats what leaves: errors, headers, compression.
    Outgoing,
    /// Answers from memory.
    Cache,
    /// Treats what the application gives before it is cached: rewriting, stylesheets.
    Incoming,
    /// Chooses between applications.
    Dispatch,
}

/// One row of the table of layers: all that the rest of the house knows of a layer.
#[derive(Clone, Copy)]
pub struct Declaration {
    /// The name in configuration files and on the command line: `allow_addresses`.
    pub name: &'static str,
    /// The name of the Python class: `AllowAddresses`.
    pub class: &'static str,
    /// What the user gets, in one sentence.
    pub summary: &'static str,
    /// Its place in the onion.
    pub phase: Phase,
    /// Whether it is an application by itself: it answers, and what it leaves to an application inside is a 404
    /// where there is none.
    pub stands_alone: bool,
    /// The option that may be given by position in Python, after the application.
    pub positional: Option<&'static str>,
    /// The JSON schema of the options.
    pub schema: fn() -> Schema,
    /// Makes the layer from its options.
    pub build: Build,
}

/// Makes a layer from its options.
pub type Build = fn(Map<String, Value>) -> Result<Arc<dyn Layer>, OptionError>;

impl Declaration {
    /// The schema of `O`, for [`schema`](Self::schema).
    pub fn schema_of<O: JsonSchema>() -> Schema {
        schemars::schema_for!(O)
    }
}

/// An option that is unknown, missing or wrong: says what, which, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionError(pub String);

impl fmt::Display for OptionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for OptionError {}
