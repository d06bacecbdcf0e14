//! What the house itself has to say, and the application's faults: the error log, of which a process has one.
//!
//! Promises: a line is written at once and in one piece, so that those of several processes do not mix; nothing of a
//! request gets control characters into it; a log that is closed, full, broken or not read stops nobody, and what that
//! costs is counted; and what is said over and over is said a few times, then counted.
//!
//! Until an [`ErrorLog`] is [installed](ErrorLog::install) it is standard error, in its shortest form.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Instant, SystemTime};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::forked::logs_as_fork;
use crate::repeats::{Kind, Limit, Repeats, SAME};
use crate::standard_error::to_stderr;
use crate::{Addressed, Ids, LogFile, LogPlace, Timestamp};

/// How grave something is that is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something was not done that should have been.
    Error,
    /// Something is amiss.
    Warning,
    /// Something has happened.
    #[default]
    Info,
    /// Details for finding a fault.
    Debug,
}

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Something that is said.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// How grave it is.
    pub level: LogLevel,
    /// In one line.
    pub what: &'a str,
    /// Those of the request that it is about, if it is about one.
    pub ids: Option<&'a Ids>,
    /// Where that request was sent.
    pub addressed: Option<&'a Addressed>,
    /// Further lines, such as a traceback; empty if there are none.
    pub details: &'a str,
    /// That request as it stands in `what`: lines that differ in it alone are of one kind.
    pub request: &'a str,
    /// What makes the details of one kind, such as the type of an exception and where it was raised; if it is empty, all
    /// of them.
    pub kind: &'a str,
}

/// Where it is said.
#[derive(Debug)]
pub struct ErrorLog {
    /// None says nothing.
    level: Option<LogLevel>,
    format: LogFormat,
    /// None is standard error.
    file: Option<LogFile>,
}

impl ErrorLog {
    /// Opens the log.
    pub fn open(place: &LogPlace, level: LogLevel, format: LogFormat) -> io::Result<Self> {
        let (level, file) = match place {
            LogPlace::Off => (None, None),
            LogPlace::Standard => (Some(level), None),
            LogPlace::File(path) => (Some(level), Some(LogFile::open("error log", path, tell_stderr)?)),
        };
        Ok(ErrorLog { level, format, file })
    }

    /// Standard error, as it is unless something else is asked for.
    pub fn standard() -> Self {
        ErrorLog { level: Some(LogLevel::default()), format: LogFormat::default(), file: None }
    }

    /// Whether one is installed in this process.
    pub fn is_installed() -> bool {
        installed().is_some()
    }

    /// Makes `log` the one of this process; with none, it is standard error again. What the one before had to write is
    /// written then.
    pub fn install(log: Option<Self>) {
        say_held(None);
        *repeats() = Repeats::new();
        let log = log.map(Arc::new);
        let before = std::mem::replace(&mut *LOG.write().unwrap_or_else(PoisonError::into_inner), log);
        drop(before);
    }

    fn write(&self, text: &[u8]) {
        match &self.file {
            Some(file) if logs_as_fork() => file.write_directly(text),
            Some(file) => file.write(text),
            None => to_stderr(text),
        }
    }
}

static LOG: RwLock<Option<Arc<ErrorLog>>> = RwLock::new(None);
static REPEATS: Mutex<Repeats> = Mutex::new(Repeats::new());
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);
/// Whether a thread is there that tells what was held back. It changes under the lock of `REPEATS`.
static COUNTING: AtomicBool = AtomicBool::new(false);

fn installed() -> Option<Arc<ErrorLog>> {
    LOG.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn repeats() -> MutexGuard<'static, Repeats> {
    REPEATS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many lines were left out, since others of their kind had been logged.
pub fn lines_left_out() -> u64 {
    LEFT_OUT.load(Relaxed)
}

/// Says that something is amiss.
#[track_caller]
pub fn report(what: &str) {
    Record::new(LogLevel::Warning, what).say();
}

/// Says that something has happened.
#[track_caller]
pub fn inform(what: &str) {
    Record::new(LogLevel::Info, what).say();
}

/// Logs a detail that helps to find a fault.
#[track_caller]
pub fn detail(what: &str) {
    Record::new(LogLevel::Debug, what).say();
}

/// Says that something was not done. `details` are further lines.
#[track_caller]
pub fn report_error(what: &str, details: &str) {
    Record { details, ..Record::new(LogLevel::Error, what) }.say();
}

/// Warns of a trouble, unless its limit is reached.
pub(crate) fn report_trouble(key: u64, limit: Limit, what: impl FnOnce() -> String) {
    let log = installed();
    if logs_as_fork() {
        return Record::new(LogLevel::Warning, &what()).say();
    }
    if !logs(log.as_deref(), LogLevel::Warning) {
        return;
    }
    let mut line = None;
    let kind = Kind { key, limit, place: None };
    let admitted = admit(kind, LogLevel::Warning, || line.insert(what()).clone());
    if let (true, Some(line)) = (admitted, line) {
        if log.is_none() {
            say_held(Some(Instant::now())); // No thread does so here.
        }
        Record::new(LogLevel::Warning, &line).write(log.as_deref());
    }
}

fn logs(log: Option<&ErrorLog>, level: LogLevel) -> bool {
    let least = log.map_or(Some(LogLevel::Info), |log| log.level);
    least.is_some_and(|least| level <= least)
}

/// Whether a line of this kind may be logged now. If not, it is counted, and logged with the others in time.
fn admit(kind: Kind, level: LogLevel, what: impl FnOnce() -> String) -> bool {
    let mut repeats = repeats();
    let is_admitted = repeats.admit(kind, level, Instant::now(), what);
    if !is_admitted {
        LEFT_OUT.fetch_add(1, Relaxed);
        if installed().is_some() && !COUNTING.swap(true, Relaxed) {
            // Without a thread, what is held back is told with the end of the process.
            let _ = thread::Builder::new().name("onionskin-repeats".to_owned()).spawn(say_held_in_time);
        }
    }
    is_admitted
}

/// Whether the application's own words belong into the log, and not on standard error.
pub fn logs_application() -> bool {
    installed().is_some_and(|log| log.file.is_some() || log.format == LogFormat::Json || log.level.is_none())
}

/// Passes on what the application writes to `wsgi.errors`, whole lines. Those for a request with `ids` show them.
pub fn pass_on(lines: &str, ids: Option<&Ids>) {
    let Some(log) = installed() else { return to_stderr(marked(lines, ids).as_bytes()) };
    match (log.level, log.format) {
        (None, _) => {}
        (Some(_), LogFormat::Text) => log.write(marked(lines, ids).as_bytes()),
        (Some(_), LogFormat::Json) => {
            let what = lines.strip_suffix('\n').unwrap_or(lines);
            let record = Record { ids, ..Record::new(LogLevel::Error, what) };
            log.write(record.json(Some("application")).as_bytes());
        }
    }
}

/// Each of `lines`, behind the ids: so that whoever looks for those finds all of a traceback.
fn marked<'a>(lines: &'a str, ids: Option<&Ids>) -> Cow<'a, str> {
    let Some(ids) = ids.filter(|ids| !ids.is_empty()) else { return Cow::Borrowed(lines) };
    let mark = ids.to_string();
    let mut marked = String::with_capacity(lines.len() + mark.len() + 1);
    for line in lines.split_inclusive('\n') {
        if line != "\n" {
            marked.push_str(&mark);
            marked.push(' ');
        }
        marked.push_str(line);
    }
    Cow::Owned(marked)
}

/// Opens the log's file anew: the old one was moved away.
pub fn reopen_error_log() {
    if let Some(file) = installed().as_deref().and_then(|log| log.file.as_ref()) {
        file.reopen();
    }
}

/// Says what was held back, and ends the log: what comes now goes to standard error.
pub fn close_error_log() {
    ErrorLog::install(None);
}

impl<'a> Record<'a> {
    /// One that is about no request.
    pub fn new(level: LogLevel, what: &'a str) -> Self {
        Record { level, what, ids: None, addressed: None, details: "", request: "", kind: "" }
    }

    /// Says it, if it is grave enough and was not said too often.
    #[track_caller]
    pub fn say(&self) {
        let log = installed();
        if logs(log.as_deref(), self.level) && self.is_news() {
            self.write(log.as_deref());
        }
    }

    /// Whether it was not said too often. If it was, it is counted. Under another server all is said: what becomes of it
    /// is that server's matter, and no thread of ours counts there.
    #[track_caller]
    pub fn is_news(&self) -> bool {
        logs_as_fork()
            || installed().is_none()
            || admit(self.counted_by(), self.level, || self.what.to_owned())
    }

    #[track_caller]
    fn counted_by(&self) -> Kind {
        let place = Location::caller();
        let mut hasher = DefaultHasher::new();
        match self.request {
            "" => self.what.hash(&mut hasher),
            request => self.what.split(request).for_each(|part| part.hash(&mut hasher)),
        }
        (self.level.name(), if self.kind.is_empty() { self.details } else { self.kind }).hash(&mut hasher);
        let key = hasher.finish();
        // What the server does is told whole, and of the application's faults each kind: no client decides how many
        // there are.
        let is_ours = self.level == LogLevel::Info && self.ids.is_none();
        let is_fault = !self.details.is_empty() && !repeats().is_full();
        let place = (!is_ours && !is_fault).then(|| {
            let mut hasher = DefaultHasher::new();
            (place.file(), place.line(), place.column()).hash(&mut hasher);
            hasher.finish()
        });
        Kind { key, limit: SAME, place }
    }

    /// In its shortest form, as it is written to standard error.
    pub fn text(&self) -> String {
        self.text_behind("onionskin: ")
    }

    fn write(&self, log: Option<&ErrorLog>) {
        match log {
            None => to_stderr(self.text().as_bytes()),
            Some(log) if log.format == LogFormat::Json => log.write(self.json(None).as_bytes()),
            Some(log) if log.file.is_none() => log.write(self.text().as_bytes()),
            Some(log) => {
                let (now, pid) = (Timestamp::from(SystemTime::now()), std::process::id());
                let level = self.level.name();
                log.write(self.text_behind(&format!("{now} [{pid}] {level}: ")).as_bytes());
            }
        }
    }

    fn text_behind(&self, before: &str) -> String {
        let mut text = format!("{before}{}", escaped(self.what, &[]));
        let (host, application) = self.place();
        let ids = self.ids.map_or((None, None), |ids| (ids.request(), ids.trace()));
        // One id is enough to find the other.
        let trace = if ids.0.is_none() { ids.1 } else { None };
        let mut before = " (";
        for (name, value) in
            [("request", ids.0), ("trace", trace), ("host", host), ("application", application)]
        {
            if let Some(value) = value {
                let _ = write!(text, "{before}{name} {}", value.escape_debug());
                before = ", ";
            }
        }
        text.push_str(if before == ", " { ")\n" } else { "\n" });
        if !self.details.is_empty() {
            text.push_str(&escaped(self.details.trim_end_matches('\n'), &['\n', '\t']));
            text.push('\n');
        }
        text
    }

    /// The host and the application of the request that it is about.
    fn place(&self) -> (Option<&str>, Option<&str>) {
        self.addressed.map_or((None, None), |addressed| (addressed.host(), addressed.application()))
    }

    fn json(&self, source: Option<&str>) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            time: String,
            level: LogLevel,
            pid: u32,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            source: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            request_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            trace_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            host: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            application: Option<&'a str>,
            #[serde(skip_serializing_if = "str::is_empty")]
            details: &'a str,
        }
        let (host, application) = self.place();
        let line = Line {
            time: Timestamp::from(SystemTime::now()).to_string(),
            level: self.level,
            pid: std::process::id(),
            message: self.what,
            source,
            request_id: self.ids.and_then(Ids::request),
            trace_id: self.ids.and_then(Ids::trace),
            host,
            application,
            details: self.details,
        };
        let mut text = serde_json::to_string(&line).expect("strings and numbers");
        text.push('\n');
        text
    }
}

impl LogLevel {
    fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warning => "warning",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
        }
    }
}

/// Tells what was held back when its while is over, until nothing is.
fn say_held_in_time() {
    loop {
        let repeats = repeats();
        let Some(next) = repeats.next() else { return COUNTING.store(false, Relaxed) };
        drop(repeats);
        thread::park_timeout(next.saturating_duration_since(Instant::now()));
        say_held(Some(Instant::now()));
    }
}

fn say_held(now: Option<Instant>) {
    let held = repeats().take_held(now);
    for held in held {
        Record::new(held.level, &held.what).write(installed().as_deref());
    }
}

/// What is wrong with the log itself: it can be said nowhere else.
fn tell_stderr(what: &str) {
    let record = Record::new(LogLevel::Warning, what);
    to_stderr(record.text().as_bytes());
}

/// `text` with its control characters as Rust writes them, but for the `kept` ones.
fn escaped<'a>(text: &'a str, kept: &[char]) -> Cow<'a, str> {
    let is_harmful = |letter: char| letter.is_control() && !kept.contains(&letter);
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_harmful(letter) {
            escaped.extend(letter.escape_default());
        } else {
            escaped.push(letter);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::{Body, Request, RequestExt, Value};

    #[test]
    fn no_control_character_gets_into_a_line() {
        assert_eq!(
            escaped("GET /a\r\nonionskin: forged \u{1b}[2J", &[]),
            "GET /a\\r\\nonionskin: forged \\u{1b}[2J"
        );
        assert_eq!(escaped("café", &[]), "café");
    }

    #[test]
    fn a_traceback_keeps_its_lines_and_nothing_else_of_the_kind() {
        let details = "Traceback:\n\tValueError: \u{1b}[31mred\r\n";
        let record = Record { details, ..Record::new(LogLevel::Error, "failed") };
        assert_eq!(record.text(), "onionskin: failed\nTraceback:\n\tValueError: \\u{1b}[31mred\\r\n");
    }

    fn ids() -> Ids {
        let mut request = Request::new(Body::empty());
        for (key, id) in [("onionskin.request_id", "7"), ("onionskin.trace_id", "8")] {
            request.tell(key, Value::Header(HeaderValue::from_static(id)));
        }
        Ids::of(&request)
    }

    #[test]
    fn each_line_of_the_application_shows_its_request() {
        let lines = "Traceback:\n  line\n\nValueError\n";
        let expected = "(request 7) Traceback:\n(request 7)   line\n\n(request 7) ValueError\n";
        assert_eq!(marked(lines, Some(&ids())), expected);
        assert_eq!(marked(lines, None), lines);
        assert_eq!(marked(lines, Some(&Ids::None)), lines);
    }

    #[test]
    fn lines_that_differ_in_their_request_alone_are_of_one_kind() {
        let key = |what: &str, request: &str, kind: &str| {
            Record { details: "Traceback", request, kind, ..Record::new(LogLevel::Error, what) }
                .counted_by()
                .key
        };
        assert_eq!(
            key("raised on GET /a", "GET /a", "ValueError"),
            key("raised on GET /b", "GET /b", "ValueError")
        );
        assert_ne!(
            key("raised on GET /a", "GET /a", "ValueError"),
            key("raised on GET /a", "GET /a", "KeyError")
        );
        assert_ne!(key("raised on GET /a", "GET /a", ""), key("failed on GET /a", "GET /a", ""));
    }

    #[test]
    fn a_record_shows_as_text_and_as_json() {
        let (what, details) = ("it \"broke\"", "Traceback:\n  line\n");
        let ids = ids();
        let record = Record { ids: Some(&ids), details, ..Record::new(LogLevel::Error, what) };
        assert_eq!(record.text(), "onionskin: it \"broke\" (request 7)\nTraceback:\n  line\n");
        let json: serde_json::Value = serde_json::from_str(&record.json(None)).expect("JSON");
        assert_eq!(json["message"], what);
        assert_eq!((&json["request_id"], &json["trace_id"]), (&"7".into(), &"8".into()));
        assert_eq!(json["details"], details);
        assert_eq!(json["level"], "error");
    }
}
