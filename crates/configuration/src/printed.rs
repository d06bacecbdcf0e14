//! A configuration as TOML that says where each value was given, with what is secret masked.

use std::fmt::Write;

use onion::masking;
use serde_json::Value;

use crate::{Application, Configuration, Given, Layer, Mount, Origin, variables};

/// The configuration without its secrets: for people to see.
pub fn masked(mut configuration: Configuration) -> Configuration {
    for (name, given) in &mut configuration.server {
        given.value = masking::value(name, &given.value);
    }
    if let Some(target) = &mut configuration.application {
        target.value = masking::text(&target.value).into_owned();
    }
    for application in &mut configuration.applications {
        application.target = masking::text(&application.target).into_owned();
        for (name, value) in &mut application.environment {
            *value = masking::named(name, value).into_owned();
        }
    }
    for mount in &mut configuration.mounts {
        mount.application = mount.application.take().map(|target| masking::text(&target).into_owned());
    }
    let mounted = configuration.mounts.iter_mut().flat_map(|mount| &mut mount.layers);
    let layers = configuration.layers.iter_mut().chain(&mut configuration.dispatch);
    for layer in layers.chain(mounted) {
        layer.options =
            layer.options.iter().map(|(name, value)| (name.clone(), masking::value(name, value))).collect();
    }
    configuration
}

/// The text of a file that would say the same, as it stands.
pub fn toml(configuration: &Configuration) -> String {
    let mut text = String::new();
    let Configuration { application, applications, server, layers, mounts, dispatch, .. } = configuration;
    if let Some(Given { value, from }) = application {
        // TOML has either the text or the tables; the only one of these is meant without being named.
        let name = if applications.is_empty() { "application" } else { "# application" };
        raw_line(&mut text, name, &value.as_str().into(), from);
    }
    let is_default = |given: &Given<Value>| given.from == Origin::Default;
    let (defaults, given): (Vec<_>, Vec<_>) = server.iter().partition(|(_, given)| is_default(given));
    for (name, Given { value, from }) in given.into_iter().chain(defaults) {
        line(&mut text, name, value, from);
    }
    for application in applications {
        self::application(&mut text, application);
    }
    for layer in layers {
        self::layer(&mut text, "layer", layer);
    }
    if let Some(layer) = dispatch {
        header(&mut text, "[dispatch]", &layer.from);
        options(&mut text, layer);
    }
    for mount in mounts {
        self::mount(&mut text, mount);
    }
    text
}

fn application(text: &mut String, application: &Application) {
    let Application { name, target, threads, directory, environment, from, .. } = application;
    header(text, &format!("[application.{name}]"), from);
    line(text, "target", &target.as_str().into(), application.place("target"));
    if let Some(threads) = threads {
        line(text, "threads", &threads.get().into(), application.place("threads"));
    }
    if let Some(directory) = directory {
        line(text, "directory", &directory.as_str().into(), application.place("directory"));
    }
    if !environment.is_empty() {
        let variables = environment.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
        line(text, "environment", &Value::Object(variables.collect()), application.place("environment"));
    }
}

fn mount(text: &mut String, mount: &Mount) {
    let Mount { route, application, threads, layers, from } = mount;
    header(text, "[[mount]]", from);
    let (methods, place) =
        route.split_once(' ').map_or((None, route.as_str()), |(methods, place)| (Some(methods), place));
    let path = place.find('/').unwrap_or(place.len());
    if path > 0 {
        line(text, "host", &place[..path].into(), from);
    }
    if path < place.len() {
        line(text, "path", &place[path..].into(), from);
    }
    if let Some(methods) = methods {
        line(text, "methods", &methods.split(',').collect(), from);
    }
    if let Some(application) = application {
        line(text, "application", &application.as_str().into(), from);
    }
    if let Some(threads) = threads {
        line(text, "threads", &threads.get().into(), from);
    }
    for layer in layers {
        self::layer(text, "mount.layer", layer);
    }
}

fn layer(text: &mut String, table: &str, layer: &Layer) {
    header(text, &format!("[[{table}]]"), &layer.from);
    line(text, "use", &layer.name.as_str().into(), &layer.from);
    options(text, layer);
}

fn options(text: &mut String, layer: &Layer) {
    for (name, value) in &layer.options {
        line(text, name, value, layer.place(name));
    }
}

fn header(text: &mut String, table: &str, from: &Origin) {
    write!(text, "\n{table}  # from {from}\n").expect("a text takes what is written");
}

fn line(text: &mut String, name: &str, value: &Value, from: &Origin) {
    raw_line(text, &key(name), value, from);
}

/// The same of a name that stands as it is.
fn raw_line(text: &mut String, name: &str, value: &Value, from: &Origin) {
    // TOML knows no null.
    let value = match toml::Value::try_from(escaped(value)) {
        Ok(value) => format!("{name} = {value}"),
        Err(_) => format!("# {name} is not set"),
    };
    let from = if *from == Origin::Default { "default".to_owned() } else { format!("from {from}") };
    writeln!(text, "{value}  # {from}").expect("a text takes what is written");
}

/// The value with every `${` as a literal.
fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(variables::escape(text)),
        Value::Array(members) => members.iter().map(escaped).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), escaped(member))).collect()
        }
        other => other.clone(),
    }
}

/// A key as TOML has it: bare if it can be.
fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { name.to_owned() } else { toml::Value::String(name.to_owned()).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_options_only_secret_is_masked_by_its_name() {
        let server = schemars::schema_for!(server::Config);
        let schemas = layers::LAYERS.iter().map(|layer| (layer.schema)()).chain([server]);
        let names = schemas.flat_map(|schema| {
            let options = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
            options.into_iter().map(|(name, _)| name)
        });
        let secret: Vec<String> = names.filter(|name| masking::is_secret(name)).collect();

        assert_eq!(secret, ["secret"]);
    }
}
