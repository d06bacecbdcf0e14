//! The bodies that have to be waited for: files, and what comes block by block.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use http1::BodyEncoder;
use onion::body::Kind;
use onion::{Body, FileRange, thread_is_bound};

use crate::aside::{Aside, Patient, is_full};
use crate::outbox::{Next, Outbox};
use crate::respond::{Broken, COPY_MOST, Responder};
use crate::watch::Watch;

impl Responder<'_> {
    /// Writes the head, which is in `out`, and a body that is not in memory.
    pub(crate) async fn send_body(
        self,
        out: &mut Vec<u8>,
        mut encoder: BodyEncoder,
        mut body: Body,
        watch: &mut Watch<'_>,
    ) -> Result<(), Broken> {
        #[cfg(target_os = "linux")]
        if let (Kind::File(range), BodyEncoder::Length(declared)) = (body.kind(), &encoder)
            && *declared == range.length
            && self.exchange.writer().sends_files()
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
        let mut way = Way { responder: *self, aside: None };
        let is_file = matches!(body.kind(), Kind::File(_));
        loop {
            let block = {
                let mut next = pin!(body.next_block());
                match poll_fn(|context| Poll::Ready(next.as_mut().poll(context))).await {
                    Poll::Ready(block) => block,
                    Poll::Pending => {
                        way.send_off(out, outbox.as_deref()).await?;
                        watch.during(next).await?
                    }
                }
            };
            let framed = match &block {
                None => break,
                Some(Err(_)) => {
                    way.send_off(out, outbox.as_deref()).await?;
                    way.end().await?;
                    return Err(Broken::FAILED);
                }
                Some(Ok(block)) if block.is_empty() => continue,
                Some(Ok(block)) => encoder.encode(block),
            };
            let parts = [framed.prefix(), framed.block, framed.suffix];
            if !out.is_empty() && framed.block.len() <= COPY_MOST {
                for part in parts {
                    out.extend_from_slice(part);
                }
                way.send_off(out, None).await?;
            } else if framed.block.len() > COPY_MOST {
                way.send_off(out, outbox.as_deref()).await?;
                way.put(&parts).await?;
                if is_file {
                    // A client that is fast enough would keep this thread to itself.
                    onion::give_way().await;
                }
            } else if way.aside.is_some() {
                way.put(&parts).await?;
            } else {
                let outbox = outbox.get_or_insert_with(|| Outbox::new(Arc::clone(self.exchange)));
                if outbox.gather(&parts, self.flusher)? == Next::Write {
                    way.flush(outbox).await?;
                }
            }
            if framed.overrun {
                self.label.report_overrun(true);
                break;
            }
        }
        // Nothing more is wanted of it: what it holds is free while the rest is sent.
        drop(mem::take(body));
        way.send_off(out, outbox.as_deref()).await?;
        let finished = encoder.finish();
        way.put(&[finished.unwrap_or_default()]).await?;
        way.end().await?;
        finished.map(drop).map_err(|underrun| {
            self.label.report(&format!("{underrun} on {}", self.label));
            Broken::FAILED
        })
    }

    pub(crate) async fn finish(&self, encoder: &mut BodyEncoder) -> Result<(), Broken> {
        match encoder.finish() {
            Ok(end) => self.write(&[end]).await,
            Err(underrun) => {
                self.label.report(&format!("{underrun} on {}", self.label));
                Err(Broken::FAILED)
            }
        }
    }

    /// A file leaves by sendfile, its beginning in one packet with the head.
    #[cfg(target_os = "linux")]
    async fn send_file(&self, mut out: &[u8], mut range: FileRange, mut body: Body) -> Result<(), Broken> {
        while !out.is_empty() {
            match self.exchange.counted(self.exchange.writer().try_write_more(out)) {
                Ok(0) => return Err(Broken::CLIENT),
                Ok(written) => out = &out[written..],
                Err(error) => self.may_go_on(&error).await?,
            }
        }
        while range.length > 0 {
            let sent = self.exchange.writer().try_send_file(&mut range, SEND_MOST);
            match self.exchange.counted(sent) {
                Ok(0) => {
                    self.label.report(&format!("a file became shorter while it was sent on {}", self.label));
                    return Err(Broken::FAILED);
                }
                // A client that is fast enough would keep this thread to itself.
                Ok(SEND_MOST) => onion::give_way().await,
                Ok(_) => {}
                Err(error) => self.may_go_on(&error).await?,
            }
        }
        body.complete();
        Ok(())
    }

    /// Waits if the socket takes nothing now; any other error is the end.
    #[cfg(target_os = "linux")]
    async fn may_go_on(&self, error: &io::Error) -> Result<(), Broken> {
        if is_full(error)? { self.client().wait().await } else { Ok(()) }
    }

    /// Writes all of `blocks`, as one where the socket takes it.
    pub(crate) async fn write(&self, blocks: &[&[u8]]) -> Result<(), Broken> {
        let (mut slices, count) = slices(blocks);
        self.client().write(&mut slices[..count]).await
    }

    fn client(&self) -> Patient<'_> {
        Patient { exchange: self.exchange, patience: self.patience }
    }
}

/// The blocks that are not empty, and how many they are.
fn slices<'b>(blocks: &[&'b [u8]]) -> ([IoSlice<'b>; MOST_BLOCKS], usize) {
    let mut slices = [IoSlice::new(&[]); MOST_BLOCKS];
    let mut count = 0;
    for block in blocks.iter().filter(|block| !block.is_empty()) {
        slices[count] = IoSlice::new(block);
        count += 1;
    }
    (slices, count)
}

/// How the blocks of one body leave: from here, or, once the client is slow, by another task.
struct Way<'a> {
    responder: Responder<'a>,
    aside: Option<Aside>,
}

impl Way<'_> {
    /// Writes what has not left yet: the head, or what is gathered.
    async fn send_off(&mut self, out: &mut Vec<u8>, outbox: Option<&Outbox>) -> Result<(), Broken> {
        if !out.is_empty() {
            self.put(&[out]).await?;
            out.clear();
        }
        match outbox {
            Some(outbox) => self.flush(outbox).await,
            None => Ok(()),
        }
    }

    async fn flush(&mut self, outbox: &Outbox) -> Result<(), Broken> {
        let gathered = outbox.take();
        self.put(&[&gathered]).await?;
        outbox.give_back(gathered);
        Ok(())
    }

    /// Writes all of `blocks`. If the client is slow to take them, and an application's iterable is open meanwhile, they
    /// are put aside.
    async fn put(&mut self, blocks: &[&[u8]]) -> Result<(), Broken> {
        let (mut slices, count) = slices(blocks);
        let mut rest = &mut slices[..count];
        let client = self.responder.client();
        if self.aside.is_none() {
            rest = client.write_now(rest)?;
            if rest.is_empty() && client.flush_now()? {
                return Ok(());
            }
            let Responder { exchange, patience, room, .. } = self.responder;
            if !thread_is_bound() || !room.has_files() {
                return client.write(rest).await;
            }
            // Whoever polls leaves the thread to this task then.
            onion::give_way().await;
            self.aside = Some(Aside::begin(exchange, patience, room));
        }
        match &mut self.aside {
            Some(aside) => aside.push(rest).await,
            None => Ok(()),
        }
    }

    /// Waits until what was put aside has left.
    async fn end(&mut self) -> Result<(), Broken> {
        match self.aside.take() {
            Some(aside) => aside.end().await,
            None => Ok(()),
        }
    }
}

/// So much of a file is sent before other connections have their turn.
#[cfg(target_os = "linux")]
const SEND_MOST: usize = 2 << 20;

/// Head, chunk size, block, end of the chunk.
const MOST_BLOCKS: usize = 4;
