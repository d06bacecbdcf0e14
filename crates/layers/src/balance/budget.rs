//! How many requests may be tried again: a share of all, so that a target in trouble is not asked twice as often.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A purse of retries, in hundredths of one.
#[derive(Debug)]
pub(super) struct Budget {
    hundredths: AtomicU32,
    percent: u32,
}

impl Budget {
    /// One that gains `percent` of a retry with each request, and begins full. With 0 there are none at all.
    pub(super) fn new(percent: u8) -> Self {
        let full = if percent == 0 { 0 } else { FULL };
        Budget { hundredths: AtomicU32::new(full), percent: percent.into() }
    }

    /// A request has come.
    pub(super) fn gain(&self) {
        if self.hundredths.load(Relaxed) < FULL {
            // A little more than full, when several come at once, does no harm.
            self.hundredths.fetch_add(self.percent, Relaxed);
        }
    }

    /// Whether a retry can be paid for.
    pub(super) fn pay(&self) -> bool {
        self.hundredths.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(ONE)).is_ok()
    }
}

const ONE: u32 = 100;

/// After quiet times, so many retries can be had at once.
const FULL: u32 = 10 * ONE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_may_be_tried_again() {
        let budget = Budget::new(20);
        while budget.pay() {}
        let paid = (0..1000).filter(|_| {
            budget.gain();
            budget.pay()
        });
        assert_eq!(paid.count(), 200);
    }

    #[test]
    fn quiet_times_save_up_ten() {
        let budget = Budget::new(20);
        (0..1000).for_each(|_| budget.gain());
        assert_eq!((0..100).filter(|_| budget.pay()).count(), 10);
        assert!(!Budget::new(0).pay());
    }
}
