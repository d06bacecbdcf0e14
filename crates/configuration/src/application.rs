//! Applications that have a name in the file, `[application.blog]`, for mounts to use.
//!
//! Promises: what is wrong is refused with its line; two applications never want different values of one variable,
//! since there is one process for all of them.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use onion::placeholders;
use onion::reading::{self, is_about};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::file::{Entry, Node};
use crate::{File, Origin, Refusal};

/// An application and what it wants.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Application {
    /// What mounts call it.
    pub name: String,
    /// Where it is found: `pkg.module:app`.
    pub target: String,
    /// How many calls it may have at once.
    pub threads: Option<NonZeroU16>,
    /// Where its module is.
    pub directory: Option<String>,
    /// What the process's environment is to have.
    pub environment: BTreeMap<String, String>,
    /// Where it was given.
    pub from: Origin,
    /// Where each of its options was given.
    pub places: BTreeMap<String, Origin>,
}

/// An application as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// The application: pkg.module:app, pkg.module, path/file.py:app, or `pkg:create_app()`.
    target: String,
    /// How many calls into this application may run at once, wherever it is mounted; others wait.
    threads: Option<NonZeroU16>,
    /// The directory that its module is imported from.
    directory: Option<String>,
    /// Variables of the process's environment, set before any application is imported.
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

/// The tables below `application`.
pub(crate) fn read(file: &File, tables: &[Entry]) -> Result<Vec<Application>, Refusal> {
    let read: Vec<_> = tables.iter().filter_map(|entry| file.note(one(file, entry))).collect();
    let mut wanted: BTreeMap<&str, (&str, &Application)> = BTreeMap::new();
    for application in &read {
        for (variable, value) in &application.environment {
            let (other, first) = *wanted.entry(variable).or_insert((value, application));
            if other != value {
                let Application { name, .. } = application;
                let place = application.place("environment");
                let wrong = format!(
                    "application.{name}: environment: {variable} has another value for {} ({}), and all applications \
                     share a process; keep one of the values, or serve them apart",
                    first.name, first.from
                );
                return Err(Refusal::at(place, "", &wrong));
            }
        }
    }
    Ok(read)
}

fn one(file: &File, entry: &Entry) -> Result<Application, Refusal> {
    let (name, from) = (&entry.key, file.origin(entry.line));
    let refused =
        |place: &Origin, wrong: &str| Refusal::at(place, "", &format!("application.{name}: {wrong}"));
    let Node::Table(options) = &entry.value else {
        return Err(refused(&from, "it is no table; write [application.NAME], with a target below it"));
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
        return Err(refused(&from, "this is no name; take letters, digits, - and _"));
    }
    let given: Map<_, _> = options.iter().map(|option| (option.key.clone(), option.data())).collect();
    let read = |given| {
        reading::check_names(&schema_for!(Written), &given, [])?;
        reading::read::<Written>(given)
    };
    let written = read(given.clone()).map_err(|_| {
        let refused = |wrong| {
            let about = options.iter().find(|option| is_about(&wrong, &option.key));
            let place = about.map_or(from.clone(), |option| file.origin(option.line));
            refused(&place, &wrong.0)
        };
        file.note_all(reading::problems(given, read).into_iter().map(refused).collect())
    })?;
    let places: BTreeMap<_, _> =
        options.iter().map(|option| (option.key.clone(), file.origin(option.line))).collect();
    let Written { target, threads, directory, environment } = written;
    let application =
        Application { name: name.clone(), target, threads, directory, environment, from, places };
    let is_wrong = |variable: &&String| variable.is_empty() || variable.contains(['=', '\0']);
    if let Some(variable) = application.environment.keys().find(is_wrong) {
        let wrong = format!("environment: {variable:?} is no name of a variable; give one such as TZ");
        return Err(refused(application.place("environment"), &wrong));
    }
    for (variable, value) in &application.environment {
        placeholders::check(&format!("environment.{variable}"), &value.as_str().into())
            .map_err(|wrong| refused(application.place("environment"), &wrong.0))?;
    }
    Ok(application)
}

impl Application {
    /// Where an option was given, or else the application.
    pub(crate) fn place(&self, option: &str) -> &Origin {
        self.places.get(option).unwrap_or(&self.from)
    }
}
