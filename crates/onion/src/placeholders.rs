//! Rejects a secret that is a placeholder which nothing has expanded, such as `${SESSION_SECRET}`.
//!
//! A published placeholder would be accepted as a long random secret, and everyone would know it.
//!
//! It looks at the values of secret names and at passwords in URLs ([`masking`](crate::masking)) and at nothing else:
//! `${NAME}` may be meant literally anywhere else.

use serde_json::Value;

use crate::{OptionError, masking};

/// Refuses placeholders among the secrets of an option and of what is inside it.
pub fn check(name: &str, value: &Value) -> Result<(), OptionError> {
    match value {
        Value::String(text) => match find(name, text) {
            Some(placeholder) => Err(OptionError(format!(
                "{name}: {placeholder:?} is an unexpanded placeholder, not a secret; only onion.toml expands \
                 ${{NAME}}, from the environment"
            ))),
            None => Ok(()),
        },
        Value::Array(members) => members.iter().try_for_each(|member| check(name, member)),
        Value::Object(members) => {
            members.iter().try_for_each(|(inner, member)| check(&format!("{name}.{inner}"), member))
        }
        _ => Ok(()),
    }
}

/// The placeholder in the place of a secret, if `name` is the name of one or `text` is a URL with a password.
pub fn find<'a>(name: &str, text: &'a str) -> Option<&'a str> {
    if masking::is_secret(name) {
        return of(text.trim());
    }
    masking::passwords(text).find_map(of)
}

fn of(secret: &str) -> Option<&str> {
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && name.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
    };
    // A reference anywhere: "Bearer ${TOKEN}".
    if let Some(at) = secret.find("${") {
        let end = secret[at..].find('}').map_or(secret.len(), |end| at + end + 1);
        let inside = secret[at + 2..end].trim_end_matches('}');
        if is_name(inside.split(':').next().unwrap_or_default()) {
            return Some(&secret[at..end]);
        }
    }
    let within = |start: &str, end: &str| {
        secret.strip_prefix(start).and_then(|rest| rest.strip_suffix(end)).filter(|inside| !inside.is_empty())
    };
    let is_shouted = |name: &str| is_name(name) && !name.bytes().any(|byte| byte.is_ascii_lowercase());
    let is_whole = within("$", "").is_some_and(is_shouted)
        || within("%", "%").is_some_and(is_name)
        || within("%(", ")s").is_some_and(is_name)
        || within("$(", ")").is_some()
        || within("{{", "}}").is_some()
        || within("{$", "}").is_some_and(is_name)
        || within("<", ">").is_some();
    is_whole.then_some(secret)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn placeholders_are_found_in_secrets() {
        for (name, text, found) in [
            ("secret", "${SESSION_SECRET_OF_THE_WHOLE_SITE}", "${SESSION_SECRET_OF_THE_WHOLE_SITE}"),
            ("Authorization", "Bearer ${TOKEN:-none}", "${TOKEN:-none}"),
            ("secret", "$SESSION_SECRET", "$SESSION_SECRET"),
            ("secret", "%SESSION_SECRET%", "%SESSION_SECRET%"),
            ("secret", "{{ session_secret }}", "{{ session_secret }}"),
            ("secret", "<your secret here, 32 characters>", "<your secret here, 32 characters>"),
            ("store", "redis://:${PASSWORD}@host", "${PASSWORD}"),
        ] {
            assert_eq!(find(name, text), Some(found));
        }
    }

    #[test]
    fn secrets_that_look_like_nothing_are_accepted() {
        for (name, text) in [
            ("secret", "kP2vN8xQ$mT7wR1z{cB9hF3jD6gS0yA}"),
            ("secret", "$2b$12$kP2vN8xQ4mT7wR1zL5cB9h"),
            ("secret", "%kP2vN8xQ4mT7wR1zL5%cB9h"),
            ("name", "${NAME}"),
            ("store", "redis://host/${NAME}"),
        ] {
            assert_eq!(find(name, text), None, "{text}");
        }
    }

    #[test]
    fn the_option_is_named_by_its_path() {
        let wrong = check("request", &json!({"set": {"X-Api-Key": "${KEY}"}})).expect_err("a placeholder").0;

        assert!(
            wrong.starts_with("request.set.X-Api-Key: \"${KEY}\" is an unexpanded placeholder"),
            "{wrong}"
        );
    }
}
