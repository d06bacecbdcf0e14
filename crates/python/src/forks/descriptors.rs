//! The descriptors of a server that a forked process gives up: the epoll instance, and all that it watches.
//!
//! They are replaced by `/dev/null` rather than closed, so that their numbers stay taken for whoever still has them. That
//! says nothing to the epoll instance, which is the parent's: it forgets a descriptor when no process has it any more.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};

use rustix::io::{DupFlags, dup3};
use rustix::net::sockopt::socket_acceptconn;
use rustix::net::{SocketAddrUnix, getsockname};
use tokio::net::UnixStream;
use tokio::runtime::Handle;

/// The epoll instances of the servers of this process.
static EPOLLS: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

/// Remembers the epoll instance of `runtime`.
pub(super) fn remember(runtime: &Handle) -> io::Result<()> {
    let _entered = runtime.enter();
    // The runtime does not tell which it is: it is the one that watches this.
    let (probe, _other) = UnixStream::pair()?;
    let probe = probe.as_raw_fd();
    let found = open().into_iter().filter(|descriptor| {
        is_epoll(*descriptor) && watched(*descriptor).iter().any(|(watched, _)| *watched == probe)
    });
    EPOLLS.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
    Ok(())
}

/// No server serves any more.
pub(super) fn forget() {
    EPOLLS.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// Gives them up, in the child of a fork.
pub(super) fn give_up() {
    // Another thread of the parent may have held it; then a server was about to begin, and nothing was at stake yet.
    let Ok(epolls) = EPOLLS.try_lock().map(|mut epolls| std::mem::take(&mut *epolls)) else { return };
    let Ok(null) = File::open("/dev/null") else { return };
    let watched: Vec<(RawFd, u64)> = epolls.iter().flat_map(|epoll| watched(*epoll)).collect();
    // Sockets have an inode each: by that, copies of a descriptor are found too.
    let inodes: HashSet<u64> = watched.iter().map(|(_, inode)| *inode).collect();
    let is_watched = |inode: Option<u64>| inode.is_some_and(|inode| inodes.contains(&inode));
    let listened: Vec<Name> = (open().into_iter())
        .filter(|descriptor| is_watched(inode(*descriptor)) && is_listener(*descriptor))
        .filter_map(name)
        .collect();
    for descriptor in open() {
        let is_given_up = epolls.contains(&descriptor)
            || match (kind(descriptor), inode(descriptor)) {
                // One that another thread was about to accept is not watched yet.
                (Kind::Socket, inode) => {
                    is_watched(inode) || name(descriptor).is_some_and(|name| listened.contains(&name))
                }
                (Kind::Other, Some(inode)) => watched.contains(&(descriptor, inode)),
                _ => false,
            };
        if is_given_up && descriptor != null.as_raw_fd() {
            // SAFETY: it is open, was just listed, and stays so: it is replaced in one step, and not dropped here.
            let mut replaced = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(descriptor) });
            // Where it fails, the descriptor is shared for as long as this process lives.
            let _ = dup3(&null, &mut replaced, DupFlags::CLOEXEC);
        }
    }
}

/// What a listener and the connections that it accepts have in common.
#[derive(PartialEq, Eq)]
enum Name {
    Port(u16),
    Path(CString),
}

/// The local name of a TCP socket or a Unix socket, if it has one.
fn name(descriptor: RawFd) -> Option<Name> {
    let address = getsockname(borrowed(descriptor)).ok()?;
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        return Some(Name::Port(address.port()));
    }
    let address = SocketAddrUnix::try_from(address).ok()?;
    address.path().map(|path| Name::Path(path.into_owned()))
}

fn is_listener(descriptor: RawFd) -> bool {
    socket_acceptconn(borrowed(descriptor)).unwrap_or(false)
}

fn borrowed<'a>(descriptor: RawFd) -> BorrowedFd<'a> {
    // SAFETY: it was just listed, and in the child of a fork there is no other thread to close it.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Socket,
    Other,
}

fn kind(descriptor: RawFd) -> Kind {
    if link(descriptor).starts_with("socket:") { Kind::Socket } else { Kind::Other }
}

fn is_epoll(descriptor: RawFd) -> bool {
    link(descriptor) == "anon_inode:[eventpoll]"
}

fn link(descriptor: RawFd) -> String {
    let link = fs::read_link(format!("/proc/self/fd/{descriptor}"));
    link.map_or_else(|_| String::new(), |link| link.to_string_lossy().into_owned())
}

fn inode(descriptor: RawFd) -> Option<u64> {
    fs::metadata(format!("/proc/self/fd/{descriptor}")).ok().map(|metadata| metadata.ino())
}

/// All descriptors of this process.
fn open() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// What an epoll instance watches: the numbers under which the descriptors were given to it, with their inodes.
fn watched(epoll: RawFd) -> Vec<(RawFd, u64)> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).unwrap_or_default();
    text.lines().filter_map(watched_in).collect()
}

/// A line of `/proc/PID/fdinfo` (see its manual page): `tfd: 5 events: 19 data: 5 pos:0 ino:61af sdev:7`.
fn watched_in(line: &str) -> Option<(RawFd, u64)> {
    let descriptor = line.strip_prefix("tfd:")?.split_whitespace().next()?.parse().ok()?;
    let inode = line.split_whitespace().find_map(|word| word.strip_prefix("ino:"))?;
    Some((descriptor, u64::from_str_radix(inode, 16).ok()?))
}
