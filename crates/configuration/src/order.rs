//! Whether layers stand in a good order, by their phases, and why not.
//!
//! ```
//! let [wrong] = &configuration::misplaced(&["mount", "request_id"])[..] else { panic!("one is misplaced") };
//!
//! assert_eq!((wrong.inside, wrong.outside), ("request_id", "mount"));
//! assert!(configuration::misplaced(&["request_id", "errors", "allow_addresses"]).is_empty());
//! ```
//!
//! Promises: a warning has a reason that holds for the two layers; nothing is put in another order by itself.
//!
//! An order that differs from that of the phases without harm (error pages around a guard) is none of its business.

use onion::Phase;
use serde::Serialize;

/// A layer that stands too far inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Misplaced {
    /// The layer that should stand further out.
    pub inside: &'static str,
    /// The layer that it should stand outside of.
    pub outside: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// The layers among `names`, given from the outside in, that stand inside one that they should stand around.
pub fn misplaced(names: &[&str]) -> Vec<Misplaced> {
    let layers: Vec<_> = names.iter().filter_map(|name| layers::declaration(name).ok()).collect();
    let one = |(place, inside): (usize, &&'static onion::Declaration)| {
        layers[..place].iter().find_map(|outside| {
            let reason = harm(outside.phase, inside.phase)?;
            Some(Misplaced { inside: inside.name, outside: outside.name, reason })
        })
    };
    layers.iter().enumerate().filter_map(one).collect()
}

/// What goes wrong if a layer of the phase `inside` stands within one of the phase `outside`.
fn harm(outside: Phase, inside: Phase) -> Option<&'static str> {
    use Phase::{Answer, Cache, Dispatch, Edge, Identify, Incoming, Observe, Outgoing, Protect};
    if inside >= outside {
        return None;
    }
    match (outside, inside) {
        (Dispatch, _) => Some("requests for what is mounted pass it by"),
        (_, Edge) => {
            Some("what it tells of the client and the request is not known yet where the other acts")
        }
        (_, Observe) => Some("it does not see what the other answers by itself, or changes"),
        (Cache, Protect | Identify) => Some("what the other remembers is answered to those it would refuse"),
        (Cache, Answer) => Some("what it has at hand anyway is remembered a second time"),
        (Cache, Outgoing) => Some("the form it made for one client would be remembered for all"),
        (Identify, Protect) => Some("a request that it refuses has cost already what the other does"),
        (Incoming, Protect | Identify) => Some("its refusals, too, are treated as pages of the application"),
        (Incoming, Outgoing) => Some("the other gets what it has made of the response, compressed or not"),
        (Incoming, Cache) => {
            Some("what it remembers has not been treated, so that is done for every request")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(names: &[&str]) -> Vec<(&'static str, &'static str)> {
        misplaced(names).iter().map(|wrong| (wrong.inside, wrong.outside)).collect()
    }

    #[test]
    fn the_order_of_the_phases_is_good() {
        let mut names: Vec<_> = layers::LAYERS.iter().map(|layer| (layer.phase, layer.name)).collect();
        names.sort();
        let names: Vec<_> = names.into_iter().map(|(_, name)| name).collect();

        assert_eq!(found(&names), []);
    }

    #[test]
    fn a_layer_that_stands_too_far_inside_is_named_with_the_outermost_one_it_should_be_around() {
        assert_eq!(found(&["compress", "session", "request_id"]), [("request_id", "compress")]);
        assert_eq!(found(&["xslt", "compress"]), [("compress", "xslt")]);
        assert_eq!(found(&["session", "allow_addresses"]), [("allow_addresses", "session")]);
    }

    #[test]
    fn a_guard_around_files_and_error_pages_around_a_guard_are_no_mistakes() {
        assert_eq!(found(&["errors", "compress", "allow_addresses", "static_files"]), []);
    }

    #[test]
    fn every_harm_is_told_for_a_cache() {
        for phase in [Phase::Protect, Phase::Identify, Phase::Answer, Phase::Outgoing] {
            assert!(harm(Phase::Cache, phase).is_some());
        }
        assert_eq!(harm(Phase::Cache, Phase::Incoming), None);
    }
}
