//! The listening sockets of a supervisor: generations come and go, and a socket stays as long as one of them has it.

use std::rc::Rc;

use crate::handed::HandedSockets;
use crate::listen::{Listener, Manner};
use crate::{Bind, BindError, Config};

/// Every place that is bound, with its sockets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    places: Vec<(Bind, Rc<Vec<Listener>>)>,
}

impl Places {
    /// The places of `binds`: sockets that are there are kept, others bound.
    pub(crate) fn succeeded(
        &self,
        binds: &[Bind],
        config: &Config,
        handed: &HandedSockets,
    ) -> Result<Self, BindError> {
        let manner = Manner::of(config);
        let mut places: Vec<(Bind, Rc<Vec<Listener>>)> = Vec::new();
        for bind in binds {
            let kept = self.places.iter().find(|(kept, _)| kept == bind);
            let listeners = match kept {
                Some((_, listeners)) => Rc::clone(listeners),
                None => Rc::new(Listener::open(bind, &manner, handed)?),
            };
            places.push((bind.clone(), listeners));
        }
        Ok(Places { places })
    }

    /// The places with the ports that the system chose.
    pub(crate) fn bound(&self) -> Vec<Bind> {
        self.listeners().map(Listener::bound).collect()
    }

    /// All sockets, to be inherited.
    pub(crate) fn all(&self) -> Vec<&Listener> {
        self.listeners().collect()
    }

    fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.places.iter().flat_map(|(_, listeners)| listeners.iter())
    }
}
