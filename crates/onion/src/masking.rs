//! Masks passwords and other secrets in text that a person will read: errors, log lines, `config`, `explain`.
//!
//! ```
//! use onion::masking;
//!
//! assert_eq!(masking::text("redis://user:pa55@host/0"), "redis://user:***@host/0");
//! assert_eq!(masking::text("secret=abc, status=404"), "secret=***, status=404");
//! assert_eq!(masking::named("X-Api-Key", "abc"), "***");
//! assert_eq!(masking::named("X-Forwarded-Host", "abc"), "abc");
//! ```
//!
//! Promises: text without a secret is returned unchanged and not copied; a path of a file that holds a secret
//! (`secret_file`, `tls_key`) is not a secret.
//!
//! It is for messages at start-up and for printed configuration, never for the path of a request.

use std::borrow::Cow;

use serde_json::Value;

/// Replaces a secret.
pub const MASK: &str = "***";

/// `value` as a person may see it: masked completely if `name` is the name of a secret, else as [`text`].
pub fn named<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if is_secret(name) { Cow::Borrowed(MASK) } else { text(value) }
}

/// An option's value as a person may see it. Strings inside lists and tables are masked by the nearest name.
pub fn value(name: &str, given: &Value) -> Value {
    match given {
        Value::String(given) => Value::String(named(name, given).into_owned()),
        Value::Array(members) => members.iter().map(|member| value(name, member)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(name, member)| (name.clone(), value(name, member))).collect())
        }
        Value::Number(_) if is_secret(name) && !is_count(name) => Value::String(MASK.to_owned()),
        other => other.clone(),
    }
}

/// Returns whether the value of an option, header field or environment variable of this name is a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.rsplit('.').next().unwrap_or(name).to_ascii_lowercase();
    let words: Vec<&str> = name.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
    let last = words.last().copied().unwrap_or_default();
    if PATHS.contains(&last) || NOT_SECRET.contains(&name.replace('-', "_").as_str()) {
        return false;
    }
    words.iter().any(|word| SECRET_WORDS.contains(word))
        || SECRET_PARTS.iter().any(|part| name.contains(part))
        || (words.len() > 1 && KEYS.contains(&last))
        || (words.len() > 1 && words.contains(&"auth"))
        || SECRET_HEADERS.contains(&name.as_str())
}

/// `text` without its secrets: passwords in URLs (`scheme://user:password@host`, also without a scheme), values of
/// secret names (`token=abc`), credentials (`Bearer abc`).
pub fn text(text: &str) -> Cow<'_, str> {
    let mut masked = String::new();
    let mut kept = 0;
    for (start, end) in secrets(text) {
        // Spans may overlap: `password=a:b@c`.
        if end > kept {
            masked.push_str(&text[kept..start.max(kept)]);
            masked.push_str(MASK);
            kept = end;
        }
    }
    if kept == 0 {
        return Cow::Borrowed(text);
    }
    masked.push_str(&text[kept..]);
    Cow::Owned(masked)
}

/// The passwords of the URLs in `text`.
pub fn passwords(text: &str) -> impl Iterator<Item = &str> {
    // A placeholder may hold what otherwise ends a URL.
    text.split(char::is_whitespace).filter_map(|word| password(word).map(|(start, end)| &word[start..end]))
}

/// The byte ranges of the secrets in `text`, in order.
fn secrets(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut start = 0;
    for piece in text.split_inclusive(is_separator) {
        let word = piece.trim_end_matches(is_separator);
        found.extend(password(word).map(|(from, to)| (start + from, start + to)));
        found.extend(assigned(word, &text[start..]).map(|(from, to)| (start + from, start + to)));
        start += piece.len();
    }
    found.extend(credentials(text));
    found.sort_unstable();
    found
}

/// What ends a URL or a value in running text.
fn is_separator(letter: char) -> bool {
    letter.is_whitespace()
        || matches!(letter, ',' | ';' | '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '|' | '&')
}

/// The password in a URL.
fn password(word: &str) -> Option<(usize, usize)> {
    let begin = word.find("://").map_or(0, |scheme| scheme + 3);
    let has_scheme = begin > 0;
    let rest = &word[begin..];
    let colon = rest.find(':')?;
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    if colon > authority {
        return None;
    }
    let mut at = rest[..authority].rfind('@');
    // A password with a raw slash makes a URL invalid, and is a password all the same; what looks like a port is not.
    if at.is_none() && has_scheme && !rest[colon + 1..authority].bytes().all(|byte| byte.is_ascii_digit()) {
        at = rest.rfind('@');
    }
    let at = at.filter(|at| *at > colon + 1)?;
    Some((begin + colon + 1, begin + at))
}

/// The value in `word` that belongs to a secret name before its equals sign; `rest` begins with `word`.
fn assigned(word: &str, rest: &str) -> Option<(usize, usize)> {
    let equals = word.find('=').filter(|equals| {
        let name = word[..*equals].rsplit(['?', ':', '{', '[']).next().unwrap_or_default();
        !name.is_empty() && is_secret(name.trim_start_matches('-'))
    });
    let Some(equals) = equals else {
        // The parameters of a query that follow are words of their own, as `&` ends a word.
        return None;
    };
    let begin = equals + 1;
    if begin < word.len() {
        return Some((begin, word.len()));
    }
    // A quoted value: NAME="VALUE".
    let quote = rest[begin..].chars().next().filter(|letter| matches!(letter, '"' | '\''))?;
    let length = rest[begin + 1..].find(quote)?;
    (length > 0).then_some((begin + 1, begin + 1 + length))
}

/// The credentials behind the name of an authentication scheme (RFC 9110 section 11.4).
fn credentials(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for scheme in ["Bearer ", "Basic "] {
        for (at, _) in text.match_indices(scheme) {
            let begin = at + scheme.len();
            let rest = &text[begin..];
            let length = rest.find(is_separator).unwrap_or(rest.len());
            // Shorter words are prose: "Basic authentication" has no digit or padding.
            let is_token =
                rest[..length].len() >= 8 && rest[..length].bytes().any(|byte| !byte.is_ascii_lowercase());
            if is_token {
                found.push((begin, begin + length));
            }
        }
    }
    found
}

/// Numbers with such names count or limit: `max_tokens`.
fn is_count(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["max", "min", "count", "size", "length", "timeout", "age"].iter().any(|part| name.contains(part))
}

/// Words that make a name that of a secret.
const SECRET_WORDS: &[&str] =
    &["secret", "secrets", "pass", "pwd", "token", "tokens", "credential", "credentials", "dsn"];

/// The same, wherever they are in a name: `DJANGO_SECRETKEY`, `PGPASSWORD`.
const SECRET_PARTS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "apikey",
    "authtoken",
    "accesskey",
    "privatekey",
    "secretkey",
    "authkey",
];

/// What the name of a key may end with: `X-Api-Key`, `SIGNING_KEYS`.
const KEYS: &[&str] = &["key", "keys"];

/// Header fields with credentials and nothing in their names that says so.
const SECRET_HEADERS: &[&str] =
    &["authorization", "proxy-authorization", "cookie", "set-cookie", "authentication"];

/// Endings of the names of paths.
const PATHS: &[&str] = &["file", "path", "directory", "dir"];

/// Options whose values are paths or names, not secrets.
const NOT_SECRET: &[&str] =
    &["tls_key", "tls_ticket_key", "tls_client_auth", "sec_websocket_key", "idempotency_key"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn passwords_in_urls_are_masked() {
        for (given, shown) in [
            ("redis://u:p@host:1/0", "redis://u:***@host:1/0"),
            ("redis://:p@host:1/0", "redis://:***@host:1/0"),
            ("http://u:p@ss@host", "http://u:***@host"),
            ("http://u:p/ss@host", "http://u:***@host"),
            ("u:p@host:80", "u:***@host:80"),
            ("\"http://a:b@c/\" and 'https://d:e@f'", "\"http://a:***@c/\" and 'https://d:***@f'"),
        ] {
            assert_eq!(text(given), shown);
        }
    }

    #[test]
    fn text_without_a_secret_is_not_copied() {
        for given in [
            "redis://host:1/a@b:c",
            "http://host:8080/@user",
            "mysite.wsgi:app",
            "http://[::1]:80/",
            "user@example.org",
            "Basic authentication",
            "status=404",
            "tls_key=/etc/key.pem",
        ] {
            assert!(matches!(text(given), Cow::Borrowed(_)), "{given}");
        }
    }

    #[test]
    fn values_of_secret_names_are_masked_in_text() {
        for (given, shown) in [
            ("session:secret=abc,cookie_name=x", "session:secret=***,cookie_name=x"),
            ("headers:request.set.X-Api-Key=abc", "headers:request.set.X-Api-Key=***"),
            ("http://host/?a=1&token=abc&b=2", "http://host/?a=1&token=***&b=2"),
            ("password = x, secret=\"a b\"", "password = x, secret=\"***\""),
            ("Authorization: Bearer aBc-123456", "Authorization: Bearer ***"),
        ] {
            assert_eq!(text(given), shown);
        }
    }

    #[test]
    fn names_of_secrets_are_known() {
        for name in [
            "X-Api-Key",
            "X-API-KEY",
            "Authorization",
            "Cookie",
            "secret",
            "SECRET_KEY",
            "PGPASSWORD",
            "X-Auth-Token",
            "request.set.X-Amz-Security-Token",
            "AWS_SECRET_ACCESS_KEY",
            "Ocp-Apim-Subscription-Key",
            "DB_PASS",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "secret_file",
            "tls_key",
            "key",
            "tls-key",
            "X-Forwarded-For",
            "Host",
            "author",
            "Keep-Alive",
            "bind",
            "DJANGO_SETTINGS_MODULE",
            "access_log_mask_headers",
            "passage",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn lists_and_tables_are_masked_by_the_nearest_name() {
        for (name, given, shown) in [
            ("secret", json!(["one", "two"]), json!(["***", "***"])),
            (
                "request",
                json!({"set": {"X-Api-Key": "x", "Host": "y"}}),
                json!({"set": {"X-Api-Key": "***", "Host": "y"}}),
            ),
            ("environment", json!({"DB_PASSWORD": 1234}), json!({"DB_PASSWORD": "***"})),
            ("threads", json!(4), json!(4)),
        ] {
            assert_eq!(value(name, &given), shown);
        }
    }
}
