//! The paths of the routes, as a tree of segments: a request costs one look-up a segment, however many routes there
//! are.

use http::Method;
use rustc_hash::FxHashMap;

/// Everything at and below one path.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// Requests only look things up here: they can't make it collide.
    below: FxHashMap<Vec<u8>, Tree>,
    /// Those with methods first: they are the more specific.
    here: Vec<(Option<Vec<Method>>, usize)>,
}

/// A route that a request falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Which one: the number that it was added with.
    pub(super) place: usize,
    /// How long its path is in the request, in decoded bytes.
    pub(super) length: usize,
}

impl Tree {
    /// Adds a route. Fails if another one stands at the same path for the same methods.
    pub(super) fn add(
        &mut self,
        segments: Vec<Vec<u8>>,
        methods: Option<Vec<Method>>,
        place: usize,
    ) -> Result<(), ()> {
        let node = segments.into_iter().fold(self, |node, segment| node.below.entry(segment).or_default());
        let taken = node.here.iter().any(|(known, _)| match (known, &methods) {
            (None, None) => true,
            (Some(known), Some(methods)) => known.iter().any(|method| methods.contains(method)),
            _ => false,
        });
        if taken {
            return Err(());
        }
        node.here.push((methods, place));
        node.here.sort_by_key(|(methods, _)| methods.is_none());
        Ok(())
    }

    /// The route with the longest path that `path`, decoded, falls under.
    pub(super) fn find(&self, method: &Method, path: &[u8]) -> Option<Found> {
        let mut found = self.allowing(method, 0);
        let mut node = self;
        let mut end = 0;
        while path.get(end) == Some(&b'/') {
            let start = end + 1;
            end = memchr::memchr(b'/', &path[start..]).map_or(path.len(), |slash| start + slash);
            match node.below.get(&path[start..end]) {
                Some(below) => node = below,
                None => break,
            }
            found = node.allowing(method, end).or(found);
        }
        found
    }

    fn allowing(&self, method: &Method, length: usize) -> Option<Found> {
        let allows =
            |methods: &Option<Vec<Method>>| methods.as_ref().is_none_or(|methods| contains(methods, method));
        self.here
            .iter()
            .find(|(methods, _)| allows(methods))
            .map(|(_, place)| Found { place: *place, length })
    }
}

/// Whether a method is one of these, without regard to case: some applications take `post` for `POST`.
fn contains(methods: &[Method], method: &Method) -> bool {
    methods.iter().any(|known| known.as_str().eq_ignore_ascii_case(method.as_str()))
}
