//! What is read from which source, and how it is refused.

use serde_json::json;

use super::*;

fn file(text: &str) -> Sources {
    Sources { file: Some(File::new(NAME, text)), ..Sources::default() }
}

fn pairs(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn flags(given: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    given.iter().map(|(name, given)| ((*name).to_owned(), texts(given))).collect()
}

fn refusal(sources: Sources) -> String {
    read(sources).expect_err("a refusal").to_string()
}

#[test]
fn what_nobody_gives_is_the_default() {
    let configuration = read(Sources::default()).expect("a configuration");

    assert_eq!(configuration.server["bind"].value, json!(["127.0.0.1:8000"]));
    assert!(configuration.server.values().all(|given| given.from == Origin::Default));
    assert_eq!(configuration.application, None);
}

#[test]
fn arguments_win_over_flags_over_environment_over_file() {
    let names = ["threads", "backlog", "max_headers", "keep_alive"];
    let text = "threads = 1\nbacklog = 1\nmax_headers = 1\nkeep_alive = \"1s\"\n";
    let configuration = read(Sources {
        file: Some(File::new(NAME, text)),
        environment: pairs(&[
            ("ONIONSKIN_BACKLOG", "2"),
            ("ONIONSKIN_MAX_HEADERS", "2"),
            ("ONIONSKIN_KEEP_ALIVE", "2"),
        ]),
        flags: flags(&[("max_headers", &["3"]), ("keep_alive", &["3s"])]),
        arguments: json!({"keep_alive": 4}).as_object().cloned().expect("a table"),
    })
    .expect("a configuration");

    let values = names.map(|name| configuration.server[name].value.clone());
    assert_eq!(values, [json!(1), json!(2), json!(3), json!("4s")]);
    let origins = names.map(|name| configuration.server[name].from.to_string());
    assert_eq!(origins, ["onion.toml:1", "ONIONSKIN_BACKLOG", "--max-headers", "keep_alive="]);
}

#[test]
fn a_list_is_replaced_and_may_be_a_text() {
    let sources = Sources {
        environment: pairs(&[("ONIONSKIN_BIND", ":1,unix:/x")]),
        ..file("bind = \"127.0.0.1:1, [::1]:1\"")
    };
    let of_file = read(file("bind = \"127.0.0.1:1, [::1]:1\"")).expect("a configuration");
    let of_both = read(sources).expect("a configuration");

    assert_eq!(of_file.server["bind"].value, json!(["127.0.0.1:1", "[::1]:1"]));
    assert_eq!(of_both.server["bind"].value, json!([":1", "unix:/x"]));
}

#[test]
fn layers_on_the_command_line_stand_in_the_place_of_the_files() {
    let text = "[[layer]]\nuse = \"compress\"\n\n[[layer]]\nuse = \"request_id\"\nheader = \"x-id\"\n";
    let configuration = read(file(text)).expect("a configuration");
    let names: Vec<_> = configuration.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["compress", "request_id"]);
    assert_eq!(configuration.layers[1].options, *json!({"header": "x-id"}).as_object().expect("a table"));
    assert_eq!(configuration.layers[1].place("header").to_string(), "onion.toml:6");

    let sources = Sources { flags: flags(&[("layer", &["errors"])]), ..file(text) };
    let configuration = read(sources).expect("a configuration");
    assert_eq!(configuration.layers.len(), 1);
    assert_eq!(configuration.layers[0].from.to_string(), "--layer");
}

#[test]
fn mounts_have_routes_layers_and_a_limit() {
    let text = r#"
        application = "site:app"
        [[mount]]
        path = "/blog"
        host = "example.org"
        methods = ["GET", "HEAD"]
        application = "blog:app"
        threads = 2
        [[mount.layer]]
        use = "errors"
        [[mount]]
        path = "/static"
        [[mount.layer]]
        use = "static_files"
        root = "static"
        [dispatch]
        slash = "redirect"
    "#;
    let configuration = read(file(text)).expect("a configuration");

    let [blog, files] = &configuration.mounts[..] else { panic!("two mounts") };
    assert_eq!(blog.route, "GET,HEAD example.org/blog");
    assert_eq!(blog.threads.map(std::num::NonZeroU16::get), Some(2));
    assert_eq!(blog.layers[0].from.to_string(), "onion.toml:9");
    assert_eq!((files.route.as_str(), &files.application), ("/static", &None));
    assert_eq!(configuration.dispatch.expect("options").options["slash"], "redirect");
}

#[test]
fn what_is_wrong_in_a_file_is_refused_with_its_line() {
    for (text, wanted) in [
        ("thread = 4", "onion.toml:1: there is no option \"thread\"; did you mean threads?"),
        ("threads = \"4\"", "onion.toml:1: threads: \"4\" does not fit; give an integer from 1 to 1024"),
        ("\nthreads = 0", "onion.toml:2: threads: 0 does not fit; give an integer from 1 to 1024"),
        ("bind = [\"nowhere\"]", "onion.toml:1: bind[0]: \"nowhere\" is no place to listen on; "),
        ("bind = []", "onion.toml:1: bind: there is nothing to listen on; "),
        ("application = 5", "onion.toml:1: application: 5 does not fit; "),
        ("layer = \"compress\"", "onion.toml:1: layer: it is no list of tables; write [[layer]]"),
        ("[server]\nthreads = 1", "onion.toml:1: server: the server's options have no table; "),
        ("[[layer]]\nmin_size = 1", "onion.toml:1: layer: use is missing; give one of allow_addresses, "),
        (
            "[[layer]]\n\nuse = \"compres\"",
            "onion.toml:3: there is no layer \"compres\"; did you mean compress? ",
        ),
        (
            "[[layer]]\nuse = \"compress\"\nlevel = 3",
            "onion.toml:3: compress: there is no option \"level\"; ",
        ),
        ("[[mount]]\nfolder = \"/x\"", "onion.toml:2: mount: there is no option \"folder\"; "),
        ("[[mount]]\napplication = \"a:b\"", "onion.toml:1: mount: neither path nor host nor methods; "),
        (
            "[[mount]]\n\npath = \"x\"",
            "onion.toml:3: mount: path: \"x\" does not begin with a slash; write /x",
        ),
        ("[[mount]]\npath = \"/x\"", "onion.toml:1: mount: application is missing; "),
        (
            "[[mount]]\npath = \"/x\"\nthreads = 0\napplication = \"a\"",
            "onion.toml:3: mount: threads: 0 does not fit",
        ),
        (
            "[dispatch]\nroutes = {}",
            "onion.toml:2: dispatch: routes is written in [[mount]] and application; ",
        ),
    ] {
        let refusal = refusal(file(text));
        assert!(refusal.starts_with(wanted), "{refusal}");
        assert_eq!(refusal.lines().count(), 1);
    }
}

#[test]
fn an_option_of_the_server_below_a_table_is_refused_with_where_it_belongs() {
    let refusal = refusal(file("[[layer]]\nuse = \"compress\"\nbind = \":80\"\n"));

    assert!(refusal.ends_with("; bind is the server's: write it above the first [table]"), "{refusal}");
}

#[test]
fn a_route_is_there_once() {
    let text = "[[mount]]\npath = \"/x\"\napplication = \"a\"\n".repeat(2);

    assert_eq!(refusal(file(&text)), "onion.toml:4: mount: /x is at onion.toml:1 already; write each once");
}

#[test]
fn what_is_wrong_elsewhere_is_refused_with_variable_flag_or_argument() {
    let environment =
        |name, text| refusal(Sources { environment: pairs(&[(name, text)]), ..Sources::default() });
    assert_eq!(
        environment("ONIONSKIN_THREADS", "many"),
        "ONIONSKIN_THREADS: \"many\" does not fit; give a whole number"
    );
    assert!(environment("ONIONSKIN_THREAD", "4").contains("did you mean ONIONSKIN_THREADS? "));
    assert!(environment("ONIONSKIN_LAYER", "compress").contains("layers and mounts are not given"));

    let sources = Sources { flags: flags(&[("max_body", &["large"])]), ..Sources::default() };
    assert!(refusal(sources).starts_with("--max-body: \"large\" is no size; "));

    let arguments = json!({"thread": 4}).as_object().cloned().expect("a table");
    assert!(
        refusal(Sources { arguments, ..Sources::default() }).starts_with("there is no option \"thread\"; ")
    );
}

#[test]
fn a_wrong_value_is_refused_also_where_another_replaces_it() {
    let sources = Sources { flags: flags(&[("threads", &["4"])]), ..file("threads = 0") };

    assert!(refusal(sources).starts_with("onion.toml:1: threads"));
}

#[test]
fn variables_of_others_and_empty_ones_are_passed_over() {
    let environment = pairs(&[
        ("PATH", "/bin"),
        ("ONIONSKIN_THREADS", ""),
        ("ONIONSKIN_CONFIG", "x"),
        ("ONIONSKIN_PORT", "tcp://10.0.0.1:80"), // Kubernetes makes these for a service called onionskin
        ("ONIONSKIN_SERVICE_HOST", "10.0.0.1"),
    ]);

    assert!(read(Sources { environment, ..Sources::default() }).is_ok());
}

#[test]
fn the_printed_configuration_reads_as_the_same() {
    let text = r#"
        application = "site:app"
        threads = 8
        [[layer]]
        use = "headers"
        response = { set = { "X-Frame-Options" = "DENY" } }
        [[mount]]
        path = "/a b"
        methods = ["GET"]
        application = "a:b"
    "#;
    let first = read(file(text)).expect("a configuration");
    let printed = toml(&first);
    assert!(printed.contains("threads = 8  # from onion.toml:3\n"), "{printed}");
    assert!(printed.contains("backlog = 2048  # default\n"), "{printed}");

    let second = read(file(&printed)).expect("what was printed can be read");
    let values = |configuration: &Configuration| -> Vec<Value> {
        configuration.server.values().map(|given| given.value.clone()).collect()
    };
    assert_eq!(values(&first), values(&second));
    assert_eq!(first.layers[0].options, second.layers[0].options);
    assert_eq!(first.mounts[0].route, second.mounts[0].route);
}

#[test]
fn the_schema_lists_every_option_and_every_layer() {
    let schema = schema();

    assert!(schema["properties"]["threads"]["description"].is_string());
    assert_eq!(schema["properties"]["keep_alive"]["type"], json!(["string", "number"]));
    let layers_of_schema = schema["$defs"]["layer"]["oneOf"].as_array().expect("a list");
    assert_eq!(layers_of_schema.len(), layers::LAYERS.len());
    let text = schema.to_string();
    let references = text.matches("$ref").count();
    assert_eq!(references, text.matches(r##""$ref":"#/$defs/layer""##).count());
}

#[test]
fn variables_are_expanded_in_the_file_with_the_line_of_the_string() {
    let file =
        "threads = 2\nbind = [\n  \"127.0.0.1:${PORT}\",\n]\n[application.${X}]\n".replace("${X}", "a");
    let file = format!("{file}target = \"m:$${{NAME}}\"\nenvironment = {{ URL = \"${{HOST}}\" }}\n");
    let read = |environment: &[(&str, &str)]| {
        super::read(Sources {
            file: Some(File::new("onion.toml", &file)),
            environment: environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            ..Sources::default()
        })
    };

    let configuration = read(&[("PORT", "8080"), ("HOST", "h")]).expect("a configuration");
    assert_eq!(configuration.server["bind"].value, serde_json::json!(["127.0.0.1:8080"]));
    assert_eq!(configuration.applications[0].target, "m:${NAME}");
    assert_eq!(configuration.applications[0].environment["URL"], "h");
    assert!(toml(&configuration).contains("target = \"m:$${NAME}\""));

    let refusal = read(&[("HOST", "h")]).expect_err("it is not set").to_string();
    assert!(refusal.starts_with("onion.toml:3: environment variable PORT is not set; "), "{refusal}");
}
