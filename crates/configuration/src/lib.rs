//! One configuration out of a file, the environment, the command line and Python's arguments.
//!
//! ```
//! use configuration::{File, Sources};
//!
//! let file = File::new("onion.toml", r#"
//!     application = "mysite.wsgi:app"
//!     threads = 8
//!
//!     [[layer]]
//!     use = "compress"
//! "#);
//! let configuration = configuration::read(Sources {
//!     file: Some(file),
//!     environment: vec![("ONIONSKIN_THREADS".into(), "16".into())],
//!     ..Sources::default()
//! })?;
//!
//! assert_eq!(configuration.server["threads"].value, 16);
//! assert_eq!(configuration.server["threads"].from.to_string(), "ONIONSKIN_THREADS");
//! assert_eq!(configuration.layers[0].from.to_string(), "onion.toml:5");
//! # Ok::<(), configuration::Refusal>(())
//! ```
//!
//! Promises: what is given later in this order wins: file, environment, flags, arguments; a list is replaced, never
//! added to; every value that is given is read by the option's declaration, also one that another replaces; whatever
//! is unknown or wrong is refused with its place.
//!
//! It does not import applications, build layers or open sockets. It knows the declarations of layers and server, not
//! Python.

#![forbid(unsafe_code)]

mod application;
mod described;
mod file;
mod options;
mod order;
mod origin;
mod printed;
mod schema;
mod variables;

use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub use application::Application;
pub use described::{Layer, Mount};
pub use file::{File, NAME};
pub use order::{Misplaced, misplaced};
pub use origin::{Given, Origin, Refusal};
pub use printed::{masked, toml};
pub use schema::schema;

/// All that is to be read, each kind as it comes.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file.
    pub file: Option<File>,
    /// The variables of the environment: options called `ONIONSKIN_...`, and those that the file refers to by `${NAME}`.
    pub environment: Vec<(String, String)>,
    /// Options by their names, with the texts that were given for each.
    pub flags: Vec<(String, Vec<String>)>,
    /// Options by their names, as Python's arguments.
    pub arguments: Map<String, Value>,
}

/// What is to be served, how, and where each part of that was said. As JSON it can be handed to another process.
#[derive(Clone, Debug, Serialize)]
pub struct Configuration {
    /// The file that was read.
    pub file: Option<String>,
    /// The target of the application, or its name.
    pub application: Option<Given<String>>,
    /// Applications that have names.
    pub applications: Vec<Application>,
    /// Every option of the server.
    pub server: BTreeMap<String, Given<Value>>,
    /// The layers around everything, the outermost first.
    pub layers: Vec<Layer>,
    /// Applications beside the one above, each for some of the requests.
    pub mounts: Vec<Mount>,
    /// Further options of the layer that chooses between them.
    pub dispatch: Option<Layer>,
}

/// Reads everything into one configuration.
pub fn read(sources: Sources) -> Result<Configuration, Refusal> {
    let Sources { file, environment, flags, arguments } = sources;
    let file = file.map(|file| file.expanding(environment.iter().cloned().collect()));
    let mut found = match &file {
        Some(file) => described::read(file, file.entries()?.unwrap_or_default()),
        None => described::Found::default(),
    };
    let mut options = options::Options::new();
    if let Some(file) = &file {
        for entry in std::mem::take(&mut found.rest) {
            let (origin, value) = (file.origin(entry.line), entry.data());
            if !file.is_unexpanded(&value) {
                file.note(options.value(origin, &entry.key, value, options::Strings::InLists));
            }
        }
        let problems = file.problems();
        if !problems.is_empty() {
            described::check_values(file, &found);
            return Err(Refusal::of_file(&file.name, [problems, file.problems()].concat()));
        }
    }
    let mut application = found.application;
    for (variable, text) in &environment {
        match options::named_by(variable, text)? {
            None => {}
            Some(name) if name == APPLICATION => {
                application =
                    Some(Given { value: text.clone(), from: Origin::Environment(variable.clone()) });
            }
            Some(name) => options.text(Origin::Environment(variable.clone()), &name, text)?,
        }
    }
    let mut layers = found.layers;
    for (name, texts) in &flags {
        let origin = Origin::Flag(flag_of(name));
        match name.as_str() {
            APPLICATION => {
                let target = texts.last().cloned();
                let from = Origin::Flag("APPLICATION".to_owned());
                application = target.map(|value| Given { value, from }).or(application);
            }
            "layer" => layers = texts.iter().map(|text| Layer::from_text(text)).collect::<Result<_, _>>()?,
            _ => options.text(origin, name, &texts.join("\n"))?,
        }
    }
    if let ([only], true) = (&found.applications[..], application.is_none() && found.mounts.is_empty()) {
        application = Some(Given { value: only.name.clone(), from: only.from.clone() });
    }
    for (name, value) in arguments {
        options.value(Origin::Argument(name.clone()), &name, value, options::Strings::Everywhere)?;
    }
    Ok(Configuration {
        file: file.map(|file| file.name),
        application,
        applications: found.applications,
        server: options.whole()?,
        layers,
        mounts: found.mounts,
        dispatch: found.dispatch,
    })
}

/// The flag of an option: `--max-body` for `max_body`.
fn flag_of(name: &str) -> String {
    format!("--{}", name.replace('_', "-"))
}

const APPLICATION: &str = "application";

#[cfg(test)]
mod tests;
