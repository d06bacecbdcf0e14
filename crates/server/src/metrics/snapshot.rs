//! The numbers at one moment: they can be sent, added up, and shown.

use std::fmt;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::exposition::Exposition;
use super::incidents;
use crate::health::LimitLoad;

/// The numbers of a process, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Requests that have ended, by method and status.
    pub requests: Vec<(String, u16, u64)>,
    /// Those of them whose answer is not whole, by the reason.
    pub aborted: Vec<(String, u64)>,
    /// Requests that are being answered.
    pub in_flight: u64,
    /// Connections that are open.
    pub connections: u64,
    /// Those of them on which something is being answered.
    pub active: u64,
    /// Connections so far.
    pub accepted: u64,
    /// Bytes that were sent.
    pub sent: u64,
    /// Calls into the application that run.
    pub calls: u64,
    /// The most that may run at once.
    pub threads: u64,
    /// Requests that wait for their turn.
    pub waiting: u64,
    /// Requests that were turned away since too many waited.
    pub refused: u64,
    /// Requests that were turned away since they had waited for too long.
    pub expired: u64,
    /// The applications with a limit of their own.
    pub limits: Vec<LimitLoad>,
    /// Lines that did not get into the access log.
    pub log_lost: u64,
    /// What befell connections, by its name.
    pub incidents: Vec<(String, u64)>,
    /// The most connections that there may be.
    pub most: u64,
    /// What memory holds of requests' bodies, with the receive windows of HTTP/2, in bytes.
    pub body_memory: u64,
    /// The most that it may hold of them.
    pub body_memory_most: u64,
    /// What temporary files may hold of requests' bodies.
    pub spool_most: u64,
    /// What they hold of them, in bytes.
    pub spooled_requests: u64,
    /// What they hold of responses.
    pub spooled_responses: u64,
    /// The time that was computed, in microseconds.
    pub cpu: u64,
    /// What is resident in memory, in bytes.
    pub memory: u64,
    /// From the end of a request's head to the end of its answer, in microseconds.
    pub duration: Buckets,
    /// From the end of a request's head to the first byte of its answer, in microseconds.
    pub first_byte: Buckets,
    /// How long requests waited for their turn, in microseconds.
    pub queued: Buckets,
    /// How long calls waited for the interpreter, in microseconds.
    pub interpreter: Buckets,
    /// The bytes of responses' bodies.
    pub size: Buckets,
    /// The bytes of requests' bodies.
    pub received: Buckets,
}

/// How often values fell into each of some ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Buckets {
    /// The largest value of each range but the last, which has no end.
    pub bounds: Vec<u64>,
    /// How many fell into each.
    pub counts: Vec<u64>,
    /// All values together.
    pub sum: u64,
}

impl Snapshot {
    /// What is left of it when its process has ended: counters stay, and nothing is in flight any more.
    #[must_use]
    pub(crate) fn of_the_ended(mut self) -> Self {
        for limit in &mut self.limits {
            (limit.calls, limit.threads, limit.waiting) = (0, 0, 0);
        }
        Snapshot {
            in_flight: 0,
            connections: 0,
            active: 0,
            calls: 0,
            threads: 0,
            waiting: 0,
            most: 0,
            memory: 0,
            body_memory: 0,
            body_memory_most: 0,
            spool_most: 0,
            spooled_requests: 0,
            spooled_responses: 0,
            ..self
        }
    }
}

impl AddAssign<&Snapshot> for Snapshot {
    fn add_assign(&mut self, other: &Snapshot) {
        for (method, status, count) in &other.requests {
            match self.requests.iter_mut().find(|(name, code, _)| (name, code) == (method, status)) {
                Some(mine) => mine.2 += count,
                None => self.requests.push((method.clone(), *status, *count)),
            }
        }
        add_named(&mut self.aborted, &other.aborted);
        add_named(&mut self.incidents, &other.incidents);
        self.in_flight += other.in_flight;
        self.connections += other.connections;
        self.active += other.active;
        self.accepted += other.accepted;
        self.sent += other.sent;
        self.calls += other.calls;
        self.threads += other.threads;
        self.waiting += other.waiting;
        self.refused += other.refused;
        self.expired += other.expired;
        LimitLoad::add_all(&mut self.limits, &other.limits);
        self.log_lost += other.log_lost;
        self.most += other.most;
        self.body_memory += other.body_memory;
        self.body_memory_most += other.body_memory_most;
        self.spool_most += other.spool_most;
        self.spooled_requests += other.spooled_requests;
        self.spooled_responses += other.spooled_responses;
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.duration += &other.duration;
        self.first_byte += &other.first_byte;
        self.queued += &other.queued;
        self.interpreter += &other.interpreter;
        self.size += &other.size;
        self.received += &other.received;
    }
}

fn add_named(mine: &mut Vec<(String, u64)>, others: &[(String, u64)]) {
    for (name, count) in others {
        match mine.iter_mut().find(|(each, _)| each == name) {
            Some((_, sum)) => *sum += count,
            None => mine.push((name.clone(), *count)),
        }
    }
}

impl AddAssign<&Buckets> for Buckets {
    /// Only what has the same ranges can be added up; that of another version is left out.
    fn add_assign(&mut self, other: &Buckets) {
        if self.bounds.is_empty() && self.counts.is_empty() {
            *self = other.clone();
        } else if self.bounds == other.bounds {
            for (mine, count) in self.counts.iter_mut().zip(&other.counts) {
                *mine += count;
            }
            self.sum += other.sum;
        }
    }
}

impl fmt::Display for Snapshot {
    /// The text format of Prometheus, version 0.0.4.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let out = &mut Exposition(formatter);
        out.family("requests_total", "counter", "Requests that have ended.")?;
        for (method, status, count) in &self.requests {
            out.line("requests_total", format_args!("{{method=\"{method}\",status=\"{status}\"}}"), count)?;
        }
        out.family("requests_aborted_total", "counter", "Requests whose answer is not whole.")?;
        for (reason, count) in &self.aborted {
            out.line("requests_aborted_total", format_args!("{{reason=\"{reason}\"}}"), count)?;
        }
        out.number("requests_in_flight", "gauge", "Requests that are being answered.", self.in_flight)?;
        out.number("connections_total", "counter", "Connections so far.", self.accepted)?;
        out.family("connections", "gauge", "Connections that are open.")?;
        out.line("connections", format_args!("{{state=\"active\"}}"), &self.active)?;
        let idle = self.connections.saturating_sub(self.active);
        out.line("connections", format_args!("{{state=\"idle\"}}"), &idle)?;
        out.number("connections_limit", "gauge", "The most connections that there may be.", self.most)?;
        incidents::show(&self.incidents, out)?;
        out.number("sent_bytes_total", "counter", "Bytes that were sent, heads included.", self.sent)?;
        out.number("application_calls", "gauge", "Calls into the application that run.", self.calls)?;
        out.number("application_threads", "gauge", "The most calls that may run at once.", self.threads)?;
        out.number("application_queue", "gauge", "Requests that wait for their turn.", self.waiting)?;
        out.family("queue_refused_total", "counter", "Requests that were turned away from the queue.")?;
        out.labelled("queue_refused_total", "reason", "full", self.refused)?;
        out.labelled("queue_refused_total", "reason", "timeout", self.expired)?;
        show_limits(&self.limits, out)?;
        let help = "What memory holds of request bodies, with the receive windows of HTTP/2.";
        out.number("body_memory_bytes", "gauge", help, self.body_memory)?;
        let help = "The most that memory holds of request bodies.";
        out.number("body_memory_limit_bytes", "gauge", help, self.body_memory_most)?;
        let help = "The most that temporary files hold of request bodies.";
        out.number("body_spool_limit_bytes", "gauge", help, self.spool_most)?;
        out.family("spool_bytes", "gauge", "What temporary files hold.")?;
        out.labelled("spool_bytes", "kind", "request", self.spooled_requests)?;
        out.labelled("spool_bytes", "kind", "response", self.spooled_responses)?;
        #[expect(clippy::cast_precision_loss, reason = "what is shown has fifteen digits")]
        let cpu = self.cpu as f64 / 1e6;
        out.family("cpu_seconds_total", "counter", "The time that was computed.")?;
        out.line("cpu_seconds_total", format_args!(""), &cpu)?;
        out.number("memory_bytes", "gauge", "The resident memory.", self.memory)?;
        out.number(
            "access_log_lost_lines_total",
            "counter",
            "Lines that did not get into the access log.",
            self.log_lost,
        )?;
        let seconds = 1e6;
        out.histogram(
            "request_duration_seconds",
            "From a request's head to its end.",
            &self.duration,
            seconds,
        )?;
        out.histogram(
            "request_first_byte_seconds",
            "From a request's head to its answer's first byte.",
            &self.first_byte,
            seconds,
        )?;
        out.histogram(
            "queue_wait_seconds",
            "How long requests waited for their turn.",
            &self.queued,
            seconds,
        )?;
        out.histogram(
            "interpreter_wait_seconds",
            "How long calls waited for the interpreter.",
            &self.interpreter,
            seconds,
        )?;
        let help = "The bytes of requests' bodies that were read.";
        out.histogram("request_body_bytes", help, &self.received, 1.0)?;
        out.histogram("response_body_bytes", "The bytes of responses' bodies.", &self.size, 1.0)
    }
}

/// One number of an application.
type Number = fn(&LimitLoad) -> u64;

/// The applications with a limit of their own; nothing if there are none.
fn show_limits(limits: &[LimitLoad], out: &mut Exposition<'_, '_>) -> fmt::Result {
    if limits.is_empty() {
        return Ok(());
    }
    let gauges: [(&str, &str, Number); 3] = [
        ("limited_calls", "Calls into an application that has threads of its own.", |it| it.calls as u64),
        ("limited_threads", "The most calls into it that may run at once.", |it| it.threads as u64),
        ("limited_queue", "Requests that wait for one of its threads.", |it| it.waiting as u64),
    ];
    for (name, help, number) in gauges {
        out.family(name, "gauge", help)?;
        for limit in limits {
            out.labelled(name, "application", &limit.name, number(limit))?;
        }
    }
    let name = "limited_queue_refused_total";
    out.family(name, "counter", "Its requests that were turned away from the queue.")?;
    for limit in limits {
        out.labels(name, &[("application", &limit.name), ("reason", "full")], limit.refused)?;
        out.labels(name, &[("application", &limit.name), ("reason", "timeout")], limit.expired)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(status: u16, counts: Vec<u64>) -> Snapshot {
        Snapshot {
            requests: vec![("GET".to_owned(), status, 2)],
            connections: 3,
            duration: Buckets { bounds: vec![500, 1000], counts, sum: 1500 },
            ..Snapshot::default()
        }
    }

    #[test]
    fn snapshots_add_up() {
        let mut all = Snapshot::default();
        for each in [snapshot(200, vec![1, 0, 1]), snapshot(404, vec![0, 2, 0]), snapshot(200, vec![0, 0, 2])]
        {
            all += &each;
        }
        assert_eq!(all.requests, [("GET".to_owned(), 200, 4), ("GET".to_owned(), 404, 2)]);
        assert_eq!((all.connections, all.duration.counts, all.duration.sum), (9, vec![1, 2, 3], 4500));
    }

    #[test]
    fn of_the_ended_only_counters_are_left() {
        let ended = Snapshot { waiting: 2, sent: 7, ..snapshot(200, vec![1, 0, 1]) }.of_the_ended();
        assert_eq!((ended.connections, ended.waiting, ended.sent), (0, 0, 7));
        assert_eq!((ended.requests.len(), ended.duration.counts), (1, vec![1, 0, 1]));
    }

    #[test]
    fn a_snapshot_is_shown_as_prometheus_reads_it() {
        let text = snapshot(200, vec![1, 0, 1]).to_string();
        for line in [
            "# TYPE onionskin_requests_total counter",
            "onionskin_requests_total{method=\"GET\",status=\"200\"} 2",
            "onionskin_connections{state=\"idle\"} 3",
            "onionskin_request_duration_seconds_bucket{le=\"0.0005\"} 1",
            "onionskin_request_duration_seconds_bucket{le=\"0.001\"} 1",
            "onionskin_request_duration_seconds_bucket{le=\"+Inf\"} 2",
            "onionskin_request_duration_seconds_sum 0.0015",
            "onionskin_request_duration_seconds_count 2",
        ] {
            assert!(text.lines().any(|each| each == line), "{line} is not in\n{text}");
        }
    }
}
