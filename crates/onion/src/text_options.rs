//! Options that are given as text, on a command line or in an `.ini` file, become values by the declared schema.
//!
//! ```
//! use onion::text_options;
//!
//! #[derive(schemars::JsonSchema)]
//! struct Options {
//!     addresses: Vec<String>,
//!     status: u16,
//! }
//!
//! let (name, pairs) = text_options::split("guard:addresses=::1,10.0.0.0/8,status=404")?;
//! let options = text_options::from_text(&schemars::schema_for!(Options), pairs)?;
//!
//! assert_eq!(name, "guard");
//! assert_eq!(options["addresses"], serde_json::json!(["::1", "10.0.0.0/8"]));
//! assert_eq!(options["status"], 404);
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: text that does not fit the type of its option is refused, never guessed at; an option is given once.
//!
//! It does not judge names or ranges: an option that the schema does not know stays text, for whoever reads the
//! options refuses it with all of the others in view. A list's member can't hold a comma, nor a name in a table a dot: that
//! takes Python.

use schemars::{Schema, schema_for};
use serde_json::{Map, Value};

use crate::{Matching, OptionError, masking};

/// Options and their texts, in the order in which they were given.
pub type Pairs<'a> = Vec<(&'a str, &'a str)>;

/// The values of `pairs`: each one's text by the type that `schema` has for it.
///
/// A dotted name reaches into a table: `level.br`, `response.set.X-Frame-Options`. `match.path` and its like are parts
/// of the conditions that every layer takes.
pub fn from_text<'a>(
    schema: &Schema,
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Map<String, Value>, OptionError> {
    let condition = schema_for!(Matching);
    let mut options = Map::new();
    for (name, text) in pairs {
        let (tables, key) = name.rsplit_once('.').unwrap_or(("", name));
        let (mut root, mut part, mut place) = (schema, Some(schema.as_value()), &mut options);
        for table in tables.split_terminator('.') {
            (root, part) = match table {
                "match" | "unless" => (&condition, Some(condition.as_value())),
                _ => (root, part.and_then(|part| member(root, part, table))),
            };
            place = table_of(place, table, name)?;
        }
        let part = part.and_then(|part| member(root, part, key));
        let value = value(root, part, text).map_err(|error| {
            let shown = if masking::is_secret(name) { masking::MASK.into() } else { masking::text(&error.0) };
            OptionError(format!("{name}: {shown}"))
        })?;
        if place.insert(key.to_owned(), value).is_some() {
            return Err(OptionError(format!(
                "{name}: it is given twice; give it once, a list's members with commas"
            )));
        }
    }
    Ok(options)
}

/// Splits `NAME:OPTION=VALUE,OPTION=VALUE`, the form of the command line.
///
/// The first colon ends the name. A piece that does not begin with `OPTION=` goes on with the value before it,
/// so that lists and IPv6 addresses need no quoting.
pub fn split(text: &str) -> Result<(&str, Pairs<'_>), OptionError> {
    let (name, mut rest) = text.split_once(':').unwrap_or((text, ""));
    let name = name.trim();
    if name.is_empty() {
        let text = masking::text(text);
        let message = format!("{text:?} names no layer; write NAME or NAME:OPTION=VALUE,OPTION=VALUE");
        return Err(OptionError(message));
    }
    let mut pairs = Vec::new();
    while !rest.trim().is_empty() {
        let Some((option, value)) = option_at_start(rest) else {
            let rest = masking::text(rest);
            let message =
                format!("{name}: {rest:?} does not begin with an option; write {name}:OPTION=VALUE");
            return Err(OptionError(message));
        };
        let commas = value.match_indices(',').map(|(comma, _)| comma);
        let end = commas.into_iter().find(|comma| option_at_start(&value[comma + 1..]).is_some());
        let end = end.unwrap_or(value.len());
        pairs.push((option, value[..end].trim()));
        rest = value.get(end + 1..).unwrap_or("");
    }
    Ok((name, pairs))
}

/// The option that `text` begins with, and what follows its equals sign.
fn option_at_start(text: &str) -> Option<(&str, &str)> {
    let (option, value) = text.split_once('=')?;
    let option = option.trim();
    let is_word = |word: &str, others: &str| {
        !word.is_empty()
            && word.chars().all(|letter| letter.is_ascii_alphanumeric() || others.contains(letter))
    };
    // Hyphens are for the names of headers, digits in front for statuses, below a dot: `max-age=60` goes on with the
    // value before it.
    let mut words = option.split('.');
    let is_name =
        |first: &str| is_word(first, "_") && !first.starts_with(|letter: char| letter.is_ascii_digit());
    let is_option = words.next().is_some_and(is_name) && words.all(|word| is_word(word, "_-"));
    is_option.then_some((option, value))
}

/// The table called `table` among `options`, made if there is none; `name` is the part of it that is given.
fn table_of<'a>(
    options: &'a mut Map<String, Value>,
    table: &str,
    name: &str,
) -> Result<&'a mut Map<String, Value>, OptionError> {
    let made = options.entry(table).or_insert_with(|| Map::new().into());
    made.as_object_mut().ok_or_else(|| {
        OptionError(format!("{table}: it is given whole and in parts; give parts only, such as {name}=VALUE"))
    })
}

/// The part of `schema` that is about its member `name`: one that it lists, or any where it takes all.
fn member<'a>(root: &'a Schema, schema: &'a Value, name: &str) -> Option<&'a Value> {
    let schema = resolved(root, schema);
    let listed = schema.get("properties").and_then(|properties| properties.get(name));
    listed.or_else(|| schema.get("additionalProperties").filter(|any| any.is_object()))
}

/// `text` as a value of the type that `schema`, a part of `root`, asks for.
fn value(root: &Schema, schema: Option<&Value>, text: &str) -> Result<Value, OptionError> {
    let schema = schema.map(|schema| resolved(root, schema));
    let trimmed = text.trim();
    let fitting = match schema.map_or("", kind) {
        "array" => {
            let items = schema.and_then(|schema| schema.get("items"));
            let members = text.split([',', '\n']).map(str::trim).filter(|member| !member.is_empty());
            return members.map(|member| value(root, items, member)).collect();
        }
        "boolean" => (boolean(trimmed).map(Value::from), "true or false"),
        "integer" => (trimmed.parse::<i64>().ok().map(Value::from), "a whole number"),
        "number" => {
            let number = trimmed.parse::<f64>().ok().filter(|number| number.is_finite());
            (number.map(Value::from), "a number")
        }
        "object" => match schema.and_then(|schema| schema.get("additionalProperties")) {
            Some(members) if members.is_object() => return table(root, members, text),
            _ => (None, "its parts by dotted names, or a table in Python"),
        },
        _ => (Some(text.into()), "a text"),
    };
    let (value, wanted) = fitting;
    value.ok_or_else(|| OptionError(format!("{text:?} does not fit; give {wanted}")))
}

/// `KEY=VALUE,KEY=VALUE`, for a table whose keys are not names that a dot can lead to (`/blog=blog:app`).
fn table(root: &Schema, members: &Value, text: &str) -> Result<Value, OptionError> {
    let mut table = Map::new();
    for member in text.split([',', '\n']).map(str::trim).filter(|member| !member.is_empty()) {
        let (key, text) = member
            .split_once('=')
            .ok_or_else(|| OptionError(format!("{member:?} has no value; write KEY=VALUE,KEY=VALUE")))?;
        let value = value(root, Some(members), text.trim())?;
        if table.insert(key.trim().to_owned(), value).is_some() {
            return Err(OptionError(format!("{key:?} is given twice; give it once")));
        }
    }
    Ok(table.into())
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `schema` without detours: what it refers to, and what may be there if it may also be null.
fn resolved<'a>(root: &'a Schema, schema: &'a Value) -> &'a Value {
    let referred = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    if let Some(target) = referred.and_then(|pointer| root.as_value().pointer(pointer)) {
        return target;
    }
    let choices = schema.get("anyOf").and_then(Value::as_array);
    match choices.and_then(|choices| choices.iter().find(|choice| kind(choice) != "null")) {
        Some(choice) => resolved(root, choice),
        None => schema,
    }
}

/// The type of a schema, apart from null.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default()
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemars::JsonSchema;
    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Options {
        addresses: Vec<String>,
        ports: Vec<u16>,
        status: u16,
        quiet: bool,
        share: f64,
        header: Option<String>,
        kind: Option<Kind>,
        when: Matching,
        shares: std::collections::BTreeMap<String, u16>,
        table: Table,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    struct Table {
        limit: Option<u16>,
        headers: BTreeMap<String, String>,
        counts: Option<BTreeMap<String, Vec<u16>>>,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "only its schema is used")]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Short,
        Long,
    }

    fn read(pairs: &[(&str, &str)]) -> Value {
        from_text(&schema_for!(Options), pairs.iter().copied()).expect("options").into()
    }

    fn refusal(pairs: &[(&str, &str)]) -> String {
        from_text(&schema_for!(Options), pairs.iter().copied()).expect_err("a refusal").to_string()
    }

    #[test]
    fn each_text_becomes_a_value_of_its_options_type() {
        let read =
            read(&[("status", "404"), ("quiet", "Yes"), ("share", "0.5"), ("header", "1"), ("kind", "long")]);

        assert_eq!(read, json!({"status": 404, "quiet": true, "share": 0.5, "header": "1", "kind": "long"}));
    }

    #[test]
    fn a_list_is_split_at_commas_and_lines() {
        assert_eq!(read(&[("addresses", "::1, 10.0.0.0/8,")])["addresses"], json!(["::1", "10.0.0.0/8"]));
        assert_eq!(read(&[("addresses", "\n  ::1\n  ::2")])["addresses"], json!(["::1", "::2"]));
        assert_eq!(read(&[("ports", "80,81")])["ports"], json!([80, 81]));
        assert_eq!(read(&[("ports", "")])["ports"], json!([]));
    }

    #[test]
    fn dotted_names_build_the_conditions() {
        let read = read(&[("match.path", "/api/*,/x"), ("match.method", "POST"), ("unless.address", "::1")]);

        let expected =
            json!({"match": {"path": ["/api/*", "/x"], "method": ["POST"]}, "unless": {"address": ["::1"]}});
        assert_eq!(read, expected);
    }

    #[test]
    fn dotted_names_reach_into_tables() {
        let read = read(&[
            ("table.limit", "5"),
            ("table.headers.X-Limit", "5"),
            ("table.headers.Vary", "a, b"),
            ("table.counts.a", "1,2"),
        ]);

        let headers = json!({"X-Limit": "5", "Vary": "a, b"});
        assert_eq!(read, json!({"table": {"limit": 5, "headers": headers, "counts": {"a": [1, 2]}}}));
    }

    #[test]
    fn a_name_with_a_hyphen_is_an_option_only_below_a_dot() {
        let (_, pairs) = split("a:set.Cache-Control=public, max-age=60,set.X-A=b").expect("a layer");

        assert_eq!(pairs, [("set.Cache-Control", "public, max-age=60"), ("set.X-A", "b")]);
        let (_, pairs) = split("a:pages.404=a.html,pages.5xx=b.html").expect("a layer");
        assert_eq!(pairs, [("pages.404", "a.html"), ("pages.5xx", "b.html")]);
    }

    #[test]
    fn a_table_of_any_keys_may_be_given_whole() {
        assert_eq!(read(&[("shares", "/a=1, //b.org=2")])["shares"], json!({"/a": 1, "//b.org": 2}));
        assert!(refusal(&[("shares", "/a")]).contains("\"/a\" has no value; write KEY=VALUE"));
        assert!(refusal(&[("shares", "/a=1,/a=2")]).contains("\"/a\" is given twice"));
    }

    #[test]
    fn an_option_that_is_not_known_stays_text() {
        assert_eq!(read(&[("colour", "1")]), json!({"colour": "1"}));
        assert_eq!(read(&[("colour.red", "1")]), json!({"colour": {"red": "1"}}));
    }

    #[test]
    fn text_that_does_not_fit_is_refused_by_name() {
        assert_eq!(refusal(&[("status", "high")]), r#"status: "high" does not fit; give a whole number"#);
        assert_eq!(refusal(&[("quiet", "maybe")]), r#"quiet: "maybe" does not fit; give true or false"#);
        assert_eq!(refusal(&[("share", "nan")]), r#"share: "nan" does not fit; give a number"#);
        assert_eq!(refusal(&[("ports", "80,x")]), r#"ports: "x" does not fit; give a whole number"#);
        assert!(
            refusal(&[("when", "x")]).ends_with("; give its parts by dotted names, or a table in Python")
        );
    }

    #[test]
    fn an_option_is_given_once() {
        assert!(refusal(&[("status", "403"), ("status", "404")]).starts_with("status: it is given twice; "));
        assert!(
            refusal(&[("match", "/x"), ("match.path", "/y")])
                .starts_with("match: it is given whole and in parts")
        );
        assert!(refusal(&[("match.path", "/y"), ("match", "/x")]).starts_with("match: it is given twice"));
    }

    #[test]
    fn the_first_colon_ends_the_name_and_commas_part_the_options() {
        let (name, pairs) = split("request_id:header=x-id,trust_inbound=true").expect("a layer");

        assert_eq!((name, pairs), ("request_id", vec![("header", "x-id"), ("trust_inbound", "true")]));
    }

    #[test]
    fn a_piece_without_an_option_goes_on_with_the_list() {
        let (_, pairs) =
            split("a:addresses=127.0.0.1,::1,fe80::/10, unless.method=GET,POST").expect("a layer");

        assert_eq!(pairs, [("addresses", "127.0.0.1,::1,fe80::/10"), ("unless.method", "GET,POST")]);
    }

    #[test]
    fn a_value_may_hold_colons_and_equals_signs() {
        assert_eq!(split("a:header=X: a=b").expect("a layer").1, [("header", "X: a=b")]);
    }

    #[test]
    fn a_name_may_stand_alone() {
        assert_eq!(split("request_id").expect("a layer"), ("request_id", vec![]));
        assert_eq!(split("request_id:").expect("a layer"), ("request_id", vec![]));
    }

    #[test]
    fn what_does_not_name_a_layer_or_an_option_is_refused_with_the_way_out() {
        assert_eq!(
            split(":a=1").expect_err("no name").0,
            r#"":a=1" names no layer; write NAME or NAME:OPTION=VALUE,OPTION=VALUE"#
        );
        assert_eq!(
            split("a:10.0.0.1").expect_err("no option").0,
            r#"a: "10.0.0.1" does not begin with an option; write a:OPTION=VALUE"#
        );
    }
}
