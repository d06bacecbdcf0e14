//! Reads declared options, and says what, which and what to do where they are wrong.
//!
//! All of it comes from the declared schema: what options there are, which must be given, what would have fit.

use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use crate::{OptionError, foreign, masking};

/// Refuses options that `schema` does not know, apart from `common` ones, and finds those that are missing.
pub fn check_names<const N: usize>(
    schema: &Schema,
    given: &Map<String, Value>,
    common: [&str; N],
) -> Result<(), OptionError> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let known: Vec<&str> =
        properties.into_iter().flat_map(Map::keys).map(String::as_str).chain(common).collect();
    if let Some(unknown) = given.keys().find(|name| !known.contains(&name.as_str())) {
        let way_out = match suggestion(unknown, &known) {
            Some(near) => format!("did you mean {near}?"),
            None if known.len() > MOST_LISTED => "onionskin serve --help lists the options".to_owned(),
            None => format!("the options are {}", known.join(", ")),
        };
        return Err(OptionError(format!("there is no option {unknown:?}; {way_out}")));
    }
    let required =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    for name in required {
        if !given.contains_key(name) {
            let wanted = wanted(properties.and_then(|properties| properties.get(name)));
            return Err(OptionError(format!("{name} is missing; give {wanted}")));
        }
    }
    Ok(())
}

/// Reads `O` out of options whose names have been checked.
pub fn read<O: DeserializeOwned + JsonSchema>(given: Map<String, Value>) -> Result<O, OptionError> {
    let given = Value::Object(given);
    serde_path_to_error::deserialize(&given).map_err(|error| {
        let path = error.path();
        let message = error.inner().to_string();
        // A refusal of the house says what to do behind its semicolon; serde knows only types.
        if message.contains("; ") {
            return OptionError(masking::text(&format!("{path}: {message}")).into_owned());
        }
        let root = schema_for!(O);
        let (value, schema) = follow(path, &given, root.as_value());
        let schema = schema
            .and_then(|schema| {
                let referred = schema.get("$ref").and_then(Value::as_str)?;
                root.as_value().pointer(referred.strip_prefix('#')?)
            })
            .or(schema);
        let name = path.to_string();
        let value = masking::value(name.split('[').next().unwrap_or_default(), value);
        OptionError(format!("{path}: {value} does not fit; give {}", wanted(schema)))
    })
}

/// All that is wrong with the options `given`: one that `read` rejects is left out, and the rest is read again.
pub fn problems<T>(
    mut given: Map<String, Value>,
    read: impl Fn(Map<String, Value>) -> Result<T, OptionError>,
) -> Vec<OptionError> {
    let mut problems = Vec::new();
    while let Err(wrong) = read(given.clone()) {
        let Some(key) = given.keys().find(|key| is_about(&wrong, key)).cloned() else {
            // How options go together, or that one is missing: it may be so because another was left out.
            if problems.is_empty() {
                problems.push(wrong);
            }
            break;
        };
        given.remove(&key);
        problems.push(wrong);
    }
    problems
}

/// Whether an error is about this option: it begins with its name, or says that there is none of this name.
pub fn is_about(wrong: &OptionError, key: &str) -> bool {
    let named = wrong.0.strip_prefix("there is no option ").and_then(|rest| rest.strip_prefix('"'));
    let rest = named.unwrap_or(&wrong.0).strip_prefix(key);
    rest.is_some_and(|rest| rest.starts_with([':', '[', '.', '"', ' ']))
}

/// `did you mean X? `, if one of `known` is near to `name`; otherwise nothing.
pub fn nearest(name: &str, known: &[&str]) -> String {
    suggestion(name, known).map_or_else(String::new, |best| format!("did you mean {best}? "))
}

/// The one of `known` that was probably meant by `name`: a near spelling, or the name of another server's option.
pub fn suggestion<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if let Some(ours) = foreign::ours(name).and_then(|ours| known.iter().find(|known| **known == ours)) {
        return Some(ours);
    }
    let near =
        |candidate: &&&str| candidate.contains(name) || distance(name, candidate) <= 1 + name.len() / 4;
    let best = known.iter().filter(near).min_by_key(|candidate| distance(name, candidate));
    best.filter(|_| !name.is_empty()).copied()
}

/// The value that `path` leads to, and its part of the schema.
fn follow<'a>(path: &Path, mut value: &'a Value, schema: &'a Value) -> (&'a Value, Option<&'a Value>) {
    let mut schema = Some(schema);
    for segment in path {
        let (inner, part) = match segment {
            Segment::Map { key } => (value.get(key), schema.and_then(|schema| member(schema, key))),
            Segment::Seq { index } => (value.get(index), schema.and_then(|it| it.get("items"))),
            Segment::Enum { .. } | Segment::Unknown => (None, None),
        };
        value = inner.unwrap_or(value);
        schema = part;
    }
    (value, schema)
}

/// The part of `schema` that is about its member `key`: one that it lists, or any where it takes all.
fn member<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let choices = schema.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    let mut schemas = choices.chain([schema]);
    schemas.find_map(|schema| {
        let listed = schema.get("properties").and_then(|properties| properties.get(key));
        listed.or_else(|| schema.get("additionalProperties").filter(|any| any.is_object()))
    })
}

/// What would have fit, in words.
fn wanted(schema: Option<&Value>) -> String {
    let Some(schema) = schema else { return "another value".to_owned() };
    let part = |name: &str| schema.get(name);
    if let Some(Value::Array(allowed)) = part("enum") {
        return allowed.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
    }
    if let Some(Value::Array(choices)) = part("oneOf") {
        let allowed = choices.iter().filter_map(|choice| choice.get("const"));
        return allowed.map(Value::to_string).collect::<Vec<_>>().join(" or ");
    }
    if let Some(Value::Array(choices)) = part("anyOf") {
        return choices.iter().map(|choice| wanted(Some(choice))).collect::<Vec<_>>().join(" or ");
    }
    let kind = match (part("type").and_then(Value::as_str), part("minimum"), part("maximum")) {
        (Some("integer"), Some(least), Some(most)) => format!("an integer from {least} to {most}"),
        (Some("integer"), Some(least), None) => format!("an integer from {least} on"),
        (Some("integer"), ..) => "an integer".to_owned(),
        (Some("number"), Some(least), Some(most)) => format!("a number from {least} to {most}"),
        (Some("number"), ..) => "a number".to_owned(),
        (Some("boolean"), ..) => "true or false".to_owned(),
        (Some("array"), ..) => "a list".to_owned(),
        (Some("string"), ..) => "a text".to_owned(),
        _ => "another value".to_owned(),
    };
    match part("examples").and_then(|examples| examples.get(0)) {
        Some(example) => format!("{kind}, such as {example}"),
        None => kind,
    }
}

/// Longer lists of options hide the message.
const MOST_LISTED: usize = 24;

/// How many letters have to be put in, taken out or changed to make `from` into `to`.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, from) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (left, to) in to.bytes().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[left + 1];
            row[left + 1] = changed.min(row[left] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
