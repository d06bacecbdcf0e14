//! Arbitrary bytes in arbitrary reads through heads and bodies: the reads must not matter, and nothing panics.
//!
//! The first byte is the number of reads that are cut, the next bytes their lengths, the rest is what the client
//! sends. The same bytes go through at once, in these reads, and byte by byte.

#![no_main]

use bytes::BytesMut;
use http1::{BodyDecoder, Decoded, HeadParser, Limits, Rejection};
use libfuzzer_sys::fuzz_target;

/// Small limits, so that the fuzzer finds them.
const LIMITS: Limits = Limits { request_line: 100, head: 400, headers: 8 };

fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else { return };
    let (reads, sent) = rest.split_at(usize::from(count % 16).min(rest.len()));
    let at_once = converse(sent, [usize::MAX]);
    assert_eq!(converse(sent, reads.iter().copied().map(usize::from).chain([usize::MAX])), at_once);
    assert_eq!(converse(sent, std::iter::repeat_n(1, sent.len())), at_once);
});

/// What one connection came to.
#[derive(Debug, Default, PartialEq)]
struct Conversation {
    heads: Vec<String>,
    /// One for each head, the last of which may not be complete.
    bodies: Vec<Vec<u8>>,
    rejection: Option<Rejection>,
}

fn converse(mut sent: &[u8], reads: impl IntoIterator<Item = usize>) -> Conversation {
    let mut conversation = Conversation::default();
    let mut parser = HeadParser::new(LIMITS);
    let mut body = None;
    let mut buffer = BytesMut::new();
    for read in reads {
        let (now, later) = sent.split_at(read.min(sent.len()));
        sent = later;
        buffer.extend_from_slice(now);
        if let Err(rejection) = conversation.go_on(&mut parser, &mut body, &mut buffer) {
            assert_stays_refused(&mut parser, body, rejection);
            conversation.rejection = Some(rejection);
            break;
        }
    }
    conversation
}

impl Conversation {
    /// Takes all that the buffer has.
    fn go_on(
        &mut self,
        parser: &mut HeadParser,
        body: &mut Option<BodyDecoder>,
        buffer: &mut BytesMut,
    ) -> Result<(), Rejection> {
        loop {
            let Some(decoder) = body else {
                let Some(head) = parser.parse(buffer)? else {
                    assert!(buffer.len() <= LIMITS.head, "what is waited on is bounded");
                    return Ok(());
                };
                assert!(head.headers.keys().all(|name| !name.as_str().contains('_')));
                self.heads.push(format!("{head:?}"));
                self.bodies.push(Vec::new());
                *body = Some(BodyDecoder::new(head.framing));
                continue;
            };
            match decoder.decode(buffer)? {
                Decoded::NeedMore => return Ok(()),
                Decoded::Data(block) => {
                    assert!(!block.is_empty());
                    self.bodies.last_mut().expect("a head came before").extend_from_slice(&block);
                }
                Decoded::End => {
                    assert!(decoder.is_complete());
                    *body = None;
                }
            }
        }
    }
}

/// A valid request after a refusal is refused as well, for the same reason.
fn assert_stays_refused(parser: &mut HeadParser, body: Option<BodyDecoder>, rejection: Rejection) {
    let mut valid = BytesMut::from("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    match body {
        Some(mut decoder) => assert_eq!(decoder.decode(&mut valid), Err(rejection)),
        None => assert_eq!(parser.parse(&mut valid).map(drop), Err(rejection)),
    }
}
