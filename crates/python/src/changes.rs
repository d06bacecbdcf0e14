//! What layers have changed in a set of headers, so that it can be done again to another set.

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The difference between two header sets, by name.
#[derive(Debug, Default)]
pub(crate) struct HeaderChanges {
    changed: Vec<(HeaderName, Vec<HeaderValue>)>,
}

impl HeaderChanges {
    /// What must be done to `from` so that it becomes `to`.
    pub(crate) fn between(from: &HeaderMap, to: &HeaderMap) -> Self {
        let values =
            |map: &HeaderMap, name: &HeaderName| map.get_all(name).iter().cloned().collect::<Vec<_>>();
        let gone = from.keys().filter(|name| !to.contains_key(*name)).map(|name| (name.clone(), Vec::new()));
        let set = to.keys().filter_map(|name| {
            let now = values(to, name);
            (now != values(from, name)).then(|| (name.clone(), now))
        });
        HeaderChanges { changed: gone.chain(set).collect() }
    }

    /// Does it again to `headers`.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        for (name, values) in &self.changed {
            if let Entry::Occupied(entry) = headers.entry(name) {
                entry.remove_entry_mult();
            }
            for value in values {
                headers.append(name, value.clone());
            }
        }
    }

    /// The names that changed, and their values now: none for a name that is gone.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&HeaderName, &[HeaderValue])> {
        self.changed.iter().map(|(name, values)| (name, &values[..]))
    }
}
