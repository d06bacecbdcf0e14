//! Rejects a `:path` with a fragment, which `http::Uri` would cut off silently.
//!
//! A request target has no fragment (RFC 9110 section 7.1); HTTP/1 answers `#` with 400. The library that reads the
//! frames parses `:path` as a URI before anybody else sees it, and drops what follows `#`. So the `#` is replaced before,
//! by a `>`: no URI may have that, and the stream is reset with `PROTOCOL_ERROR`. The two are one octet each, and their
//! Huffman codes differ in the last bit only (RFC 7541 appendix B), so no length changes, and a later request that refers
//! to the same entry of the dynamic table is rejected as well.
//!
//! A `:path` in a CONTINUATION frame is not looked at, nor one whose name is taken from the dynamic table: no client
//! sends either, and the fragment is only dropped then.

use bytes::BytesMut;

/// Follows the frames that a client sends.
#[derive(Debug)]
pub(super) struct Fragments {
    /// How many bytes at the front of the buffer may be read.
    cleared: usize,
    /// How many of the current frame are still to come.
    coming: usize,
    /// How many frames have come that ask for nothing, beyond what the others allow for.
    idle_frames: u32,
}

impl Fragments {
    /// For a client that begins with a preface.
    pub(super) fn new() -> Self {
        Fragments { cleared: 0, coming: PREFACE, idle_frames: 0 }
    }

    /// Looks at what is new in the buffer. Gives how many bytes at its front may be read: what is held back is a HEADERS
    /// frame, or the head of a frame, that is not complete.
    pub(super) fn clear(&mut self, buffer: &mut BytesMut) -> usize {
        loop {
            // Nothing is read any more when the buffer was emptied otherwise.
            self.cleared = self.cleared.min(buffer.len());
            let come = self.coming.min(buffer.len() - self.cleared);
            self.cleared += come;
            self.coming -= come;
            let frame = buffer.get(self.cleared..self.cleared + HEAD);
            let Some(&[a, b, c, kind, flags, ..]) = frame else {
                return self.cleared;
            };
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            // A larger one is an error anyway.
            if kind == HEADERS && length <= LONGEST {
                let start = self.cleared + HEAD;
                let Some(payload) = buffer.get_mut(start..start + length) else { return self.cleared };
                if let Some(block) = block_of(payload, flags) {
                    // What is malformed is for the reader of the frames to reject.
                    let _ = reject_fragment(block);
                }
            }
            self.count(kind, flags, length);
            self.coming = HEAD + length;
        }
    }

    /// How many frames have come that ask for nothing, beyond [`ALLOWANCE`] for each that begins a request or brings some of
    /// its body.
    pub(super) fn idle_frames(&self) -> u32 {
        self.idle_frames
    }

    /// Frames that ask for nothing cost this side work all the same. PING and `WINDOW_UPDATE` are not among them: a client
    /// sends as many as the responses that it reads, and the time that they take, call for.
    fn count(&mut self, kind: u8, flags: u8, length: usize) {
        match kind {
            HEADERS => self.idle_frames = self.idle_frames.saturating_sub(ALLOWANCE),
            DATA if length > 0 || flags & END_STREAM != 0 => {
                self.idle_frames = self.idle_frames.saturating_sub(ALLOWANCE);
            }
            SETTINGS if flags & ACK != 0 => {}
            DATA | PRIORITY_FRAME | SETTINGS => self.idle_frames += 1,
            _ if kind > CONTINUATION => self.idle_frames += 1,
            _ => {}
        }
    }

    /// So many bytes were read.
    pub(super) fn read(&mut self, count: usize) {
        self.cleared -= count;
    }
}

/// The field block in the payload of a HEADERS frame (RFC 9113 section 6.2).
fn block_of(payload: &mut [u8], flags: u8) -> Option<&mut [u8]> {
    let (mut start, mut end) = (0, payload.len());
    if flags & PADDED != 0 {
        end = end.checked_sub(usize::from(*payload.first()?))?;
        start += 1;
    }
    if flags & PRIORITY != 0 {
        start += 5;
    }
    payload.get_mut(start..end)
}

/// Looks for the `:path` of a field block (RFC 7541 section 6). `None`: the block is malformed or goes on elsewhere.
fn reject_fragment(block: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while let Some(&first) = block.get(at) {
        let prefix = match first {
            0x80.. => 7,      // indexed: name and value
            0x40..=0x7f => 6, // a literal that is added to the table
            0x20..=0x3f => 5, // the table's size
            _ => 4,           // other literals
        };
        let index = integer(block, &mut at, prefix)?;
        if prefix == 7 || prefix == 5 {
            continue;
        }
        let is_path = if index == 0 {
            let name = string(block, &mut at)?;
            matches!((name.is_huffman, &block[name.start..at]), (false, b":path") | (true, HUFFMAN_PATH))
        } else {
            STATIC_PATH.contains(&index)
        };
        let value = string(block, &mut at)?;
        if is_path {
            let octets = &mut block[value.start..at];
            if value.is_huffman { replace_in_huffman(octets) } else { replace(octets) }
        }
    }
    Some(())
}

struct Literal {
    is_huffman: bool,
    start: usize,
}

/// A string literal (RFC 7541 section 5.2), which ends where `at` is then.
fn string(block: &[u8], at: &mut usize) -> Option<Literal> {
    let is_huffman = block.get(*at)? & 0x80 != 0;
    let length = integer(block, at, 7)?;
    let start = *at;
    *at = start.checked_add(length).filter(|end| *end <= block.len())?;
    Some(Literal { is_huffman, start })
}

/// An integer (RFC 7541 section 5.1).
fn integer(block: &[u8], at: &mut usize, prefix: u32) -> Option<usize> {
    let most = (1 << prefix) - 1;
    let mut value = usize::from(*block.get(*at)?) & most;
    *at += 1;
    if value < most {
        return Some(value);
    }
    for shift in [0, 7, 14] {
        let octet = usize::from(*block.get(*at)?);
        *at += 1;
        value += (octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(value);
        }
    }
    None // longer than any block
}

fn replace(octets: &mut [u8]) {
    for octet in octets.iter_mut().filter(|octet| **octet == b'#') {
        *octet = b'>';
    }
}

fn replace_in_huffman(octets: &mut [u8]) {
    // The code of `#` begins with nine ones, which few paths have.
    let mut before = 0_u8;
    let may_have = octets.iter().any(|octet| {
        let ones = before.trailing_ones() + octet.leading_ones();
        before = *octet;
        ones >= 9 || *octet == 0xff
    });
    if may_have {
        walk_huffman(octets);
    }
}

#[cold]
fn walk_huffman(octets: &mut [u8]) {
    // The code is canonical: those of one length follow one another, and then come the longer ones.
    let (mut code, mut first, mut length) = (0_u32, 0_u32, 0);
    for bit in 0..octets.len() * 8 {
        let mask = 0x80 >> (bit % 8);
        code = code << 1 | u32::from(octets[bit / 8] & mask != 0);
        first <<= 1;
        length += 1;
        let Some(&count) = CODES_OF_LENGTH.get(length) else { return };
        if code < first + count {
            if length == HASH_LENGTH && code == first {
                octets[bit / 8] |= mask;
            }
            (code, first, length) = (0, 0, 0);
        } else {
            first += count;
        }
    }
}

/// How many codes there are of each length in bits (RFC 7541 appendix B).
const CODES_OF_LENGTH: [u32; 31] =
    [0, 0, 0, 0, 0, 10, 26, 32, 6, 0, 5, 3, 2, 6, 2, 3, 0, 0, 0, 3, 8, 13, 26, 29, 12, 4, 15, 19, 29, 0, 4];

/// `#` has the first code of twelve bits, `>` the second and last.
const HASH_LENGTH: usize = 12;

/// `:path` in Huffman's code.
const HUFFMAN_PATH: &[u8] = &[0xb9, 0x58, 0xd3, 0x3f];

/// The entries of the static table that are named `:path` (RFC 7541 appendix A).
const STATIC_PATH: [usize; 2] = [4, 5];

/// Browsers change the priority of a request a few times.
const ALLOWANCE: u32 = 8;

/// The length of the preface (RFC 9113 section 3.4), of the head of a frame, and of the longest payload.
const PREFACE: usize = 24;
const HEAD: usize = 9;
const LONGEST: usize = 16_384;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY_FRAME: u8 = 2;
const SETTINGS: u8 = 4;
/// The last type of frame that RFC 9113 defines; what is beyond it is passed over.
const CONTINUATION: u8 = 9;

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("it is short").to_be_bytes();
        [&[0, length[0], length[1], kind, flags, 0, 0, 0, 1][..], payload].concat()
    }

    /// What is read of these bytes if they come, and are read, in pieces.
    fn read(sent: &[u8], piece: usize) -> Vec<u8> {
        let (mut fragments, mut buffer, mut read) = (Fragments::new(), BytesMut::new(), Vec::new());
        for part in sent.chunks(piece) {
            buffer.extend_from_slice(part);
            let count = fragments.clear(&mut buffer).min(piece.max(7));
            read.extend_from_slice(&buffer.split_to(count));
            fragments.read(count);
        }
        while fragments.clear(&mut buffer) > 0 {
            read.extend_from_slice(&buffer.split_to(1));
            fragments.read(1);
        }
        read
    }

    fn literal(first: u8, value: &[u8]) -> Vec<u8> {
        [&[first, u8::try_from(value.len()).expect("it is short")][..], value].concat()
    }

    #[test]
    fn a_fragment_in_a_path_makes_it_invalid_however_it_comes() {
        let others =
            [&[0x82, 0x86, 0x3f, 0xe1, 0x1f][..], &literal(0x41, b"a#b"), &literal(0x7e, b"/#")].concat();
        for start in [0x44, 0x04, 0x14, 0x45] {
            let block = |path: &[u8]| [&others, &literal(start, path)[..], &literal(0x0f, b"")[..0]].concat();
            let sent = |path: &[u8]| {
                [&[b'x'; 24][..], &frame(0, 0, b"#"), &frame(1, 4, &block(path)), &frame(9, 4, b"#")].concat()
            };
            for piece in [1, 2, 7, 30, 1000] {
                assert_eq!(read(&sent(b"/a?b#c#"), piece), sent(b"/a?b>c>"), "{start:x} {piece}");
                assert_eq!(read(&sent(b"/a?b"), piece), sent(b"/a?b"));
            }
        }
    }

    #[test]
    fn frames_that_ask_for_nothing_are_counted_until_others_make_up_for_them() {
        let counted = |frames: &[Vec<u8>]| {
            let mut fragments = Fragments::new();
            let mut buffer = BytesMut::from(&[&[b'x'; 24][..], &frames.concat()].concat()[..]);
            fragments.clear(&mut buffer);
            fragments.idle_frames()
        };
        let idle = [frame(0, 0, b""), frame(2, 0, b"12345"), frame(4, 0, b""), frame(0x77, 0, b"x")];
        assert_eq!(counted(&idle), 4);
        let useful =
            [frame(0, 1, b""), frame(0, 0, b"x"), frame(1, 5, b""), frame(4, 1, b""), frame(6, 0, b"")];
        assert_eq!(counted(&useful), 0);
        let many = vec![frame(2, 0, b"12345"); 20];
        assert_eq!(counted(&[&many[..], &useful[1..2]].concat()), 20 - ALLOWANCE);
    }

    #[test]
    fn the_name_may_be_spelled_out_and_the_frame_padded() {
        for name in [&b"\x05:path"[..], b"\x84\xb9\x58\xd3\x3f"] {
            let block = |path: &[u8]| [&[0x00], name, &literal(0, path)[1..]].concat();
            let padded =
                |path: &[u8]| frame(1, 0x2c, &[&[2, 0, 0, 0, 0, 9][..], &block(path), b"##"].concat());
            let sent = |path: &[u8]| [&[b'x'; 24][..], &padded(path)].concat();
            assert_eq!(read(&sent(b"/#"), 1000), sent(b"/>"));
        }
    }

    #[test]
    fn in_huffmans_code_it_is_one_bit() {
        // By RFC 7541 appendix B: `/` is 011000, `a` 00011, `?` 1111111100, `#` 111111111010, `>` 111111111011.
        for (text, expected) in [
            ("011000 111111111010", "011000 111111111011"),
            ("011000 1111111100 111111111010 00011", "011000 1111111100 111111111011 00011"),
            ("011000 00011 1111111100 00011", "011000 00011 1111111100 00011"),
            ("1111111111111111111111111111", "1111111111111111111111111111"),
            // `}` and `~`: another code has the bits of `#` inside.
            ("11111111111101 11111111111101", "11111111111101 11111111111101"),
        ] {
            let bytes = |bits: &str| -> Vec<u8> {
                let mut bits: Vec<u8> =
                    bits.bytes().filter(|bit| *bit != b' ').map(|bit| bit - b'0').collect();
                bits.resize(bits.len().next_multiple_of(8), 1);
                bits.chunks(8).map(|octet| octet.iter().fold(0, |octet, bit| octet << 1 | bit)).collect()
            };
            let mut octets = bytes(text);
            replace_in_huffman(&mut octets);
            assert_eq!(octets, bytes(expected), "{text}");
        }
    }

    #[test]
    fn what_is_malformed_is_passed_on() {
        for payload in
            [&b"\x7f"[..], b"\x44\x7f\xff\xff\xff\xff", b"\x44\x05/#", b"\x00\x7f", b"\x04", b"\xff"]
        {
            for flags in [0, 4, 8, 0x28] {
                let sent = [&[b'x'; 24][..], &frame(1, flags, payload), &frame(0, 0, b"x")].concat();
                assert_eq!(read(&sent, 1000).len(), sent.len());
            }
        }
    }
}
