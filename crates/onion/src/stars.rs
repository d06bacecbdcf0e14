//! Decides whether a text is of the form that a [glob](crate::Glob) describes, in one pass over the text.
//!
//! The glob is compiled into tokens, and each byte of the text moves a set of positions among them, kept as bits (the
//! bit-parallel simulation of an automaton). So a byte costs the same whatever came before it, and 64 tokens cost as
//! much as one.

use smallvec::{SmallVec, smallvec};

/// A set of positions among the tokens.
type Positions = SmallVec<[u64; 1]>;

/// The part of a glob that begins at its first star or question mark, or a byte before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stars {
    /// Which positions a byte moves on, for each class of bytes.
    moves: Vec<Positions>,
    classes: [u8; 256],
    /// The positions that any byte leaves where they are, and those that any byte but a slash does.
    stays: Positions,
    stays_in_segment: Positions,
    /// The positions that count as moved on by one, or by two, without a byte.
    skips_one: Positions,
    skips_two: Positions,
    start: Positions,
    end: usize,
    /// The position from which every text matches.
    accepts_all: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Byte(u8),
    /// One byte that is not a slash.
    InSegment,
    /// One byte.
    Any,
    /// `*`: any number of bytes that are not slashes.
    ManyInSegment,
    /// `**`: any number of bytes.
    Many,
    /// The slash of `/**`, which may be missing together with the two stars.
    OptionalSlash,
}

impl Stars {
    /// `is_whole`: nothing stands before it in the glob. `segments`: `*` and `?` stop at a slash.
    pub(crate) fn compile(glob: &[u8], is_whole: bool, segments: bool) -> Self {
        let tokens = tokens_of(glob, segments);
        let end = tokens.len();
        let places = |wanted: &dyn Fn(Token) -> bool| {
            let mut places: Positions = smallvec![0; end / 64 + 1];
            let found = tokens.iter().enumerate().filter(|(_, token)| wanted(**token));
            found.for_each(|(place, _)| places[place / 64] |= 1 << (place % 64));
            places
        };
        let (mut classes, mut examples) = ([0; 256], vec![None, Some(b'/')]);
        classes[usize::from(b'/')] = 1;
        for token in &tokens {
            if let Token::Byte(byte) = token
                && classes[usize::from(*byte)] == 0
            {
                classes[usize::from(*byte)] = u8::try_from(examples.len()).unwrap_or(u8::MAX);
                examples.push(Some(*byte));
            }
        }
        let moves = |class: &Option<u8>| {
            places(&|token| match token {
                Token::Byte(byte) => *class == Some(byte),
                Token::InSegment => *class != Some(b'/'),
                Token::Any => true,
                Token::OptionalSlash => *class == Some(b'/'),
                Token::Many | Token::ManyInSegment => false,
            })
        };
        let mut stars = Stars {
            moves: examples.iter().map(moves).collect(),
            classes,
            stays: places(&|token| token == Token::Many),
            stays_in_segment: places(&|token| matches!(token, Token::Many | Token::ManyInSegment)),
            skips_one: places(&|token| matches!(token, Token::Many | Token::ManyInSegment)),
            skips_two: places(&|token| token == Token::OptionalSlash),
            start: smallvec![0; end / 64 + 1],
            end,
            accepts_all: end.checked_sub(1).filter(|last| tokens[*last] == Token::Many),
        };
        stars.start[0] = 1;
        if is_whole && segments && glob.starts_with(b"**/") && tokens[1] == Token::Byte(b'/') {
            stars.start[0] |= 1 << 2; // `**/a` matches `a` too.
        }
        let mut first = stars.start.clone();
        stars.skip(&mut first);
        stars.start = first;
        stars
    }

    /// Whether the whole of `text` matches, and how many bytes of it had to be looked at.
    pub(crate) fn decide(&self, text: &[u8]) -> (bool, usize) {
        if self.start.len() == 1 { self.decide_in_a_word(text) } else { self.decide_in_words(text) }
    }

    /// For globs of up to 63 tokens, as nearly all are: the positions stay in a register.
    fn decide_in_a_word(&self, text: &[u8]) -> (bool, usize) {
        let of_class = self.moves.iter().map(|places| places[0]).collect::<SmallVec<[u64; 16]>>();
        let (stays, stays_in_segment) = (self.stays[0], self.stays_in_segment[0]);
        let (skips_one, skips_two) = (self.skips_one[0], self.skips_two[0]);
        let accepts_all = self.accepts_all.map_or(0, |place| 1 << place);
        let mut reached = self.start[0];
        for (read, byte) in text.iter().enumerate() {
            if reached & accepts_all != 0 || reached == 0 {
                return (reached != 0, read);
            }
            let moves = of_class[usize::from(self.classes[usize::from(*byte)])];
            let stays = if *byte == b'/' { stays } else { stays_in_segment };
            reached = (reached & moves) << 1 | reached & stays;
            reached |= (reached & skips_one) << 1;
            reached |= (reached & skips_two) << 2;
        }
        (reached >> self.end & 1 == 1, text.len())
    }

    fn decide_in_words(&self, text: &[u8]) -> (bool, usize) {
        let mut reached = self.start.clone();
        for (read, byte) in text.iter().enumerate() {
            if self.accepts_all.is_some_and(|place| has(&reached, place)) {
                return (true, read);
            }
            if reached.iter().all(|word| *word == 0) {
                return (false, read);
            }
            let of_byte = &self.moves[usize::from(self.classes[usize::from(*byte)])];
            let stays = if *byte == b'/' { &self.stays } else { &self.stays_in_segment };
            let mut carried = 0;
            for (place, word) in reached.iter_mut().enumerate() {
                let moved = *word & of_byte[place];
                *word = *word & stays[place] | moved << 1 | carried;
                carried = moved >> 63;
            }
            self.skip(&mut reached);
        }
        (has(&reached, self.end), text.len())
    }

    /// Adds the positions that are reached without a byte. The tokens are such that one pass finds all of them.
    fn skip(&self, reached: &mut Positions) {
        let mut carried = 0;
        for (word, skips) in reached.iter_mut().zip(&self.skips_one) {
            let moved = *word & skips;
            *word |= moved << 1 | carried;
            carried = moved >> 63;
        }
        carried = 0;
        for (word, skips) in reached.iter_mut().zip(&self.skips_two) {
            let moved = *word & skips;
            *word |= moved << 2 | carried;
            carried = moved >> 62;
        }
    }
}

fn has(positions: &Positions, place: usize) -> bool {
    positions[place / 64] >> (place % 64) & 1 == 1
}

/// The tokens of a glob. Never two of stars behind each other, nor of what may be missing: one of them says the same.
fn tokens_of(glob: &[u8], segments: bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = glob;
    while let Some((first, behind)) = rest.split_first() {
        let stars = rest.iter().take_while(|byte| **byte == b'*').count();
        rest = behind;
        tokens.push(match first {
            b'*' => {
                rest = &behind[stars - 1..];
                if segments && stars == 1 { Token::ManyInSegment } else { Token::Many }
            }
            b'?' if segments => Token::InSegment,
            b'?' => Token::Any,
            b'/' if segments && is_optional(behind) => {
                while let Some(further) =
                    behind_stars(rest).strip_prefix(b"/").filter(|next| is_optional(next))
                {
                    rest = further;
                }
                Token::OptionalSlash
            }
            byte => Token::Byte(*byte),
        });
    }
    tokens
}

/// Whether what is behind a slash makes it one that may be missing: two stars, and nothing else in their segment.
fn is_optional(behind: &[u8]) -> bool {
    behind.starts_with(b"**") && matches!(behind.get(2), None | Some(b'/'))
}

fn behind_stars(rest: &[u8]) -> &[u8] {
    rest.strip_prefix(b"**").unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(glob: &str, text: &str) -> (bool, usize) {
        Stars::compile(glob.as_bytes(), true, true).decide(text.as_bytes())
    }

    /// What a glob says, by trying every way to read it.
    fn slowly(glob: &[u8], text: &[u8], is_whole: bool) -> bool {
        let any = |rest: &[u8], stops: bool| {
            let most = text.iter().position(|byte| stops && *byte == b'/').unwrap_or(text.len());
            (0..=most).any(|taken| slowly(rest, &text[taken..], false))
        };
        match glob {
            [] => text.is_empty(),
            [b'*', b'*', b'/', rest @ ..] if is_whole && slowly(rest, text, false) => true,
            [b'/', b'*', b'*', rest @ ..]
                if matches!(rest.first(), None | Some(b'/')) && slowly(rest, text, false) =>
            {
                true
            }
            [b'*', b'*', rest @ ..] => {
                any(rest.split_at(rest.iter().take_while(|byte| **byte == b'*').count()).1, false)
            }
            [b'*', rest @ ..] => any(rest, true),
            [b'?', rest @ ..] => {
                text.first().is_some_and(|byte| *byte != b'/') && slowly(rest, &text[1..], false)
            }
            [byte, rest @ ..] => text.first() == Some(byte) && slowly(rest, &text[1..], false),
        }
    }

    fn words(letters: &[u8], most: u32) -> impl Iterator<Item = Vec<u8>> {
        let count = |length| letters.len().pow(length);
        (0..=most).flat_map(move |length| {
            (0..count(length)).map(move |number| {
                (0..length).map(|place| letters[number / letters.len().pow(place) % letters.len()]).collect()
            })
        })
    }

    #[test]
    fn every_short_glob_means_what_it_says() {
        let texts: Vec<Vec<u8>> = words(b"a/", 4).collect();
        for glob in words(b"a/*?", 5) {
            let stars = Stars::compile(&glob, true, true);
            for text in &texts {
                let shown = || (String::from_utf8_lossy(&glob), String::from_utf8_lossy(text));
                assert_eq!(stars.decide(text).0, slowly(&glob, text, true), "{:?}", shown());
            }
        }
    }

    #[test]
    fn a_long_glob_means_the_same_as_a_short_one() {
        let long = "a".repeat(200);
        for (glob, text, expected) in [
            (format!("*{long}"), format!("b{long}"), true),
            (format!("*{long}/**/b"), format!("{long}/b"), true),
            (format!("*{long}/**/b"), format!("{long}/x/y/b"), true),
            (format!("*{long}?"), long.clone(), false),
            (format!("*{long}*b"), format!("{long}{long}b"), true),
        ] {
            assert_eq!(decide(&glob, &text).0, expected, "{glob} {text}");
        }
    }

    #[test]
    fn no_byte_is_looked_at_twice_and_none_in_vain() {
        let text = format!("/{}", "a/".repeat(5000));
        assert_eq!(decide("**a**a**a**a**a**a**a**b", &text), (false, text.len()));
        assert_eq!(decide("/a/**", &text), (true, 3));
        assert_eq!(decide("/b/**", &text), (false, 2));
        assert_eq!(decide("/*b", &text), (false, 3));
    }
}
