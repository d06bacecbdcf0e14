//! The onion as a file describes it: `application`, `[application.NAME]`, `[[layer]]`, `[[mount]]` and `[dispatch]`.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use onion::reading::{self, is_about};
use onion::{NotFound, OptionError, Supply, text_options};
use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::file::{Entry, Node};
use crate::{APPLICATION, Application, File, Given, Origin, Refusal, application};

/// One layer: its name and its options, with their lines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// The layer's name: `compress`.
    #[serde(rename = "use")]
    pub name: String,
    /// Its options, unread.
    pub options: Map<String, Value>,
    /// Where it was given.
    pub from: Origin,
    /// Where each option was given, if that is another line.
    pub places: BTreeMap<String, Origin>,
}

/// One application of several.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mount {
    /// The requests that are for it, as the layer `mount` has it: `GET example.org/blog`.
    pub route: String,
    /// The target of the application, or its name; none where the innermost of the layers is one by itself.
    pub application: Option<String>,
    /// How many calls it may have at once.
    pub threads: Option<NonZeroU16>,
    /// The layers around it.
    pub layers: Vec<Layer>,
    /// Where it was given.
    pub from: Origin,
}

/// A mount as it is written, but for its layers.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    /// The path below which the application's requests are: `/blog`.
    path: Option<String>,
    /// The host of its requests: `api.example.org`, `*.example.org`, `[::1]:8000`.
    host: Option<String>,
    /// The methods of its requests, all by default.
    #[serde(default)]
    methods: Vec<String>,
    /// The application, as on the command line, or by its name in `[application.NAME]`. It may be left out where the innermost layer answers by itself.
    application: Option<String>,
    /// How many calls into this application may run at once; others wait.
    threads: Option<NonZeroU16>,
}

/// What a file says of the onion, and the rest of it.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) application: Option<Given<String>>,
    pub(crate) applications: Vec<Application>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) dispatch: Option<Layer>,
    /// The server's options, unread.
    pub(crate) rest: Vec<Entry>,
}

/// Reads what a file says. Problems are noted with the file.
pub(crate) fn read(file: &File, entries: Vec<Entry>) -> Found {
    let mut found = Found::default();
    for entry in entries {
        let read = read_entry(file, entry, &mut found);
        file.note(read);
    }
    file.note(check_threads(&found));
    let mut seen: BTreeMap<&str, &Origin> = BTreeMap::new();
    for mount in &found.mounts {
        if let Some(first) = seen.insert(&mount.route, &mount.from) {
            let wrong = format!("mount: {} is at {first} already; write each once", mount.route);
            file.note::<()>(Err(Refusal::at(&mount.from, "", &wrong)));
        }
    }
    found
}

fn read_entry(file: &File, entry: Entry, found: &mut Found) -> Result<(), Refusal> {
    let from = file.origin(entry.line);
    match entry.key.as_str() {
        APPLICATION => match &entry.value {
            Node::Table(tables) => found.applications = application::read(file, tables)?,
            Node::Plain(Value::String(target)) => {
                found.application = Some(Given { value: target.clone(), from });
            }
            _ => {
                let wrong = format!(
                    "application: {} does not fit; give a text such as \"pkg.module:app\"",
                    entry.data()
                );
                return Err(Refusal::at(&from, "", &wrong));
            }
        },
        "layer" => found.layers = layers(file, &entry)?.0,
        "mount" => {
            let mounts = tables(file, &entry)?.iter();
            found.mounts = mounts.filter_map(|(line, table)| file.note(mount(file, *line, table))).collect();
        }
        "dispatch" => {
            let Node::Table(options) = entry.value else {
                return Err(Refusal::at(&from, "", &"dispatch: it is no table; write [dispatch]"));
            };
            let layer = Layer::of(file, "mount", entry.line, &options);
            let ours = |name: &&String| ["routes", "threads", "names", "default"].contains(&name.as_str());
            if let Some(name) = layer.options.keys().find(ours) {
                let wrong =
                    format!("dispatch: {name} is written in [[mount]] and application; move it there");
                return Err(Refusal::at(layer.place(name), "", &wrong));
            }
            found.dispatch = Some(layer);
        }
        "server" => {
            if let Node::Table(options) = entry.value {
                // They are read all the same, so that what is wrong in them is reported too.
                found.rest.extend(options.into_iter().filter(|option| option.key != APPLICATION));
            }
            let wrong = "server: the server's options have no table; write them above the first one";
            return Err(Refusal::at(&from, "", &wrong));
        }
        key => {
            if let (Node::Table(_) | Node::Tables(_), Some(meant)) =
                (&entry.value, reading::suggestion(key, &["layer", "mount", "dispatch", APPLICATION]))
            {
                let meant = match meant {
                    "layer" | "mount" => format!("[[{meant}]]"),
                    APPLICATION => "[application.NAME]".to_owned(),
                    _ => format!("[{meant}]"),
                };
                let wrong = format!("there is no table {key:?}; did you mean {meant}?");
                return Err(Refusal::at(&from, "", &wrong));
            }
            found.rest.push(entry);
        }
    }
    Ok(())
}

/// What is wrong with the values of layers' options. The applications that they name are not looked for.
pub(crate) fn check_values(file: &File, found: &Found) {
    let mounted = found.mounts.iter().flat_map(|mount| &mount.layers);
    let is_read = |layer: &&Layer| !layer.options.values().any(|value| file.is_unexpanded(value));
    for layer in found.layers.iter().chain(mounted).filter(is_read) {
        let unseen = Supply::finding(|_| Ok(Arc::new(NotFound)));
        let Ok(declaration) = layers::declaration(&layer.name) else { continue };
        for wrong in unseen.at_hand(|| layers::problems(declaration, layer.options.clone())) {
            file.note::<()>(Err(layer.refused(&wrong)));
        }
    }
}

/// How many calls there may be is said once: where the application is, or where it is mounted.
fn check_threads(found: &Found) -> Result<(), Refusal> {
    let bounded = |name: &str| found.applications.iter().find(|it| it.name == name && it.threads.is_some());
    for mount in found.mounts.iter().filter(|mount| mount.threads.is_some()) {
        if let Some(Application { name, from, .. }) = mount.application.as_deref().and_then(bounded) {
            let wrong =
                format!("mount: threads: application.{name} has them already ({from}); write them once");
            return Err(Refusal::at(&mount.from, "", &wrong));
        }
    }
    Ok(())
}

fn mount(file: &File, line: usize, table: &[Entry]) -> Result<Mount, Refusal> {
    let from = file.origin(line);
    let (own, others): (Vec<_>, Vec<_>) = table.iter().partition(|entry| entry.key == "layer");
    let layers = own.first().map(|entry| layers(file, entry)).transpose()?;
    let (layers, are_all) = layers.unwrap_or((Vec::new(), true));
    let given: Map<_, _> = others.iter().map(|entry| (entry.key.clone(), entry.data())).collect();
    let read = |given: Map<_, _>| {
        reading::check_names(&schema_for!(Written), &given, ["layer"])?;
        let written: Written = reading::read(given)?;
        route(&written).map(|route| (route, written))
    };
    let (route, written) = read(given.clone()).map_err(|_| {
        let refused = |wrong| {
            let about = others.iter().find(|entry| is_about(&wrong, &entry.key));
            let place = about.map_or(from.clone(), |entry| file.origin(entry.line));
            Refusal::at(&place, "", &format!("mount: {wrong}"))
        };
        file.note_all(reading::problems(given, read).into_iter().map(refused).collect())
    })?;
    if are_all && written.application.is_none() && !layers.last().is_some_and(Layer::stands_alone) {
        let wrong = "mount: application is missing; give one, or a last layer that answers by itself";
        return Err(Refusal::at(&from, "", &wrong));
    }
    Ok(Mount { route, application: written.application, threads: written.threads, layers, from })
}

/// The route as the layer `mount` has it.
fn route(written: &Written) -> Result<String, OptionError> {
    let Written { path, host, methods, .. } = written;
    let refused = |wrong: String| Err(OptionError(wrong));
    if path.is_none() && host.is_none() && methods.is_empty() {
        return refused("neither path nor host nor methods; give one of them".to_owned());
    }
    if let Some(path) = path.as_ref().filter(|path| !path.starts_with('/')) {
        return refused(format!("path: {path:?} does not begin with a slash; write /{path}"));
    }
    if let Some(path) = path.as_ref().filter(|path| path.starts_with("//")) {
        let one = path.trim_start_matches('/');
        return refused(format!("path: {path:?} begins with two slashes; write /{one}"));
    }
    if let Some(host) = host.as_ref().filter(|host| host.is_empty() || host.contains(['/', ' '])) {
        return refused(format!("host: {host:?} is no host; write api.example.org or *.example.org"));
    }
    let (path, host) = (path.as_deref(), host.as_deref().unwrap_or_default());
    let place = format!("{host}{}", path.unwrap_or(if host.is_empty() { "/" } else { "" }));
    Ok(if methods.is_empty() { place } else { format!("{} {place}", methods.join(",")) })
}

/// The layers that can be read, and whether these are all.
fn layers(file: &File, entry: &Entry) -> Result<(Vec<Layer>, bool), Refusal> {
    let tables = tables(file, entry)?;
    let layers: Vec<_> =
        tables.iter().filter_map(|(line, table)| file.note(Layer::read(file, *line, table))).collect();
    let are_all = layers.len() == tables.len();
    Ok((layers, are_all))
}

fn tables<'a>(file: &File, entry: &'a Entry) -> Result<&'a [(usize, Vec<Entry>)], Refusal> {
    match &entry.value {
        Node::Tables(tables) => Ok(tables),
        Node::Plain(Value::Array(members)) if members.is_empty() => Ok(&[]),
        _ => {
            let wrong = format!("{key}: it is no list of tables; write [[{key}]]", key = entry.key);
            Err(Refusal::at(&file.origin(entry.line), "", &wrong))
        }
    }
}

impl Layer {
    /// A layer as on the command line: `NAME:OPTION=VALUE,...`.
    pub(crate) fn from_text(text: &str) -> Result<Self, Refusal> {
        let from = Origin::Flag("--layer".to_owned());
        let refused = |wrong: OptionError| Refusal::at(&from, "", &wrong);
        let (name, pairs) = text_options::split(text).map_err(refused)?;
        let declaration = layers::declaration(name).map_err(refused)?;
        let options = layers::from_text(declaration, pairs).map_err(refused)?;
        Ok(Layer { name: name.to_owned(), options, from: from.clone(), places: BTreeMap::new() })
    }

    fn read(file: &File, line: usize, table: &[Entry]) -> Result<Self, Refusal> {
        let origin = file.origin(line);
        let Some(used) = table.iter().find(|entry| entry.key == "use") else {
            return Err(Refusal::at(&origin, "", &use_is_missing(table)));
        };
        let Value::String(name) = used.data() else {
            let wrong = format!("layer: use: {} does not fit; give a layer's name", used.data());
            return Err(Refusal::at(&file.origin(used.line), "", &wrong));
        };
        let declaration =
            layers::declaration(&name).map_err(|wrong| Refusal::at(&file.origin(used.line), "", &wrong))?;
        let mut layer = Layer::of(file, &name, line, table);
        let schema = (declaration.schema)();
        let names = |options| reading::check_names(&schema, &options, ["match", "unless"]);
        for wrong in reading::problems(layer.options.clone(), names) {
            layer.options.retain(|option, _| !is_about(&wrong, option));
            file.note::<()>(Err(layer.refused(&wrong)));
        }
        Ok(layer)
    }

    fn of(file: &File, name: &str, line: usize, table: &[Entry]) -> Self {
        let options = table.iter().filter(|entry| entry.key != "use");
        let places = options.clone().map(|entry| (entry.key.clone(), file.origin(entry.line))).collect();
        let options = options.map(|entry| (entry.key.clone(), entry.data())).collect();
        Layer { name: name.to_owned(), options, from: file.origin(line), places }
    }

    /// Where an option was given, or else the layer.
    pub(crate) fn place(&self, option: &str) -> &Origin {
        self.places.get(option).unwrap_or(&self.from)
    }

    /// A refusal of one of the options.
    fn refused(&self, wrong: &OptionError) -> Refusal {
        let about = self.places.iter().find(|(key, _)| is_about(wrong, key));
        let place = about.map_or(&self.from, |(_, place)| place);
        let hint = server_option(wrong);
        // The layer's options do not help if the server's option was meant.
        let wrong = if hint.is_empty() { &wrong.0 } else { wrong.0.split("; ").next().unwrap_or_default() };
        Refusal::at(place, "", &format!("{}: {wrong}{hint}", self.name))
    }

    fn stands_alone(&self) -> bool {
        layers::declaration(&self.name).is_ok_and(|declaration| declaration.stands_alone)
    }
}

/// What to do about a `[[layer]]` without `use`.
fn use_is_missing(table: &[Entry]) -> String {
    let names: Vec<&str> = layers::LAYERS.iter().map(|layer| layer.name).collect();
    let meant = table.iter().find_map(|Entry { key, value, .. }| match value {
        Node::Plain(Value::String(given)) if ["type", "name", "layer", "kind", "class"].contains(&&**key) => {
            let name = reading::suggestion(given, &names)?;
            Some(format!("write use = {name:?} instead of {key} = {given:?}"))
        }
        _ => None,
    });
    let way_out = meant.unwrap_or_else(|| format!("give one of {}", names.join(", ")));
    format!("layer: use is missing; {way_out}")
}

/// What to do about an option of the server that stands among those of a layer, as TOML has it.
fn server_option(wrong: &OptionError) -> String {
    let schema = schema_for!(server::Config);
    let options = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    let is_missing = |name: &&String| wrong.0.starts_with("there is no option") && is_about(wrong, name);
    let application = APPLICATION.to_owned();
    let found = options.chain([&application]).find(is_missing);
    found.map_or_else(String::new, |name| {
        format!("; {name} is the server's: write it above the first [table]")
    })
}
