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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_was_changed_is_changed_again_and_the_rest_is_left() {
        let before = headers(&[("etag", "1"), ("vary", "accept"), ("server", "x")]);
        let after = headers(&[("vary", "accept"), ("vary", "cookie"), ("server", "x"), ("age", "0")]);
        let changes = HeaderChanges::between(&before, &after);

        let mut other = headers(&[("etag", "2"), ("etag", "3"), ("server", "y"), ("date", "now")]);
        changes.apply(&mut other);
        let expected =
            [("server", "y"), ("date", "now"), ("vary", "accept"), ("vary", "cookie"), ("age", "0")];
        assert_eq!(other, headers(&expected));
    }

    #[test]
    fn a_name_that_is_gone_has_no_values() {
        let changes = HeaderChanges::between(&headers(&[("etag", "1")]), &HeaderMap::new());
        let all: Vec<_> = changes.iter().map(|(name, values)| (name.as_str(), values.len())).collect();
        assert_eq!(all, [("etag", 0)]);
    }
}
