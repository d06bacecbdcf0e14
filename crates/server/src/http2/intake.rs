//! Which of a client's frames are read, where the client takes a GOAWAY for the end of all its streams.
//!
//! Python's h2 does so ([#1181](https://github.com/python-hyper/h2/issues/1181)), and httpx with it: what it waits for is
//! lost. So it may be told only when it waits for nothing, and a client that makes one request after the other, or several
//! at a time, comes to no such moment by itself. Its further streams are not read while the connection is being left: when
//! the others are answered, it is told that they were not taken, and sends them again elsewhere. (Trailers of a request
//! that was taken could not be unpacked by then; such clients send none.)

use std::task::Poll;

use bytes::{Buf, BytesMut};
use hyper::rt::ReadBufCursor;

/// Takes what a client sends, frame by frame.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// How much is left of the frame that is coming, and whether it is wanted.
    left: usize,
    is_wanted: bool,
    is_closed: bool,
    refusals: Refusals,
}

/// What becomes of further streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusals {
    /// The last stream that was taken.
    pub(super) last: u32,
    /// How many were not.
    pub(super) refused: u32,
    /// How many PINGs the client has answered meanwhile.
    pub(super) answered: u32,
}

impl Intake {
    /// For a client that begins with `greeting`, if it is one that needs this; pending until that can be known.
    pub(super) fn for_client(greeting: &[u8]) -> Poll<Option<Self>> {
        let (preface, frame) = greeting.split_at(greeting.len().min(PREFACE.len()));
        if !PREFACE.starts_with(preface) {
            return Poll::Ready(None);
        }
        let Some((head, rest)) = frame.split_at_checked(HEAD) else { return Poll::Pending };
        if head[3] != SETTINGS || length(head) > MOST_SETTINGS {
            return Poll::Ready(None);
        }
        let Some(settings) = rest.get(..length(head)) else { return Poll::Pending };
        let has = |setting: &[u8; 6]| settings.chunks_exact(6).any(|given| given == setting);
        let intake = || Intake { left: PREFACE.len(), is_wanted: true, ..Intake::default() };
        Poll::Ready(SPELLED_OUT.iter().all(has).then(intake))
    }

    /// Takes no further streams, after the first: httpx does not try again what is lost before there was one.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }

    pub(super) fn refusals(&self) -> Refusals {
        self.refusals
    }

    /// Moves what is wanted, as far as it has come and there is room.
    pub(super) fn take(&mut self, come: &mut BytesMut, room: &mut ReadBufCursor<'_>) {
        loop {
            if self.left == 0 {
                let Some(head) = come.get(..HEAD) else { return };
                self.left = HEAD + length(head);
                self.is_wanted = self.admits(head);
            }
            let mut count = self.left.min(come.len());
            if self.is_wanted {
                count = count.min(room.remaining());
                room.put_slice(&come[..count]);
            }
            if count == 0 {
                return;
            }
            come.advance(count);
            self.left -= count;
        }
    }

    fn admits(&mut self, head: &[u8]) -> bool {
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let refusals = &mut self.refusals;
        let is_further = stream > refusals.last;
        let is_answer = head[3] == PING && head[4] & ACK != 0;
        if self.is_closed && (is_further && refusals.last > 0 || is_answer) {
            refusals.refused += u32::from(head[3] == HEADERS);
            refusals.answered += u32::from(is_answer);
            return false;
        }
        if is_further && head[3] == HEADERS {
            refusals.last = stream;
        }
        true
    }
}

/// The length of what follows the head of a frame (RFC 9113 section 4.1).
fn length(head: &[u8]) -> usize {
    u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize
}

/// What a client begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The length of the head of a frame, in bytes.
const HEAD: usize = 9;

/// No more bytes of first settings are looked at.
const MOST_SETTINGS: usize = 240;

const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;

const ACK: u8 = 1;

/// What Python's h2 says in its first SETTINGS, though it is what holds unless something is said: `HEADER_TABLE_SIZE`,
/// `INITIAL_WINDOW_SIZE`, `MAX_FRAME_SIZE`. To another client that says all three, nothing worse happens than that it has
/// to send again what it had just begun to send.
const SPELLED_OUT: [[u8; 6]; 3] = [[0, 1, 0, 0, 0x10, 0], [0, 4, 0, 0, 0xff, 0xff], [0, 5, 0, 0, 0x40, 0]];

#[cfg(test)]
mod tests {
    use hyper::rt::ReadBuf;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).expect("it is short");
        [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
    }

    fn greeting(settings: &[[u8; 6]]) -> Vec<u8> {
        [PREFACE, &frame(SETTINGS, 0, 0, &settings.concat())].concat()
    }

    /// A intake that has seen these streams opened.
    fn intake(streams: &[u8]) -> Intake {
        let start = greeting(&SPELLED_OUT);
        let Poll::Ready(Some(mut intake)) = Intake::for_client(&start) else { panic!("it is such a client") };
        let opened = streams.iter().flat_map(|stream| frame(HEADERS, 4, *stream, b"fields"));
        let all = start.into_iter().chain(opened).collect::<Vec<u8>>();
        assert_eq!(taken(&mut intake, &all, 10), all);
        intake
    }

    /// What is taken of it if it comes, and is read, in pieces.
    fn taken(intake: &mut Intake, bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut come, mut taken) = (BytesMut::new(), Vec::new());
        for part in bytes.chunks(piece) {
            come.extend_from_slice(part);
            loop {
                let mut room = [0; 7];
                let mut room = ReadBuf::new(&mut room);
                intake.take(&mut come, &mut room.unfilled());
                if room.filled().is_empty() {
                    break;
                }
                taken.extend_from_slice(room.filled());
            }
        }
        taken
    }

    #[test]
    fn only_who_spells_all_out_needs_it() {
        let whole = greeting(&SPELLED_OUT);
        assert!(matches!(Intake::for_client(&whole), Poll::Ready(Some(_))));
        for length in 0..whole.len() {
            assert!(Intake::for_client(&whole[..length]).is_pending(), "{length}");
        }
        let ping = [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat();
        let long = [PREFACE, &[1, 0, 0, SETTINGS, 0, 0, 0, 0, 0]].concat();
        for other in
            [&greeting(&SPELLED_OUT[1..])[..], &greeting(&[]), &ping, &long, b"PRI * HTTP/2.0\r\n\r\nPS"]
        {
            assert!(matches!(Intake::for_client(other), Poll::Ready(None)), "{other:?}");
        }
    }

    #[test]
    fn once_closed_it_takes_what_belongs_to_former_streams() {
        for piece in [1, 3, 8, 9, 1000] {
            let mut intake = intake(&[1, 5]);
            intake.close();
            let (former, connection) = (frame(0, 0, 5, b"0123456789"), frame(8, 0, 0, b"1234"));
            assert_eq!(taken(&mut intake, &former, piece), former);
            assert_eq!(intake.refusals(), Refusals { last: 5, refused: 0, answered: 0 });
            let further = [frame(HEADERS, 4, 7, b"0123456789"), frame(0, 1, 7, b"body")].concat();
            let answer = frame(PING, ACK, 0, &[0; 8]);
            let after = [&further[..], &connection, &answer, &former].concat();
            assert_eq!(taken(&mut intake, &after, piece), [connection, former].concat());
            let question = frame(PING, 0, 0, &[0; 8]);
            assert_eq!(taken(&mut intake, &question, piece), question);
            assert_eq!(intake.refusals(), Refusals { last: 5, refused: 1, answered: 1 });
        }
    }

    #[test]
    fn the_first_stream_is_always_taken() {
        let mut intake = intake(&[]);
        intake.close();
        let (first, second) = (frame(HEADERS, 4, 1, b"fields"), frame(HEADERS, 4, 3, b"fields"));
        assert_eq!(taken(&mut intake, &[&first[..], &second].concat(), 99), first);
        assert_eq!(intake.refusals(), Refusals { last: 1, refused: 1, answered: 0 });
    }
}
