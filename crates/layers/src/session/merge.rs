//! A three-way merge of sessions, key by key: what two requests changed that began with the same session.

use std::collections::HashMap;

/// A merged session.
#[derive(Debug, PartialEq)]
pub(super) struct Merged {
    /// Its values, a JSON object.
    pub(super) values: String,
    /// The keys that both requests changed to different values, as they are written in JSON.
    pub(super) conflicts: Vec<String>,
}

/// Which change of a key stands if both requests changed it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Winner {
    Ours,
    Theirs,
}

/// Merges `ours` and `theirs`, which both come from `base`. All three are JSON objects as this house writes them:
/// without blanks, and equal values in equal bytes.
pub(super) fn merge(base: &str, ours: &str, theirs: &str, winner: Winner) -> Merged {
    let parsed = (members(base), members(ours), members(theirs));
    let (Some(base), Some(ours), Some(theirs)) = parsed else {
        // Nothing can be said of single keys.
        let values = if winner == Winner::Ours { ours } else { theirs };
        return Merged { values: values.to_owned(), conflicts: vec!["all".to_owned()] };
    };
    let (in_base, in_ours, in_theirs) = (index(&base), index(&ours), index(&theirs));
    let mut merged = Merged { values: "{".to_owned(), conflicts: Vec::new() };
    let new = ours.iter().filter(|(key, _)| !in_theirs.contains_key(key));
    let gone = base.iter().filter(|(key, _)| !in_theirs.contains_key(key) && !in_ours.contains_key(key));
    for (key, _) in theirs.iter().chain(new).chain(gone) {
        let [base, ours, theirs] = [&in_base, &in_ours, &in_theirs].map(|members| members.get(key));
        let value = match (ours != base, theirs != base) {
            (false, _) => theirs,
            (true, true) if ours != theirs => {
                merged.conflicts.push((*key).to_owned());
                if winner == Winner::Ours { ours } else { theirs }
            }
            (true, _) => ours,
        };
        if let Some(value) = value {
            let comma = if merged.values.len() > 1 { "," } else { "" };
            merged.values.extend([comma, key, ":", value]);
        }
    }
    merged.values.push('}');
    merged
}

fn index<'j>(members: &[(&'j str, &'j str)]) -> HashMap<&'j str, &'j str> {
    members.iter().copied().collect()
}

/// The members of a JSON object: each key and each value as they are written.
fn members(json: &str) -> Option<Vec<(&str, &str)>> {
    let mut rest = json.strip_prefix('{')?.strip_suffix('}')?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let key = &rest[..string_end(rest)?];
        let value = rest[key.len()..].strip_prefix(':')?;
        let end = value_end(value)?;
        members.push((key, &value[..end]));
        rest = match &value[end..] {
            "" => "",
            more => more.strip_prefix(',')?,
        };
    }
    Some(members)
}

/// Where the string ends that `text` begins with.
fn string_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.starts_with('"').then_some(())?;
    for (place, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(place + 1),
            _ => {}
        }
    }
    None
}

/// Where the value ends that `text` begins with: at a comma that is neither in a string nor in brackets, or at its end.
fn value_end(text: &str) -> Option<usize> {
    let (mut place, mut depth) = (0, 0_usize);
    while let Some(byte) = text.as_bytes().get(place) {
        match byte {
            b'"' => place += string_end(&text[place..])? - 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => break,
            _ => {}
        }
        place += 1;
    }
    (depth == 0 && place > 0).then_some(place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::Winner::{Ours, Theirs};
    use super::*;

    fn merged(base: &str, ours: &str, theirs: &str) -> (String, usize) {
        let Merged { values, conflicts } = merge(base, ours, theirs, Ours);
        (values, conflicts.len())
    }

    #[test]
    fn changes_of_different_keys_add_up() {
        let base = r#"{"a":1,"b":2,"c":3}"#;
        assert_eq!(
            merged(base, r#"{"a":9,"b":2,"d":4}"#, r#"{"a":1,"b":8,"c":3,"e":5}"#),
            (r#"{"a":9,"b":8,"e":5,"d":4}"#.to_owned(), 0)
        );
        assert_eq!(merged(base, base, "{}"), ("{}".to_owned(), 0));
        assert_eq!(merged(base, "{}", base), ("{}".to_owned(), 0));
        assert_eq!(merged("{}", r#"{"a":1}"#, r#"{"b":2}"#), (r#"{"b":2,"a":1}"#.to_owned(), 0));
    }

    #[test]
    fn equal_changes_are_not_a_conflict() {
        assert_eq!(merged(r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":2}"#), (r#"{"a":2}"#.to_owned(), 0));
        assert_eq!(merged(r#"{"a":1}"#, "{}", "{}"), ("{}".to_owned(), 0));
    }

    #[test]
    fn of_two_changes_of_one_key_the_winner_stands() {
        for (ours, theirs) in [(r#"{"a":2}"#, r#"{"a":3}"#), ("{}", r#"{"a":3}"#), (r#"{"a":2}"#, "{}")] {
            let base = r#"{"a":1}"#;
            let conflicts = vec![r#""a""#.to_owned()];
            let expected = Merged { values: ours.to_owned(), conflicts: conflicts.clone() };
            assert_eq!(merge(base, ours, theirs, Ours), expected);
            let expected = Merged { values: theirs.to_owned(), conflicts };
            assert_eq!(merge(base, ours, theirs, Theirs), expected);
        }
    }

    #[test]
    fn values_are_taken_over_as_they_are_written() {
        let ours = r#"{"\"}{,:":[NaN,{"x":"],\\"}],"\ud800":-Infinity}"#;
        let theirs = r#"{"n":123456789012345678901234567890,"e":{}}"#;
        let both = format!("{},{}", &theirs[..theirs.len() - 1], &ours[1..]);
        assert_eq!(merged("{}", ours, theirs), (both, 0));
    }

    #[test]
    fn what_is_not_an_object_is_taken_whole() {
        for json in ["", "{", "[]", r#"{"a"}"#, r#"{"a":1,,}"#, r#"{"a":]}"#, r#"{"a":"}"#, r#"{"a":}"#] {
            assert_eq!(members(json), None, "{json}");
            assert_eq!(merge(json, "{}", json, Theirs).values, json);
        }
    }

    proptest! {
        #[test]
        fn merging_agrees_with_a_merge_of_parsed_objects(
            all in prop::collection::vec(prop::collection::hash_map("[a-d\"\\\\,{}]", "[\"\\\\\\]},a]{0,3}", 0..4), 3)
        ) {
            let [base, ours, theirs] = [0, 1, 2].map(|at| {
                all[at].iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect::<Map<_, _>>()
            });
            let text = |map: &Map<String, Value>| serde_json::to_string(map).expect("JSON");
            let got = merge(&text(&base), &text(&ours), &text(&theirs), Ours).values;
            let got: Map<String, Value> = serde_json::from_str(&got).expect("JSON");
            let mut expected = theirs.clone();
            for key in ours.keys().chain(base.keys()) {
                if ours.get(key) != base.get(key) {
                    match ours.get(key) {
                        Some(value) => drop(expected.insert(key.clone(), value.clone())),
                        None => drop(expected.remove(key)),
                    }
                }
            }
            prop_assert_eq!(got, expected);
        }
    }
}
