//! The secrets of a session layer: given as options, or in a file.
//!
//! A file is for Docker and Kubernetes secrets and for systemd's `LoadCredential=`. Its lines are read without the
//! white space around them, empty lines are skipped.

use std::fs;
use std::path::Path;

use onion::{OptionError, placeholders};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Options;
use super::seal::{LEAST_BYTES, Seal};

/// The seal by the secrets that were given.
pub(super) fn seal(options: &Options) -> Result<Seal, OptionError> {
    match (&options.secret[..], &options.secret_file) {
        ([], None) => Err(OptionError(format!(
            "secret is missing; set secret to {LEAST_BYTES} random bytes or more, such as python -c 'import secrets; \
             print(secrets.token_urlsafe(32))' prints, or secret_file to a file with them"
        ))),
        (secrets, None) => Seal::new(secrets),
        ([], Some(file)) => of_file(file)
            .map_err(|wrong| OptionError(format!("secret_file: \"{}\": {wrong}", file.display()))),
        (_, Some(_)) => {
            Err(OptionError("secret_file: secret is given as well; keep one of the two".to_owned()))
        }
    }
}

fn of_file(file: &Path) -> Result<Seal, String> {
    let text = fs::read_to_string(file)
        .map_err(|why| format!("{why}; expected a readable file with a secret on each line"))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets: Vec<String> = lines.map(str::to_owned).collect();
    if secrets.is_empty() {
        return Err(format!(
            "the file is empty; expected {LEAST_BYTES} random bytes or more on the first line"
        ));
    }
    if let Some(placeholder) = secrets.iter().find_map(|secret| placeholders::find("secret", secret)) {
        return Err(format!("{placeholder:?} is an unexpanded placeholder, not a secret"));
    }
    Seal::new(&secrets).map_err(|wrong| wrong.0)
}

/// A list of secrets, or a single one. A wrong value is not shown.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let given = match Value::deserialize(deserializer)? {
        Value::Array(given) => given,
        one => vec![one],
    };
    let text = |secret| match secret {
        Value::String(secret) => Ok(secret),
        _ => Err(D::Error::custom("a secret is not a string; expected a list of strings")),
    };
    given.into_iter().map(text).collect()
}
