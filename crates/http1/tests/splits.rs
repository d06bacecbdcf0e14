//! How the bytes are cut into reads changes nothing: pipelined requests, valid or damaged, in arbitrary pieces.

use bytes::BytesMut;
use http1::{BodyDecoder, Decoded, HeadParser, Limits, Rejection};
use proptest::prelude::*;

/// All that happens on one connection, as text; reads end after these lengths, the last takes the rest.
fn events(input: &[u8], reads: &[usize]) -> Vec<String> {
    let limits = Limits { request_line: 60, head: 200, headers: 6 };
    let mut parser = HeadParser::new(limits);
    let mut body: Option<(BodyDecoder, Vec<u8>)> = None;
    let mut buffer = BytesMut::new();
    let mut events = Vec::new();
    let mut rest = input;
    for read in reads.iter().copied().chain([usize::MAX]) {
        let (now, later) = rest.split_at(read.min(rest.len()));
        rest = later;
        buffer.extend_from_slice(now);
        loop {
            match step(&mut parser, &mut body, &mut buffer, &mut events) {
                Ok(true) => {}
                Ok(false) => break,
                Err(rejection) => {
                    let data = body.map(|(_, data)| data).unwrap_or_default();
                    events.push(format!("{rejection} after {}", data.escape_ascii()));
                    return events;
                }
            }
        }
    }
    let data = body.map(|(_, data)| data).unwrap_or_default();
    events.push(format!("waiting after {}", data.escape_ascii()));
    events
}

/// One call of the parser or the decoder. False: more bytes are needed.
fn step(
    parser: &mut HeadParser,
    body: &mut Option<(BodyDecoder, Vec<u8>)>,
    buffer: &mut BytesMut,
    events: &mut Vec<String>,
) -> Result<bool, Rejection> {
    let Some((decoder, data)) = body else {
        let Some(head) = parser.parse(buffer)? else { return Ok(false) };
        events.push(format!("{head:?}"));
        *body = Some((BodyDecoder::new(head.framing), Vec::new()));
        return Ok(true);
    };
    match decoder.decode(buffer)? {
        Decoded::NeedMore => return Ok(false),
        Decoded::Data(block) => data.extend_from_slice(&block),
        Decoded::End => {
            events.push(format!("body {}", data.escape_ascii()));
            *body = None;
        }
    }
    Ok(true)
}

/// Pieces of which requests are made, some of them wrong, so that all branches meet all others.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let whole = prop::sample::select(vec![
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n2\r\n!!\r\n0\r\nX: y\r\n\r\n",
        b"\r\nOPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"HEAD http://a/b HTTP/1.1\r\nHost: a\r\nX_Y: 1\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\nA:1\r\n\r\n",
        b"\r\n",
        b"\n",
        b"\r",
    ]);
    prop_oneof![
        8 => whole.prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..80),
        1 => prop::collection::vec(prop::sample::select(b"GET / HTTP1.:\r\n;05aA\t".to_vec()), 0..250),
    ]
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let damage = prop::option::weighted(0.5, (any::<prop::sample::Index>(), any::<u8>()));
    (prop::collection::vec(piece(), 1..5), damage).prop_map(|(pieces, damage)| {
        let mut stream = pieces.concat();
        if let (Some((place, byte)), false) = (damage, stream.is_empty()) {
            let place = place.index(stream.len());
            stream[place] = byte;
        }
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_same_requests_bodies_and_refusals(
        input in stream(),
        reads in prop::collection::vec(0_usize..40, 0..30),
    ) {
        let at_once = events(&input, &[]);
        prop_assert_eq!(&events(&input, &reads), &at_once, "reads {:?}", reads);
        prop_assert_eq!(&events(&input, &vec![1; input.len()]), &at_once, "byte by byte");
    }
}
