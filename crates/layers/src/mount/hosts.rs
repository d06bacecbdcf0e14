//! The hosts of the routes, each with the tree of its paths.

use std::collections::HashMap;

use onion::{Host, HostPattern, Request};

use super::route::Route;
use super::tree::{Found, Tree};

/// All routes of one dispatcher.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    exact: HashMap<Host, Tree>,
    /// The longest suffix first, and one with a port before the same without.
    below: Vec<(Host, Tree)>,
    any: Tree,
}

impl Hosts {
    /// Adds a route. Fails if there is one for the same requests.
    pub(super) fn add(&mut self, route: Route, place: usize) -> Result<(), ()> {
        let Route { methods, host, segments } = route;
        let tree = match host {
            None | Some(HostPattern::Any) => &mut self.any,
            Some(HostPattern::Exact(host)) => self.exact.entry(host).or_default(),
            Some(HostPattern::Below(host)) => self.tree_below(host),
        };
        tree.add(segments, methods, place)
    }

    fn tree_below(&mut self, host: Host) -> &mut Tree {
        let rank = |host: &Host| (host.name.len(), host.port.is_some());
        let known = self.below.iter().position(|(known, _)| *known == host);
        let place = known.unwrap_or_else(|| {
            let place = self.below.partition_point(|(known, _)| rank(known) >= rank(&host));
            self.below.insert(place, (host, Tree::default()));
            place
        });
        &mut self.below[place].1
    }

    /// The most specific route for `request`, whose path is `path` when decoded: an exact host with its port, without,
    /// the longest wildcard, any host; then the longest path. A host none of whose paths fits is passed over.
    pub(super) fn find(&self, request: &Request, path: &[u8]) -> Option<Found> {
        let in_tree = |tree: &Tree| tree.find(request.method(), path);
        if self.exact.is_empty() && self.below.is_empty() {
            return in_tree(&self.any);
        }
        let host = Host::of(request);
        host.and_then(|host| {
            let without_port = Host { name: host.name.clone(), port: None };
            let exact = [&host, &without_port].into_iter().filter_map(|host| self.exact.get(host));
            let below =
                self.below.iter().filter(|(pattern, _)| pattern.is_above(&host)).map(|(_, tree)| tree);
            exact.chain(below).find_map(in_tree)
        })
        .or_else(|| in_tree(&self.any))
    }
}
