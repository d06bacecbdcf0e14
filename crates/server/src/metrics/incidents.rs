//! What befalls connections before their first request, or without one. It is counted always, since it is seldom, and
//! is shown in the metrics and in the status.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::exposition::Exposition;
use crate::pace::slow_bodies;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    /// It was idle, and its place was needed.
    Shed,
    /// It could not be accepted: there were no descriptors, or no memory.
    NotAccepted,
    /// It did not begin with a PROXY header that is believed.
    NotIntroduced,
    /// TLS was agreed on anew.
    HandshakeDone,
    /// A session of TLS goes on.
    HandshakeResumed,
    /// The client was gone before TLS was agreed on.
    HandshakeLeft,
    /// The two could not agree, or what the client said was nonsense.
    HandshakeRefused,
    /// The client took too long to agree.
    HandshakeLate,
    /// Its client's address had too many connections.
    AddressConnections,
    /// Its client's address had too many TLS handshakes in progress.
    AddressHandshakes,
    /// A request whose client's address had too many in flight.
    AddressRequests,
    /// Its client took back too many requests.
    Overdone,
    /// A request body came too slowly: counted by the process.
    BodySlow,
    /// A request body had no room beside the others, or was given up for them: counted by the process.
    BodyCrowded,
    /// A store of sessions began to fail: counted by the process.
    StoreOutage,
    /// A line of the error log was left out, since others of its kind were there.
    LeftOut,
    /// A response was broken off, since too many calls waited for their clients: counted by the process.
    Abandoned,
    /// A panic: counted by the process, which reports it.
    Panicked,
}

/// The kinds and their names.
const KINDS: [(Incident, &str); 18] = [
    (Incident::Shed, "connections_shed_total"),
    (Incident::NotAccepted, "accept_failures_total"),
    (Incident::NotIntroduced, "proxy_protocol_refused_total"),
    (Incident::HandshakeDone, "tls_handshakes_total{resumed=\"no\"}"),
    (Incident::HandshakeResumed, "tls_handshakes_total{resumed=\"yes\"}"),
    (Incident::HandshakeLeft, "tls_handshake_failures_total{reason=\"client gone\"}"),
    (Incident::HandshakeRefused, "tls_handshake_failures_total{reason=\"refused\"}"),
    (Incident::HandshakeLate, "tls_handshake_failures_total{reason=\"timeout\"}"),
    (Incident::AddressConnections, "address_limit_exceeded_total{limit=\"connections\"}"),
    (Incident::AddressHandshakes, "address_limit_exceeded_total{limit=\"handshakes\"}"),
    (Incident::AddressRequests, "address_limit_exceeded_total{limit=\"requests\"}"),
    (Incident::Overdone, "http2_resets_exceeded_total"),
    (Incident::BodySlow, "request_bodies_refused_total{reason=\"slow\"}"),
    (Incident::BodyCrowded, "request_bodies_refused_total{reason=\"total\"}"),
    (Incident::StoreOutage, "session_store_outages_total"),
    (Incident::LeftOut, "error_log_lines_left_out_total"),
    (Incident::Abandoned, "responses_abandoned_total"),
    (Incident::Panicked, "panics_total"),
];

const FAMILIES: [(&str, &str); 12] = [
    ("connections_shed_total", "Idle connections that were closed to make room."),
    (
        "accept_failures_total",
        "How often no connection could be accepted, for want of descriptors or memory.",
    ),
    ("proxy_protocol_refused_total", "Connections that did not begin with a PROXY header that is believed."),
    ("tls_handshakes_total", "TLS handshakes that were completed."),
    ("tls_handshake_failures_total", "TLS handshakes that were not."),
    (
        "address_limit_exceeded_total",
        "Connections, TLS handshakes and requests that were rejected because their client address had too many.",
    ),
    (
        "http2_resets_exceeded_total",
        "Connections whose client took back too many requests, or sent too many frames that ask for nothing.",
    ),
    ("request_bodies_refused_total", "Request bodies that were not taken."),
    (
        "session_store_outages_total",
        "How often a store of sessions failed so often that it was asked once a second.",
    ),
    ("error_log_lines_left_out_total", "Lines of the error log that were counted rather than written."),
    (
        "responses_abandoned_total",
        "Responses that were broken off, since too many calls waited for their clients.",
    ),
    ("panics_total", "Internal errors of onionskin. The error log has a line on each."),
];

/// How often each came about.
#[derive(Debug, Default)]
pub(crate) struct Incidents([AtomicU64; KINDS.len()]);

impl Incidents {
    pub(crate) fn count(&self, incident: Incident) {
        if let Some(place) = KINDS.iter().position(|(kind, _)| *kind == incident) {
            self.0[place].fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn get(&self, incident: Incident) -> u64 {
        match incident {
            Incident::Panicked => return onion::panics(),
            Incident::BodySlow => return slow_bodies(),
            Incident::Abandoned => return onion::abandoned_responses(),
            Incident::BodyCrowded => return onion::crowded_bodies(),
            Incident::StoreOutage => return onion::store_outages(),
            Incident::LeftOut => return onion::lines_left_out(),
            _ => {}
        }
        let place = KINDS.iter().position(|(kind, _)| *kind == incident);
        place.map_or(0, |place| self.0[place].load(Relaxed))
    }

    /// By their names.
    pub(super) fn told(&self) -> Vec<(String, u64)> {
        KINDS.iter().map(|(kind, name)| ((*name).to_owned(), self.get(*kind))).collect()
    }
}

/// Shows what was [`told`](Incidents::told).
pub(super) fn show(told: &[(String, u64)], out: &mut Exposition<'_, '_>) -> fmt::Result {
    for (family, help) in FAMILIES {
        out.family(family, "counter", help)?;
        for (_, name) in KINDS.iter().filter(|(_, name)| name.split('{').next() == Some(family)) {
            let count = told.iter().find(|(kind, _)| kind == name).map_or(0, |(_, count)| *count);
            out.line(name, format_args!(""), &count)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_family_and_each_family_a_kind() {
        let of = |name: &'static str| name.split('{').next().expect("a first part");
        for (kind, name) in KINDS {
            assert!(FAMILIES.iter().any(|(family, _)| *family == of(name)), "{kind:?}");
        }
        for (family, _) in FAMILIES {
            assert!(KINDS.iter().any(|(_, name)| of(name) == family), "{family}");
        }
    }

    #[test]
    fn what_is_counted_is_told() {
        let incidents = Incidents::default();
        incidents.count(Incident::HandshakeLate);
        incidents.count(Incident::HandshakeLate);
        assert_eq!((incidents.get(Incident::HandshakeLate), incidents.get(Incident::Shed)), (2, 0));
        let told = incidents.told();
        assert_eq!(told.len(), KINDS.len());
        assert!(told.contains(&("tls_handshake_failures_total{reason=\"timeout\"}".to_owned(), 2)));
    }
}
