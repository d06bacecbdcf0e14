//! Where the server listens: addresses as people write them, and the sockets bound to them.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};

/// One place to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Bind {
    /// A TCP port of a host name or address; an empty host means every IPv4 address.
    Tcp(String, u16),
    /// The same, by TLS.
    Https(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Default for Bind {
    fn default() -> Self {
        Bind::Tcp("127.0.0.1".to_owned(), 8000)
    }
}

impl FromStr for Bind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "{text:?} is no place to listen on; write 127.0.0.1:8000, [::1]:8000, :8000, https://0.0.0.0:8443 or \
                 unix:/run/site.sock"
            )
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(refused()) } else { Ok(Bind::Unix(path.into())) };
        }
        let (is_https, place) = match text.strip_prefix("https://") {
            Some(place) => (true, place),
            None => (false, text.strip_prefix("http://").unwrap_or(text)),
        };
        let (host, port) = place.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(refused)?,
            None if host.contains([':', '/']) => return Err(refused()),
            None => host,
        };
        Ok(if is_https { Bind::Https(host.to_owned(), port) } else { Bind::Tcp(host.to_owned(), port) })
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Https(host, port) if host.contains(':') => write!(formatter, "https://[{host}]:{port}"),
            Bind::Https(host, port) => write!(formatter, "https://{host}:{port}"),
            Bind::Tcp(host, port) if host.contains(':') => write!(formatter, "[{host}]:{port}"),
            Bind::Tcp(host, port) => write!(formatter, "{host}:{port}"),
            Bind::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl TryFrom<String> for Bind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Bind> for String {
    fn from(bind: Bind) -> String {
        bind.to_string()
    }
}

/// A place that could not be listened on.
#[derive(Debug)]
pub struct BindError {
    /// Which.
    pub bind: Bind,
    /// Why.
    pub source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindError { bind, source } = self;
        let way_out = match source.kind() {
            io::ErrorKind::AddrInUse => "another program listens there; stop it or choose another --bind",
            io::ErrorKind::PermissionDenied => {
                "not permitted to this user; choose a port above 1023 or another path"
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address; choose one of its own",
            _ => return write!(formatter, "cannot listen on {bind}: {source}"),
        };
        write!(formatter, "cannot listen on {bind}: {way_out}")
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

/// A bound socket, before a runtime has it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: ListenerSocket,
    /// The socket's file lives as long as the listener.
    #[expect(dead_code, reason = "it is there to be dropped")]
    file: Option<SocketFile>,
    /// Whether TLS is spoken on it.
    pub(crate) is_https: bool,
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
}

impl SocketFile {
    fn identify(path: &Path) -> io::Result<(u64, u64)> {
        let metadata = path.symlink_metadata()?;
        Ok((metadata.dev(), metadata.ino()))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if Self::identify(&self.path).is_ok_and(|found| found == self.identity) {
            // Gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// Binds `bind`, to every address that its host name has.
    pub(crate) fn open(bind: &Bind, backlog: u16) -> Result<Vec<Listener>, BindError> {
        let opened = match bind {
            Bind::Tcp(host, port) | Bind::Https(host, port) => open_tcp(host, *port, backlog),
            Bind::Unix(path) => open_unix(path).map(|listener| vec![listener]),
        };
        let mut listeners = opened.map_err(|source| BindError { bind: bind.clone(), source })?;
        for listener in &mut listeners {
            listener.is_https = matches!(bind, Bind::Https(..));
        }
        Ok(listeners)
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
        Ok(Listener { socket, file: None, is_https: matches!(place, Bind::Https(..)) })
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
                let address = listener.local_addr().ok();
                Bind::Unix(address.and_then(|it| it.as_pathname().map(Path::to_owned)).unwrap_or_default())
            }
            ListenerSocket::Tcp(listener) => {
                let address = listener.local_addr().expect("a bound socket has an address");
                let (host, port) = (address.ip().to_string(), address.port());
                if self.is_https { Bind::Https(host, port) } else { Bind::Tcp(host, port) }
            }
        }
    }
}

fn open_tcp(host: &str, port: u16, backlog: u16) -> io::Result<Vec<Listener>> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let mut addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    addresses.dedup();
    addresses.into_iter().map(|address| open_address(address, backlog)).collect()
}

fn open_address(address: SocketAddr, backlog: u16) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // So that [::] and 0.0.0.0 can be bound side by side, whatever net.ipv6.bindv6only says.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog.into())?;
    socket.set_nonblocking(true)?;
    Ok(Listener { socket: ListenerSocket::Tcp(socket.into()), file: None, is_https: false })
}

fn open_unix(path: &Path) -> io::Result<Listener> {
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket {
        // Left behind by a server that did not stop cleanly, or still in use?
        match StdUnixStream::connect(path) {
            Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let listener = StdUnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    let file = SocketFile { path: path.to_owned(), identity: SocketFile::identify(path)? };
    Ok(Listener { socket: ListenerSocket::Unix(listener), file: Some(file), is_https: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        assert_eq!("127.0.0.1:8000".parse(), Ok(Bind::Tcp("127.0.0.1".into(), 8000)));
        assert_eq!("[::1]:80".parse(), Ok(Bind::Tcp("::1".into(), 80)));
        assert_eq!("http://127.0.0.1:80".parse(), Ok(Bind::Tcp("127.0.0.1".into(), 80)));
        assert_eq!("https://[::1]:8443".parse(), Ok(Bind::Https("::1".into(), 8443)));
        assert_eq!(":8000".parse(), Ok(Bind::Tcp(String::new(), 8000)));
        assert_eq!("unix:/run/site.sock".parse(), Ok(Bind::Unix("/run/site.sock".into())));
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_way_out() {
        for text in
            ["", "8000", "::1:8000", "[::1:8000", "localhost:", "localhost:http", "localhost:70000", "unix:"]
                .into_iter()
                .chain(["https://", "https://a", "https://a:1/", "ftp://a:1", "https://unix:/a"])
        {
            let error = text.parse::<Bind>().expect_err(text);
            assert!(error.contains("write 127.0.0.1:8000"), "{error}");
        }
    }

    #[test]
    fn a_taken_port_says_what_where_and_what_to_do() {
        let first = Listener::open(&Bind::Tcp("127.0.0.1".into(), 0), 16).expect("a free port");
        let taken = first[0].bound();

        let error = Listener::open(&taken, 16).expect_err("taken").to_string();

        assert!(error.starts_with(&format!("cannot listen on {taken}: another program")), "{error}");
    }
}
