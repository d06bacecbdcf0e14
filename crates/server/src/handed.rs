//! Listening sockets that whoever started this process has bound: systemd (socket activation), or another program.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

use serde::{Deserialize, Serialize};
use socket2::{Socket, Type};

use crate::listen::{Listener, ListenerSocket, Speaks};

/// A socket that was handed over.
#[derive(Debug)]
pub struct HandedSocket {
    /// The number that it came with.
    pub number: RawFd,
    /// The name that it came with, if any (`FileDescriptorName=`).
    pub name: String,
    /// The socket.
    pub socket: OwnedFd,
}

/// All of them.
#[derive(Debug, Default)]
pub struct HandedSockets(pub Vec<HandedSocket>);

/// Which of them is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Handed {
    /// The one with this number.
    Number(RawFd),
    /// All with this name.
    Name(String),
}

impl HandedSockets {
    /// Listens on those that are meant. They stay here, too.
    pub(crate) fn open(&self, handed: &Handed, speaks: Speaks) -> io::Result<Vec<Listener>> {
        let is_meant = |it: &&HandedSocket| match handed {
            Handed::Number(number) => it.number == *number,
            Handed::Name(name) => it.name == *name,
        };
        let meant: Vec<&HandedSocket> = self.0.iter().filter(is_meant).collect();
        if meant.is_empty() {
            return Err(io::Error::other(self.lacking()));
        }
        meant.into_iter().map(|it| listener(it.socket.try_clone()?, speaks)).collect()
    }

    fn lacking(&self) -> String {
        let there = self.0.iter().map(|it| match it.name.as_str() {
            "" => format!("fd://{}", it.number),
            name => format!("fd://{} (systemd:{name})", it.number),
        });
        let there: Vec<String> = there.collect();
        if there.is_empty() {
            "no socket was handed over; start it by a .socket unit of systemd, or choose another --bind"
                .to_owned()
        } else {
            format!("no such socket was handed over at the start; there is {}", there.join(", "))
        }
    }
}

fn listener(socket: OwnedFd, speaks: Speaks) -> io::Result<Listener> {
    let socket = Socket::from(socket);
    let unfit = || io::Error::other("it is no stream socket that listens; write ListenStream= and Accept=no");
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(unfit());
    }
    let is_unix = socket.local_addr()?.is_unix();
    if is_unix && speaks != Speaks::Http {
        return Err(io::Error::other("a Unix socket has no TLS; leave out what stands before the +"));
    }
    socket.set_nonblocking(true)?;
    let socket =
        if is_unix { ListenerSocket::Unix(socket.into()) } else { ListenerSocket::Tcp(socket.into()) };
    Ok(Listener { socket, file: None, speaks })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    fn handed(name: &str, socket: impl Into<OwnedFd>) -> HandedSockets {
        HandedSockets(vec![HandedSocket { number: 3, name: name.to_owned(), socket: socket.into() }])
    }

    #[test]
    fn a_socket_is_found_by_its_number_and_by_its_name() {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("an address");
        let sockets = handed("web", socket);
        for which in [Handed::Number(3), Handed::Name("web".to_owned())] {
            let found = sockets.open(&which, Speaks::Https).expect("it is there");
            assert_eq!(found[0].bound().to_string(), format!("https://{address}"));
        }
    }

    #[test]
    fn what_was_not_handed_over_is_refused_with_what_was() {
        let sockets = handed("web", TcpListener::bind("127.0.0.1:0").expect("a port"));
        let error = sockets.open(&Handed::Number(4), Speaks::Http).expect_err("there is none");
        assert!(error.to_string().ends_with("there is fd://3 (systemd:web)"), "{error}");
    }

    #[test]
    fn what_does_not_listen_is_refused() {
        let sockets = handed("", UdpSocket::bind("127.0.0.1:0").expect("a port"));
        assert!(sockets.open(&Handed::Number(3), Speaks::Http).is_err());
    }
}
