//! Where a server is to listen, as people write it.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use onion::OptionError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::handed::Handed;
use crate::listen::Speaks;

/// One place to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Bind {
    /// A TCP port of a host name or address; an empty host means every IPv4 address.
    Tcp(String, u16),
    /// The same, by TLS.
    Https(String, u16),
    /// The same, and every request is sent on to where TLS is spoken.
    Redirect(String, u16),
    /// A Unix socket; a name that begins with `@` is in no folder (abstract, Linux only).
    Unix(PathBuf),
    /// Sockets that the process was started with.
    Handed(Speaks, Handed),
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
        let spoken = HANDED.iter().find_map(|(scheme, speaks)| Some((text.strip_prefix(scheme)?, *speaks)));
        if let Some((place, speaks)) = spoken.filter(|(place, _)| is_handed(place)) {
            return handed(place).map(|handed| Bind::Handed(speaks, handed)).ok_or_else(refused);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(refused()) } else { Ok(Bind::Unix(path.into())) };
        }
        let (scheme, place) = text.split_once("://").unwrap_or(("http", text));
        let of: fn(String, u16) -> Bind = match scheme {
            "http" => Bind::Tcp,
            "https" => Bind::Https,
            "redirect" => Bind::Redirect,
            _ => return Err(refused()),
        };
        let (host, port) = place.rsplit_once(':').ok_or_else(refused)?;
        let port = port.parse().map_err(|_| refused())?;
        let host = match host.strip_prefix('[') {
            Some(bracketed) => bracketed.strip_suffix(']').ok_or_else(refused)?,
            None if host.contains([':', '/']) => return Err(refused()),
            None => host,
        };
        Ok(of(host.to_owned(), port))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = match self {
            Bind::Tcp(host, port) => ("", host, port),
            Bind::Https(host, port) => ("https://", host, port),
            Bind::Redirect(host, port) => ("redirect://", host, port),
            Bind::Unix(path) => return write!(formatter, "unix:{}", path.display()),
            Bind::Handed(speaks, handed) => {
                let scheme =
                    HANDED.iter().find(|(_, spoken)| spoken == speaks).map_or("", |(scheme, _)| scheme);
                return match handed {
                    Handed::Number(number) => write!(formatter, "{scheme}fd://{number}"),
                    Handed::Name(name) => write!(formatter, "{scheme}systemd:{name}"),
                };
            }
        };
        if host.contains(':') {
            write!(formatter, "{scheme}[{host}]:{port}")
        } else {
            write!(formatter, "{scheme}{host}:{port}")
        }
    }
}

/// What stands before a socket that was handed over, by what is spoken on it.
const HANDED: [(&str, Speaks); 3] =
    [("https+", Speaks::Https), ("redirect+", Speaks::Redirect), ("", Speaks::Http)];

fn is_handed(place: &str) -> bool {
    place.starts_with("fd://") || place.starts_with("systemd:")
}

/// A socket that was handed over, as its number or its name says.
fn handed(text: &str) -> Option<Handed> {
    match text.strip_prefix("fd://") {
        Some(number) => number.parse().ok().filter(|number| *number > 2).map(Handed::Number),
        None => text
            .strip_prefix("systemd:")
            .filter(|name| !name.is_empty())
            .map(|name| Handed::Name(name.to_owned())),
    }
}

impl Config {
    /// Refuses a place that is given twice.
    pub fn check_places(&self) -> Result<(), OptionError> {
        let mut taken = HashSet::new();
        // At port 0 each gets one of its own.
        let is_again = |bind: &&Bind| match bind.socket() {
            Bind::Tcp(_, 0) => false,
            socket => !taken.insert(socket),
        };
        match self.bind.iter().chain(&self.metrics_bind).find(is_again) {
            Some(bind) => Err(OptionError(format!("bind: {bind} is given twice; give each place once"))),
            None => Ok(()),
        }
    }
}

impl Bind {
    /// What is listened on, whatever is spoken there.
    fn socket(&self) -> Bind {
        match self {
            Bind::Https(host, port) | Bind::Redirect(host, port) => Bind::Tcp(host.clone(), *port),
            Bind::Handed(_, handed) => Bind::Handed(Speaks::Http, handed.clone()),
            other => other.clone(),
        }
    }

    /// What is spoken there.
    pub fn speaks(&self) -> Speaks {
        match self {
            Bind::Tcp(..) | Bind::Unix(_) => Speaks::Http,
            Bind::Https(..) => Speaks::Https,
            Bind::Redirect(..) => Speaks::Redirect,
            Bind::Handed(speaks, _) => *speaks,
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

/// Who may connect to a Unix socket: the permissions of its file, in octal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct UnixMode(pub(crate) Option<u32>);

impl TryFrom<String> for UnixMode {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == UMASK {
            return Ok(UnixMode(None));
        }
        let is_octal =
            (3..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
        mode.map(|mode| UnixMode(Some(mode)))
            .ok_or_else(|| format!("{text:?} is no mode of a file; write 0660, or umask to leave it to that"))
    }
}

impl From<UnixMode> for String {
    fn from(mode: UnixMode) -> String {
        mode.0.map_or_else(|| UMASK.to_owned(), |mode| format!("{mode:04o}"))
    }
}

const UMASK: &str = "umask";

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
            io::ErrorKind::AddrInUse => "another program listens there; stop it or choose another place",
            io::ErrorKind::PermissionDenied => {
                "not permitted to this user; choose a port above 1023 or another path"
            }
            io::ErrorKind::AddrNotAvailable => "this machine has no such address; choose one of its own",
            io::ErrorKind::AlreadyExists => {
                "there is a file that is no socket; choose another path, or remove it"
            }
            io::ErrorKind::NotFound => "there is no such folder; make it, or choose another path",
            _ => return write!(formatter, "cannot listen on {bind}: {source}{}", self.what_else()),
        };
        write!(formatter, "cannot listen on {bind}: {way_out}")
    }
}

impl BindError {
    /// What to do about that of which only the system knows what it is.
    fn what_else(&self) -> &'static str {
        match self.bind {
            // Ours, which say it themselves.
            _ if self.source.kind() == io::ErrorKind::Other => "",
            Bind::Handed(..) => "",
            Bind::Unix(_) => "; choose another path",
            _ => "; give an address of this machine, such as 127.0.0.1, or its name",
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
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
        assert_eq!("redirect://:80".parse(), Ok(Bind::Redirect(String::new(), 80)));
        assert_eq!(":8000".parse(), Ok(Bind::Tcp(String::new(), 8000)));
        assert_eq!("unix:/run/site.sock".parse(), Ok(Bind::Unix("/run/site.sock".into())));
    }

    #[test]
    fn sockets_that_were_handed_over_are_places() {
        for (text, speaks, handed) in [
            ("fd://3", Speaks::Http, Handed::Number(3)),
            ("https+fd://4", Speaks::Https, Handed::Number(4)),
            ("redirect+systemd:web", Speaks::Redirect, Handed::Name("web".into())),
        ] {
            let place: Bind = text.parse().expect(text);
            assert_eq!(place, Bind::Handed(speaks, handed));
            assert_eq!(place.to_string(), text);
        }
    }

    #[test]
    fn no_place_is_given_twice() {
        let check = |bind: &[&str], metrics: &[&str]| {
            let places = |texts: &[&str]| texts.iter().map(|text| text.parse().expect("a place")).collect();
            Config { bind: places(bind), metrics_bind: places(metrics), ..Config::default() }.check_places()
        };
        let four = ["127.0.0.1:80", "127.0.0.2:80", "127.0.0.1:0", "https://127.0.0.1:0"];
        assert_eq!(check(&four, &["127.0.0.1:81", "fd://3"]), Ok(()));
        for again in ["127.0.0.1:80", "https://127.0.0.1:80", "redirect://127.0.0.2:80"] {
            assert!(check(&four, &[again]).is_err(), "{again}");
        }
        let refused = check(&["unix:/a", "unix:/a"], &[]).expect_err("it is the same");
        assert_eq!(refused.0, "bind: unix:/a is given twice; give each place once");
    }

    #[test]
    fn a_mode_is_written_in_octal_digits() {
        let read = |text: &str| UnixMode::try_from(text.to_owned());
        assert_eq!(read("0660"), Ok(UnixMode(Some(0o660))));
        assert_eq!(read("600").map(String::from), Ok("0600".to_owned()));
        assert_eq!(read("umask").map(String::from), Ok("umask".to_owned()));
        for wrong in ["", "660x", "0o660", "888", "4755", "7"] {
            assert!(read(wrong).expect_err(wrong).contains("write 0660"), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_way_out() {
        for text in
            ["", "8000", "::1:8000", "[::1:8000", "localhost:", "localhost:http", "localhost:70000", "unix:"]
                .into_iter()
                .chain([
                    "fd://",
                    "fd://2",
                    "fd://x",
                    "systemd:",
                    "https+fd://",
                    "https://",
                    "https://a",
                    "https://a:1/",
                    "ftp://a:1",
                    "https://unix:/a",
                ])
        {
            let error = text.parse::<Bind>().expect_err(text);
            assert!(error.contains("write 127.0.0.1:8000"), "{error}");
        }
    }
}
