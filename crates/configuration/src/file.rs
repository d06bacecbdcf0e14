//! `onion.toml`, or the table `[tool.onionskin]` of pyproject.toml: found, and read with its lines.
//!
//! Promises: of two files that might be meant none is chosen silently; a value knows its line.
//!
//! It does not know what options there are.

use std::cell::RefCell;
use std::fs;
use std::io::{Error, ErrorKind};
use std::path::Path;

use serde_json::{Number, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::variables::{Variables, expand};
use crate::{Origin, Refusal};

/// The name that is looked for in the working directory.
pub const NAME: &str = "onion.toml";

/// A file of which the whole, or a table, configures onionskin.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// Its name, as it was given or found.
    pub name: String,
    text: String,
    /// Expanded in its strings, if given.
    variables: Option<Variables>,
    problems: RefCell<Vec<Refusal>>,
    /// The strings that could not be expanded.
    unexpanded: RefCell<Vec<String>>,
}

/// A value of the file: data, or a table whose keys know their lines too.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) line: usize,
    pub(crate) value: Node,
}

/// What stands behind a key.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A value that holds no tables, or a list of such.
    Plain(Value),
    /// A table.
    Table(Vec<Entry>),
    /// A list of tables, each with its line.
    Tables(Vec<(usize, Vec<Entry>)>),
}

impl File {
    /// A file that is not read from the disk.
    pub fn new(name: &str, text: &str) -> Self {
        File { name: name.to_owned(), text: text.to_owned(), ..File::default() }
    }

    /// The same file, with `${NAME}` in its strings expanded.
    pub(crate) fn expanding(self, variables: Variables) -> Self {
        File { variables: Some(variables), ..self }
    }

    /// The file called `named`; without a name, the one in `directory`, if there is one.
    pub fn find(named: Option<&str>, directory: &Path) -> Result<Option<Self>, Refusal> {
        if let Some(name) = named {
            let text = fs::read_to_string(directory.join(name)).map_err(|why| unreadable(name, &why))?;
            let file = File::new(name, &text);
            if file.is_project() && file.entries()?.is_none() {
                return Err(Refusal(format!("{name}: there is no table [tool.onionskin]; write one")));
            }
            return Ok(Some(file));
        }
        let own = read(directory, NAME)?;
        // Somebody else's file: what is wrong in it is only ours to say if it speaks of us.
        let project = read(directory, PROJECT)?.filter(|file| file.text.contains("onionskin"));
        let project = match project {
            Some(file) if own.is_none() => file.entries()?.map(|_| file),
            Some(file) => file.entries().ok().flatten().map(|_| file),
            None => None,
        };
        match (own, project) {
            (Some(own), Some(_)) => Err(Refusal(format!(
                "{}: {PROJECT} has a table [tool.onionskin] too; keep one of them, or name one with --config",
                own.name
            ))),
            (own, project) => Ok(own.or(project)),
        }
    }

    /// What the file says; None if it is a pyproject.toml without our table.
    pub(crate) fn entries(&self) -> Result<Option<Vec<Entry>>, Refusal> {
        let parsed = DeTable::parse(&self.text).map_err(|error| {
            let line = self.line(error.span().map_or(0, |span| span.start));
            let message = error.message().replace('\n', ", ");
            Refusal(format!("{}:{line}: this is no TOML: {message}; correct the line", self.name))
        })?;
        let mut table = parsed.get_ref();
        if self.is_project() {
            for name in ["tool", "onionskin"] {
                match table.get(name).map(Spanned::get_ref) {
                    Some(DeValue::Table(inside)) => table = inside,
                    _ => return Ok(None),
                }
            }
        }
        self.table(table).map(Some)
    }

    /// Keeps what is wrong in this file, so that the rest is read and all problems are reported at once.
    pub(crate) fn note<T>(&self, read: Result<T, Refusal>) -> Option<T> {
        read.map_err(|problem| self.problems.borrow_mut().push(problem)).ok()
    }

    /// Keeps all of these problems but the last, which is returned.
    pub(crate) fn note_all(&self, mut problems: Vec<Refusal>) -> Refusal {
        let last = problems.pop().expect("there is a problem");
        self.problems.borrow_mut().append(&mut problems);
        last
    }

    /// Whether a value is not what was meant, because a variable in it has been noted as a problem.
    pub(crate) fn is_unexpanded(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.unexpanded.borrow().contains(text),
            Value::Array(members) => members.iter().any(|member| self.is_unexpanded(member)),
            Value::Object(members) => members.values().any(|member| self.is_unexpanded(member)),
            _ => false,
        }
    }

    /// The problems that were found.
    pub(crate) fn problems(&self) -> Vec<Refusal> {
        self.problems.take()
    }

    /// A place in this file.
    pub(crate) fn origin(&self, line: usize) -> Origin {
        Origin::File { name: self.name.clone(), line }
    }

    fn is_project(&self) -> bool {
        Path::new(&self.name).file_name().is_some_and(|name| name == PROJECT)
    }

    fn table(&self, table: &DeTable<'_>) -> Result<Vec<Entry>, Refusal> {
        let mut entries: Vec<Entry> = table
            .iter()
            .map(|(key, value)| {
                let line = self.line(key.span().start);
                Ok(Entry { key: key.get_ref().to_string(), line, value: self.node(value)? })
            })
            .collect::<Result<_, _>>()?;
        entries.sort_by_key(|entry| entry.line);
        Ok(entries)
    }

    fn node(&self, value: &Spanned<DeValue<'_>>) -> Result<Node, Refusal> {
        Ok(match value.get_ref() {
            DeValue::Table(table) => Node::Table(self.table(table)?),
            DeValue::Array(members)
                if !members.is_empty() && members.iter().all(|it| it.get_ref().is_table()) =>
            {
                let tables = members.iter().filter_map(|member| {
                    let table = member.get_ref().as_table()?;
                    Some(self.table(table).map(|entries| (self.line(member.span().start), entries)))
                });
                Node::Tables(tables.collect::<Result<_, _>>()?)
            }
            _ => Node::Plain(self.plain(value)?),
        })
    }

    fn plain(&self, value: &Spanned<DeValue<'_>>) -> Result<Value, Refusal> {
        let refused = |message: &str| {
            let line = self.line(value.span().start);
            Refusal(format!("{}:{line}: {message}", self.name))
        };
        let no_number = || refused("a number is larger than any option may be; write a smaller one");
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::String(match &self.variables {
                Some(variables) => {
                    let expanded = expand(text, variables).map_err(|wrong| refused(&wrong));
                    self.note(expanded).unwrap_or_else(|| {
                        self.unexpanded.borrow_mut().push(text.to_string());
                        text.to_string()
                    })
                }
                None => text.to_string(),
            }),
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(time) => Value::String(time.to_string()),
            DeValue::Integer(integer) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix());
                Value::Number(number.map_err(|_| no_number())?.into())
            }
            DeValue::Float(float) => {
                let number = float.as_str().parse().ok().and_then(Number::from_f64);
                Value::Number(number.ok_or_else(no_number)?)
            }
            DeValue::Array(members) => {
                let members = members.iter().map(|member| self.plain(member));
                Value::Array(members.collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let pairs =
                    table.iter().map(|(key, value)| Ok((key.get_ref().to_string(), self.plain(value)?)));
                Value::Object(pairs.collect::<Result<_, Refusal>>()?)
            }
        })
    }

    fn line(&self, place: usize) -> usize {
        let before = &self.text.as_bytes()[..place.min(self.text.len())];
        before.split(|byte| *byte == b'\n').count()
    }
}

impl Entry {
    /// The value as data, lines forgotten.
    pub(crate) fn data(&self) -> Value {
        self.value.data()
    }
}

impl Node {
    fn data(&self) -> Value {
        let object = |entries: &[Entry]| {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), entry.data())).collect())
        };
        match self {
            Node::Plain(value) => value.clone(),
            Node::Table(entries) => object(entries),
            Node::Tables(tables) => tables.iter().map(|(_, entries)| object(entries)).collect(),
        }
    }
}

fn read(directory: &Path, name: &str) -> Result<Option<File>, Refusal> {
    match fs::read_to_string(directory.join(name)) {
        Ok(text) => Ok(Some(File::new(name, &text))),
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(unreadable(name, &why)),
    }
}

fn unreadable(name: &str, why: &Error) -> Refusal {
    Refusal(format!(
        "{name}: the configuration cannot be read: {why}; name a file in TOML that this user may read"
    ))
}

const PROJECT: &str = "pyproject.toml";

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(found: Result<Option<File>, Refusal>) -> String {
        found.expect_err("a refusal").to_string()
    }

    #[test]
    fn the_file_of_the_directory_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(File::find(None, directory.path()).expect("none").is_none());

        fs::write(directory.path().join(PROJECT), "[project]\nname = 'onionskin-user'\n").expect("written");
        assert!(File::find(None, directory.path()).expect("not ours").is_none());

        fs::write(directory.path().join(PROJECT), "[tool.onionskin]\nthreads = 2\n").expect("written");
        assert_eq!(File::find(None, directory.path()).expect("one").expect("ours").name, PROJECT);
    }

    #[test]
    fn of_two_files_none_is_chosen_silently() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(NAME), "").expect("written");
        fs::write(directory.path().join(PROJECT), "[tool.onionskin]\n").expect("written");

        assert!(refusal(File::find(None, directory.path())).contains("keep one of them"));
        assert!(File::find(Some(NAME), directory.path()).expect("the one").is_some());
    }

    #[test]
    fn a_file_that_was_named_must_be_there_and_speak_of_us() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(
            refusal(File::find(Some("x.toml"), directory.path())).starts_with("x.toml: the configuration")
        );

        fs::write(directory.path().join(PROJECT), "[tool.other]\n").expect("written");
        assert!(refusal(File::find(Some(PROJECT), directory.path())).contains("no table [tool.onionskin]"));
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        let refusal = File::new(NAME, "threads = 4\nbind = [\n").entries().expect_err("no TOML").to_string();

        assert!(refusal.starts_with("onion.toml:2: this is no TOML: "), "{refusal}");
        assert_eq!(refusal.lines().count(), 1);
    }
}
