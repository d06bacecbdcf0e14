//! Options that are no data: the applications that a dispatcher chooses between.
//!
//! Options are JSON everywhere else, so that every way to give them reads them by one declaration. What JSON can't
//! hold is laid into a [`Supply`], and the JSON refers to its place there; while a layer is built the supply is at
//! hand, and a [`Target`] reads itself from it.
//!
//! ```
//! use std::sync::Arc;
//! use onion::{Answer, Body, Handler, Request, Response, Supply, Target, answer};
//!
//! # struct Hello;
//! # impl Handler for Hello {
//! #     fn call(&self, _: Request) -> Answer<'_> { answer(Response::new("Hello!".into())) }
//! # }
//! let mut supply = Supply::default();
//! let place = supply.put(Arc::new(Hello), "hello");
//!
//! let target: Target = supply.at_hand(|| serde_json::from_value(place)).expect("it was supplied");
//! assert!(!target.handler().needs_runtime());
//! ```

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::Handler;

/// What a door supplies for the options of one layer.
#[derive(Default)]
pub struct Supply {
    handlers: Vec<Arc<dyn Handler>>,
    find: Option<Find>,
}

/// Finds the application that a text names, or says in one line why there is none.
pub type Find = Box<dyn Fn(&str) -> Result<Arc<dyn Handler>, String>>;

impl Supply {
    /// A supply that has `find` for targets that are given as text, such as `pkg.module:app`.
    pub fn finding(find: impl Fn(&str) -> Result<Arc<dyn Handler>, String> + 'static) -> Self {
        Supply { handlers: Vec::new(), find: Some(Box::new(find)) }
    }

    /// Lays in a handler. The value stands for it in the options; `shown` is its name in messages.
    pub fn put(&mut self, handler: Arc<dyn Handler>, shown: &str) -> Value {
        self.handlers.push(handler);
        json!({PLACE: self.handlers.len() - 1, "shown": shown})
    }

    /// Runs `build` with this supply at hand.
    pub fn at_hand<T>(self, build: impl FnOnce() -> T) -> T {
        let outer = AT_HAND.replace(Some(self));
        let result = build();
        AT_HAND.set(outer);
        result
    }

    fn target(&self, given: &Value) -> Result<Arc<dyn Handler>, String> {
        if let Some(name) = given.as_str() {
            let find = self.find.as_ref().ok_or("nobody here finds applications by name; give one")?;
            return find(name);
        }
        let place = given.get(PLACE).and_then(Value::as_u64).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.handlers.get(place)).map(Arc::clone).ok_or_else(|| {
            format!("{given} is no application; give a callable, or a text such as \"pkg.module:app\"")
        })
    }
}

/// An application as a layer's option: a handler that was supplied, or the text that one is found by.
#[derive(Clone, JsonSchema)]
#[schemars(transparent)]
#[schemars(extend("x-supplied" = "application"))]
pub struct Target(#[schemars(with = "String")] Arc<dyn Handler>);

impl Target {
    /// The application.
    pub fn handler(&self) -> &Arc<dyn Handler> {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Value::deserialize(deserializer)?;
        AT_HAND.with_borrow(|supply| match supply {
            Some(supply) => supply.target(&given).map(Target).map_err(D::Error::custom),
            None => Err(D::Error::custom("no applications are at hand here; build it where there are some")),
        })
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Target")
    }
}

thread_local! {
    static AT_HAND: RefCell<Option<Supply>> = const { RefCell::new(None) };
}

/// The key of a supplied value's place, with a sign that no option's name has.
const PLACE: &str = "$supplied";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(supply: Supply, given: Value) -> Result<Target, String> {
        supply.at_hand(|| serde_json::from_value(given)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_no_application_is_refused_with_the_way_out() {
        let refusal = read(Supply::default(), json!(5)).expect_err("no application");
        assert!(refusal.starts_with("5 is no application; give a callable"), "{refusal}");

        let refusal = read(Supply::default(), json!({PLACE: 0})).expect_err("nothing was put in");
        assert!(refusal.contains("is no application"), "{refusal}");
    }

    #[test]
    fn a_text_is_found_by_whoever_finds() {
        let supply = Supply::finding(|name| Err(format!("there is no {name}; look elsewhere")));

        assert_eq!(read(supply, json!("x:y")).expect_err("none"), "there is no x:y; look elsewhere");
    }
}
