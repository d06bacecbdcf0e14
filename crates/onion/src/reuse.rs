//! The allocations of finished messages, used again by the next ones on the same thread.
//!
//! A request's header map and extensions cost some four allocations, as much as all the rest of it. Giving them back
//! is optional: a map that is dropped is merely not used again.

use std::cell::RefCell;
use std::mem;

use http::{Extensions, HeaderMap};

use crate::Context;

thread_local! {
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare { headers: Vec::new(), extensions: Vec::new() }) };
}

struct Spare {
    headers: Vec<HeaderMap>,
    /// Each with one entry, an empty [`Context`]: the place for the next one's.
    extensions: Vec<Extensions>,
}

/// An empty header map.
pub fn headers() -> HeaderMap {
    SPARE.with_borrow_mut(|spare| spare.headers.pop()).unwrap_or_default()
}

/// Extensions that hold `context`, and nothing else.
pub fn extensions(context: Context) -> Extensions {
    let mut extensions = SPARE.with_borrow_mut(|spare| spare.extensions.pop()).unwrap_or_default();
    match extensions.get_mut::<Context>() {
        Some(place) => {
            let told = mem::take(&mut place.told);
            *place = context;
            // Room from the last time, where there is nothing to tell yet.
            if place.told.capacity() == 0 {
                place.told = told;
            }
        }
        None => drop(extensions.insert(context)),
    }
    extensions
}

/// Gives back a header map that is done with.
pub fn give_headers(mut headers: HeaderMap) {
    headers.clear();
    if (1..=LARGEST).contains(&headers.capacity()) {
        SPARE.with_borrow_mut(|spare| {
            if spare.headers.len() < MOST {
                spare.headers.push(headers);
            }
        });
    }
}

/// Gives back what a request has that is done with.
pub fn give_back(headers: HeaderMap, mut extensions: Extensions) {
    give_headers(headers);
    let alone = extensions.len() == 1;
    let Some(context) = extensions.get_mut::<Context>().filter(|_| alone) else { return };
    let mut told = mem::take(&mut context.told);
    told.clear();
    *context = Context { told, ..Context::default() };
    SPARE.with_borrow_mut(|spare| {
        if spare.extensions.len() < MOST {
            spare.extensions.push(extensions);
        }
    });
}

/// So many of each are kept, by each thread.
const MOST: usize = 4;

/// A map of more fields was an exception: its memory is not kept.
const LARGEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::HOST;

    #[test]
    fn what_is_given_back_comes_out_empty() {
        let mut used = HeaderMap::new();
        used.insert(HOST, HeaderValue::from_static("example.org"));
        give_headers(used);
        let mut request = http::Request::new(());
        let context = Context { target: "/used".into(), ..Context::default() };
        request.extensions_mut().insert(context);
        let (parts, ()) = request.into_parts();
        give_back(parts.headers, parts.extensions);

        let again = extensions(Context { target: "/new".into(), ..Context::default() });
        assert!(headers().is_empty());
        assert_eq!(again.get::<Context>().expect("the new one").target, "/new");
        assert_eq!(again.len(), 1);
    }

    #[test]
    fn nothing_else_of_a_request_comes_out_again() {
        let mut request = http::Request::new(());
        request.extensions_mut().insert(Context::default());
        request.extensions_mut().insert(7_u8);
        let (parts, ()) = request.into_parts();
        give_back(parts.headers, parts.extensions);

        assert!(extensions(Context::default()).get::<u8>().is_none());
    }
}
