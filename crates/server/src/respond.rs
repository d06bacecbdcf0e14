//! From a [`Response`] to bytes: head, body, and what becomes of the connection.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Method, StatusCode, Version};
use http1::{BodyEncoder, ResponseHead};
use onion::body::Kind;
use onion::{Body, FileRange, ReasonPhrase, Response, Upgrade, plain};
use tokio::time::timeout;

use crate::incoming::Exchange;
use crate::outbox::{Flusher, Next, Outbox};
use crate::watch::{Gone, Watch};

/// What the answer must know of its request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// Whether request and server would keep the connection.
    pub(crate) keep_alive: bool,
}

/// The connection can't be used any further.
#[derive(Debug)]
pub(crate) struct Broken;

impl From<Gone> for Broken {
    fn from(_: Gone) -> Self {
        Broken
    }
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Broken
    }
}

/// Writes responses to one client.
#[derive(Debug)]
pub(crate) struct Responder<'a> {
    pub(crate) exchange: &'a Arc<Exchange>,
    pub(crate) flusher: &'a Flusher,
    /// How long the client may take nothing.
    pub(crate) patience: Duration,
}

impl Responder<'_> {
    /// Writes `response`. Tells whether the connection may be kept.
    pub(crate) async fn respond(
        &self,
        asked: &Asked,
        response: Response,
        mut watch: Watch<'_>,
    ) -> Result<bool, Broken> {
        let mut out = Scratch::take();
        let (parts, body) = response.into_parts();
        let reason = parts.extensions.get::<ReasonPhrase>().map(|reason| &*reason.0);
        let head = ResponseHead {
            status: parts.status,
            reason,
            headers: &parts.headers,
            body_length: body.length(),
            request_method: &asked.method,
            request_version: asked.version,
            keep_alive: asked.keep_alive,
            date: &date_now(),
            server: Some(SERVER),
            upgrade: parts.extensions.get::<Upgrade>().and_then(|_| parts.headers.get(UPGRADE)),
        };
        match http1::encode_head(&mut out.0, &head) {
            Ok((encoder, keep_alive)) => {
                onion::reuse::give_headers(parts.headers);
                self.send_body(&mut out.0, encoder, body, &mut watch).await?;
                Ok(keep_alive)
            }
            Err(error) => {
                report(&format!("the response to {} cannot be sent: {error}", asked.method));
                drop(body);
                out.0.clear();
                self.refuse(&mut out.0, asked, &mut watch).await
            }
        }
    }

    /// The answer in place of a response that HTTP/1 has no form for.
    async fn refuse(&self, out: &mut Vec<u8>, asked: &Asked, watch: &mut Watch<'_>) -> Result<bool, Broken> {
        let refusal = plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
        let head = ResponseHead {
            status: refusal.status(),
            reason: None,
            headers: refusal.headers(),
            body_length: refusal.body().length(),
            request_method: &asked.method,
            request_version: asked.version,
            keep_alive: false,
            date: &date_now(),
            server: Some(SERVER),
            upgrade: None,
        };
        let (encoder, _) = http1::encode_head(out, &head).map_err(|_| Broken)?;
        self.send_body(out, encoder, refusal.into_body(), watch).await?;
        Ok(false)
    }

    async fn send_body(
        &self,
        out: &mut Vec<u8>,
        mut encoder: BodyEncoder,
        mut body: Body,
        watch: &mut Watch<'_>,
    ) -> Result<(), Broken> {
        if matches!(encoder, BodyEncoder::Empty) {
            drop(body);
            return self.write(&[out]).await;
        }
        if let Some(bytes) = body.take_bytes() {
            return self.send_bytes(out, encoder, &bytes).await;
        }
        #[cfg(target_os = "linux")]
        if let (Kind::File(range), BodyEncoder::Length(declared)) = (body.kind(), &encoder)
            && *declared == range.length
        {
            let range = range.clone();
            return self.send_file(out, range, body).await;
        }
        match self.send_blocks(out, &mut encoder, &mut body, watch).await {
            Ok(()) => Ok(()),
            Err(broken) => {
                if matches!(encoder, BodyEncoder::UntilClose) {
                    // Where the close ends the body, a regular one would make it look whole.
                    self.exchange.writer().abort();
                }
                Err(broken)
            }
        }
    }

    /// A body in memory leaves with its head, in one write.
    async fn send_bytes(
        &self,
        out: &mut Vec<u8>,
        mut encoder: BodyEncoder,
        bytes: &Bytes,
    ) -> Result<(), Broken> {
        let framed = encoder.encode(bytes);
        tell_overrun(framed.overrun);
        if framed.block.len() <= COPY_MOST {
            out.extend_from_slice(framed.prefix());
            out.extend_from_slice(framed.block);
            out.extend_from_slice(framed.suffix);
            match encoder.finish() {
                Ok(end) => {
                    out.extend_from_slice(end);
                    self.write(&[out]).await
                }
                Err(underrun) => {
                    report(&underrun.to_string());
                    self.write(&[out]).await?;
                    Err(Broken)
                }
            }
        } else {
            self.write(&[out, framed.prefix(), framed.block, framed.suffix]).await?;
            self.finish(&mut encoder).await
        }
    }

    /// A body that comes in blocks. The first leaves with the head, at once: most bodies have no other. Those that come
    /// at once after it leave together; a body that lets itself be waited for sends off what it gave so far.
    async fn send_blocks(
        &self,
        out: &mut Vec<u8>,
        encoder: &mut BodyEncoder,
        body: &mut Body,
        watch: &mut Watch<'_>,
    ) -> Result<(), Broken> {
        let mut outbox = None;
        loop {
            let block = {
                let mut next = pin!(body.next_block());
                match poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
                    Poll::Ready(block) => block,
                    Poll::Pending => {
                        self.send_off(out, outbox.as_deref()).await?;
                        watch.during(next).await?
                    }
                }
            };
            let framed = match &block {
                None => break,
                Some(Err(_)) => {
                    self.send_off(out, outbox.as_deref()).await?;
                    return Err(Broken);
                }
                Some(Ok(block)) if block.is_empty() => continue,
                Some(Ok(block)) => encoder.encode(block),
            };
            let parts = [framed.prefix(), framed.block, framed.suffix];
            if !out.is_empty() && framed.block.len() <= COPY_MOST {
                for part in parts {
                    out.extend_from_slice(part);
                }
                self.send_off(out, None).await?;
            } else if framed.block.len() > COPY_MOST {
                self.send_off(out, outbox.as_deref()).await?;
                self.write(&parts).await?;
            } else {
                let outbox = outbox.get_or_insert_with(|| Outbox::new(Arc::clone(self.exchange)));
                if outbox.gather(&parts, self.flusher)? == Next::Write {
                    self.flush(outbox).await?;
                }
            }
            if framed.overrun {
                tell_overrun(true);
                break;
            }
        }
        self.send_off(out, outbox.as_deref()).await?;
        self.finish(encoder).await
    }

    /// Writes what has not left yet: the head, or what is gathered.
    async fn send_off(&self, out: &mut Vec<u8>, outbox: Option<&Outbox>) -> Result<(), Broken> {
        if !out.is_empty() {
            self.write(&[out]).await?;
            out.clear();
        }
        match outbox {
            Some(outbox) => self.flush(outbox).await,
            None => Ok(()),
        }
    }

    async fn flush(&self, outbox: &Outbox) -> Result<(), Broken> {
        let gathered = outbox.take();
        self.write(&[&gathered]).await?;
        outbox.give_back(gathered);
        Ok(())
    }

    async fn finish(&self, encoder: &mut BodyEncoder) -> Result<(), Broken> {
        match encoder.finish() {
            Ok(end) => self.write(&[end]).await,
            Err(underrun) => {
                report(&underrun.to_string());
                Err(Broken)
            }
        }
    }

    #[cfg(target_os = "linux")]
    async fn send_file(&self, out: &[u8], mut range: FileRange, mut body: Body) -> Result<(), Broken> {
        self.write(&[out]).await?;
        while range.length > 0 {
            match self.exchange.writer().try_send_file(&mut range) {
                Ok(0) => {
                    report("a file became shorter while it was sent");
                    return Err(Broken);
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait().await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Broken),
            }
        }
        body.complete();
        Ok(())
    }

    /// Writes all of `blocks`, as one where the socket takes it.
    async fn write(&self, blocks: &[&[u8]]) -> Result<(), Broken> {
        let mut slices = [IoSlice::new(&[]); MOST_BLOCKS];
        let mut count = 0;
        for block in blocks.iter().filter(|block| !block.is_empty()) {
            slices[count] = IoSlice::new(block);
            count += 1;
        }
        let mut rest = &mut slices[..count];
        while !rest.is_empty() {
            match self.exchange.writer().try_write(rest) {
                Ok(0) => return Err(Broken),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait().await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Broken),
            }
        }
        Ok(())
    }

    async fn wait(&self) -> Result<(), Broken> {
        timeout(self.patience, self.exchange.writer().writable()).await.map_err(|_| Broken)??;
        Ok(())
    }
}

/// Up to so many bytes are copied behind the head, rather than written from where they are.
const COPY_MOST: usize = 16 * 1024;

/// Head, chunk size, block, end of the chunk.
const MOST_BLOCKS: usize = 4;

const SERVER: &str = "onionskin";

fn tell_overrun(overrun: bool) {
    if overrun {
        report("the application gave more body than its Content-Length: cut");
    }
}

/// One line in the server's log.
pub(crate) fn report(what: &str) {
    eprintln!("onionskin: {what}");
}

/// A buffer for a head, used again by the next response on this thread.
struct Scratch(Vec<u8>);

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DATE: RefCell<(u64, [u8; 29])> = const { RefCell::new((0, [0; 29])) };
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
fn date_now() -> [u8; 29] {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(of, date)| {
        if *of != second {
            *of = second;
            date.copy_from_slice(httpdate::fmt_http_date(now).as_bytes());
        }
        *date
    })
}
