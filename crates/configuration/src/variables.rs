//! Expands `${NAME}` in the strings of `onion.toml` from the environment.
//!
//! Promises: an unset variable is an error, never an empty string; `$${` is a literal `${`; a value is not expanded a
//! second time; an error names the variable, never its value.

use std::collections::BTreeMap;

/// The environment of the process, as far as it is text.
pub(crate) type Variables = BTreeMap<String, String>;

/// `text` with the values of its variables.
///
/// `${NAME:-VALUE}` is `VALUE` if the variable is unset or empty, as in a shell. `$NAME` is literal.
pub(crate) fn expand(text: &str, variables: &Variables) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        expanded.push_str(&rest[..at]);
        let Some(end) = rest[at..].find('}') else {
            return Err(format!("\"{}\" has no closing brace; {LITERAL}", first_word(&rest[at..])));
        };
        let inside = &rest[at + 2..at + end];
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, it)| (name, Some(it)));
        if !is_name(name) {
            return Err(format!(
                "\"${{{name}}}\" is not a valid variable reference; expected ${{NAME}}; {LITERAL}"
            ));
        }
        let value =
            variables.get(name).map(String::as_str).filter(|value| default.is_none() || !value.is_empty());
        let Some(value) = value.or(default) else {
            return Err(format!(
                "environment variable {name} is not set; set it, or use ${{{name}:-DEFAULT}}; {LITERAL}"
            ));
        };
        expanded.push_str(value);
        rest = &rest[at + end + 1..];
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// The string of a file that expands to `text`.
pub(crate) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|letter: char| letter.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The beginning of an unclosed reference. What follows may be a secret.
fn first_word(text: &str) -> &str {
    let end = text[2..].find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    end.map_or(text, |end| &text[..end + 2])
}

const LITERAL: &str = "$${ is a literal ${";

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [("NAME", "value"), ("EMPTY", ""), ("NESTED", "${NAME}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn variables_are_expanded_once() {
        for (text, expanded) in [
            ("", ""),
            ("${NAME}", "value"),
            ("a${NAME}b${NAME}", "avaluebvalue"),
            ("redis://:${NAME}@host", "redis://:value@host"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}${UNSET:-y}${NAME:-z}${UNSET:-}", "xyvalue"),
            ("${NESTED}", "${NAME}"),
            ("^/x$ $NAME {status} $$ $", "^/x$ $NAME {status} $$ $"),
            ("$${NAME}", "${NAME}"),
            ("$$${NAME}", "$${NAME}"),
            ("é$${é${NAME}é", "é${évalueé"),
        ] {
            assert_eq!(expand(text, &variables()).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn what_is_escaped_expands_to_itself() {
        for text in ["${NAME}", "$${NAME}", "$$${", "$", "a${b"] {
            assert_eq!(expand(&escape(text), &variables()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn unset_variables_and_broken_references_are_errors() {
        for (text, told) in [
            ("${UNSET}", "environment variable UNSET is not set; "),
            ("${}", "\"${}\" is not a valid variable reference"),
            ("${A B}", "\"${A B}\" is not a valid variable reference"),
            ("${1}", "\"${1}\" is not a valid variable reference"),
            ("${NAME secret", "\"${NAME\" has no closing brace"),
        ] {
            let wrong = expand(text, &variables()).expect_err("it is wrong");
            assert!(wrong.starts_with(told), "{wrong}");
        }
    }
}
