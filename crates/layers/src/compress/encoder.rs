//! The codecs behind one face, and the used ones that are kept for the next response.
//!
//! A fresh zstd context costs as much as compressing 5 KB, a fresh gzip stream a quarter of what 10 KB cost: so both
//! are used again, with the room for what comes out, which is fresh from the kernel otherwise. A brotli encoder can't
//! be.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use flate2::{Compress, Compression, FlushCompress, Status};
use zstd_safe::zstd_sys::ZSTD_EndDirective;
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective};

use crate::accept::Coding;

/// What follows on some input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// More, soon: the codec may keep it.
    GoOn,
    /// Nobody knows: the client can decode all that came so far.
    Flush,
    /// Nothing.
    Finish,
}

/// How hard each codec tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels {
    pub(super) zstd: u8,
    pub(super) brotli: u8,
    pub(super) gzip: u8,
}

impl Levels {
    /// How much is too much to be compressed on a thread of the network, in bytes: what takes half a millisecond or so.
    /// To hand work to another thread costs some 30 µs, so less than that stays.
    pub(super) fn heavy(self, coding: Coding) -> usize {
        let kibibytes = match coding {
            Coding::Zstd if self.zstd <= 3 => 256,
            Coding::Brotli if self.brotli <= 4 => 128,
            Coding::Zstd if self.zstd <= 9 => 64,
            Coding::Gzip | Coding::Identity if self.gzip <= 6 => 64,
            Coding::Brotli if self.brotli <= 9 => 32,
            Coding::Gzip | Coding::Identity => 32,
            Coding::Zstd => 8,
            Coding::Brotli => 2,
        };
        kibibytes * 1024
    }
}

/// Makes encoders.
pub(super) struct Encoders {
    pub(super) levels: Levels,
    zstd: Mutex<Vec<CCtx<'static>>>,
    gzip: Mutex<Vec<Compress>>,
    rooms: Mutex<Vec<Vec<u8>>>,
}

/// One compressed body in the making.
pub(super) struct Encoder {
    codec: Codec,
    /// What came out last, and its memory.
    room: Vec<u8>,
    /// How much is too much for a thread of the network, in bytes.
    pub(super) heavy: usize,
    home: Arc<Encoders>,
}

enum Codec {
    Zstd(CCtx<'static>),
    Brotli(Box<Brotli>),
    Gzip(Compress),
    /// It has gone home.
    Gone,
}

type Brotli = BrotliEncoderStateStruct<StandardAlloc>;

/// A codec refused: it has no memory, or is broken.
#[derive(Debug)]
pub(super) struct Refused(&'static str);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "it could not be compressed: {}", self.0)
    }
}

impl std::error::Error for Refused {}

impl Encoders {
    pub(super) fn new(levels: Levels) -> Arc<Self> {
        Arc::new(Encoders { levels, zstd: Mutex::default(), gzip: Mutex::default(), rooms: Mutex::default() })
    }

    /// An encoder for a body of `length` bytes, if that is known.
    pub(super) fn start(self: &Arc<Self>, coding: Coding, length: Option<usize>) -> Result<Encoder, Refused> {
        let codec = match coding {
            Coding::Zstd => Codec::Zstd(self.zstd(length)?),
            Coding::Brotli => Codec::Brotli(self.brotli(length)),
            Coding::Gzip | Coding::Identity => Codec::Gzip(self.gzip()),
        };
        let room = lock(&self.rooms).pop().unwrap_or_default();
        Ok(Encoder { codec, room, heavy: self.levels.heavy(coding), home: Arc::clone(self) })
    }

    fn zstd(&self, length: Option<usize>) -> Result<CCtx<'static>, Refused> {
        let spare = lock(&self.zstd).pop();
        let mut context = match spare {
            Some(context) => context,
            None => CCtx::try_create().ok_or(Refused("zstd has no memory"))?,
        };
        // 0: as the level and the length have it. No level that is allowed goes beyond the 8 MiB of RFC 9659.
        let window = if length.is_some() { 0 } else { STREAM_WINDOW };
        context
            .reset(ResetDirective::SessionOnly)
            .and_then(|_| context.set_parameter(CParameter::CompressionLevel(self.levels.zstd.into())))
            .and_then(|_| context.set_parameter(CParameter::WindowLog(window)))
            .map_err(|code| Refused(zstd_safe::get_error_name(code)))?;
        Ok(context)
    }

    fn brotli(&self, length: Option<usize>) -> Box<Brotli> {
        // No larger than the body: what a window takes in memory has to be cleared.
        let window = length.map_or(STREAM_WINDOW, |length| length.next_power_of_two().ilog2().clamp(16, 22));
        let hint = length.map_or(0, |length| u32::try_from(length).unwrap_or(u32::MAX));
        let mut encoder = Box::new(Brotli::new(StandardAlloc::default()));
        encoder.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, self.levels.brotli.into());
        encoder.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, window);
        encoder.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_SIZE_HINT, hint);
        encoder
    }

    fn gzip(&self) -> Compress {
        let spare = lock(&self.gzip).pop();
        match spare {
            Some(mut compress) => {
                compress.reset();
                compress
            }
            None => Compress::new_gzip(Compression::new(self.levels.gzip.into()), GZIP_WINDOW),
        }
    }

    /// Keeps what can be used again, and is not so large that it should not be kept.
    fn keep(&self, codec: Codec, room: Vec<u8>) {
        if (1..=LARGEST_KEPT).contains(&room.capacity()) {
            put(&self.rooms, room);
        }
        match codec {
            Codec::Zstd(context) if context.sizeof() <= LARGEST_KEPT => put(&self.zstd, context),
            Codec::Gzip(compress) => put(&self.gzip, compress),
            _ => {}
        }
    }
}

/// Bodies of unknown length look back so far (256 KiB, as a power of two): an open stream keeps it in memory.
const STREAM_WINDOW: u32 = 18;

/// All that gzip can do (32 KiB).
const GZIP_WINDOW: u8 = 15;

/// So many of each are kept.
const MOST_KEPT: usize = 8;

/// In bytes.
const LARGEST_KEPT: usize = 4 << 20;

fn put<T>(kept: &Mutex<Vec<T>>, codec: T) {
    let mut kept = lock(kept);
    if kept.len() < MOST_KEPT {
        kept.push(codec);
    }
}

/// Nothing that runs under these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Encoder {
    /// What comes out after `input` went in.
    pub(super) fn encode(&mut self, input: &[u8], then: Then) -> Result<Vec<u8>, Refused> {
        let room = &mut self.room;
        room.clear();
        match &mut self.codec {
            Codec::Zstd(context) => zstd(context, input, then, room)?,
            Codec::Brotli(encoder) => brotli(encoder, input, then, room)?,
            Codec::Gzip(compress) => gzip(compress, input, then, room)?,
            Codec::Gone => return Err(Refused("it was finished before")),
        }
        Ok(room.clone())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        let codec = mem::replace(&mut self.codec, Codec::Gone);
        self.home.keep(codec, mem::take(&mut self.room));
    }
}

fn zstd(context: &mut CCtx<'static>, input: &[u8], then: Then, out: &mut Vec<u8>) -> Result<(), Refused> {
    let directive = match then {
        Then::GoOn => ZSTD_EndDirective::ZSTD_e_continue,
        Then::Flush => ZSTD_EndDirective::ZSTD_e_flush,
        Then::Finish => ZSTD_EndDirective::ZSTD_e_end,
    };
    // With room for all of it, a whole body is compressed in one go, from where it is.
    out.reserve(zstd_safe::compress_bound(input.len()));
    let mut input = InBuffer::around(input);
    loop {
        let filled = out.len();
        let mut output = OutBuffer::around_pos(out, filled);
        let left = context
            .compress_stream2(&mut output, &mut input, directive)
            .map_err(|code| Refused(zstd_safe::get_error_name(code)))?;
        let is_done = if then == Then::GoOn { input.pos() == input.src.len() } else { left == 0 };
        if is_done {
            return Ok(());
        }
        out.reserve(left.max(LEAST_ROOM));
    }
}

fn gzip(compress: &mut Compress, mut input: &[u8], then: Then, out: &mut Vec<u8>) -> Result<(), Refused> {
    let flush = match then {
        Then::GoOn => FlushCompress::None,
        Then::Flush => FlushCompress::Sync,
        Then::Finish => FlushCompress::Finish,
    };
    out.reserve(input.len() / 3 + LEAST_ROOM);
    loop {
        let before = compress.total_in();
        let status =
            compress.compress_vec(input, out, flush).map_err(|_| Refused("gzip's stream is broken"))?;
        let taken = usize::try_from(compress.total_in() - before).unwrap_or(input.len());
        input = &input[taken..];
        // With room left in the end, nothing is left inside.
        let is_done = if then == Then::Finish {
            status == Status::StreamEnd
        } else {
            input.is_empty() && out.len() < out.capacity()
        };
        if is_done {
            return Ok(());
        }
        out.reserve(input.len() / 3 + LEAST_ROOM);
    }
}

fn brotli(encoder: &mut Brotli, input: &[u8], then: Then, out: &mut Vec<u8>) -> Result<(), Refused> {
    let operation = match then {
        Then::GoOn => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
        Then::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
        Then::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
    };
    out.resize(input.len() / 3 + LEAST_ROOM, 0);
    let (mut left, mut position, mut filled) = (input.len(), 0, 0);
    loop {
        let mut room = out.len() - filled;
        let went = encoder.compress_stream(
            operation,
            &mut left,
            input,
            &mut position,
            &mut room,
            out,
            &mut filled,
            &mut None,
            &mut |_, _, _, _| (),
        );
        if !went {
            return Err(Refused("brotli's stream is broken"));
        }
        // With room left in the end, nothing is left inside.
        if left == 0 && room > 0 && (then != Then::Finish || encoder.is_finished()) {
            out.truncate(filled);
            return Ok(());
        }
        out.resize(filled + left / 3 + LEAST_ROOM, 0);
    }
}

/// In bytes: more than any codec puts around a block.
const LEAST_ROOM: usize = 256;

#[cfg(test)]
mod tests {
    use super::super::testing::{CODINGS, decoded};
    use super::*;

    const LEVELS: Levels = Levels { zstd: 3, brotli: 4, gzip: 6 };

    /// Bytes of little order, so that output is not much smaller than input.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8 & 0x7f
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_goes_in_at_once_comes_out_again() {
        let encoders = Encoders::new(LEVELS);
        for coding in CODINGS {
            for length in [0, 1, 511, 10_000, 1_000_000] {
                let body = noise(length);
                let mut encoder = encoders.start(coding, Some(length)).expect("an encoder");
                let out = encoder.encode(&body, Then::Finish).expect("it is compressed");
                assert!(decoded(coding, &out) == body, "{coding:?} {length}");
            }
        }
    }

    #[test]
    fn what_was_flushed_can_be_decoded_before_the_end() {
        let encoders = Encoders::new(LEVELS);
        for coding in CODINGS {
            let mut encoder = encoders.start(coding, None).expect("an encoder");
            let (mut body, mut out) = (Vec::new(), Vec::new());
            for length in [1, 20, 3000, 200_000, 1] {
                let block = noise(length);
                body.extend_from_slice(&block);
                out.extend(encoder.encode(&block, Then::Flush).expect("it is compressed"));
                let arrived = decoded(coding, &out);
                assert!(arrived == body, "{coding:?} {length}: {} of {}", arrived.len(), body.len());
            }
            out.extend(encoder.encode(&[], Then::Finish).expect("the end"));
            assert!(decoded(coding, &out) == body, "{coding:?}");
        }
    }

    #[test]
    fn an_encoder_that_was_left_half_way_is_as_good_as_new() {
        let encoders = Encoders::new(LEVELS);
        for coding in CODINGS {
            for known in [None, Some(5)] {
                let mut left = encoders.start(coding, None).expect("an encoder");
                left.encode(b"something of another response", Then::GoOn).expect("it is compressed");
                drop(left);
                let mut next = encoders.start(coding, known).expect("an encoder");
                let out = next.encode(b"fresh", Then::Finish).expect("it is compressed");
                assert_eq!(decoded(coding, &out), b"fresh");
            }
        }
        assert_eq!((lock(&encoders.zstd).len(), lock(&encoders.gzip).len()), (1, 1));
    }

    #[test]
    fn no_more_than_some_are_kept() {
        let encoders = Encoders::new(LEVELS);
        let many: Vec<_> = (0..20).map(|_| encoders.start(Coding::Zstd, None).expect("an encoder")).collect();
        drop(many);

        assert_eq!(lock(&encoders.zstd).len(), MOST_KEPT);
    }

    #[test]
    fn a_zstd_window_is_never_larger_than_8_mib() {
        let encoders = Encoders::new(Levels { zstd: 19, ..LEVELS });
        for length in [None, Some(64 << 20)] {
            let mut encoder = encoders.start(Coding::Zstd, length).expect("an encoder");
            let out = encoder.encode(b"begun", Then::Flush).expect("it is compressed");
            // RFC 8878 section 3.1.1.1.2: without a known content size there is a window descriptor.
            let exponent = out[5] >> 3;
            assert!(10 + exponent <= 23, "{exponent}");
        }
    }
}
