//! One connection: its requests, one after the other, and its end.

mod ending;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{self, Poll, ready};

use bytes::BytesMut;
use http::header::EXPECT;
use http::{Method, StatusCode};
use http1::{BodyDecoder, Decoded, Framing, HeadParser, Rejection, RequestHead};
use onion::{
    Answer, Body, BodyError, Caught, Context, Notes, Request, Response, Scheme, Upgrade, catch, give_way,
    panicked,
};

use crate::admission::{GRACE, Seat};
use crate::config::LAST_CHANCE;
use crate::deadline::Deadline;
use crate::http2;
use crate::incoming::{Exchange, Incoming, Reader};
use crate::metrics::Counted;
use crate::pace::Pace;
use crate::respond::{Asked, Broken, Label, Responder, Responding};
use crate::seeing::{End, Entry, Line, Meter};
use crate::shared::Shared;
use crate::stream::{ReadHalf, WriteHalf};
use crate::tunnel;
use crate::watch::Watch;

/// One accepted connection.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    facts: Arc<onion::Connection>,
    exchange: Arc<Exchange>,
    reader: Option<Reader>,
    parser: HeadParser,
    /// The request that is being answered, where somebody looks on.
    entry: Option<Box<Entry>>,
    /// What is noted of it, where somebody looks on or its time is limited.
    notes: Option<Arc<Notes>>,
    /// Whether the time for a further request was cut short, by a gentle stop.
    last_chance: bool,
    /// Whether the request that is being answered is a HEAD.
    is_head: bool,
    _counted: Option<Counted>,
    /// Given back when the socket is closed.
    seat: Arc<Seat>,
}

/// What came of waiting for a request.
enum Arrival<'a> {
    Request(Asked, Answer<'a>),
    Rejected(Rejection),
    /// The handler panicked at once.
    Panicked,
    Over,
}

impl Connection {
    pub(crate) fn new(
        shared: Arc<Shared>,
        seat: Arc<Seat>,
        facts: onion::Connection,
        (read, write): (ReadHalf, WriteHalf),
    ) -> Self {
        let metrics = shared.seeing.as_ref().and_then(|seeing| seeing.metrics.as_ref());
        let counted = metrics.map(Counted::new);
        let meter = shared.seeing.is_some().then(|| Arc::new(Meter::new()));
        let deadline = Deadline::new(shared.config.header_timeout.0);
        Connection {
            parser: HeadParser::new(shared.config.head_limits()),
            facts: Arc::new(facts),
            exchange: Arc::new(Exchange::new(write, meter)),
            entry: None,
            notes: None,
            _counted: counted,
            reader: Some(Reader::new(read, deadline)),
            last_chance: false,
            is_head: false,
            shared,
            seat,
        }
    }

    /// Begins with bytes that have come already.
    pub(crate) fn after(mut self, early: BytesMut) -> Self {
        if let Some(reader) = &mut self.reader {
            reader.buffer = early;
        }
        self
    }

    /// Serves the connection's requests until it ends.
    pub(crate) async fn serve(mut self) {
        let shared = Arc::clone(&self.shared);
        // The time for the first head began with the connection.
        let mut begun = true;
        let mut is_first = true;
        loop {
            let arrival = poll_fn(|context| {
                let mut arrival = Poll::Pending;
                let caught = catch(|| arrival = self.poll_request(context, &mut begun, &shared));
                if caught.is_none() { Poll::Ready(Arrival::Panicked) } else { arrival }
            });
            match arrival.await {
                Arrival::Over => return self.exchange.writer().say_goodbye(),
                Arrival::Rejected(_) if is_first && self.has_preface() => {
                    // Boxed, so that other connections do not carry the room for it.
                    return Box::pin(self.serve_http2()).await;
                }
                Arrival::Rejected(rejection) => {
                    self.reject(rejection).await;
                    return self.linger().await;
                }
                Arrival::Panicked => {
                    self.answer_panic().await;
                    self.seat.end_request();
                    return self.linger().await;
                }
                Arrival::Request(asked, answer) => {
                    let answered = self.answer(asked, answer).await;
                    self.seat.end_request();
                    match answered {
                        Err(broken) => return self.leave(broken.0),
                        Ok(false) if self.shared.once => return,
                        Ok(false) => return self.linger().await,
                        Ok(true) => {}
                    }
                }
            }
            begun = false;
            is_first = false;
            let reader =
                self.reader.as_mut().expect("an exchange that keeps the connection gives the reader back");
            if reader.buffer.is_empty() {
                self.seat.rest(reader.deadline.restart(self.shared.config.keep_alive.0));
            } else {
                // A pipelined request waits. Others are served first; and what this request woke can run.
                self.seat.rest(reader.deadline.restart(self.shared.config.header_timeout.0) + GRACE);
                give_way().await;
            }
        }
    }

    /// Whether the client speaks HTTP/2 without having been asked to (RFC 9113 section 3.3), and may.
    fn has_preface(&self) -> bool {
        let begins = |reader: &Reader| reader.buffer.starts_with(http2::PREFACE_LINE);
        let is_plain = self.facts.scheme == Scheme::Http && self.shared.config.http2 && !self.shared.once;
        is_plain && self.reader.as_ref().is_some_and(begins)
    }

    /// Serves a connection of HTTP/2 until it ends.
    pub(crate) async fn serve_http2(self) {
        let Connection { shared, mut facts, exchange, reader, seat, .. } = self;
        if let Some(facts) = Arc::get_mut(&mut facts) {
            // What is taken over would be a stream.
            facts.can_upgrade = false;
        }
        if let Some(reader) = reader {
            http2::serve(shared, seat, facts, exchange, reader).await;
        }
    }

    /// Waits for the next request, and begins its answer.
    ///
    /// No `async fn`: so the request goes from the parser to the handler by way of the stack, which is warm. What an
    /// `async fn` holds is in the connection's own memory, cold after the other connections' requests.
    fn poll_request<'h>(
        &mut self,
        context: &mut task::Context<'_>,
        begun: &mut bool,
        shared: &'h Shared,
    ) -> Poll<Arrival<'h>> {
        let mut head = None;
        let waited = ready!(self.poll_head(context, begun, &mut head));
        Poll::Ready(match (waited, head) {
            (Err(rejection), _) => Arrival::Rejected(rejection),
            (Ok(()), None) => Arrival::Over,
            (Ok(()), Some(head)) => {
                let (asked, request) = self.request(head);
                let is_admitted = self.seat.begin_request();
                let answer = if is_admitted { shared.call(request) } else { shared.reject_crowd() };
                Arrival::Request(asked, answer)
            }
        })
    }

    /// Waits for the head of the next request, and puts it into `head`: none at the connection's end.
    ///
    /// It is not returned because each layer of `Poll`, `Result` and `Option` around it would copy it once.
    fn poll_head(
        &mut self,
        context: &mut task::Context<'_>,
        begun: &mut bool,
        head: &mut Option<RequestHead>,
    ) -> Poll<Result<(), Rejection>> {
        let Some(reader) = &mut self.reader else { return Poll::Ready(Ok(())) };
        loop {
            match self.parser.parse_into(&mut reader.buffer, onion::reuse::headers) {
                Ok(None) => {}
                Ok(parsed) => {
                    *head = parsed;
                    self.seat.work();
                    return Poll::Ready(Ok(()));
                }
                Err(rejection) => return Poll::Ready(Err(rejection)),
            }
            if !*begun && !reader.buffer.is_empty() {
                *begun = true;
                self.seat.rest(reader.deadline.restart(self.shared.config.header_timeout.0) + GRACE);
            }
            match reader.poll_fill(context) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending if self.seat.is_over() && reader.buffer.is_empty() => {
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending if reader.buffer.is_empty() => {
                    if self.shared.stop.is_stopping() {
                        if !self.shared.stop.is_gentle() {
                            return Poll::Ready(Ok(()));
                        }
                        if !self.last_chance {
                            self.last_chance = true;
                            let config = &self.shared.config;
                            let patience = if *begun { config.header_timeout } else { config.keep_alive };
                            // So that it ends that long after it was accepted, or last used.
                            reader.deadline.shorten(patience.0.saturating_sub(LAST_CHANCE));
                        }
                    }
                    ready!(reader.deadline.poll(context));
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => {
                    if !self.seat.is_over() {
                        ready!(reader.deadline.poll(context));
                    }
                    let reason = "the request head did not arrive in time";
                    return Poll::Ready(Err(Rejection { status: StatusCode::REQUEST_TIMEOUT, reason }));
                }
            }
        }
    }

    /// The response to one request. Tells whether the connection may be kept.
    async fn answer(&mut self, mut asked: Asked, answer: Answer<'_>) -> Result<bool, Broken> {
        let mut watch = Watch::new(&mut self.reader, &self.exchange, &self.facts);
        let response = watch.during(Caught(answer)).await?.unwrap_or_else(|| {
            asked.keep_alive = false;
            panicked()
        });
        // What the client was not asked to send may come or not: the connection's state is unknown.
        let awaited = self.exchange.settle();
        asked.keep_alive &= !awaited && !self.shared.stop.is_stopping() && !self.seat.is_wanted();
        if self.notes.as_ref().is_some_and(|notes| notes.is_timed_out()) {
            // The call goes on, and may still read the request's body.
            asked.keep_alive = false;
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            // Boxed, so that other requests do not carry the room for it.
            return Box::pin(self.switch(&asked, response)).await;
        }
        let returned = if self.reader.is_some() { None } else { self.exchange.take_back() };
        asked.keep_alive &= !returned.as_ref().is_some_and(|returned| returned.is_lost());
        let keep_alive = self.respond(&asked, response).await?;
        self.leave(End::Whole);
        if self.facts.leaves_with_client.load(Relaxed) {
            self.facts.leaves_with_client.store(false, Relaxed);
        }
        if self.reader.is_some() {
            return Ok(keep_alive);
        }
        Ok(self.regain_reader(returned, keep_alive).await && keep_alive)
    }

    /// Writes `response`. Tells whether the connection may be kept.
    fn respond<'a>(&'a mut self, asked: &'a Asked, response: Response) -> Responding<'a> {
        if let Some(entry) = &mut self.entry {
            entry.answered(response.headers());
        }
        let responder = Responder {
            exchange: &self.exchange,
            flusher: &self.shared.flusher,
            patience: self.shared.config.patience(),
            room: &self.shared.room,
            label: &asked.label,
        };
        let watch = Watch::new(&mut self.reader, &self.exchange, &self.facts);
        responder.respond(asked, response, watch)
    }

    /// The end of HTTP on this connection: whoever answered so gets it.
    async fn switch(&mut self, asked: &Asked, response: Response) -> Result<bool, Broken> {
        let upgrade = response.extensions().get::<Upgrade>().cloned();
        let keep_alive = self.respond(asked, response).await?;
        if let (Some(upgrade), Some(reader)) = (upgrade, self.reader.take()) {
            let longest = self.shared.config.graceful_timeout.0 / 2;
            tunnel::run(&upgrade, reader, Arc::clone(&self.exchange), &self.shared.stop, longest).await;
            self.leave(End::Whole);
            return Err(Broken::CLIENT);
        }
        Ok(keep_alive)
    }

    /// The request that belongs to `head`, with what is known of its body.
    fn request(&mut self, mut head: RequestHead) -> (Asked, Request) {
        if self.shared.takes_notes {
            self.enter(&mut head);
        }
        if let Some(tally) = &self.shared.tally {
            tally.count();
        }
        let is_too_large =
            matches!(head.framing, Framing::Length(length) if length > self.shared.config.max_body.0);
        let body = if is_too_large {
            // It is not read, so the application is not to be asked whether it wants it.
            head.headers.remove(EXPECT);
            Body::failed(BodyError::TooLarge(self.shared.config.max_body.0))
        } else {
            self.body(&head)
        };
        self.is_head = head.method == Method::HEAD;
        let asked = Asked {
            label: Label {
                method: head.method.clone(),
                target: head.target.clone(),
                notes: self.notes.clone(),
            },
            version: head.version,
            keep_alive: head.keep_alive
                && !is_too_large
                && !self.shared.once
                && !self.shared.config.keep_alive.0.is_zero()
                && !self.shared.stop.is_stopping(),
        };
        let mut request = Request::new(body);
        *request.method_mut() = head.method;
        *request.uri_mut() = head.uri;
        *request.version_mut() = head.version;
        *request.headers_mut() = head.headers;
        if let Some(secured) = &self.facts.secured {
            secured.dress(request.headers_mut());
        }
        let mut context = Context::new(Arc::clone(&self.facts), head.target);
        context.query_is_encoded = head.query_is_encoded;
        context.notes.clone_from(&self.notes);
        *request.extensions_mut() = onion::reuse::extensions(context);
        (asked, request)
    }

    fn body(&mut self, head: &RequestHead) -> Body {
        let config = &self.shared.config;
        if head.framing == Framing::None {
            return Body::empty();
        }
        let mut reader = self.reader.take().expect("no other request holds the reader");
        let mut decoder = BodyDecoder::new(head.framing);
        if let Framing::Length(length) = head.framing
            && reader.buffer.len() as u64 >= length
            && let Ok(Decoded::Data(bytes)) = decoder.decode(&mut reader.buffer)
        {
            self.reader = Some(reader);
            if let Some(meter) = self.exchange.meter() {
                meter.receive(bytes.len());
            }
            return bytes.into();
        }
        if head.expect_continue && reader.buffer.is_empty() {
            self.exchange.await_continue();
        }
        let exchange = Arc::clone(&self.exchange);
        let pace = Pace::new(config.body_timeout.0, config.body_min_rate.0);
        Body::stream(Incoming::new(exchange, reader, decoder, config.max_body.0, pace))
    }

    /// Where somebody looks on, or time is limited: a request has come.
    #[cold]
    fn enter(&mut self, head: &mut RequestHead) {
        let notes = Arc::<Notes>::default();
        if let (Some(seeing), Some(meter)) = (&self.shared.seeing, self.exchange.meter()) {
            let line =
                Line { method: head.method.clone(), target: head.target.clone(), version: head.version };
            self.entry = Some(seeing.enter(&self.facts, meter, &notes, line, &mut head.headers));
        }
        self.notes = Some(notes);
    }

    /// The same of what was refused before it was understood.
    fn enter_refused(&mut self) {
        if let (None, Some(seeing), Some(meter)) = (&self.entry, &self.shared.seeing, self.exchange.meter()) {
            let begun = self.reader.as_ref().map_or(&[][..], |reader| &reader.buffer);
            self.entry = Some(seeing.enter_refused(&self.facts, meter, begun));
        }
    }

    /// The request that was looked on has ended.
    fn leave(&mut self, end: End) {
        if let Some(mut entry) = self.entry.take() {
            entry.end = if entry.notes.is_timed_out() { End::RequestTimeout } else { end };
        }
    }
}
