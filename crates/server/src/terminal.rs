//! The terminal that a server was started from: SIGHUP means that it is gone, or is somebody's request.

use std::io::{IsTerminal, stdin};

/// Whether there was one.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    was_there: bool,
}

impl Terminal {
    /// To be called at the start.
    pub fn of_this_process() -> Self {
        Terminal { was_there: stdin().is_terminal() }
    }

    /// Whether it was closed: then the server, as every program, has to end.
    pub fn is_gone(self) -> bool {
        self.was_there && !stdin().is_terminal()
    }
}
