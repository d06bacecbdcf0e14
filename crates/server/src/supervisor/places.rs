//! The listening sockets of a supervisor: generations come and go, and a socket stays as long as one of them has it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
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
        self.opened(binds, &Manner::of(config), handed)
    }

    /// The same, bound in this manner.
    pub(crate) fn opened(
        &self,
        binds: &[Bind],
        manner: &Manner,
        handed: &HandedSockets,
    ) -> Result<Self, BindError> {
        let mut places: Vec<(Bind, Rc<Vec<Listener>>)> = Vec::new();
        for bind in binds {
            let kept = self.places.iter().find(|(kept, _)| kept == bind);
            let listeners = match kept {
                Some((_, listeners)) => Rc::clone(listeners),
                None => Rc::new(Listener::open(bind, manner, handed)?),
            };
            places.push((bind.clone(), listeners));
        }
        Ok(Places { places })
    }

    /// The places of another supervisor's. The files of its sockets stay that one's, and a socket is closed that is bound
    /// to a place of which only a version of that one knows.
    pub(crate) fn inherited(places: Vec<(String, Vec<OwnedFd>)>) -> io::Result<Self> {
        let known = |(name, sockets): (String, Vec<OwnedFd>)| Some((name.parse::<Bind>().ok()?, sockets));
        let inherit = |(bind, sockets): (Bind, Vec<OwnedFd>)| {
            let listeners = sockets.into_iter().map(|socket| Listener::succeed(socket, &bind));
            let listeners = Rc::new(listeners.collect::<io::Result<Vec<_>>>()?);
            Ok((bind, listeners))
        };
        Ok(Places { places: places.into_iter().filter_map(known).map(inherit).collect::<io::Result<_>>()? })
    }

    /// The places as they are written, with their sockets.
    pub(crate) fn with_descriptors(&self) -> Vec<(String, Vec<BorrowedFd<'_>>)> {
        self.places
            .iter()
            .map(|(bind, listeners)| (bind.to_string(), listeners.iter().map(Listener::descriptor).collect()))
            .collect()
    }

    /// The places as they are written.
    pub(crate) fn names(&self) -> Vec<String> {
        self.places.iter().map(|(bind, _)| bind.to_string()).collect()
    }

    /// Whether the files of some sockets end with these.
    pub(crate) fn own_files(&self, owned: bool, which: impl Fn(&Bind) -> bool) {
        let those = self.places.iter().filter(|(bind, _)| which(bind));
        those.flat_map(|(_, listeners)| listeners.iter()).for_each(|listener| listener.own_file(owned));
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
