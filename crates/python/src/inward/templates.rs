//! The dicts that environs are copied from: one for all connections between the same two addresses.
//!
//! A dict of its own for each connection would be cold when the connection's next request comes, and copying it would
//! wait for memory. These stay in the processor's cache: a proxy's connections all share one.

use std::sync::{Arc, Mutex, PoisonError};

use std::net::IpAddr;

use onion::{Connection, Peer, Scheme};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rustc_hash::FxHashMap;

/// The templates of one server.
pub(crate) struct Templates {
    /// What is the same for all requests.
    common: Py<PyDict>,
    made: Mutex<FxHashMap<Ends, Arc<Template>>>,
}

/// A dict with all that requests on some connections have in common.
struct Template(Py<PyDict>);

/// What a template depends on: all of a connection but the client's port.
#[derive(PartialEq, Eq, Hash)]
struct Ends {
    client: Option<IpAddr>,
    local: Peer,
    scheme: Scheme,
    secured: Option<Vec<(&'static str, String)>>,
}

/// A client must not make us remember without end: at so many templates all are forgotten.
const MOST: usize = 256;

impl Templates {
    /// `common` is what the server knows of itself.
    pub(crate) fn new(common: Py<PyDict>) -> Self {
        Templates { common, made: Mutex::default() }
    }

    /// The dict for requests on `connection`, which keeps it for its next one.
    pub(crate) fn of<'a>(&self, py: Python<'_>, connection: &'a Connection) -> PyResult<&'a Py<PyDict>> {
        if connection.kept.get().is_none() {
            // Whoever was first has kept the same.
            let _ = connection.kept.set(self.shared(py, connection)?);
        }
        let kept = connection.kept.get().and_then(|kept| kept.downcast_ref::<Template>());
        Ok(&kept.expect("only this door keeps something with a connection of our server").0)
    }

    fn shared(&self, py: Python<'_>, connection: &Connection) -> PyResult<Arc<Template>> {
        let ends = Ends {
            client: connection.peer.address,
            local: connection.local,
            scheme: connection.scheme,
            secured: connection.secured.as_ref().map(|secured| secured.environ.clone()),
        };
        // Python code must not run under the lock.
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&ends).map(Arc::clone);
        if let Some(template) = made {
            return Ok(template);
        }
        let environ = self.common.bind(py).copy()?;
        set_connection(&environ, connection)?;
        let template = Arc::new(Template(environ.unbind()));
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let forgotten = if made.len() < MOST { None } else { Some(std::mem::take(&mut *made)) };
        made.insert(ends, Arc::clone(&template));
        drop(made);
        drop(forgotten);
        Ok(template)
    }
}

/// The keys that tell of the connection.
pub(crate) fn set_connection(environ: &Bound<'_, PyDict>, connection: &Connection) -> PyResult<()> {
    let Peer { address, port } = connection.peer;
    environ.set_item("REMOTE_ADDR", address.map_or(String::new(), |address| address.to_string()))?;
    environ.set_item("REMOTE_PORT", port.map_or(String::new(), |port| port.to_string()))?;
    environ.set_item("wsgi.url_scheme", connection.scheme.as_str())?;
    let Peer { address, port } = connection.local;
    // Never empty (PEP 3333): a Unix socket has no address of its own.
    environ.set_item("SERVER_NAME", address.map_or("localhost".to_owned(), |address| address.to_string()))?;
    environ.set_item("SERVER_PORT", port.map_or("80".to_owned(), |port| port.to_string()))?;
    for (key, value) in connection.secured.iter().flat_map(|secured| &secured.environ) {
        environ.set_item(key, value)?;
    }
    Ok(())
}
