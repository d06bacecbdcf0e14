//! Opens files below a folder, and nothing else.
//!
//! The whole way is resolved by the kernel, beneath the open folder (openat2 on Linux), or step by step from one open
//! folder to the next (elsewhere): nobody can put a link in the way between a check and the opening. What was opened is
//! what is looked at.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions as OpenOptionsBeneath, OpenOptionsExt as _};
use onion::OptionError;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// A folder whose files may be opened.
pub(super) struct Root {
    path: PathBuf,
    follow_symlinks: bool,
    recheck: Duration,
    /// The open folder, and since when: another one may be put in its place, as deployments do.
    opened: Mutex<Option<(Instant, Arc<Dir>)>>,
}

/// What is at a name.
pub(super) enum Opened {
    /// A regular file.
    File(File, Metadata),
    Folder,
    /// Nothing, nothing that may be seen, or nothing that is a file.
    Nothing,
}

impl Root {
    pub(super) fn new(path: &Path, follow_symlinks: bool, recheck: Duration) -> Result<Self, OptionError> {
        let absolute = std::path::absolute(path).ok().filter(|absolute| absolute.is_dir());
        let Some(path) = absolute else {
            return Err(OptionError(format!(
                "root: \"{}\" is no folder; give one that is there",
                path.display()
            )));
        };
        Ok(Root { path, follow_symlinks, recheck, opened: Mutex::default() })
    }

    /// Opens what is at `name`. An error is what says nothing about whether it is there.
    pub(super) fn open(&self, name: &[u8], now: Instant) -> io::Result<Opened> {
        if name.is_empty() {
            return Ok(Opened::Folder);
        }
        match self.open_file(Path::new(OsStr::from_bytes(name)), now).and_then(look_at) {
            Err(error) if is_absence(&error) => Ok(Opened::Nothing),
            opened => opened,
        }
    }

    fn open_file(&self, name: &Path, now: Instant) -> io::Result<File> {
        let flags = HARMLESS.bits().cast_signed();
        if self.follow_symlinks {
            return OpenOptions::new().read(true).custom_flags(flags).open(self.path.join(name));
        }
        let options = OpenOptionsBeneath::new().read(true).custom_flags(flags).clone();
        self.folder(now)?.open_with(name, &options).map(cap_std::fs::File::into_std)
    }

    fn folder(&self, now: Instant) -> io::Result<Arc<Dir>> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, folder)) = &*opened
            && now.saturating_duration_since(*since) < self.recheck
        {
            return Ok(Arc::clone(folder));
        }
        let folder = Arc::new(Dir::open_ambient_dir(&self.path, ambient_authority())?);
        *opened = Some((now, Arc::clone(&folder)));
        Ok(folder)
    }
}

fn look_at(file: File) -> io::Result<Opened> {
    let metadata = file.metadata()?;
    Ok(match metadata.file_type() {
        kind if kind.is_file() => Opened::File(file, metadata),
        kind if kind.is_dir() => Opened::Folder,
        _ => Opened::Nothing,
    })
}

/// Whether an error means that there is nothing for this client; the others (no descriptor left, a broken disk) do not.
fn is_absence(error: &io::Error) -> bool {
    let kinds = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::PermissionDenied];
    let codes = [Errno::LOOP, Errno::NAMETOOLONG, Errno::XDEV, Errno::NXIO, Errno::NODEV, Errno::INVAL];
    kinds.contains(&error.kind()) || Errno::from_io_error(error).is_some_and(|code| codes.contains(&code))
}

/// A pipe or a device is opened without waiting for its other end, and becomes nobody's terminal.
const HARMLESS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A root with a file in it, and a secret beside it.
    fn site() -> tempfile::TempDir {
        let site = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(site.path().join("root/sub")).expect("a folder");
        fs::write(site.path().join("root/a.txt"), "inside").expect("a file");
        fs::write(site.path().join("secret.txt"), "outside").expect("a file");
        site
    }

    fn root(site: &tempfile::TempDir, follow_symlinks: bool) -> Root {
        Root::new(&site.path().join("root"), follow_symlinks, Duration::ZERO).expect("a root")
    }

    fn is_file(root: &Root, name: &str) -> bool {
        matches!(root.open(name.as_bytes(), Instant::now()).expect("no fault"), Opened::File(..))
    }

    #[test]
    fn a_link_out_of_the_root_leads_to_nothing() {
        let site = site();
        let inner = site.path().join("root");
        symlink("../secret.txt", inner.join("relative")).expect("a link");
        symlink(site.path().join("secret.txt"), inner.join("absolute")).expect("a link");
        symlink("..", inner.join("up")).expect("a link");
        symlink("loop", inner.join("loop")).expect("a link");
        let root = root(&site, false);

        for name in ["relative", "absolute", "up/secret.txt", "up/root/a.txt", "loop", "../secret.txt"] {
            assert!(!is_file(&root, name), "{name}");
        }
    }

    #[test]
    fn a_link_within_the_root_is_followed() {
        let site = site();
        symlink("../a.txt", site.path().join("root/sub/b.txt")).expect("a link");

        assert!(is_file(&root(&site, false), "sub/b.txt"));
    }

    #[test]
    fn links_are_followed_anywhere_if_that_is_wanted() {
        let site = site();
        symlink("../secret.txt", site.path().join("root/out")).expect("a link");

        assert!(is_file(&root(&site, true), "out"));
    }

    #[test]
    fn what_is_no_regular_file_is_neither_read_nor_waited_for() {
        let site = site();
        let inner = site.path().join("root");
        let made =
            std::process::Command::new("mkfifo").arg(inner.join("fifo")).status().expect("mkfifo runs");
        let _listener = UnixListener::bind(inner.join("socket")).expect("a socket");

        assert!(made.success());
        for follow_symlinks in [false, true] {
            let root = root(&site, follow_symlinks);
            assert!(!is_file(&root, "fifo"));
            assert!(!is_file(&root, "socket"));
            assert!(!is_file(&root, "sub"));
            assert!(!is_file(&root, "a.txt/b"));
        }
    }

    #[test]
    fn another_folder_in_the_roots_place_is_found() {
        let site = site();
        let root = root(&site, false);
        assert!(is_file(&root, "a.txt"));

        fs::rename(site.path().join("root"), site.path().join("old")).expect("renamed");
        assert!(!is_file(&root, "a.txt"));
        fs::create_dir(site.path().join("root")).expect("a folder");
        fs::write(site.path().join("root/new.txt"), "new").expect("a file");
        assert!(is_file(&root, "new.txt"));
    }

    #[test]
    fn a_root_that_is_not_there_is_refused() {
        let error = Root::new(Path::new("/no/such/folder"), false, Duration::ZERO).err().expect("no folder");

        assert_eq!(error.to_string(), "root: \"/no/such/folder\" is no folder; give one that is there");
    }
}
