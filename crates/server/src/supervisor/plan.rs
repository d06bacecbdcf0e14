//! What a supervisor is to run: read at the start, and anew by every reload.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::Config;

/// One generation's command and options.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The command of a worker.
    pub command: Vec<OsString>,
    /// Where it runs.
    pub directory: Option<PathBuf>,
    /// The files that the options were read from.
    pub files: Vec<PathBuf>,
    /// The options.
    pub config: Config,
}

impl Plan {
    /// The command, to be started.
    pub(crate) fn command(&self) -> Command {
        let (program, arguments) = self.command.split_first().expect("a plan has a command");
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command
    }
}

/// Where plans come from. An error is the reason why there is none, in one line.
pub type Source<'a> = Box<dyn FnMut() -> Result<Plan, String> + 'a>;
