//! A file that holds the number of the main process, for whoever sends it signals.
//!
//! Promises: it is there whole or not at all; one that names another process that runs is left alone, and so is a file
//! that holds something else; at the end it is removed, unless it names somebody else by then.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;

use onion::OptionError;
use rustix::fs::{Access, access};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use tempfile::NamedTempFile;

/// The file, while it is ours.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    /// There is no file.
    Nothing,
    /// A process that has ended, or nobody.
    Stale,
    /// A process that runs.
    Running(i32),
}

impl PidFile {
    /// Writes the number of this process to `path`, unless another process that runs is named there.
    pub fn claim(path: &Path) -> Result<Self, OptionError> {
        let refused = |wrong: &dyn std::fmt::Display| refusal(path, wrong);
        let path = resolved(path).map_err(|error| refused(&error))?;
        // Once more, if somebody was quicker: then it is theirs.
        for _ in 0..2 {
            let found = holds(&path).map_err(|error| refused(&error))?;
            if let Holds::Running(pid) = found {
                let path = path.to_string_lossy();
                return Err(OptionError(format!(
                    "pid_file: process {pid}, which {path:?} names, is running; stop it, or remove the file if that is \
                     no server of yours"
                )));
            }
            match write(&path, found == Holds::Stale) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(refused(&error)),
                Ok(()) => return Ok(PidFile { path }),
            }
        }
        Err(refused(&"another process writes it at this moment"))
    }

    /// Writes it over the number of the process that this one succeeds.
    pub fn take_over(path: &Path) -> Result<Self, OptionError> {
        let path = resolved(path).map_err(|error| refusal(path, &error))?;
        holds(&path).and_then(|_| write(&path, true)).map_err(|error| refusal(&path, &error))?;
        Ok(PidFile { path })
    }

    /// Refuses a path that could not be written, as far as that can be told without writing it.
    pub fn check(path: &Path) -> Result<(), OptionError> {
        let writable = || {
            let path = resolved(path)?;
            holds(&path)?;
            Ok(access(folder_of(&path), Access::WRITE_OK | Access::EXEC_OK)?)
        };
        writable().map_err(|error: io::Error| refusal(path, &error))
    }

    /// Whether it is the file at `path`.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        resolved(path).is_ok_and(|path| path == self.path)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A child of this process, or the one that succeeds it, has another number.
        if read(&self.path).is_ok_and(|pid| pid == own()) {
            // If it stays, the next one finds that it is stale.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn refusal(path: &Path, wrong: &dyn std::fmt::Display) -> OptionError {
    let path = path.to_string_lossy();
    OptionError(format!(
        "pid_file: {path:?} cannot be written: {wrong}; give a file in a folder that can be written to"
    ))
}

/// The file itself, wherever the process goes, and behind whichever link.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = std::path::absolute(path)?;
            let name = path.file_name().ok_or(error)?;
            Ok(fs::canonicalize(folder_of(&path))?.join(name))
        }
        found => found,
    }
}

fn holds(path: &Path) -> io::Result<Holds> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(io::Error::other("it is no file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holds::Nothing),
        Err(error) => return Err(error),
    }
    let pid = read(path)?;
    let runs = Pid::from_raw(pid).filter(|_| pid > 0 && pid != own());
    // One that belongs to somebody else may not be signalled, but it is there.
    let runs = runs.is_some_and(|pid| !matches!(test_kill_process(pid), Err(Errno::SRCH)));
    Ok(if runs { Holds::Running(pid) } else { Holds::Stale })
}

/// The number in the file, 0 if it is empty. Something else is an error: it may be a file that matters.
fn read(path: &Path) -> io::Result<i32> {
    let text = fs::read_to_string(path)?;
    let text = text.trim();
    let number = if text.is_empty() { Some(0) } else { text.parse().ok() };
    number.ok_or_else(|| io::Error::other("it holds something else than the number of a process"))
}

fn write(path: &Path, is_replaced: bool) -> io::Result<()> {
    let folder = folder_of(path);
    // For everybody to read; umask may take that back.
    let mut file: NamedTempFile = tempfile::Builder::new()
        .prefix(".pid")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    writeln!(file, "{}", own())?;
    if is_replaced {
        file.persist(path)?
    } else {
        file.persist_noclobber(path)?
    };
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

fn own() -> i32 {
    process::id().cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn content(path: &Path) -> String {
        fs::read_to_string(path).expect("it is there")
    }

    #[test]
    fn it_holds_the_number_while_it_is_held() {
        let folder = folder();
        let path = folder.path().join("pid");
        let file = PidFile::claim(&path).expect("it can be written");
        assert_eq!(content(&path), format!("{}\n", own()));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_names_a_process_that_runs_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("pid");
        let parent = std::os::unix::process::parent_id();
        fs::write(&path, format!("{parent}\n")).expect("it can be written");
        let refused = PidFile::claim(&path).expect_err("somebody runs").0;
        assert!(refused.contains(&format!("process {parent}, which")), "{refused}");
        assert_eq!(content(&path), format!("{parent}\n"));

        let file = PidFile::take_over(&path).expect("it can be written");
        assert_eq!(content(&path), format!("{}\n", own()));
        drop(file);
    }

    #[test]
    fn one_that_is_stale_or_empty_is_replaced() {
        let folder = folder();
        let path = folder.path().join("pid");
        let mut child = process::Command::new("true").spawn().expect("it starts");
        child.wait().expect("it ends");
        for stale in [child.id().to_string(), String::new(), own().to_string()] {
            fs::write(&path, stale).expect("it can be written");
            drop(PidFile::claim(&path).expect("nobody runs"));
            assert!(!path.exists());
        }
    }

    #[test]
    fn a_file_that_is_none_of_this_kind_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("notes");
        fs::write(&path, "buy milk").expect("it can be written");
        let refused = PidFile::claim(&path).expect_err("it matters").0;
        assert!(refused.contains("something else than the number of a process"), "{refused}");
        assert!(PidFile::take_over(&path).is_err());
        assert!(PidFile::check(&path).is_err());
        assert_eq!(content(&path), "buy milk");
        assert!(PidFile::claim(Path::new("/dev/null")).is_err());
        assert!(PidFile::claim(folder.path()).is_err());
    }

    #[test]
    fn at_the_end_it_stays_if_it_names_somebody_else() {
        let folder = folder();
        let path = folder.path().join("pid");
        let file = PidFile::claim(&path).expect("it can be written");
        fs::write(&path, "1\n").expect("it can be written");
        drop(file);
        assert_eq!(content(&path), "1\n");
    }

    #[test]
    fn where_nothing_can_be_written_is_told_without_writing() {
        let folder = folder();
        assert_eq!(PidFile::check(&folder.path().join("pid")), Ok(()));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
        let refused = PidFile::check(&folder.path().join("no").join("pid")).expect_err("no folder").0;
        assert!(refused.contains("No such file or directory"), "{refused}");
    }

    #[test]
    fn it_is_the_same_behind_a_folder_that_is_a_link() {
        let folder = folder();
        let (real, link) = (folder.path().join("run"), folder.path().join("var-run"));
        fs::create_dir(&real).expect("a folder");
        std::os::unix::fs::symlink(&real, &link).expect("a link");
        let file = PidFile::claim(&link.join("pid")).expect("it can be written");
        assert!(file.is_at(&link.join("pid")) && file.is_at(&real.join("pid")));
        assert!(!file.is_at(&folder.path().join("pid")));
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = folder();
        let (link, path) = (folder.path().join("link"), folder.path().join("pid"));
        fs::write(&path, "").expect("it can be written");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        let file = PidFile::claim(&link).expect("it can be written");
        assert!(file.is_at(&path) && file.is_at(&link));
        assert_eq!(content(&path), format!("{}\n", own()));
        assert!(link.symlink_metadata().expect("it is there").is_symlink());
    }
}
