//! Which content coding a client wants: `Accept-Encoding` (RFC 9110 section 12.5.3).
//!
//! ```
//! use layers::accept::{Accepted, Coding};
//!
//! let mut headers = http::HeaderMap::new();
//! headers.insert("accept-encoding", http::HeaderValue::from_static("gzip;q=0.5, br, *;q=0"));
//! let accepted = Accepted::of(&headers);
//! assert_eq!(accepted.best(&[Coding::Zstd, Coding::Brotli, Coding::Gzip]), Some(Coding::Brotli));
//! assert_eq!(accepted.best(&[Coding::Zstd]), None); // `*;q=0` rules out zstd, and identity too
//! ```
//!
//! Promises: a coding with `q=0` is never chosen; what is not mentioned is not wanted, except identity, which has to
//! be ruled out (`identity;q=0`, or `*;q=0` without a word on identity); a client that says nothing at all gets
//! identity. A member that is not well formed counts for nothing; one that is given twice counts with its smaller
//! weight. Nothing is allocated. Of a very long list only the beginning counts.

use http::{HeaderMap, HeaderValue, header};

use crate::fields;

/// A content coding that the house knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// The content as it is.
    Identity,
    /// `gzip`, also called `x-gzip`.
    Gzip,
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
}

impl Coding {
    /// The name, as `Content-Encoding` has it. That of identity is not sent.
    pub const fn name(self) -> &'static str {
        match self {
            Coding::Identity => "identity",
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// The name as the value of a header.
    pub const fn value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    /// The coding of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let known = KNOWN.into_iter().find(|coding| is(coding.name()));
        known.or_else(|| is("x-gzip").then_some(Coding::Gzip))
    }
}

/// What a client accepts: weights from 0 (not at all) to 1000 (most of all).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// Of each coding of [`KNOWN`], if it is mentioned.
    mentioned: [Option<u16>; KNOWN.len()],
    /// Of `*`: whatever is not mentioned.
    others: Option<u16>,
}

impl Accepted {
    /// What all `Accept-Encoding` fields together say.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut accepted = Accepted::default();
        for field in fields::choices(headers, &header::ACCEPT_ENCODING) {
            let members = field.split(|byte| *byte == b',');
            for (name, weight) in members.filter_map(|member| member_of(str::from_utf8(member).ok()?)) {
                accepted.mention(name, weight);
            }
        }
        accepted
    }

    /// The weight of `coding`; 0: it must not be sent.
    pub fn weight(&self, coding: Coding) -> u16 {
        // What nobody spoke of is worse than anything that was asked for, but it is always allowed.
        let unspoken = u16::from(coding == Coding::Identity);
        self.mentioned[coding as usize].or(self.others).unwrap_or(unspoken)
    }

    /// The best of `offered` and identity, which need not be among them; of equals, the one that is offered first, and
    /// identity last. `None`: the client rules out all of them, and identity too.
    ///
    /// A server may disregard that and send identity (RFC 9110 section 12.5.3), or answer 406.
    pub fn best(&self, offered: &[Coding]) -> Option<Coding> {
        let mut best = (Coding::Identity, 0);
        for coding in offered.iter().copied().chain([Coding::Identity]) {
            let weight = self.weight(coding);
            if weight > best.1 {
                best = (coding, weight);
            }
        }
        (best.1 > 0).then_some(best.0)
    }

    fn mention(&mut self, name: &str, weight: u16) {
        let place = match Coding::named(name) {
            Some(coding) => &mut self.mentioned[coding as usize],
            None if name == "*" => &mut self.others,
            None => return,
        };
        *place = Some(place.map_or(weight, |other| other.min(weight)));
    }
}

/// `gzip`, or `gzip;q=0.5`: name and weight.
fn member_of(member: &str) -> Option<(&str, u16)> {
    let blank = [' ', '\t'];
    match member.split_once(';') {
        None => Some((member.trim_matches(blank), 1000)),
        Some((name, parameter)) => {
            let (key, weight) = parameter.trim_matches(blank).split_once('=')?;
            let weight = if key.eq_ignore_ascii_case("q") { weight_of(weight)? } else { return None };
            Some((name.trim_matches(blank), weight))
        }
    }
}

/// A qvalue (RFC 9110 section 12.4.2) in thousandths: `0` to `1`, with up to three decimals.
pub(crate) fn weight_of(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths =
        decimals.bytes().zip([100, 10, 1]).map(|(digit, unit)| u16::from(digit - b'0') * unit).sum();
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

const KNOWN: [Coding; 4] = [Coding::Identity, Coding::Gzip, Coding::Brotli, Coding::Zstd];

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    fn best_of(offered: &[Coding], fields: &[&'static str]) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::from_static(field));
        }
        Accepted::of(&headers).best(offered)
    }

    fn best(field: &'static str) -> Option<Coding> {
        best_of(&OFFERED, &[field])
    }

    #[test]
    fn of_what_is_accepted_alike_the_first_offered_is_the_best() {
        assert_eq!(best("gzip, deflate, br, zstd"), Some(Coding::Zstd));
        assert_eq!(best("gzip, deflate, br"), Some(Coding::Brotli));
        assert_eq!(best_of(&[Coding::Gzip], &["gzip, deflate, br, zstd"]), Some(Coding::Gzip));
    }

    #[test]
    fn the_weights_count_before_the_order() {
        assert_eq!(best("zstd;q=0.8, br;q=0.85, gzip;q=0.9"), Some(Coding::Gzip));
        assert_eq!(best("gzip ; q=0.999 , br;Q=1.000"), Some(Coding::Brotli));
        assert_eq!(best("gzip;q=0.5, identity"), Some(Coding::Identity));
        assert_eq!(best("gzip;q=0.001"), Some(Coding::Gzip));
    }

    #[test]
    fn a_weight_of_zero_means_not_at_all() {
        assert_eq!(best("gzip;q=0"), Some(Coding::Identity));
        assert_eq!(best("gzip;q=0.000, *"), Some(Coding::Zstd));
        assert_eq!(best("zstd, zstd;q=0"), Some(Coding::Identity));
    }

    #[test]
    fn a_star_stands_for_all_that_is_not_mentioned() {
        assert_eq!(best("*"), Some(Coding::Zstd));
        assert_eq!(best("zstd;q=0.1, *;q=0.5"), Some(Coding::Brotli));
        assert_eq!(best_of(&[Coding::Gzip], &["gzip;q=0.2, *;q=0.5"]), Some(Coding::Identity));
    }

    #[test]
    fn who_says_nothing_or_nothing_known_gets_identity() {
        assert_eq!(best_of(&OFFERED, &[]), Some(Coding::Identity));
        assert_eq!(best(""), Some(Coding::Identity));
        assert_eq!(best("compress, deflate"), Some(Coding::Identity));
    }

    #[test]
    fn identity_is_ruled_out_by_name_or_by_a_star() {
        assert_eq!(best("identity;q=0, br"), Some(Coding::Brotli));
        assert_eq!(best_of(&[Coding::Gzip], &["identity;q=0, br"]), None);
        assert_eq!(best("*;q=0"), None);
        assert_eq!(best("*;q=0, identity;q=0.5"), Some(Coding::Identity));
    }

    #[test]
    fn names_have_no_case_and_several_fields_are_one_list() {
        assert_eq!(best("X-GZip"), Some(Coding::Gzip));
        assert_eq!(best_of(&OFFERED, &["gzip", "BR"]), Some(Coding::Brotli));
    }

    #[test]
    fn what_is_not_well_formed_counts_for_nothing() {
        for field in [
            "gzip;q=2",
            "gzip;q=",
            "gzip;q=0.1234",
            "gzip;q=-1",
            "gzip;level=3",
            "gzip;q=1.1",
            "gzi p",
            "gzip;",
        ] {
            assert_eq!(best(field), Some(Coding::Identity), "{field}");
        }
        assert_eq!(best(",, ;q=1, gzip;q=nonsense, br,"), Some(Coding::Brotli));
    }
}
