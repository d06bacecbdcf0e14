//! Connections that nobody uses at the moment, for the process that made them.
//!
//! A server may fork with the layer already built and used. What the parent has connected is not the child's to use,
//! and not to close either: SQLite's locks belong to the process, and a connection's end would be told to Redis.

use std::mem;
use std::process;
use std::sync::{Mutex, PoisonError};

pub(super) struct Pool<C>(Mutex<Idle<C>>);

struct Idle<C> {
    process: u32,
    connections: Vec<C>,
}

impl<C> Pool<C> {
    pub(super) fn new() -> Self {
        Pool(Mutex::new(Idle { process: process::id(), connections: Vec::new() }))
    }

    /// A connection that is idle.
    pub(super) fn take(&self) -> Option<C> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.process != process::id() {
            mem::forget(mem::take(&mut idle.connections));
            idle.process = process::id();
        }
        idle.connections.pop()
    }

    /// Gives back one that works; those that have failed are dropped.
    pub(super) fn give(&self, connection: C) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.connections.len() < MOST {
            idle.connections.push(connection);
        }
    }
}

/// As many as the calls at a time usually are; more are made when they are needed, and closed afterwards.
const MOST: usize = 16;
