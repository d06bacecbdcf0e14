//! The sockets that the server listens on.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::handed::HandedSockets;
use crate::{Bind, BindError, Config, UnixMode, UnixOwner};

/// A bound socket, before a runtime has it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: ListenerSocket,
    /// The socket's file lives as long as the listener.
    pub(crate) file: Option<SocketFile>,
    /// What is spoken on it.
    pub(crate) speaks: Speaks,
}

/// What is spoken on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Speaks {
    /// HTTP.
    Http,
    /// HTTP, by TLS.
    Https,
    /// HTTP, to be told where HTTPS is.
    Redirect,
}

/// How sockets are bound.
#[derive(Clone, Debug)]
pub(crate) struct Manner {
    pub(crate) backlog: u16,
    pub(crate) mode: UnixMode,
    pub(crate) owner: Option<UnixOwner>,
    pub(crate) reuse_port: bool,
}

impl Manner {
    pub(crate) fn of(config: &Config) -> Self {
        Manner {
            backlog: config.backlog,
            mode: config.unix_mode,
            owner: config.unix_owner.clone(),
            reuse_port: config.reuse_port,
        }
    }

    /// For this user alone.
    pub(crate) fn private(backlog: u16) -> Self {
        Manner { backlog, mode: UnixMode(Some(0o600)), owner: None, reuse_port: false }
    }
}

/// The socket itself.
#[derive(Debug)]
pub(crate) enum ListenerSocket {
    Tcp(StdTcpListener),
    Unix(StdUnixListener),
}

/// The file of a Unix socket, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode: a successor may have put its own socket there.
    identity: (u64, u64),
    /// Whether it is removed, rather than left to a successor.
    is_owned: AtomicBool,
}

impl SocketFile {
    fn identify(path: &Path) -> io::Result<(u64, u64)> {
        let metadata = path.symlink_metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.is_owned.load(Ordering::Relaxed)
            && Self::identify(&self.path).is_ok_and(|found| found == self.identity)
        {
            // Gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// Binds `bind`, to every address that its host name has.
    pub(crate) fn open(
        bind: &Bind,
        manner: &Manner,
        handed: &HandedSockets,
    ) -> Result<Vec<Listener>, BindError> {
        let opened = match bind {
            Bind::Tcp(host, port) | Bind::Https(host, port) | Bind::Redirect(host, port) => {
                open_tcp(host, *port, manner, bind.speaks())
            }
            Bind::Unix(path) => open_unix(path, manner).map(|listener| vec![listener]),
            Bind::Handed(speaks, which) => handed.open(which, *speaks),
        };
        opened.map_err(|source| BindError { bind: bind.clone(), source })
    }

    /// Takes a socket that somebody else has bound.
    pub(crate) fn inherit(descriptor: OwnedFd, place: &Bind) -> io::Result<Listener> {
        let socket = Socket::from(descriptor);
        socket.set_cloexec(true)?;
        socket.set_nonblocking(true)?;
        let socket = if socket.local_addr()?.is_unix() {
            ListenerSocket::Unix(socket.into())
        } else {
            ListenerSocket::Tcp(socket.into())
        };
        Ok(Listener { socket, file: None, speaks: place.speaks() })
    }

    /// Takes a socket that another supervisor has bound, and hands over. Its file stays that one's, until it is owned.
    pub(crate) fn succeed(descriptor: OwnedFd, place: &Bind) -> io::Result<Listener> {
        let mut listener = Listener::inherit(descriptor, place)?;
        if let (ListenerSocket::Unix(_), Bind::Unix(path)) = (&listener.socket, place) {
            let is_abstract = unix_address(path)?.1;
            // One that is gone is nobody's.
            let identity = SocketFile::identify(path).ok().filter(|_| !is_abstract);
            listener.file = identity.map(|identity| SocketFile {
                path: path.clone(),
                identity,
                is_owned: AtomicBool::new(false),
            });
        }
        Ok(listener)
    }

    /// Whether the socket's file ends with it.
    pub(crate) fn own_file(&self, owned: bool) {
        if let Some(file) = &self.file {
            file.is_owned.store(owned, Ordering::Relaxed);
        }
    }

    /// The socket's descriptor, to be handed on.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.socket {
            ListenerSocket::Tcp(socket) => socket.as_fd(),
            ListenerSocket::Unix(socket) => socket.as_fd(),
        }
    }

    /// The place as it is: with the port that the system chose where 0 was asked for.
    pub(crate) fn bound(&self) -> Bind {
        match &self.socket {
            ListenerSocket::Unix(listener) => {
                let address = SockRef::from(listener).local_addr().ok();
                Bind::Unix(address.and_then(|address| written(&address)).unwrap_or_default())
            }
            ListenerSocket::Tcp(listener) => {
                let address = listener.local_addr().expect("a bound socket has an address");
                let (host, port) = (address.ip().to_string(), address.port());
                match self.speaks {
                    Speaks::Http => Bind::Tcp(host, port),
                    Speaks::Https => Bind::Https(host, port),
                    Speaks::Redirect => Bind::Redirect(host, port),
                }
            }
        }
    }
}

fn open_tcp(host: &str, port: u16, manner: &Manner, speaks: Speaks) -> io::Result<Vec<Listener>> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    addresses.dedup();
    addresses.into_iter().map(|address| open_address(address, manner, speaks)).collect()
}

fn open_address(address: SocketAddr, manner: &Manner, speaks: Speaks) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if manner.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // So that [::] and 0.0.0.0 can be bound side by side, whatever net.ipv6.bindv6only says.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(manner.backlog.into())?;
    socket.set_nonblocking(true)?;
    Ok(Listener { socket: ListenerSocket::Tcp(socket.into()), file: None, speaks })
}

fn open_unix(path: &Path, manner: &Manner) -> io::Result<Listener> {
    let (address, is_abstract) = unix_address(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    if !is_abstract {
        clear_away(path, &address)?;
    }
    socket.bind(&address)?;
    if let (Some(mode), false) = (manner.mode.0, is_abstract) {
        // Before it listens: nobody else gets in meanwhile.
        std::fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    if let (Some(owner), false) = (&manner.owner, is_abstract)
        && let Err(error) = owner.own(path)
    {
        // Nobody is to find a socket there that nobody listens on.
        std::fs::remove_file(path)?;
        return Err(error);
    }
    let identified = || {
        let (path, identity) = (path.to_owned(), SocketFile::identify(path)?);
        Ok::<_, io::Error>(SocketFile { path, identity, is_owned: AtomicBool::new(true) })
    };
    let file = if is_abstract { None } else { Some(identified()?) };
    socket.listen(manner.backlog.into())?;
    Ok(Listener { socket: ListenerSocket::Unix(socket.into()), file, speaks: Speaks::Http })
}

/// Removes a socket's file that a server has left behind which did not stop cleanly. What somebody still listens on stays,
/// and so does what is no socket.
fn clear_away(path: &Path, address: &SockAddr) -> io::Result<()> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(()) };
    if !metadata.file_type().is_socket() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let asking = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Who has no time to accept must not hold this up: that is an answer, too.
    asking.set_nonblocking(true)?;
    match asking.connect(address) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The address of a Unix socket, and whether it is an abstract one: `@name` stands for a zero byte and the name.
fn unix_address(path: &Path) -> io::Result<(SockAddr, bool)> {
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        Some(name) => {
            let address = [b"\0", name].concat();
            Ok((SockAddr::unix(OsStr::from_bytes(&address))?, true))
        }
        None => Ok((SockAddr::unix(path)?, false)),
    }
}

/// The same, as it is written.
fn written(address: &SockAddr) -> Option<PathBuf> {
    if let Some(name) = address.as_abstract_namespace() {
        return Some(OsStr::from_bytes(&[b"@", name].concat()).into());
    }
    address.as_pathname().map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(bind: &Bind) -> Result<Vec<Listener>, BindError> {
        Listener::open(bind, &Manner::of(&Config::default()), &HandedSockets::default())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_socket_has_a_name_and_no_file() {
        let name = format!("unix:@onionskin-test-{}", std::process::id());
        let place: Bind = name.parse().expect("a place");
        let listener = open(&place).expect("a free name");

        assert_eq!(listener[0].bound(), place);
        assert!(open(&place).expect_err("taken").to_string().contains("another program"));
    }

    #[test]
    fn what_is_there_already_is_removed_only_if_it_is_a_socket_that_nobody_has() {
        use std::os::unix::net::{UnixDatagram, UnixListener};

        let folder = std::env::temp_dir().join(format!("onionskin-listen-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let refused = |name: &str| open(&Bind::Unix(folder.join(name))).expect_err("taken").to_string();
        std::fs::write(folder.join("file"), "precious").expect("a file");
        let _datagrams = UnixDatagram::bind(folder.join("datagrams")).expect("a free path");
        let busy = UnixListener::bind(folder.join("busy")).expect("a free path");
        SockRef::from(&busy).listen(0).expect("a shorter queue");
        let _waits = std::os::unix::net::UnixStream::connect(folder.join("busy")).expect("a place in it");
        drop(UnixListener::bind(folder.join("left")).expect("a free path"));

        assert!(refused("file").contains("a file that is no socket"));
        assert!(refused("").contains("a file that is no socket"));
        assert!(refused("datagrams").contains("another program"));
        assert!(refused("busy").contains("another program"));
        assert!(refused("missing/socket").contains("no such folder; make it"));
        assert!(refused(&"x".repeat(200)).ends_with("; choose another path"));
        assert!(open(&Bind::Unix(folder.join("left"))).is_ok());
        assert_eq!(std::fs::read(folder.join("file")).expect("still there"), b"precious");

        std::fs::remove_dir_all(&folder).expect("a folder of ours");
    }

    #[test]
    fn a_taken_port_says_what_where_and_what_to_do() {
        let first = open(&Bind::Tcp("127.0.0.1".into(), 0)).expect("a free port");
        let taken = first[0].bound();

        let error = open(&taken).expect_err("taken").to_string();

        assert!(error.starts_with(&format!("cannot listen on {taken}: another program")), "{error}");
    }
}
