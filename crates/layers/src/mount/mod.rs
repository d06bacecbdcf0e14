//! `Mount`: several applications side by side, chosen by path, host and method.
//!
//! ```
//! let mount = layers::declaration("mount")?;
//! let options = serde_json::json!({"routes": {"/blog": "blog:app", "api.example.org": "api:app"}});
//! # struct App;
//! # impl onion::Handler for App {
//! #     fn call(&self, _: onion::Request) -> onion::Answer<'_> { onion::answer(onion::Response::default()) }
//! # }
//! # let load = |_name: &str| -> Result<std::sync::Arc<dyn onion::Handler>, String> { Ok(std::sync::Arc::new(App)) };
//! let supply = onion::Supply::finding(load); // from a name to the application
//! let built = supply.at_hand(|| layers::build(mount, options.as_object().cloned().unwrap_or_default()))?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: the most specific route gets the request: an exact host before a wildcard before none, then the longest
//! path, compared segment by segment and decoded; `SCRIPT_NAME` and `PATH_INFO` put together are what they were.
//!
//! It does not change the path otherwise (no slashes are collapsed), and does not look into the applications.

mod hosts;
mod route;
mod tree;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use onion::{
    Answer, Declaration, Handler, Layer, Limit, Next, OptionError, Phase, Request, RequestExt, Response,
    Target, answer, path, plain,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use hosts::Hosts;
use route::Route;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "mount",
    class: "Mount",
    summary: "Several applications side by side, chosen by path, host and method.",
    phase: Phase::Dispatch,
    stands_alone: true,
    positional: Some("routes"),
    schema: Declaration::schema_of::<Options>,
    build: |given| Ok(Arc::new(Mount::new(&onion::reading::read(given)?)?)),
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The applications by their routes. A route is a path (`/blog`), a host (`api.example.org`, `*.example.org`,
    /// `[::1]:8000`), or both (`api.example.org/v1`), and may begin with methods (`POST,PUT /upload`).
    #[schemars(example = example())]
    routes: BTreeMap<String, Target>,
    /// The application for all other requests. It stands in the place of one inside, which answers them otherwise.
    #[serde(default)]
    default: Option<Target>,
    /// Whether the route's path moves from `PATH_INFO` to `SCRIPT_NAME`, as applications expect that are mounted.
    #[serde(default = "yes")]
    strip: bool,
    /// What becomes of a request for a mount point without a slash at its end, `/blog`: `pass` gives it to the
    /// application, with an empty path, and `redirect` answers `308` to `/blog/`.
    #[serde(default)]
    slash: Slash,
    /// Limit the calls into an application that run at once, by its route. Further requests wait in the server's queue,
    /// so that a slow application leaves the remaining threads to its neighbours. Only under onionskin's own server.
    #[serde(default)]
    threads: BTreeMap<String, NonZeroU16>,
    /// Names of the applications in logs, metrics and `status`, by their routes. Defaults to the route.
    #[serde(default)]
    names: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Slash {
    #[default]
    Pass,
    Redirect,
}

struct Mount {
    mounted: Vec<Mounted>,
    hosts: Hosts,
    default: Option<Target>,
    strip: bool,
    slash: Slash,
    needs_runtime: bool,
}

/// One application, its name, and the limit on its calls.
struct Mounted {
    handler: Arc<dyn Handler>,
    name: Arc<str>,
    limit: Option<Arc<Limit>>,
}

impl Layer for Mount {
    fn call<'a>(&'a self, mut request: Request, next: Next<'a>) -> Answer<'a> {
        let decoded = path::decode(request.path());
        let Some(found) = self.hosts.find(&request, &decoded) else {
            return match &self.default {
                Some(default) => default.handler().call(request),
                None => next.run(request),
            };
        };
        let length = match decoded {
            Cow::Borrowed(_) => found.length,
            Cow::Owned(_) => encoded_length(request.path(), found.length),
        };
        if self.slash == Slash::Redirect && length > 0 && length == request.path().len() {
            return answer(with_slash(&request));
        }
        if self.strip {
            request.mount_at(length);
        }
        self.mounted[found.place].call(request)
    }

    fn needs_runtime(&self) -> bool {
        self.needs_runtime
    }

    fn limits(&self, limits: &mut Vec<Arc<Limit>>) {
        for mounted in &self.mounted {
            limits.extend(mounted.limit.clone());
            mounted.handler.limits(limits);
        }
        if let Some(default) = &self.default {
            default.handler().limits(limits);
        }
    }
}

impl Mount {
    fn new(options: &Options) -> Result<Self, OptionError> {
        let mut hosts = Hosts::default();
        let mut mounted = Vec::new();
        for (text, target) in &options.routes {
            let route = Route::parse(text).map_err(|why| OptionError(format!("routes: {text:?} {why}")))?;
            hosts.add(route, mounted.len()).map_err(|()| {
                OptionError(format!("routes: {text:?} is there twice; write each route once"))
            })?;
            let name: Arc<str> = options.names.get(text).unwrap_or(text).as_str().into();
            let limit = options
                .threads
                .get(text)
                .map(|most| Arc::new(Limit { name: Arc::clone(&name), most: usize::from(most.get()) }));
            mounted.push(Mounted { handler: Arc::clone(target.handler()), name, limit });
        }
        if let Some(text) = options.names.keys().find(|text| !options.routes.contains_key(*text)) {
            return Err(OptionError(format!(
                "names: {text:?} is not one of the routes; expected {}",
                known(options)
            )));
        }
        if let Some(text) = options.threads.keys().find(|text| !options.routes.contains_key(*text)) {
            return Err(OptionError(format!(
                "threads: {text:?} is no route; write it as it stands in routes"
            )));
        }
        let handlers = mounted.iter().map(|mounted| &mounted.handler);
        let needs_runtime = handlers
            .chain(options.default.as_ref().map(Target::handler))
            .any(|handler| handler.needs_runtime());
        let Options { default, strip, slash, .. } = options;
        Ok(Mount { mounted, hosts, default: default.clone(), strip: *strip, slash: *slash, needs_runtime })
    }
}

impl Mounted {
    /// Passes the request on. The caller of the application enforces its limit.
    fn call(&self, mut request: Request) -> Answer<'_> {
        let context = request.context_mut();
        if let Some(notes) = &context.notes {
            notes.set_application(Arc::clone(&self.name));
        }
        context.application = Some(Arc::clone(&self.name));
        context.limits.extend(self.limit.clone());
        self.handler.call(request)
    }
}

/// The routes, as a message lists them.
fn known(options: &Options) -> String {
    let routes: Vec<_> = options.routes.keys().map(|route| format!("{route:?}")).collect();
    routes.join(" or ")
}

/// How long the part of `encoded` is that `length` decoded bytes stand in.
fn encoded_length(encoded: &str, length: usize) -> usize {
    let mut rest = encoded.as_bytes();
    for _ in 0..length {
        rest = match rest {
            // What is decoded, and no other percent sign.
            [b'%', high, low, behind @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => behind,
            [_, behind @ ..] => behind,
            [] => break,
        };
    }
    encoded.len() - rest.len()
}

/// The way to the same mount point with a slash at its end.
fn with_slash(request: &Request) -> Response {
    let script_name = request.context().map(|context| path::encode(&context.script_name).into_owned());
    let query = request.uri().query().map_or(String::new(), |query| format!("?{query}"));
    let location = format!("{}{}/{query}", script_name.unwrap_or_default(), request.path());
    let mut response = plain(StatusCode::PERMANENT_REDIRECT, "The address ends with a slash\n");
    let location = HeaderValue::try_from(location).expect("a path and a query are visible ASCII");
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn example() -> serde_json::Value {
    serde_json::json!({"/blog": "blog:app", "api.example.org": "api:app"})
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;
