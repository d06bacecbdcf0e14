//! `Session`: values that last from request to request, in `environ["onionskin.session"]`.
//!
//! ```
//! let session = layers::declaration("session")?;
//! let options = [("secret", "nCq4Jb7yNfYk9Xo2tVd0Zr6sLh3wGm8P"), ("idle", "30m"), ("store", "sqlite:/tmp/sessions")];
//! let built = layers::build(session, layers::from_text(session, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: a session that is not touched costs no read, no decryption and no header; changes are saved before the
//! head goes out; changes of different keys by requests that run at once are merged; only what this layer sealed is
//! accepted as a session, and a store that is down gives no one another one's session.
//!
//! It does not merge within a value, and does not save what is changed once the head has gone.

use std::path::PathBuf;
use std::sync::Arc;

use onion::{Answer, Declaration, Layer, Next, Phase, Request, RequestExt, Size, Span, Value};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod breaker;
mod cookies;
mod keeper;
mod memory;
mod merge;
mod open;
mod place;
mod pool;
mod recent;
mod record;
mod save;
mod seal;
mod secrets;
mod sqlite;
mod store;
mod valkey;

use keeper::Keeper;
pub use open::{Contents, OpenSession, Unavailable};
pub use record::{Expiry, Lifetime};

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "session",
    class: "Session",
    summary: "Gives the application values that last from request to request, in a sealed cookie or in a store.",
    phase: Phase::Identify,
    stands_alone: false,
    positional: None,
    schema: Declaration::schema_of::<Options>,
    build: |given| Ok(Arc::new(Session { keeper: Keeper::new(&onion::reading::read(given)?)? })),
};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are the attributes of a cookie")]
struct Options {
    /// What sessions are sealed with: texts of 32 random characters or more. The first one seals, the others still
    /// open what they sealed: put a new secret in front, and take the old one away after `absolute`.
    #[serde(default, deserialize_with = "secrets::read")]
    #[schemars(with = "Vec<String>")]
    secret: Vec<String>,
    /// File with the secrets, one on each line, instead of `secret`. It is read at start-up and by every reload.
    #[serde(default)]
    secret_file: Option<PathBuf>,
    /// The cookie's name. By default `__Host-sid`, or `sid` without `secure`. With the prefix `__Host-` browsers
    /// take the cookie only over HTTPS and from this very host, and with `__Secure-` only over HTTPS.
    #[serde(default)]
    name: Option<String>,
    /// Whether the cookie is for HTTPS only. Turn it off to work over plain HTTP; for `http://localhost` most
    /// browsers make an exception by themselves.
    #[serde(default = "yes")]
    secure: bool,
    /// Whether the cookie is hidden from scripts.
    #[serde(default = "yes")]
    http_only: bool,
    /// Which requests from other sites bring the cookie along: none (`strict`), those that lead here (`lax`), or
    /// all of them (`none`, which needs `secure` and a protection against forged requests).
    #[serde(default)]
    same_site: SameSite,
    /// The domain whose hosts share the cookie. By default it is for this host alone.
    #[serde(default)]
    domain: Option<String>,
    /// The path that the cookie is for.
    #[serde(default = "root")]
    path: String,
    /// Keep a separate cookie for each site that embeds this one (`Partitioned`, also called CHIPS). For sites that are
    /// shown in frames of others; needs `secure`, and `same_site="none"` to be of use there.
    #[serde(default)]
    partitioned: bool,
    /// Whether the cookie outlives the browser (`Max-Age`). An application can choose for a single session:
    /// `session.set_lifetime()`.
    #[serde(default)]
    persistent: bool,
    /// How long a session lasts that is not used. Use is noted when a tenth of this has passed. An application can
    /// choose for a single session: `session.set_lifetime()`.
    #[serde(default = "two_hours")]
    idle: Span,
    /// How long a session lasts at most, from its beginning or its last rotation.
    #[serde(default = "seven_days")]
    absolute: Span,
    /// Where sessions are kept: `cookie` (sealed, with the client), `sqlite:/path/to/file` (shared by the processes
    /// of a machine), `redis://host:port/database` or `redis+unix:///path/to/socket` (Redis or Valkey, shared by
    /// many machines), or `memory` (in this process alone, for tests and development).
    #[serde(default = "in_the_cookie")]
    store: String,
    /// How long a request waits for the store, all attempts together. After three failures in a row the store is asked once
    /// a second only, and all other requests that need it fail at once, until it answers.
    #[serde(default = "two_seconds")]
    store_timeout: Span,
    /// What happens when the store fails: the request is answered `503` (`refuse`), or has an empty session that is
    /// not kept (`anonymous`).
    #[serde(default)]
    on_store_error: OnStoreError,
    /// How to resolve a conflict: two requests that run at once set the same key to different values. The last one to
    /// finish wins (`overwrite`), the first one wins (`drop`), or the second one is answered `409` and saves nothing
    /// (`refuse`). Changes of different keys are not a conflict: they are merged.
    #[serde(default)]
    on_conflict: OnConflict,
    /// The largest session, as JSON. A cookie holds 4 KiB in all, whatever is said here.
    #[serde(default = "as_json")]
    max_size: Size,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SameSite {
    Strict,
    #[default]
    Lax,
    None,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum OnStoreError {
    #[default]
    Refuse,
    Anonymous,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum OnConflict {
    #[default]
    Overwrite,
    Drop,
    Refuse,
}

fn yes() -> bool {
    true
}

fn root() -> String {
    "/".to_owned()
}

fn two_hours() -> Span {
    Span::seconds(2 * 3600)
}

fn seven_days() -> Span {
    Span::seconds(7 * 86400)
}

fn in_the_cookie() -> String {
    "cookie".to_owned()
}

fn two_seconds() -> Span {
    Span::seconds(2)
}

fn as_json() -> Size {
    Size(64 * 1024)
}

struct Session {
    keeper: Arc<Keeper>,
}

impl Layer for Session {
    fn call<'a>(&'a self, mut request: Request, next: Next<'a>) -> Answer<'a> {
        if OpenSession::outside(&request).is_some_and(|outer| outer.shares_cookie(&self.keeper)) {
            // Two sessions in one cookie would overwrite each other.
            return next.run(request);
        }
        let session = Arc::new(OpenSession::of(&request, &self.keeper));
        request.tell(KEY, Value::Live(session.clone()));
        let answer = next.run(request);
        Box::pin(async { save::save(session, answer.await).await })
    }

    fn needs_runtime(&self) -> bool {
        self.keeper.waits()
    }
}

/// Where in environ the session is.
const KEY: &str = "onionskin.session";

#[cfg(test)]
mod tests;
