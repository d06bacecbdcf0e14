//! From a [`Response`] to bytes: head, body, and what becomes of the connection.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::UPGRADE;
use http::response::Parts;
use http::{Method, StatusCode, Version};
use http1::{BodyEncoder, HeadError, ResponseHead};
use onion::{Body, Ids, LogLevel, Notes, ReasonPhrase, Record, Response, Room, Upgrade, plain};

use crate::incoming::Exchange;
use crate::outbox::Flusher;
use crate::pace::Patience;
use crate::seeing::End;
use crate::watch::{Gone, Watch};

/// The request that a line of the error log is about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Label {
    pub(crate) method: Method,
    /// As the client sent it.
    pub(crate) target: Bytes,
    /// Where something is noted of the request: its ids.
    pub(crate) notes: Option<Arc<Notes>>,
}

impl Label {
    /// Reports what is wrong with the response to the request.
    #[cold]
    #[track_caller]
    pub(crate) fn report(&self, what: &str) {
        let ids = self.notes.clone().map(Ids::Noted);
        let request = &*self.to_string();
        Record { ids: ids.as_ref(), request, ..Record::new(LogLevel::Warning, what) }.say();
    }

    pub(crate) fn report_overrun(&self, overrun: bool) {
        if overrun {
            self.report(&format!("the application gave more body than its Content-Length on {self}: cut"));
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split(|byte| *byte == b'?').next().unwrap_or_default();
        write!(formatter, "{} {}", self.method, String::from_utf8_lossy(path))
    }
}

/// What the answer must know of its request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) label: Label,
    pub(crate) version: Version,
    /// Whether request and server would keep the connection.
    pub(crate) keep_alive: bool,
}

/// The connection can't be used any further.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken(pub(crate) End);

impl Broken {
    pub(crate) const CLIENT: Broken = Broken(End::ClientGone);
    pub(crate) const FAILED: Broken = Broken(End::Failed);
    pub(crate) const TIMED_OUT: Broken = Broken(End::WriteTimeout);
}

impl From<Gone> for Broken {
    fn from(_: Gone) -> Self {
        Broken::CLIENT
    }
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Broken::CLIENT
    }
}

/// Writes responses to one client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Responder<'a> {
    pub(crate) exchange: &'a Arc<Exchange>,
    pub(crate) flusher: &'a Flusher,
    /// How slowly the client may take it.
    pub(crate) patience: Patience,
    /// How far an application may be ahead of it.
    pub(crate) room: &'a Room,
    pub(crate) label: &'a Label,
}

/// Becomes ready when a response is written. Tells whether the connection may be kept.
pub(crate) enum Responding<'a> {
    /// Nothing had to be waited for.
    Done(Result<bool, Broken>),
    Waiting(Pin<Box<dyn Future<Output = Result<bool, Broken>> + Send + 'a>>),
}

impl Future for Responding<'_> {
    type Output = Result<bool, Broken>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Responding::Done(outcome) => Poll::Ready(*outcome),
            Responding::Waiting(rest) => rest.as_mut().poll(context),
        }
    }
}

impl<'a> Responder<'a> {
    /// Writes `response`: at once if its body is in memory and the socket takes it all, as most do.
    pub(crate) fn respond(self, asked: &Asked, response: Response, mut watch: Watch<'a>) -> Responding<'a> {
        let mut out = Scratch::take();
        self.exchange.taking.begin();
        let (head, body) = response.into_parts();
        let mut status = head.status;
        let (encoder, keep_alive, mut body) = match encode(&mut out.0, asked, head, body.length()) {
            Ok((encoder, keep_alive)) => (encoder, keep_alive, body),
            Err(error) => {
                asked.label.report(&format!("the response to {} cannot be sent: {error}", asked.label));
                drop(body);
                out.0.clear();
                status = StatusCode::INTERNAL_SERVER_ERROR;
                match refusal(&mut out.0, asked) {
                    Ok((encoder, body)) => (encoder, false, body),
                    Err(broken) => return Responding::Done(Err(broken)),
                }
            }
        };
        if let Some(meter) = self.exchange.meter() {
            meter.answer(status, out.0.len());
        }
        if matches!(encoder, BodyEncoder::Empty) {
            body = Body::empty();
        }
        match body.take_bytes() {
            Some(bytes) => self.send_bytes(out, encoder, bytes, keep_alive),
            None => Responding::Waiting(Box::pin(async move {
                self.send_body(&mut out.0, encoder, body, &mut watch).await?;
                Ok(keep_alive)
            })),
        }
    }

    /// A body in memory leaves with its head, in one write.
    fn send_bytes(
        self,
        mut out: Scratch,
        mut encoder: BodyEncoder,
        bytes: Bytes,
        keep_alive: bool,
    ) -> Responding<'a> {
        if bytes.len() > COPY_MOST {
            return Responding::Waiting(Box::pin(async move {
                let framed = encoder.encode(&bytes);
                self.label.report_overrun(framed.overrun);
                self.write(&[&out.0, framed.prefix(), framed.block, framed.suffix]).await?;
                self.finish(&mut encoder).await?;
                Ok(keep_alive)
            }));
        }
        let framed = encoder.encode(&bytes);
        self.label.report_overrun(framed.overrun);
        out.0.extend_from_slice(framed.prefix());
        out.0.extend_from_slice(framed.block);
        out.0.extend_from_slice(framed.suffix);
        let outcome = match encoder.finish() {
            Ok(end) => {
                out.0.extend_from_slice(end);
                Ok(keep_alive)
            }
            Err(underrun) => {
                self.label.report(&format!("{underrun} on {}", self.label));
                Err(Broken::FAILED)
            }
        };
        match self.exchange.try_write(&[IoSlice::new(&out.0)]) {
            Ok(written) if written == out.0.len() && self.exchange.writer().try_flush().is_ok() => {
                Responding::Done(outcome)
            }
            tried => {
                // Whatever it was that failed, it will fail again.
                let written = tried.unwrap_or(0);
                Responding::Waiting(Box::pin(async move {
                    self.write(&[&out.0[written..]]).await?;
                    outcome
                }))
            }
        }
    }
}

/// Writes the head at the end of `out`. Tells how the body is framed, and whether the connection may be kept.
fn encode(
    out: &mut Vec<u8>,
    asked: &Asked,
    parts: Parts,
    body_length: Option<u64>,
) -> Result<(BodyEncoder, bool), HeadError> {
    let reason = parts.extensions.get::<ReasonPhrase>().map(|reason| &*reason.0);
    let head = ResponseHead {
        status: parts.status,
        reason,
        headers: &parts.headers,
        body_length,
        request_method: &asked.label.method,
        request_version: asked.version,
        keep_alive: asked.keep_alive,
        date: &date_now(),
        server: Some(SERVER),
        upgrade: parts.extensions.get::<Upgrade>().and_then(|_| parts.headers.get(UPGRADE)),
    };
    let encoded = http1::encode_head(out, &head);
    onion::reuse::give_headers(parts.headers);
    encoded
}

/// The answer in place of a response that HTTP/1 has no form for.
fn refusal(out: &mut Vec<u8>, asked: &Asked) -> Result<(BodyEncoder, Body), Broken> {
    let asked = Asked { keep_alive: false, ..asked.clone() };
    let refusal = plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
    let (head, body) = refusal.into_parts();
    let (encoder, _) = encode(out, &asked, head, body.length()).map_err(|_| Broken::FAILED)?;
    Ok((encoder, body))
}

/// Up to so many bytes are copied behind the head, rather than written from where they are.
pub(crate) const COPY_MOST: usize = 16 * 1024;

const SERVER: &str = "onionskin";

/// A buffer for a head, used again by the next response on this thread.
struct Scratch(Vec<u8>);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DATE: RefCell<(u64, [u8; 29])> = const { RefCell::new((u64::MAX, [0; 29])) };
}

impl Scratch {
    fn take() -> Self {
        Scratch(SCRATCH.take())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.capacity() <= 2 * COPY_MOST {
            self.0.clear();
            SCRATCH.set(mem::take(&mut self.0));
        }
    }
}

/// The time as the Date header has it (RFC 9110 section 5.6.7), formatted once a second and thread.
pub(crate) fn date_now() -> [u8; 29] {
    date_at(SystemTime::now())
}

/// The last second that the format of the Date header can express: the year has four digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// A clock before 1970 or after 9999 gives the nearest date that can be expressed.
fn date_at(now: SystemTime) -> [u8; 29] {
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(LAST_SECOND);
    DATE.with_borrow_mut(|(of, date)| {
        if *of != second {
            *of = second;
            date.copy_from_slice(
                httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second)).as_bytes(),
            );
        }
        *date
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_out_of_range_gives_the_nearest_date() {
        let day = Duration::from_secs(86_400);
        let end = UNIX_EPOCH + Duration::from_secs(LAST_SECOND);
        for (now, expected) in [
            (UNIX_EPOCH - day, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (end + day, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (UNIX_EPOCH, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ] {
            assert_eq!(date_at(now), expected.as_bytes());
        }
    }
}
