//! The files that a generation was made of: a change of one begins a reload (`--reload`).
//!
//! Every module in a folder counts that something was imported from, the configuration's file, and what the globs of
//! `--reload-include` name. Folders are watched rather than files: editors put new files in the place of old ones, and
//! what an import lacked is not there yet.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};
use onion::Glob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::plan::Plan;
use super::say;

/// A glob over the paths of files, from the directory of the server or from the root of the file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", inline)]
pub struct FileGlob(Glob);

impl FileGlob {
    /// Whether it names `file`: by its path, or without a slash by its name alone.
    fn names(&self, file: &Path, directory: &Path) -> bool {
        let matches = |text: &OsStr| self.0.matches(text.as_encoded_bytes());
        if self.0.as_str().contains('/') {
            matches(file.as_os_str())
                || file.strip_prefix(directory).is_ok_and(|file| matches(file.as_os_str()))
        } else {
            file.file_name().is_some_and(matches)
        }
    }
}

impl FromStr for FileGlob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Glob::watched(text).map(FileGlob)
    }
}

impl TryFrom<String> for FileGlob {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<FileGlob> for String {
    fn from(glob: FileGlob) -> String {
        glob.0.to_string()
    }
}

/// What is watched, and what has changed.
#[derive(Default)]
pub(crate) struct Changes {
    watching: Option<Watching>,
    sender: Option<UnboundedSender<PathBuf>>,
    /// Where relative names begin.
    directory: PathBuf,
    files: BTreeSet<PathBuf>,
    include: Vec<FileGlob>,
    exclude: Vec<FileGlob>,
    /// Folders whose modules count, and those that are watched with everything below them.
    folders: BTreeSet<PathBuf>,
    roots: BTreeSet<PathBuf>,
    /// The first file that has changed, and since when changes have come.
    changed: Option<(PathBuf, Instant)>,
    due: Option<Instant>,
}

/// The names of files that something has happened to.
pub(crate) type News = UnboundedReceiver<PathBuf>;

/// A change is over when nothing has happened for so long: programs write in several steps, and several files at once.
const QUIET: Duration = Duration::from_millis(50);

/// It counts as over after so long in any case.
const LONGEST: Duration = Duration::from_secs(1);

/// How often files are looked at where the system doesn't tell.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The endings of files that are modules.
const MODULES: [&str; 2] = ["py", "so"];

/// Who tells of changes: the system, or somebody who looks again and again.
struct Watching {
    watcher: Box<dyn Watcher + Send>,
    is_told: bool,
    sender: UnboundedSender<PathBuf>,
}

impl Changes {
    /// Where the names of changed files will come from; they are to be given to [`seen`](Self::seen).
    pub(crate) fn begin(&mut self, plan: &Plan) -> News {
        let (sender, news) = unbounded_channel();
        self.sender = Some(sender);
        self.follow(plan);
        news
    }

    /// Watches what a plan names.
    pub(crate) fn follow(&mut self, plan: &Plan) {
        let Some(sender) = self.sender.clone() else { return };
        if !plan.config.reload {
            *self = Changes { sender: Some(sender), ..Changes::default() };
            return;
        }
        if self.watching.is_none() {
            self.watching = Watching::new(sender).map_err(|error| say(&unwatched(&error))).ok();
        }
        // Without links in it, as folders are told that something was imported from.
        self.directory =
            plan.directory.as_deref().unwrap_or(Path::new(".")).canonicalize().unwrap_or_default();
        self.include.clone_from(&plan.config.reload_include);
        self.exclude.clone_from(&plan.config.reload_exclude);
        self.files = plan.files.iter().map(|file| self.directory.join(file)).collect();
        let roots: Vec<PathBuf> =
            self.include.iter().map(|glob| self.directory.join(root_of(glob.0.as_str()))).collect();
        for root in roots {
            self.watch(&root, RecursiveMode::Recursive);
        }
        let beside: Vec<PathBuf> =
            self.files.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
        for folder in beside.into_iter().chain([self.directory.clone()]) {
            self.watch(&folder, RecursiveMode::NonRecursive);
        }
    }

    /// Watches the modules in folders that something was imported from.
    pub(crate) fn imported(&mut self, folders: Vec<PathBuf>) {
        for folder in folders {
            self.watch(&folder, RecursiveMode::NonRecursive);
        }
    }

    fn watch(&mut self, folder: &Path, mode: RecursiveMode) {
        let Some(watching) = &mut self.watching else { return };
        let is_within = self.roots.iter().any(|root| folder.starts_with(root));
        let known = if mode == RecursiveMode::Recursive { &mut self.roots } else { &mut self.folders };
        if known.insert(folder.to_owned())
            && !is_within
            && folder.is_dir()
            && let Err(error) = watching.watch(folder, mode, &self.folders, &self.roots)
        {
            say(&unwatched(&error));
        }
    }

    /// Something has happened to a file.
    pub(crate) fn seen(&mut self, file: PathBuf, now: Instant) {
        if self.counts(&file) {
            let (_, since) = self.changed.get_or_insert((file, now));
            self.due = Some((now + QUIET).min(*since + LONGEST));
        }
    }

    /// When a change is over.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The file of a change that is over, as people name it.
    pub(crate) fn settled(&mut self, now: Instant) -> Option<String> {
        self.due.take_if(|due| *due <= now)?;
        let (file, _) = self.changed.take()?;
        Some(file.strip_prefix(&self.directory).unwrap_or(&file).display().to_string())
    }

    fn counts(&self, file: &Path) -> bool {
        let named = |globs: &[FileGlob]| globs.iter().any(|glob| glob.names(file, &self.directory));
        if named(&self.exclude) {
            return false;
        }
        self.files.contains(file) || self.is_module(file) || named(&self.include)
    }

    fn is_module(&self, file: &Path) -> bool {
        let ending = file.extension().and_then(OsStr::to_str).unwrap_or_default();
        // Emacs locks a file by a link of that name.
        let is_hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        MODULES.contains(&ending)
            && !is_hidden
            && file.parent().is_some_and(|folder| self.folders.contains(folder))
    }
}

impl Watching {
    fn new(sender: UnboundedSender<PathBuf>) -> notify::Result<Self> {
        match RecommendedWatcher::new(telling(sender.clone()), notify::Config::default()) {
            Ok(watcher) => Ok(Watching { watcher: Box::new(watcher), is_told: true, sender }),
            Err(_) => Watching::looking(sender),
        }
    }

    fn looking(sender: UnboundedSender<PathBuf>) -> notify::Result<Self> {
        let config = notify::Config::default().with_poll_interval(LOOK_AGAIN);
        let watcher = PollWatcher::new(telling(sender.clone()), config)?;
        Ok(Watching { watcher: Box::new(watcher), is_told: false, sender })
    }

    /// Watches one folder more; where the system has had enough, all of them are looked at instead.
    fn watch(
        &mut self,
        folder: &Path,
        mode: RecursiveMode,
        folders: &BTreeSet<PathBuf>,
        roots: &BTreeSet<PathBuf>,
    ) -> notify::Result<()> {
        match self.watcher.watch(folder, mode) {
            Err(_) if self.is_told => {
                *self = Watching::looking(self.sender.clone())?;
                let all = folders.iter().map(|it| (it, RecursiveMode::NonRecursive));
                let all = all.chain(roots.iter().map(|it| (it, RecursiveMode::Recursive)));
                all.filter(|(it, _)| it.is_dir()).try_for_each(|(it, mode)| self.watcher.watch(it, mode))
            }
            watched => watched,
        }
    }
}

/// What a watcher calls, in a thread of its own.
fn telling(sender: UnboundedSender<PathBuf>) -> impl Fn(notify::Result<Event>) {
    move |event| {
        let Ok(event) = event else { return };
        let is_written = matches!(event.kind, EventKind::Access(AccessKind::Close(AccessMode::Write)));
        if event.kind.is_access() && !is_written {
            return;
        }
        for file in event.paths {
            // The supervisor is ending, if it no longer listens.
            let _ = sender.send(file);
        }
    }
}

fn unwatched(error: &notify::Error) -> String {
    format!("not every change will be noticed: {error}")
}

/// The folder that everything is below that a glob names.
fn root_of(glob: &str) -> PathBuf {
    let is_plain = |part: &Component<'_>| {
        !part.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'*' | b'?'))
    };
    let path = Path::new(glob);
    let plain: PathBuf = path.components().take_while(is_plain).collect();
    // A glob without a star is a file's name, whose folder is watched.
    if plain == path { plain.parent().map(Path::to_owned).unwrap_or_default() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Changes {
        Changes {
            directory: "/site".into(),
            files: ["/site/onion.toml".into()].into(),
            include: ["templates/**/*.html", "*.json"].map(|glob| glob.parse().expect("a glob")).into(),
            exclude: vec!["generated.py".parse().expect("a glob")],
            folders: ["/site".into(), "/site/shop".into()].into(),
            ..Changes::default()
        }
    }

    #[test]
    fn modules_the_configuration_and_what_globs_name_count() {
        let changes = changes();
        for file in
            ["app.py", "shop/cart.py", "onion.toml", "templates/a.html", "templates/b/c.html", "x/y.json"]
        {
            assert!(changes.counts(&Path::new("/site").join(file)), "{file}");
        }
        for file in ["README.md", "tests/test.py", "shop/.#cart.py", "generated.py", "other.toml", "a.html"] {
            assert!(!changes.counts(&Path::new("/site").join(file)), "{file}");
        }
    }

    #[test]
    fn many_changes_at_once_are_one_and_it_is_named_by_its_first_file() {
        let (mut changes, now) = (changes(), Instant::now());
        let step = QUIET / 2;
        changes.seen("/site/app.py".into(), now);
        changes.seen("/site/shop/cart.py".into(), now + step);
        assert_eq!(changes.settled(now + QUIET), None);
        assert_eq!(changes.settled(now + step + QUIET).as_deref(), Some("app.py"));
        assert_eq!(changes.settled(now + LONGEST), None);
    }

    #[test]
    fn changes_without_end_are_one_after_a_while() {
        let (mut changes, now) = (changes(), Instant::now());
        let mut later = now;
        while later < now + LONGEST {
            changes.seen("/site/app.py".into(), later);
            later += QUIET / 2;
        }
        assert!(changes.settled(now + LONGEST).is_some());
    }

    #[test]
    fn a_glob_is_watched_from_where_its_stars_begin() {
        for (glob, root) in
            [("templates/**/*.html", "templates"), ("*.json", ""), ("/etc/a.txt", "/etc"), (".env", "")]
        {
            assert_eq!(root_of(glob), Path::new(root), "{glob}");
        }
    }
}
