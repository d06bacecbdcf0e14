//! Where a value comes from, and what is refused there.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;

use serde::{Serialize, Serializer};

/// Where a value was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the option's default.
    Default,
    /// In a line of a file.
    File {
        /// The file, as it was named.
        name: String,
        /// Counted from 1.
        line: usize,
    },
    /// In the environment variable of this name.
    Environment(String),
    /// By the flag of this name: `--threads`.
    Flag(String),
    /// As an argument in Python.
    Argument(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => formatter.write_str("default"),
            Origin::File { name, line } => write!(formatter, "{name}:{line}"),
            Origin::Environment(name) | Origin::Flag(name) => formatter.write_str(name),
            Origin::Argument(name) => write!(formatter, "{name}="),
        }
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value, and where it was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Given<T> {
    /// What was given.
    pub value: T,
    /// Where.
    pub from: Origin,
}

/// A configuration that is refused: where, which option, what is wrong, and what to do, a line for each problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Error for Refusal {}

impl Refusal {
    /// All problems of a file, in the order of its lines.
    pub(crate) fn of_file(name: &str, mut problems: Vec<Refusal>) -> Self {
        let line = |refusal: &Refusal| {
            let rest = refusal.0.strip_prefix(name)?.strip_prefix(':')?;
            rest.split(':').next()?.parse::<usize>().ok()
        };
        problems.sort_by_key(|problem| line(problem).unwrap_or(0));
        let mut seen = BTreeSet::new();
        problems.retain(|problem| seen.insert(problem.0.clone()));
        let lines: Vec<String> = problems.into_iter().map(|problem| problem.0).collect();
        Refusal(lines.join("\n"))
    }

    /// What is wrong at a place. A variable, a flag and an argument name the option themselves.
    pub(crate) fn at(origin: &Origin, option: &str, wrong: &dyn fmt::Display) -> Self {
        let wrong = wrong.to_string();
        let named = wrong.strip_prefix(option).and_then(|rest| rest.strip_prefix(": "));
        Refusal(match origin {
            Origin::Default | Origin::Argument(_) => wrong,
            Origin::File { .. } => format!("{origin}: {wrong}"),
            Origin::Environment(name) | Origin::Flag(name) => {
                format!("{name}: {}", named.unwrap_or(&wrong))
            }
        })
    }
}
