//! The JSON schema of `onion.toml`, for editors: made of the declarations of the server and of every layer.

use onion::Declaration;
use schemars::{JsonSchema, schema_for};
use serde_json::{Map, Value, json};
use server::Config;

use crate::{application, described::Written};

/// The schema of the file.
pub fn schema() -> Value {
    let mut properties = properties_of::<Config>();
    let layers: Vec<Value> = layers::LAYERS.iter().map(layer).collect();
    let layer = json!({"oneOf": layers});
    let mut mount = properties_of::<Written>();
    mount.insert("layer".to_owned(), list("The layers around this application, the outermost first."));
    let mut dispatch = layers::declaration("mount").map_or_else(|_| Map::new(), options_of);
    for name in ["routes", "threads", "names", "default"] {
        dispatch.remove(name);
    }
    let application = "The application: pkg.module:app, pkg.module, path/file.py:app, or pkg:create_app().";
    let mut named = properties_of::<application::Written>();
    if let Some(variables) = named.get_mut("environment").and_then(Value::as_object_mut) {
        variables.remove("default");
    }
    let named = json!({
        "type": "object",
        "properties": named,
        "required": ["target"],
        "additionalProperties": false,
    });
    let tables = json!({
        "description": "Applications with names, for mounts to use.",
        "type": "object",
        "additionalProperties": named,
    });
    let either = json!({"anyOf": [{"type": "string", "description": application}, tables]});
    properties.insert("application".to_owned(), either);
    properties.insert("layer".to_owned(), list("The layers around everything, the outermost first."));
    properties.insert(
        "mount".to_owned(),
        json!({
            "description": "Applications beside the one above, each for some of the requests.",
            "type": "array",
            "items": {"type": "object", "properties": mount, "additionalProperties": false},
        }),
    );
    properties.insert(
        "dispatch".to_owned(),
        json!({
            "description": "How requests are given to the mounts: further options of the layer mount.",
            "type": "object",
            "properties": dispatch,
            "additionalProperties": false,
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "onion.toml",
        "description": "The configuration of onionskin.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": {"layer": layer},
    })
}

fn list(description: &str) -> Value {
    json!({"description": description, "type": "array", "items": {"$ref": "#/$defs/layer"}})
}

/// One layer's table.
fn layer(declaration: &Declaration) -> Value {
    let mut properties = options_of(declaration);
    properties
        .insert("use".to_owned(), json!({"const": declaration.name, "description": declaration.summary}));
    let mut required = vec![Value::from("use")];
    if let Some(Value::Array(others)) = (declaration.schema)().get("required") {
        required.extend(others.iter().cloned());
    }
    json!({
        "title": declaration.class,
        "description": declaration.summary,
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The options of a layer, and those that every layer takes.
fn options_of(declaration: &Declaration) -> Map<String, Value> {
    let mut properties = properties(&(declaration.schema)().to_value());
    let condition = plain(&layers::matching_schema().to_value());
    for (name, there) in [("match", "only there"), ("unless", "not there")] {
        let mut condition = condition.clone();
        for part in condition["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            let description = part["description"].clone();
            *part = json!({"anyOf": [part.clone(), {"type": "string"}], "description": description});
        }
        condition["description"] = format!("The layer is {there} for requests that satisfy this.").into();
        properties.insert(name.to_owned(), condition);
    }
    properties
}

fn properties_of<T: JsonSchema>() -> Map<String, Value> {
    let mut properties = properties(&schema_for!(T).to_value());
    for option in properties.values_mut() {
        // A list of texts may be written as one text, with commas.
        if option["type"] == "array" {
            let written = json!([option.clone(), {"type": "string"}]);
            let description = option["description"].clone();
            *option = json!({"anyOf": written, "description": description, "default": option["default"]});
        }
    }
    properties
}

fn properties(schema: &Value) -> Map<String, Value> {
    let schema = plain(schema);
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// A schema with what it refers to put in its place, and without what only the house reads.
fn plain(schema: &Value) -> Value {
    resolved(schema, schema.get("$defs").unwrap_or(&Value::Null))
}

fn resolved(schema: &Value, definitions: &Value) -> Value {
    match schema {
        Value::Array(members) => members.iter().map(|member| resolved(member, definitions)).collect(),
        Value::Object(members) => {
            let name = members.get("$ref").and_then(Value::as_str).and_then(|name| name.rsplit('/').next());
            let mut whole = match name.and_then(|name| definitions.get(name)) {
                Some(Value::Object(referred)) => referred.clone(),
                _ => Map::new(),
            };
            let own = members.iter().filter(|(key, _)| !["$ref", "$defs", "$schema"].contains(&key.as_str()));
            whole.extend(own.map(|(key, value)| (key.clone(), value.clone())));
            if name.is_some_and(|name| MEASURES.contains(&name)) {
                whole.insert("type".to_owned(), json!(["string", "number"]));
            }
            if whole.contains_key("x-one-or-many") {
                whole.insert("type".to_owned(), json!(["array", "string"]));
            }
            let kept = whole.iter().filter(|(key, _)| !key.starts_with("x-"));
            Value::Object(kept.map(|(key, value)| (key.clone(), resolved(value, definitions))).collect())
        }
        other => other.clone(),
    }
}

/// Types that may be written as bare numbers too: of seconds, of bytes, of processes, of connections.
const MEASURES: [&str; 6] = ["Span", "SpanOrOff", "Size", "Workers", "Connections", "AddressLimit"];
