//! A chain of stylesheets: compiled once, compiled anew when one of its files has changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::engine::{Transformation, engine};

pub(super) struct Sheet {
    chain: Vec<PathBuf>,
    directory: Option<PathBuf>,
    reloads: bool,
    state: Mutex<State>,
}

struct State {
    transformation: Arc<dyn Transformation>,
    stamps: Vec<Stamp>,
    looked: Instant,
}

/// A file as it was: when it was changed, and how long it is. `None`: as it can't be again.
type Stamp = Option<(SystemTime, u64)>;

/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Sheet {
    /// Compiles `chain`.
    pub(super) fn new(chain: &[PathBuf], directory: Option<&Path>, reloads: bool) -> Result<Self, String> {
        let state = compile(chain, directory, Instant::now())?;
        let directory = directory.map(Path::to_owned);
        Ok(Sheet { chain: chain.to_vec(), directory, reloads, state: Mutex::new(state) })
    }

    /// As it was compiled last.
    pub(super) fn compiled(&self) -> Arc<dyn Transformation> {
        Arc::clone(&self.state().transformation)
    }

    /// As its files are `now`. Reads files, and may compile. A sheet that has become wrong stays as it was.
    pub(super) fn fresh(&self, now: Instant) -> Arc<dyn Transformation> {
        if let Some((transformation, stamps)) = self.to_be_looked_at(now)
            && stamps_of(transformation.files(), SystemTime::now()) != stamps
        {
            // Without the lock: others go on with what there is.
            match compile(&self.chain, self.directory.as_deref(), now) {
                Ok(state) => *self.state() = state,
                Err(reason) => {
                    onion::report(&format!("xslt: {reason}; the stylesheet stays as it was"));
                    let mut state = self.state();
                    state.stamps = stamps_of(transformation.files(), SystemTime::now());
                }
            }
        }
        self.compiled()
    }

    /// The sheet and its stamps for the one who has to look, once in a while.
    fn to_be_looked_at(&self, now: Instant) -> Option<(Arc<dyn Transformation>, Vec<Stamp>)> {
        let mut state = self.state();
        if !self.reloads || now.saturating_duration_since(state.looked) < LOOK_EVERY {
            return None;
        }
        state.looked = now;
        Some((Arc::clone(&state.transformation), state.stamps.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn compile(chain: &[PathBuf], directory: Option<&Path>, looked: Instant) -> Result<State, String> {
    let began = SystemTime::now();
    let transformation = engine()?.compile(chain, directory)?;
    let stamps = stamps_of(transformation.files(), began);
    Ok(State { transformation, stamps, looked })
}

/// The stamps of `files`. One that was changed after it was read has none that would ever be found again.
fn stamps_of(files: &[PathBuf], read: SystemTime) -> Vec<Stamp> {
    let stamp = |file: &PathBuf| {
        let metadata = fs::metadata(file).ok()?;
        let changed = metadata.modified().ok()?;
        (changed <= read).then_some((changed, metadata.len()))
    };
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::slice;

    use super::super::tests::{applied, sheets};
    use super::*;

    const CHANGED: Duration = Duration::from_secs(60);

    fn change(file: &Path, text: &str, ago: Duration) {
        fs::write(file, text).expect("written");
        let opened = File::options().write(true).open(file).expect("opened");
        opened.set_modified(SystemTime::now() - ago).expect("a time");
    }

    #[test]
    fn a_changed_file_is_seen_at_the_next_look() {
        let folder = sheets(&["x"]);
        let file = folder.path().join("x.xsl");
        change(&file, "x", 2 * CHANGED);
        let sheet = Sheet::new(slice::from_ref(&file), None, true).expect("compiled");
        let began = Instant::now();

        change(&file, "y", CHANGED);

        assert_eq!(applied(&*sheet.fresh(began)), "x[]");
        assert_eq!(applied(&*sheet.fresh(began + LOOK_EVERY * 2)), "y[]");
    }

    #[test]
    fn one_that_has_become_wrong_stays_as_it_was_until_it_is_right() {
        let folder = sheets(&["x"]);
        let file = folder.path().join("x.xsl");
        change(&file, "x", 2 * CHANGED);
        let sheet = Sheet::new(slice::from_ref(&file), None, true).expect("compiled");
        let began = Instant::now();

        fs::remove_file(&file).expect("removed");
        assert_eq!(applied(&*sheet.fresh(began + LOOK_EVERY * 2)), "x[]");
        change(&file, "z", CHANGED);

        assert_eq!(applied(&*sheet.fresh(began + LOOK_EVERY * 4)), "z[]");
    }

    #[test]
    fn without_reload_nothing_is_looked_at() {
        let folder = sheets(&["x"]);
        let file = folder.path().join("x.xsl");
        change(&file, "x", 2 * CHANGED);
        let sheet = Sheet::new(slice::from_ref(&file), None, false).expect("compiled");

        change(&file, "y", CHANGED);

        assert_eq!(applied(&*sheet.fresh(Instant::now() + LOOK_EVERY * 2)), "x[]");
    }
}
