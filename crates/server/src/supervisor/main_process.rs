//! The file that tells which process is the main one: the supervisor's, and after an upgrade its successor's.

use std::path::Path;

use onion::{OptionError, report};

use super::Supervisor;
use crate::{Config, PidFile};

impl Supervisor<'_> {
    /// Writes the file, before any worker is started. A successor does so when it takes over.
    pub fn named(mut self) -> Result<Self, OptionError> {
        if self.predecessor.is_none() {
            self.pid_file = self.plan.config.pid_file.as_deref().map(PidFile::claim).transpose()?;
        }
        Ok(self)
    }

    /// A reload may name another file.
    pub(super) fn change_pid_file(&mut self, now: &Config) {
        let path = now.pid_file.as_deref();
        let is_same = |file: &PidFile| path.is_some_and(|path| file.is_at(path));
        if self.predecessor.is_none() && !self.pid_file.as_ref().is_some_and(is_same) {
            self.keep_pid_file(path, PidFile::claim);
        }
    }

    /// From now on this one is the main process.
    pub(super) fn take_over_pid_file(&mut self) {
        let path = self.plan.config.pid_file.clone();
        self.keep_pid_file(path.as_deref(), PidFile::take_over);
    }

    /// What is wrong with the file is no reason not to serve, once something is served.
    fn keep_pid_file(&mut self, path: Option<&Path>, write: fn(&Path) -> Result<PidFile, OptionError>) {
        match path.map(write).transpose() {
            Ok(file) => self.pid_file = file,
            Err(error) => report(&error.0),
        }
    }
}
