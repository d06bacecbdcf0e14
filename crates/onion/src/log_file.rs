//! A file that lines are written to by a thread of its own: whoever logs never waits for a disk or a pipe.
//!
//! Lines gather in memory for a moment and leave together. What is written too slowly is dropped and counted once a
//! bound is reached; a disk that is full or a pipe that is broken is said once, and tried again with the next lines.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where lines go: `off`, `-` for a standard stream, or a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline)]
pub enum LogPlace {
    /// Nowhere.
    #[default]
    Off,
    /// A standard stream of the process; which one is its user's to say.
    Standard,
    /// A file, which lines are appended to.
    File(PathBuf),
}

impl FromStr for LogPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("an empty name is no file; give a file, - or off".to_owned()),
            "off" => Ok(LogPlace::Off),
            "-" => Ok(LogPlace::Standard),
            path => Ok(LogPlace::File(path.into())),
        }
    }
}

impl LogPlace {
    /// Whether a log could be opened here, as far as that can be told without making a file.
    pub fn check(&self) -> io::Result<()> {
        let LogPlace::File(path) = self else { return Ok(()) };
        let path = std::path::absolute(path)?;
        match path.metadata() {
            Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
            Ok(_) => Ok(access(&path, Access::WRITE_OK)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(&path);
                Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
            }
            Err(error) => Err(error),
        }
    }
}

impl TryFrom<String> for LogPlace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<LogPlace> for String {
    fn from(place: LogPlace) -> String {
        match place {
            LogPlace::Off => "off".to_owned(),
            LogPlace::Standard => "-".to_owned(),
            LogPlace::File(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// A file that is written in the background.
#[derive(Debug)]
pub struct LogFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// What it is in messages: `access log`.
    name: &'static str,
    /// None for a stream, which cannot be opened again.
    path: Option<PathBuf>,
    /// Where what is wrong with the file is told.
    tell: fn(&str),
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Since it was last told.
    dropped: u64,
    lost: u64,
    reopen: bool,
    closed: bool,
    ended: bool,
}

/// So much may wait to be written.
const MOST: usize = 8 << 20;

/// So much is worth a write at once.
const ENOUGH: usize = 256 << 10;

/// How long lines are gathered.
const GATHER: Duration = Duration::from_millis(20);

/// How long the end waits for what is left to be written.
const FAREWELL: Duration = Duration::from_secs(2);

/// How often it is told that lines are dropped.
const PAUSE: Duration = Duration::from_secs(60);

impl LogFile {
    /// Opens `path`, to be appended to. What goes wrong later is given to `tell`, once.
    pub fn open(name: &'static str, path: &Path, tell: fn(&str)) -> io::Result<Self> {
        // A relative path means the same after a change of folder.
        let path = std::path::absolute(path)?;
        let file = append(&path)?;
        Self::start(name, file, Some(path), tell)
    }

    /// Writes to what `stream` writes to.
    pub fn stream(name: &'static str, stream: &impl AsFd, tell: fn(&str)) -> io::Result<Self> {
        Self::start(name, File::from(stream.as_fd().try_clone_to_owned()?), None, tell)
    }

    fn start(name: &'static str, file: File, path: Option<PathBuf>, tell: fn(&str)) -> io::Result<Self> {
        let shared = Shared { name, path, tell, state: Mutex::default(), changed: Condvar::new() };
        let shared = Arc::new(shared);
        let writing = Arc::clone(&shared);
        thread::Builder::new().name("onionskin-log".to_owned()).spawn(move || writing.write_all(file))?;
        Ok(LogFile { shared })
    }

    /// Hands over `line`, which ends with a line end.
    pub fn write(&self, line: &[u8]) {
        let mut state = self.shared.state();
        let before = state.lines.len();
        if before + line.len() > MOST {
            state.dropped += 1;
            state.lost += 1;
            return;
        }
        state.lines.extend_from_slice(line);
        if before == 0 || (before < ENOUGH && state.lines.len() >= ENOUGH) {
            self.shared.changed.notify_all();
        }
    }

    /// Writes `line` from this thread. A stream without a path belongs to the writing thread alone.
    pub(crate) fn write_directly(&self, line: &[u8]) {
        let file = self.shared.path.as_deref().map(append);
        // The process is about to end, so a failure cannot be reported.
        drop(file.map(|file| file.and_then(|mut file| file.write_all(line))));
    }

    /// Opens the file anew, after what was handed over is written: the old one was moved away.
    pub fn reopen(&self) {
        self.shared.state().reopen = true;
        self.shared.changed.notify_all();
    }

    /// Ends it when what was handed over is written, or after a moment: what the reader of a pipe has not taken by then,
    /// nobody will.
    pub fn close(&self) {
        let mut state = self.shared.state();
        state.closed = true;
        self.shared.changed.notify_all();
        drop(self.shared.changed.wait_timeout_while(state, FAREWELL, |state| !state.ended));
    }

    /// How many lines did not get into the file.
    pub fn lost(&self) -> u64 {
        self.shared.state().lost
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the writing thread knows of its file.
struct Writing {
    file: File,
    failing: bool,
    told_dropped: Option<Instant>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, file: File) {
        let mut writing = Writing { file, failing: false, told_dropped: None };
        let mut lines = Vec::new();
        while let Some((reopen, dropped)) = self.next(&mut lines) {
            let lost = writing.write(&lines, self);
            lines.clear();
            if lines.capacity() > 2 * ENOUGH {
                lines = Vec::new();
            }
            if lost > 0 {
                self.state().lost += lost;
            }
            writing.tell_dropped(dropped, self);
            if reopen {
                writing.reopen(self);
            }
        }
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Waits for lines, and gives them a moment to gather. `None` at the end.
    fn next(&self, lines: &mut Vec<u8>) -> Option<(bool, u64)> {
        let mut state = self.state();
        while state.lines.is_empty() && !state.reopen && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let gathering = |state: &mut State| state.lines.len() < ENOUGH && !state.reopen && !state.closed;
        let waited = self.changed.wait_timeout_while(state, GATHER, gathering);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.closed && state.lines.is_empty() {
            return None;
        }
        mem::swap(&mut state.lines, lines);
        Some((mem::take(&mut state.reopen), mem::take(&mut state.dropped)))
    }
}

impl Writing {
    /// Writes `lines`. Tells how many were lost.
    fn write(&mut self, lines: &[u8], shared: &Shared) -> u64 {
        match self.file.write_all(lines) {
            Ok(()) if lines.is_empty() => 0,
            Ok(()) => {
                if mem::take(&mut self.failing) {
                    (shared.tell)(&format!("the {} is written again", shared.name));
                }
                0
            }
            Err(error) => {
                if !mem::replace(&mut self.failing, true) {
                    (shared.tell)(&format!(
                        "the {} cannot be written, its lines are lost until it can: {error}",
                        shared.name
                    ));
                }
                lines.split(|byte| *byte == b'\n').count() as u64 - 1
            }
        }
    }

    fn tell_dropped(&mut self, dropped: u64, shared: &Shared) {
        if dropped > 0 && self.told_dropped.is_none_or(|told| told.elapsed() > PAUSE) {
            self.told_dropped = Some(Instant::now());
            let name = shared.name;
            (shared.tell)(&format!("the {name} is written too slowly, lines are dropped: {dropped} by now"));
        }
    }

    fn reopen(&mut self, shared: &Shared) {
        let Some(path) = &shared.path else { return };
        match append(path) {
            Ok(file) => self.file = file,
            Err(error) => (shared.tell)(&format!(
                "the {} cannot be opened anew, the old file is kept: {error}",
                shared.name
            )),
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    static TOLD: AtomicU32 = AtomicU32::new(0);

    fn count(_: &str) {
        TOLD.fetch_add(1, Ordering::SeqCst);
    }

    fn ignore(_: &str) {}

    #[test]
    fn what_was_handed_over_is_in_the_file_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let log = LogFile::open("log", &path, ignore).expect("it can be opened");
        for _ in 0..3 {
            log.write(b"a line\n");
        }
        drop(log);

        assert_eq!(fs::read_to_string(path).expect("it is there"), "a line\na line\na line\n");
    }

    #[test]
    fn whether_it_could_be_opened_is_told_without_making_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let check = |path: PathBuf| LogPlace::File(path).check().map_err(|error| error.kind());
        let path = folder.path().join("log");
        assert_eq!(check(path.clone()), Ok(()));
        assert!(!path.exists());
        assert_eq!(check(folder.path().join("no").join("log")), Err(io::ErrorKind::NotFound));
        assert_eq!(check(folder.path().to_owned()), Err(io::ErrorKind::IsADirectory));
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let log = LogFile::open("log", &path, ignore).expect("it can be opened");
        log.write(b"before\n");
        fs::rename(&path, &moved).expect("it is there");
        log.reopen();
        while !path.exists() {
            thread::yield_now();
        }
        log.write(b"after\n");
        drop(log);

        assert_eq!(fs::read_to_string(moved).expect("it is there"), "before\n");
        assert_eq!(fs::read_to_string(path).expect("it is there"), "after\n");
    }

    #[test]
    fn a_broken_pipe_is_said_once_and_its_lines_are_counted() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let log = LogFile::stream("log", &writer, count).expect("it is open");
        for expected in 1..=3 {
            log.write(b"lost\n");
            while log.lost() < expected {
                thread::yield_now();
            }
        }

        assert_eq!(TOLD.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn who_logs_never_waits_for_who_reads() {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let log = LogFile::stream("log", &writer, ignore).expect("it is open");
        let line = [[b'x'; 1023].as_slice(), b"\n"].concat();
        let lines = 2 * MOST / line.len();
        for _ in 0..lines {
            log.write(&line);
        }
        let lost = log.lost();
        assert!(lost > 0);

        drop(writer);
        let reading = thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read.len())
        });
        drop(log);
        let read = reading.join().expect("no panic").expect("it can be read");
        assert_eq!(read, (lines - usize::try_from(lost).expect("few")) * line.len());
    }
}
