//! Tells systemd how far a server has come (`sd_notify(3)`): one datagram for each news.

use std::process::Command;

use rustix::time::{ClockId, clock_gettime};
use socket2::{Domain, SockAddr, Socket, Type};

/// Where the news go; nowhere without systemd.
#[derive(Debug, Default)]
pub struct Notify {
    to: Option<(Socket, SockAddr)>,
    /// As it was told.
    address: String,
}

impl Notify {
    /// `address` is what `NOTIFY_SOCKET` says: a path, or a name behind `@`.
    pub fn to(address: Option<&str>) -> Self {
        let to = address.and_then(|address| {
            let abstract_name = address.strip_prefix('@').map(|name| format!("\0{name}"));
            let address = SockAddr::unix(abstract_name.as_deref().unwrap_or(address)).ok()?;
            Some((Socket::new(Domain::UNIX, Type::DGRAM, None).ok()?, address))
        });
        Notify { to, address: address.unwrap_or_default().to_owned() }
    }

    /// Has another process tell its news there, too.
    pub(crate) fn hand_on(&self, command: &mut Command) {
        if self.to.is_some() {
            command.env("NOTIFY_SOCKET", &self.address);
        }
    }

    /// Another process is the main one from now on.
    pub(crate) fn succeeded(&self, pid: u32, status: &str) {
        self.send(&format!("MAINPID={pid}\nSTATUS={status}"));
    }

    /// It serves.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// It is about to take something anew; it is ready when it has.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reloading"));
    }

    /// The watchdog need not bite.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    fn send(&self, news: &str) {
        if let Some((socket, address)) = &self.to {
            // Whoever does not listen need not know.
            let _ = socket.send_to(news.as_bytes(), address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    #[test]
    fn news_arrive_as_systemd_reads_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).expect("a socket");
        let notify = Notify::to(path.to_str());
        notify.ready("generation 1 serves");
        notify.reloading();
        notify.stopping();
        let news = [(); 3].map(|()| {
            let mut buffer = [0; 200];
            let length = systemd.recv(&mut buffer).expect("a datagram");
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        });
        assert_eq!(news[0], "READY=1\nSTATUS=generation 1 serves");
        assert!(news[1].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{}", news[1]);
        assert_eq!(news[2], "STOPPING=1\nSTATUS=stopping");
    }

    #[test]
    fn without_systemd_nothing_is_told() {
        Notify::to(None).ready("");
        Notify::to(Some("/there/is/nobody")).stopping();
    }
}
