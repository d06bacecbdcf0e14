//! Random bytes for ids, without asking the kernel each time.
//!
//! ```
//! let [first, second]: [[u8; 16]; 2] = [onion::random(), onion::random()];
//! assert_ne!(first, second);
//! ```
//!
//! Promises: each thread has a generator of its own (`ChaCha12`), begun by the kernel's random bytes. A process that was
//! forked has its parent's generators: who forks calls [`forget_random`] in the child.
//!
//! It is not for keys: who can read the process's memory knows what will be given.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU32, Ordering};

use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// `N` random bytes.
///
/// # Panics
///
/// If the kernel has none to begin with, which it promises not to happen once it has started.
pub fn random<const N: usize>() -> [u8; N] {
    GENERATOR.with_borrow_mut(|kept| {
        let forks = FORKS.load(Ordering::Relaxed);
        let generator = match kept {
            Some((generator, begun)) if *begun == forks => generator,
            _ => &mut kept.insert((begin(), forks)).0,
        };
        let mut taken = [0; N];
        generator.fill_bytes(&mut taken);
        taken
    })
}

/// Has every thread begin anew: the parent process would give the same.
pub fn forget_random() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

fn begin() -> ChaCha12Rng {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the kernel has random bytes");
    ChaCha12Rng::from_seed(seed)
}

/// How often [`forget_random`] was called.
static FORKS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// And how often it had been called when this one was begun.
    static GENERATOR: RefCell<Option<(ChaCha12Rng, u32)>> = const { RefCell::new(None) };
}

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
    fn what_a_parent_would_give_is_not_given_after_a_fork() {
        let begun_with = || GENERATOR.with_borrow(|kept| kept.as_ref().map(|(of, _)| of.get_seed()));
        let _: [u8; 8] = random();
        let parent = begun_with();

        forget_random();
        let _: [u8; 8] = random();

        assert_ne!(begun_with(), parent);
    }
}
