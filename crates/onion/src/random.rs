//! Random bytes for ids: from the kernel, but not one system call a request.
//!
//! ```
//! let [first, second]: [[u8; 16]; 2] = [onion::random(), onion::random()];
//! assert_ne!(first, second);
//! ```
//!
//! Promises: no byte is given twice. A process that was forked has its parent's store: who forks calls
//! [`forget_random`] in the child.
//!
//! It is not for keys: what is in store could be read by whoever reads the process's memory.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

/// `N` random bytes.
///
/// # Panics
///
/// If the kernel has none, which it promises not to happen once it has started.
pub fn random<const N: usize>() -> [u8; N] {
    const { assert!(N <= STORED, "more than is in store") }
    STORE.with_borrow_mut(|store| {
        let forks = FORKS.load(Ordering::Relaxed);
        if store.left < N || store.forks != forks {
            getrandom::fill(&mut store.bytes).expect("the kernel has random bytes");
            (store.left, store.forks) = (STORED, forks);
        }
        store.left -= N;
        let mut taken = [0; N];
        taken.copy_from_slice(&store.bytes[store.left..store.left + N]);
        taken
    })
}

/// Throws away what is in store, in every thread: the parent process has the same.
pub fn forget_random() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// How often [`forget_random`] was called.
static FORKS: AtomicU32 = AtomicU32::new(0);

struct Store {
    bytes: [u8; STORED],
    left: usize,
    forks: u32,
}

thread_local! {
    static STORE: RefCell<Store> = const { RefCell::new(Store { bytes: [0; STORED], left: 0, forks: 0 }) };
}

const STORED: usize = 1024;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nothing_comes_twice_however_much_is_taken() {
        let taken: Vec<[u8; 24]> = (0..1000).map(|_| random()).collect();

        assert_eq!(taken.iter().collect::<HashSet<_>>().len(), 1000);
    }

    #[test]
    fn what_is_in_store_at_a_fork_is_not_given() {
        let _: [u8; 8] = random();
        let stored = STORE.with_borrow(|store| store.bytes);

        forget_random();
        let after: [u8; 8] = random();

        assert!(stored.windows(8).all(|window| window != after));
    }
}
