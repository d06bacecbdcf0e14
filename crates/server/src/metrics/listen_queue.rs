//! How many connections wait in the kernel until they are accepted. Linux tells it of TCP sockets, in `/proc/net/tcp`.

use std::fs::File;
use std::io::{BufRead, BufReader};

use rustix::fs::fstat;

use crate::listen::Listener;

/// The queues of some sockets.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListenQueues {
    /// The places, and the inodes of their sockets.
    sockets: Vec<(String, u64)>,
}

impl ListenQueues {
    pub(crate) fn of<'l>(listeners: impl IntoIterator<Item = &'l Listener>) -> Self {
        let socket = |listener: &Listener| {
            let inode = fstat(listener.descriptor()).ok()?.st_ino;
            Some((listener.bound().to_string(), inode))
        };
        ListenQueues { sockets: listeners.into_iter().filter_map(socket).collect() }
    }

    /// By place; those that the system does not tell of are left out.
    pub(crate) fn lengths(&self) -> Vec<(String, u64)> {
        if self.sockets.is_empty() {
            return Vec::new();
        }
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
        let files = tables.iter().filter_map(|table| File::open(table).ok());
        let told: Vec<(u64, u64)> = files.flat_map(|file| waiting(BufReader::new(file))).collect();
        let length = |inode: u64| told.iter().find(|(each, _)| *each == inode).map(|(_, length)| *length);
        let known = self.sockets.iter().filter_map(|(place, inode)| Some((place.clone(), length(*inode)?)));
        known.collect()
    }
}

/// The listening sockets of a table, with their queues. They come first: connections, which may be many, are not read.
fn waiting(table: impl BufRead) -> Vec<(u64, u64)> {
    table.lines().skip(1).map_while(|line| queue(&line.ok()?)).collect()
}

/// `sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode ...`
fn queue(line: &str) -> Option<(u64, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(3);
    if fields.next()? != LISTEN {
        return None;
    }
    let (_, received) = fields.next()?.split_once(':')?;
    let length = u64::from_str_radix(received, 16).ok()?;
    let inode = fields.nth(4)?.parse().ok()?;
    Some((inode, length))
}

/// The state.
const LISTEN: &str = "0A";

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:07E8 00000000:0000 0A 00000000:0000001F 00:00000000 00000000     0        0 1150 1 0 100 0 0 10 0
   1: 0100007F:07E9 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 77 1 0 100 0 0 10 0
   2: 0100007F:D87E 0100007F:9053 06 00000000:00000000 03:00000507 00000000     0        0 0 3 0
   3: 0100007F:07EA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 78 1 0 100 0 0 10 0
";

    #[test]
    fn listening_sockets_are_read_up_to_the_first_connection() {
        assert_eq!(waiting(TABLE.as_bytes()), [(1150, 31), (77, 0)]);
        assert_eq!(waiting("nonsense\nmore of it\n".as_bytes()), []);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_is_not_accepted_waits() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = format!("127.0.0.1:{}", socket.local_addr().expect("an address").port());
        let listener =
            Listener::inherit(socket.try_clone().expect("a copy").into(), &place.parse().expect("a place"));
        let queues = ListenQueues::of([&listener.expect("a socket")]);
        assert_eq!(queues.lengths(), [(place.clone(), 0)]);
        let _clients = [(); 3].map(|()| std::net::TcpStream::connect(&place).expect("a connection"));
        assert_eq!(queues.lengths(), [(place, 3)]);
    }
}
