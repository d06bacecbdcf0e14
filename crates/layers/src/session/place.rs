//! Where sessions are kept: the option `store`, read.

use std::path::Path;
use std::sync::Arc;

use onion::OptionError;

use super::breaker::Breaker;
use super::memory::Memory;
use super::sqlite::Sqlite;
use super::store::Store;
use super::valkey::Valkey;

/// The store that `given` names, or `None` for the cookie itself. Nothing is connected yet.
pub(super) fn store(given: &str) -> Result<Option<Arc<dyn Store>>, OptionError> {
    if given == "cookie" {
        return Ok(None);
    }
    if given == "memory" {
        return Ok(Some(Arc::new(Memory::default())));
    }
    if let Some(path) = given.strip_prefix("sqlite:") {
        return Ok(Some(Arc::new(Breaker::new(Sqlite::new(file(path)?)))));
    }
    if SERVERS.iter().any(|scheme| given.starts_with(scheme)) {
        return Ok(Some(Arc::new(Breaker::new(Valkey::new(given)?))));
    }
    // What was given is not shown: it may hold a password.
    let scheme = given.split([':', '/', '@']).next().unwrap_or_default();
    Err(OptionError(format!(
        "store: {scheme:?} is no kind of store; give cookie, sqlite:/path/to/file or redis://host:port/database"
    )))
}

fn file(path: &str) -> Result<&Path, OptionError> {
    let shown = path;
    let path = Path::new(path.strip_prefix("//").filter(|rest| rest.starts_with('/')).unwrap_or(path));
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if !path.is_absolute() || path.file_name().is_none() {
        return Err(OptionError(format!("store: {shown:?} is no absolute path; give sqlite:/path/to/file")));
    }
    match directory {
        Some(directory) if directory.is_dir() => Ok(path),
        _ => Err(OptionError(format!(
            "store: there is no directory for {shown:?}; make it, or give another path"
        ))),
    }
}

const SERVERS: [&str; 4] = ["redis://", "valkey://", "redis+unix://", "unix://"];
