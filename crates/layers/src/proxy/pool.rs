//! The connections that are kept for further requests.
//!
//! A connection belongs to the runtime that watches it. One layer may serve under several runtimes (our server's, the
//! one behind the outward door, those of forked workers), so each has its own connections here.

use std::mem;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Handle, Id};

use super::link::Link;

/// The idle connections to one target.
pub(crate) struct Pool {
    most: usize,
    longest: Duration,
    homes: Mutex<Vec<Home>>,
}

/// The connections of one runtime.
struct Home {
    runtime: Id,
    process: u32,
    #[expect(clippy::vec_box, reason = "it goes from hand to hand, and is large")]
    links: Vec<Box<Link>>,
}

impl Pool {
    /// Keeps up to `most` connections, for up to `longest`.
    pub(crate) fn new(most: u16, longest: Duration) -> Self {
        Pool { most: most.into(), longest, homes: Mutex::default() }
    }

    /// The connection that was used last, if it is still good. With `probe` it is looked at closely: the request can't
    /// be sent again.
    pub(crate) fn take(&self, probe: bool) -> Option<Box<Link>> {
        let runtime = Handle::current().id();
        loop {
            let mut link = {
                let mut homes = self.homes();
                homes.iter_mut().find(|home| home.runtime == runtime)?.links.pop()?
            };
            if link.is_usable(self.longest, probe) {
                return Some(link);
            }
        }
    }

    /// Keeps `link`, if it can take a further request and there is room.
    pub(crate) fn give(&self, mut link: Box<Link>) {
        if self.most == 0 || !link.is_done_well() {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        let runtime = runtime.id();
        let mut homes = self.homes();
        let position = homes.iter().position(|home| home.runtime == runtime).unwrap_or_else(|| {
            if homes.len() == HOMES_MOST {
                homes.remove(0);
            }
            homes.push(Home { runtime, process: process::id(), links: Vec::new() });
            homes.len() - 1
        });
        let links = &mut homes[position].links;
        if links.len() >= self.most {
            // The one that was idle for longest.
            links.remove(0);
        }
        links.push(link);
    }

    /// Gives up all idle connections: one of them was closed by the target, the others will be too.
    pub(crate) fn clear(&self) {
        let runtime = Handle::current().id();
        let cleared = self
            .homes()
            .iter_mut()
            .find(|home| home.runtime == runtime)
            .map(|home| mem::take(&mut home.links));
        drop(cleared);
    }

    fn homes(&self) -> MutexGuard<'_, Vec<Home>> {
        // Nothing that runs under this lock leaves the table half changed.
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runtimes that ended leave their connections behind; so many runtimes are remembered.
const HOMES_MOST: usize = 8;

impl Drop for Home {
    fn drop(&mut self) {
        if self.process != process::id() {
            // Inherited by a fork: closing them here would take them out of the parent's poll set, which is shared.
            mem::forget(mem::take(&mut self.links));
        }
    }
}
