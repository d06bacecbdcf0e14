//! The server's options out of all sources, each read by its declaration.

use std::collections::BTreeMap;

use onion::{OptionError, reading, text_options};
use schemars::{Schema, schema_for};
use serde_json::{Map, Value};
use server::Config;

use crate::{APPLICATION, Given, Origin, Refusal};

/// What has been given so far; what comes later replaces it.
pub(crate) struct Options {
    schema: Schema,
    given: BTreeMap<String, Given<Value>>,
}

/// What a text is where the option is none.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Strings {
    /// The members of a list, with commas, but nothing else: files have types.
    InLists,
    /// Any value, as on the command line.
    Everywhere,
}

impl Options {
    pub(crate) fn new() -> Self {
        Options { schema: schema_for!(Config), given: BTreeMap::new() }
    }

    /// An option as text.
    pub(crate) fn text(&mut self, origin: Origin, name: &str, text: &str) -> Result<(), Refusal> {
        // An empty text is one member, to be refused, and not a list without members.
        if text.is_empty() && self.is_list(name) {
            return self.take(origin, name, Value::from(vec![text]));
        }
        let value = self.read_text(name, text).map_err(|wrong| Refusal::at(&origin, name, &wrong))?;
        self.take(origin, name, value)
    }

    /// An option as a value.
    pub(crate) fn value(
        &mut self,
        origin: Origin,
        name: &str,
        value: Value,
        strings: Strings,
    ) -> Result<(), Refusal> {
        let value = match value.as_str() {
            Some(text) if strings == Strings::Everywhere || self.is_list(name) => {
                self.read_text(name, text).map_err(|wrong| Refusal::at(&origin, name, &wrong))?
            }
            _ => value,
        };
        self.take(origin, name, value)
    }

    /// Every option of the server, those that nobody gave with their defaults.
    pub(crate) fn whole(self) -> Result<BTreeMap<String, Given<Value>>, Refusal> {
        let given = self.given.iter().map(|(name, given)| (name.clone(), given.value.clone()));
        // Each has been read by itself: what is refused now is how they go together, which no place alone says.
        let values = read(&self.schema, given.collect()).map_err(|wrong| Refusal(wrong.to_string()))?;
        let origin = |name: &str| self.given.get(name).map_or(Origin::Default, |given| given.from.clone());
        Ok(values
            .into_iter()
            .map(|(name, value)| {
                let from = origin(&name);
                (name, Given { value, from })
            })
            .collect())
    }

    fn take(&mut self, from: Origin, name: &str, value: Value) -> Result<(), Refusal> {
        let refused = |wrong: &dyn std::fmt::Display| Refusal::at(&from, name, wrong);
        let alone = Map::from_iter([(name.to_owned(), value)]);
        let mut read = read(&self.schema, alone).map_err(|wrong| refused(&wrong))?;
        let value = read.remove(name).unwrap_or(Value::Null);
        self.given.insert(name.to_owned(), Given { value, from });
        Ok(())
    }

    fn read_text(&self, name: &str, text: &str) -> Result<Value, OptionError> {
        let mut read = text_options::from_text(&self.schema, [(name, text)])?;
        Ok(read.remove(name).unwrap_or(Value::Null))
    }

    fn is_list(&self, name: &str) -> bool {
        let option = self.schema.get("properties").and_then(|options| options.get(name));
        option.and_then(|option| option.get("type")).is_some_and(|kind| kind == "array")
    }
}

/// The options that `given` gives, and the others with their defaults, in the form that files have.
fn read(schema: &Schema, given: Map<String, Value>) -> Result<Map<String, Value>, OptionError> {
    reading::check_names(schema, &given, [])?;
    let config: Config = reading::read(given)?;
    match serde_json::to_value(config) {
        Ok(Value::Object(values)) => Ok(values),
        _ => Ok(Map::new()),
    }
}

/// The option that a variable of the environment gives; None if it is none of ours, or empty.
pub(crate) fn named_by(variable: &str, text: &str) -> Result<Option<String>, Refusal> {
    let Some(name) = variable.strip_prefix(PREFIX) else { return Ok(None) };
    let of_kubernetes = name == "PORT" || name.starts_with("PORT_") || name.starts_with("SERVICE_");
    if of_kubernetes || name == "CONFIG" || text.is_empty() {
        return Ok(None);
    }
    let option = name.to_ascii_lowercase();
    let schema = schema_for!(Config);
    let options = schema.get("properties").and_then(Value::as_object);
    if option == APPLICATION || options.is_some_and(|options| options.contains_key(&option)) {
        return Ok(Some(option));
    }
    if ["layer", "mount", "dispatch"].contains(&option.as_str()) {
        let wrong = "layers and mounts are not given in the environment; write them into onion.toml";
        return Err(Refusal(format!("{variable}: {wrong}")));
    }
    let mut known: Vec<&str> = options.into_iter().flat_map(Map::keys).map(String::as_str).collect();
    known.push(APPLICATION);
    let nearest = reading::nearest(&option, &known).to_ascii_uppercase().replace("DID YOU MEAN ", PREFIX);
    let meant = if nearest.is_empty() { String::new() } else { format!("did you mean {nearest}") };
    let way_out = "unset it, or see onionskin serve --help for the options";
    Err(Refusal(format!("{variable}: there is no such option; {meant}{way_out}")))
}

const PREFIX: &str = "ONIONSKIN_";
