//! One stream, one request: its task, its handler, and how much of the client's time it may take.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::time::{Duration, Instant as Clock};

use h2::Reason;
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::rt::Executor;
use onion::{Body, Caught, Notes, Share, TimeoutWaiter, catch, give_way, panicked, thread_is_bound};
use tokio::time::Instant;

use super::pump::Pump;
use super::request::{Head, request};
use super::response::{Outgoing, response};
use crate::admission::Seat;
use crate::deadline::Deadline;
use crate::pace::{Pace, Patience, note_slow_response};
use crate::respond::Label;
use crate::seeing::{End, Entry, Line, Meter};
use crate::shared::Shared;
use crate::stay::Stay;
use crate::stop::Part;

/// Gives each stream of a connection its task.
#[derive(Clone)]
pub(super) struct Streams {
    shared: Arc<Shared>,
    facts: Arc<onion::Connection>,
    tally: Arc<Tally>,
    /// What has arrived of request bodies and was not read yet may be so much, which counts while any arrive.
    window: u32,
    held: Arc<Mutex<Weak<Share>>>,
    /// What the task that is made next has to know: hyper asks for an answer, then for a task to wait for it in.
    next: Arc<Mutex<Option<Arc<Stream>>>>,
}

/// What the task of a stream and its response's body share.
pub(super) struct Stream {
    pub(super) shared: Arc<Shared>,
    pub(super) tally: Arc<Tally>,
    /// Whether what goes on now depends on how much the client takes.
    awaits_client: AtomicBool,
    /// Whether it has taken something since that was last asked.
    has_taken: AtomicBool,
    timed_out: AtomicBool,
    /// How much was given to it.
    given: AtomicU64,
    /// What there is to come of the response.
    body: Mutex<Body>,
    /// Where the server looks on, or the time of calls is limited.
    notes: Option<Arc<Notes>>,
}

impl Stream {
    /// What there is to come of the response.
    pub(super) fn body(&self) -> MutexGuard<'_, Body> {
        // What panics while it gives a block gives no further one.
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client has taken what it got so far, or nothing was sent yet.
    pub(super) fn client_took(&self) {
        self.awaits_client.store(false, Relaxed);
        self.has_taken.store(true, Relaxed);
    }

    /// A further block of so many bytes is on its way.
    pub(super) fn await_client(&self, bytes: usize) {
        self.given.store(self.given.load(Relaxed) + bytes as u64, Relaxed);
        self.awaits_client.store(true, Relaxed);
    }
}

impl Streams {
    pub(super) fn new(
        shared: &Arc<Shared>,
        facts: &Arc<onion::Connection>,
        tally: &Arc<Tally>,
        window: u32,
    ) -> Self {
        Streams {
            shared: Arc::clone(shared),
            facts: Arc::clone(facts),
            tally: Arc::clone(tally),
            window,
            held: Arc::default(),
            next: Arc::default(),
        }
    }

    /// The receive window counts as memory of request bodies, once on a connection.
    fn hold(&self) -> Arc<Share> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.upgrade().unwrap_or_else(|| {
            let share = Arc::new(self.shared.bodies.hold(self.window.into()));
            *held = Arc::downgrade(&share);
            share
        })
    }

    /// The answer to one request, or why there is none.
    pub(super) fn answer(
        &self,
        asked: http::Request<Incoming>,
    ) -> impl Future<Output = Result<http::Response<Outgoing>, h2::Error>> + Send + use<> {
        let stream = self.tally.open().then(|| self.begin());
        let facts = Arc::clone(&self.facts);
        let held = (stream.is_some() && !asked.body().is_end_stream()).then(|| self.hold());
        async move {
            // Safe to send again (RFC 9113 section 8.7).
            let Some(stream) = stream else { return Err(Reason::REFUSED_STREAM.into()) };
            let mut course = Course { stream, label: Label::default(), entry: None, is_done: false };
            // What was taken back in the same breath is never begun: hyper looks for that now.
            give_way().await;
            Ok(course.answer(asked, held, &facts).await)
        }
    }

    fn begin(&self) -> Arc<Stream> {
        let stream = Arc::new(Stream {
            shared: Arc::clone(&self.shared),
            tally: Arc::clone(&self.tally),
            awaits_client: AtomicBool::new(false),
            has_taken: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
            given: AtomicU64::new(0),
            body: Mutex::default(),
            notes: self.shared.takes_notes.then(Arc::default),
        });
        if let Some(tally) = &self.shared.tally {
            tally.count();
        }
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&stream));
        stream
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, serving: F) {
        let entered = self.shared.stop.enter(Part::Stream);
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(stream) = next else {
            drop(tokio::spawn(Stay::new(entered, serving)));
            return;
        };
        drop(tokio::spawn(Stay::new(entered, serve(Box::pin(serving), stream))));
    }
}

/// A stream's future, as hyper has made it.
type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves one stream to its end.
async fn serve(mut serving: Serving, stream: Arc<Stream>) {
    if watch(&mut serving, &stream).await == Watched::Behind {
        // Whoever polls leaves the thread to this task then; where it did not, the other task would wait behind it.
        give_way().await;
        let shared = Arc::clone(&stream.shared);
        let pump = Pump::new(&stream, &shared.room);
        let entered = shared.stop.enter(Part::Aside);
        let rest = async move {
            watch(&mut serving, &stream).await;
            stream.tally.close();
        };
        drop(tokio::spawn(Stay::new(entered, rest)));
        return pump.run().await;
    }
    stream.tally.close();
}

/// How long a client may take nothing once its call is timed out.
const BROKEN_OFF: Duration = Duration::from_secs(1);

/// What came of watching a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Ended,
    /// Its client is slow, and an application's open iterable waits for it.
    Behind,
}

/// Waits for the end of a stream, unless its client takes nothing for too long.
async fn watch(serving: &mut Serving, stream: &Stream) -> Watched {
    let Patience { mut pause, rate } = stream.shared.config.patience();
    let mut pace = Pace::new(pause, rate);
    let mut deadline: Option<Deadline> = None;
    poll_fn(|context| {
        if let (Some(notes), Some(_)) = (&stream.notes, stream.shared.config.request_timeout.0)
            && pause > BROKEN_OFF
            && notes.poll_timed_out(TimeoutWaiter::Sender, context).is_ready()
        {
            // What is left of the response is not worth waiting for.
            pause = BROKEN_OFF;
            pace = Pace::new(pause, 0);
            deadline = None;
        }
        if serving.as_mut().poll(context).is_ready() {
            return Poll::Ready(Watched::Ended);
        }
        let has_taken = stream.has_taken.swap(false, Relaxed);
        if has_taken && deadline.is_some() {
            pace.end(Clock::now);
        }
        if !stream.awaits_client.load(Relaxed) {
            deadline = None;
            return Poll::Pending;
        }
        if thread_is_bound() && stream.shared.room.has_files() {
            return Poll::Ready(Watched::Behind);
        }
        let mut begin = || {
            // The streams of a connection share what its client takes.
            let taken = stream.given.load(Relaxed).saturating_mul(stream.tally.open.load(Relaxed).into());
            pace.begin(taken, Clock::now)
        };
        match &mut deadline {
            Some(deadline) if has_taken => deadline.set(begin()),
            Some(_) => {}
            None => deadline = Some(Deadline::new(begin())),
        }
        let Some(deadline) = &mut deadline else { return Poll::Pending };
        deadline.poll(context).map(|()| {
            note_slow_response();
            stream.timed_out.store(true, Relaxed);
            Watched::Ended
        })
    })
    .await
}

/// The course of one request, told of at its end.
pub(super) struct Course {
    pub(super) stream: Arc<Stream>,
    pub(super) label: Label,
    pub(super) entry: Option<Box<Entry>>,
    /// Whether there is nothing left of it that the client could take back.
    pub(super) is_done: bool,
}

impl Course {
    async fn answer(
        &mut self,
        asked: http::Request<Incoming>,
        held: Option<Arc<Share>>,
        facts: &Arc<onion::Connection>,
    ) -> http::Response<Outgoing> {
        let (mut parts, body) = asked.into_parts();
        self.label.method = parts.method.clone();
        self.label.notes.clone_from(&self.stream.notes);
        self.enter(&mut parts, facts);
        let meter = self.entry.as_ref().map(|entry| &entry.meter);
        let given = match request(parts, body, held, &self.stream.shared.config, facts, meter) {
            Err(rejection) => self.stream.shared.reject(&rejection),
            Ok(Head { mut request, mut context }) => {
                self.label.target.clone_from(&context.target);
                context.notes.clone_from(&self.stream.notes);
                *request.extensions_mut() = onion::reuse::extensions(context);
                match catch(|| self.stream.shared.call(request)) {
                    Some(answer) => Caught(answer).await.unwrap_or_else(panicked),
                    None => panicked(),
                }
            }
        };
        if let Some(entry) = &mut self.entry {
            entry.answered(given.headers());
        }
        let stream = Arc::clone(&self.stream);
        let label = std::mem::take(&mut self.label);
        let rest = Course { stream, label, entry: self.entry.take(), is_done: false };
        self.is_done = true;
        response(given, rest)
    }

    /// Where somebody looks on: a request has come.
    fn enter(&mut self, parts: &mut http::request::Parts, facts: &Arc<onion::Connection>) {
        let stream = &self.stream;
        let (Some(seeing), Some(notes)) = (&stream.shared.seeing, &stream.notes) else { return };
        let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
        let target = bytes::Bytes::copy_from_slice(target.as_bytes());
        let line = Line { method: parts.method.clone(), target, version: parts.version };
        let meter = Arc::new(Meter::new());
        let mut entry = seeing.enter(facts, &meter, notes, line, &mut parts.headers);
        if let Some(authority) = parts.uri.authority() {
            entry.set_host(authority.as_str());
        }
        self.entry = Some(entry);
    }

    /// The end of the request, as far as the server is concerned.
    pub(super) fn leave(&mut self, end: End) {
        if !std::mem::replace(&mut self.is_done, true) {
            self.stream.tally.answered();
            if let Some(mut entry) = self.entry.take() {
                entry.end = if entry.notes.is_timed_out() { End::RequestTimeout } else { end };
            }
        }
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        if self.is_done || self.stream.shared.stop.is_aborted() {
            return;
        }
        let timed_out = self.stream.timed_out.load(Relaxed);
        let is_late = self.stream.notes.as_ref().is_some_and(|notes| notes.is_timed_out());
        if !timed_out && !is_late {
            self.stream.tally.taken_back();
        }
        if let Some(mut entry) = self.entry.take() {
            entry.end = match () {
                () if is_late => End::RequestTimeout,
                () if timed_out => End::WriteTimeout,
                () => End::ClientGone,
            };
        }
    }
}

/// What becomes of the streams of a connection.
pub(super) struct Tally {
    /// The connection's place.
    pub(super) seat: Arc<Seat>,
    open: AtomicU32,
    /// When the last one ended.
    ended: Mutex<Instant>,
    /// How many more the client has taken back than it has let be answered.
    taken_back: AtomicU32,
    most: u32,
}

impl Tally {
    pub(super) fn new(seat: Arc<Seat>, most: u32) -> Self {
        Tally {
            seat,
            open: AtomicU32::new(0),
            ended: Mutex::new(Instant::now()),
            taken_back: AtomicU32::new(0),
            most,
        }
    }

    /// For how long there has been no stream; `None` while there is one.
    pub(super) fn idle(&self) -> Option<Duration> {
        let ended = *self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        (self.open.load(Relaxed) == 0).then(|| ended.elapsed())
    }

    /// Whether the client only makes work.
    pub(super) fn is_too_much(&self) -> bool {
        self.taken_back.load(Relaxed) > self.most
    }

    /// A stream begins. Returns false if its client's address has too many requests in flight.
    fn open(&self) -> bool {
        let is_admitted = self.seat.begin_stream();
        if is_admitted {
            self.open.fetch_add(1, Relaxed);
            self.seat.work();
        }
        is_admitted
    }

    fn close(&self) {
        self.seat.end_stream();
        let now = Instant::now();
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = now;
        if self.open.fetch_sub(1, Relaxed) == 1 {
            self.seat.rest(now);
        }
    }

    fn answered(&self) {
        let _ = self.taken_back.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1));
    }

    fn taken_back(&self) {
        self.taken_back.fetch_add(1, Relaxed);
    }
}
