//! The access log: a line for each request, written after its last byte.
//!
//! The line is put together by the task that answered the request, which takes about a microsecond and no lock, and
//! written by a thread of the log's own: no request waits for a disk. Lines of a request that calls Python are no
//! exception; the interpreter has nothing to do with it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use onion::{Glob, LogFile, LogPlace, OptionError, path, report};

use super::error_log::unopened;
use super::{Entry, LineFormat, escape};
use crate::Config;

/// Where lines go, and how they look.
#[derive(Debug)]
pub struct AccessLog {
    file: LogFile,
    format: LineFormat,
    skip: Vec<Glob>,
    masks: Masks,
}

/// What is not to be seen in a log.
#[derive(Debug)]
pub(super) struct Masks {
    fields: Vec<HeaderName>,
    query: Vec<String>,
}

impl AccessLog {
    /// Opens the log that `config` asks for, if it does.
    pub fn open(config: &Config) -> Result<Option<Self>, OptionError> {
        let file = match &config.access_log {
            LogPlace::Off => return Ok(None),
            LogPlace::Standard => LogFile::stream(NAME, &io::stdout(), report),
            LogPlace::File(path) => LogFile::open(NAME, path, report),
        };
        let file = file.map_err(|error| unopened("access_log", &config.access_log, &error))?;
        let (masks, skip) = Self::read(config)?;
        Ok(Some(AccessLog { file, format: config.access_log_format.clone(), skip, masks }))
    }

    /// Refuses what [`open`](Self::open) would, and opens nothing.
    pub(crate) fn check(config: &Config) -> Result<(), OptionError> {
        if config.access_log == LogPlace::Off {
            return Ok(());
        }
        config.access_log.check().map_err(|error| unopened("access_log", &config.access_log, &error))?;
        Self::read(config).map(drop)
    }

    /// What is not to be seen, and the paths that are left out.
    fn read(config: &Config) -> Result<(Masks, Vec<Glob>), OptionError> {
        let fields = config.access_log_mask_headers.iter().map(|name| {
            name.parse().map_err(|_| {
                OptionError(format!(
                    "access_log_mask_headers: {name:?} is no header name; give one such as cookie"
                ))
            })
        });
        let masks =
            Masks { fields: fields.collect::<Result<_, _>>()?, query: config.access_log_mask_query.clone() };
        let skip = config.access_log_skip.iter().map(|glob| Glob::path(glob)).collect::<Result<_, _>>();
        Ok((masks, skip.map_err(|why| OptionError(format!("access_log_skip: {why}")))?))
    }

    /// Opens the file anew: the old one was moved away.
    pub fn reopen(&self) {
        self.file.reopen();
    }

    /// Ends it, once what it was given is written.
    pub fn close(&self) {
        self.file.close();
    }

    /// How many lines did not get into the file.
    pub fn lost(&self) -> u64 {
        self.file.lost()
    }

    pub(super) fn request_fields(&self, headers: &HeaderMap) -> Vec<Option<HeaderValue>> {
        self.format.request_fields.iter().map(|name| joined(headers, name)).collect()
    }

    /// Sets the host among the fields of a request, where the request has no Host: HTTP/2 has `:authority` in its place.
    pub(super) fn set_host(&self, fields: &mut [Option<HeaderValue>], authority: &str) {
        for (name, field) in self.format.request_fields.iter().zip(fields) {
            if *name == header::HOST && field.is_none() {
                *field = HeaderValue::from_str(authority).ok();
            }
        }
    }

    pub(super) fn response_fields(&self, headers: &HeaderMap) -> Vec<Option<HeaderValue>> {
        self.format.response_fields.iter().map(|name| joined(headers, name)).collect()
    }

    /// Writes the line of a request that has ended.
    pub(super) fn write(&self, entry: &Entry, duration: Duration) {
        if self.skips(entry) {
            return;
        }
        LINE.with_borrow_mut(|line| {
            self.format.line(line, entry, duration, &self.masks);
            self.file.write(line);
            line.clear();
        });
    }

    fn skips(&self, entry: &Entry) -> bool {
        let Some(line) = entry.line.as_ref().filter(|_| !self.skip.is_empty()) else { return false };
        let path = line.target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = path::decode(path);
        self.skip.iter().any(|glob| glob.matches_path(&path))
    }
}

/// The value of a field. Several lines of one name are one list (RFC 9110 section 5.3).
pub(crate) fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    let Some(second) = lines.next() else { return Some(first.clone()) };
    let separator: &[u8] = if name == header::COOKIE { b"; " } else { b", " };
    let mut value = [first.as_bytes(), separator, second.as_bytes()].concat();
    for line in lines {
        value.extend_from_slice(separator);
        value.extend_from_slice(line.as_bytes());
    }
    HeaderValue::from_bytes(&value).ok()
}

const NAME: &str = "access log";

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Masks {
    /// A request target as it may be shown.
    pub(super) fn target<'a>(&self, target: &'a [u8]) -> Cow<'a, [u8]> {
        escape::mask_query(target, &self.query).map_or(Cow::Borrowed(target), Cow::Owned)
    }

    /// The value of a field as it may be shown.
    pub(super) fn field<'a>(&self, name: &HeaderName, value: &'a HeaderValue) -> Cow<'a, [u8]> {
        if self.fields.contains(name) {
            Cow::Borrowed(b"***")
        } else if name == header::REFERER || name == header::LOCATION {
            self.target(value.as_bytes())
        } else {
            Cow::Borrowed(value.as_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_name_are_one_value() {
        let mut headers = HeaderMap::new();
        for (name, value) in [("vary", "Accept"), ("vary", "Cookie"), ("cookie", "a=1"), ("cookie", "b=2")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        assert_eq!(
            joined(&headers, &header::VARY).as_ref(),
            Some(&HeaderValue::from_static("Accept, Cookie"))
        );
        assert_eq!(joined(&headers, &header::COOKIE).as_ref(), Some(&HeaderValue::from_static("a=1; b=2")));
        assert_eq!(joined(&headers, &header::HOST), None);
    }
}
