//! The allocations of finished messages, used again by the next ones on the same thread.
//!
//! A request's header map and extensions cost some four allocations, as much as all the rest of it. Giving them back
//! is optional: a map that is dropped is merely not used again.

use std::cell::RefCell;

use http::request::Parts;
use http::{Extensions, HeaderMap};

thread_local! {
    static SPARE: RefCell<Spare> = const { RefCell::new(Spare { headers: Vec::new(), extensions: Vec::new() }) };
}

struct Spare {
    headers: Vec<HeaderMap>,
    extensions: Vec<Extensions>,
}

/// An empty header map.
pub fn headers() -> HeaderMap {
    SPARE.with_borrow_mut(|spare| spare.headers.pop()).unwrap_or_default()
}

/// Empty extensions.
pub fn extensions() -> Extensions {
    SPARE.with_borrow_mut(|spare| spare.extensions.pop()).unwrap_or_default()
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

/// Gives back the parts of a request that is done with.
pub fn give_parts(mut parts: Parts) {
    parts.extensions.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.extensions.len() < MOST {
            spare.extensions.push(parts.extensions);
        }
    });
    give_headers(parts.headers);
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
        request.extensions_mut().insert(7_u8);
        give_parts(request.into_parts().0);

        assert!(headers().is_empty());
        assert!(extensions().is_empty());
    }
}
