//! Bodies: an enum over what bodies really are, so that one that no layer touches passes through as itself.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io;
use std::mem;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use crate::Crowded;

/// The body of a request or a response.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let body = onion::Body::from("some text");
/// assert_eq!(body.length(), Some(9));
/// assert_eq!(body.into_bytes(1024).await.expect("short enough"), "some text");
/// # }
/// ```
#[derive(Default)]
pub struct Body {
    kind: Kind,
    // After `kind`: what a hook observes comes when the body itself is gone.
    hooks: Hooks,
}

/// What a body is.
#[derive(Default)]
pub enum Kind {
    /// Nothing.
    #[default]
    Empty,
    /// All of it, in memory.
    Bytes(Bytes),
    /// A part of a file.
    File(FileRange),
    /// Something that Rust produces as it goes.
    Stream(Pin<Box<dyn http_body::Body<Data = Bytes, Error = BodyError> + Send>>),
    /// Something of the other side of a door that nobody has touched yet.
    Foreign(Box<dyn Foreign>),
}

/// A body from the other side of a door: a Python iterable, a `wsgi.input`.
pub trait Foreign: Send + 'static {
    /// The next block; `None` at the end. A block may be empty: the producer has nothing to say yet.
    fn poll_block(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>>;

    /// The exact length, if it is known.
    fn length(&self) -> Option<u64> {
        None
    }

    /// All of it, if it is in memory; it is then at its end.
    fn take_whole(&mut self) -> Option<Bytes> {
        None
    }

    /// Whether the next block may be long in coming, so that nobody should hold back the last one meanwhile.
    fn may_pause(&self) -> bool {
        true
    }

    /// The way back to the concrete type, for the door that made it.
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;

    /// See [`into_any`](Self::into_any).
    fn as_any(&self) -> &(dyn Any + Send);
}

/// A part of a file, to be sent as it stands (with sendfile where the connection allows it).
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The open file. Its position is neither used nor moved.
    pub file: Arc<File>,
    /// Where the part begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub length: u64,
}

/// How a body came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its last byte was taken.
    Complete,
    /// Its producer failed.
    Failed,
    /// Nobody wanted (the rest of) it: a HEAD request, a client that went away.
    Dropped,
}

/// Why a body has no further bytes.
#[derive(Debug)]
pub enum BodyError {
    /// The client went away.
    Disconnected,
    /// The client was too slow.
    TimedOut,
    /// There is more than is allowed, in bytes.
    TooLarge(u64),
    /// The client broke the framing.
    Malformed(&'static str),
    /// There was no room for it beside the others that are arriving.
    Crowded,
    /// There was no place to put it (a full disk).
    Storage(io::Error),
    /// The application took longer than `request_timeout` to produce it.
    Overdue,
    /// Whoever produces it failed.
    Producer(Box<dyn Error + Send + Sync>),
}

impl BodyError {
    /// The answer to a request whose body failed so.
    pub fn status(&self) -> StatusCode {
        match self {
            BodyError::Disconnected | BodyError::Malformed(_) => StatusCode::BAD_REQUEST,
            BodyError::TimedOut => StatusCode::REQUEST_TIMEOUT,
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::Crowded => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::Storage(_) => StatusCode::INSUFFICIENT_STORAGE,
            BodyError::Overdue => StatusCode::GATEWAY_TIMEOUT,
            BodyError::Producer(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The reason that the client is given: a plain phrase, nothing of the request in it.
    pub fn reason(&self) -> &'static str {
        match self {
            BodyError::Disconnected => "the request body is incomplete",
            BodyError::TimedOut => "the request body did not arrive in time",
            BodyError::TooLarge(_) => "the request body is too large",
            BodyError::Malformed(reason) => reason,
            BodyError::Overdue => "Gateway Timeout",
            BodyError::Crowded => "the server is busy with other request bodies",
            BodyError::Storage(_) => "the request body could not be stored",
            BodyError::Producer(_) => "Internal Server Error",
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::Disconnected => formatter.write_str("the client disconnected"),
            BodyError::TimedOut => formatter.write_str("the client sent nothing for too long"),
            BodyError::TooLarge(limit) => write!(formatter, "the body is larger than {limit} bytes"),
            BodyError::Malformed(what) => write!(formatter, "the body is malformed: {what}"),
            BodyError::Crowded => formatter.write_str("there was no room for the body"),
            BodyError::Storage(error) => write!(formatter, "the body could not be stored: {error}"),
            BodyError::Overdue => formatter.write_str("the application took too long"),
            BodyError::Producer(error) => write!(formatter, "the body broke off: {error}"),
        }
    }
}

impl Error for BodyError {}

impl From<Crowded> for BodyError {
    fn from(_: Crowded) -> Self {
        BodyError::Crowded
    }
}

/// See [`Body::failed`].
struct Failed(Option<BodyError>);

impl http_body::Body for Failed {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(self.0.take().map(Err))
    }
}

impl Body {
    /// No body.
    pub fn empty() -> Self {
        Body::default()
    }

    /// A part of a file.
    pub fn file(range: FileRange) -> Self {
        Kind::File(range).into()
    }

    /// A body that Rust produces as it goes.
    pub fn stream(stream: impl http_body::Body<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Kind::Stream(Box::pin(stream)).into()
    }

    /// A body that fails when it is read: with what is known to be wrong with it before it has come.
    pub fn failed(error: BodyError) -> Self {
        Body::stream(Failed(Some(error)))
    }

    /// A body from the other side of a door.
    pub fn foreign(foreign: impl Foreign) -> Self {
        Kind::Foreign(Box::new(foreign)).into()
    }

    /// What the body is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The exact length in bytes, if it is known.
    pub fn length(&self) -> Option<u64> {
        match &self.kind {
            Kind::Empty => Some(0),
            Kind::Bytes(bytes) => Some(bytes.len() as u64),
            Kind::File(range) => Some(range.length),
            Kind::Stream(stream) => stream.size_hint().exact(),
            Kind::Foreign(foreign) => foreign.length(),
        }
    }

    /// Runs `hook` once, when the last byte is taken, the body fails, or it is dropped before its end.
    pub fn on_end(&mut self, hook: impl FnOnce(End) + Send + 'static) {
        self.hooks.0.push(Box::new(hook));
    }

    /// The whole body in memory, unless it is longer than `limit` bytes.
    pub async fn into_bytes(mut self, limit: u64) -> Result<Bytes, BodyError> {
        if self.length().is_some_and(|length| length > limit) {
            return Err(BodyError::TooLarge(limit));
        }
        if let Some(bytes) = self.take_bytes() {
            return if bytes.len() as u64 <= limit { Ok(bytes) } else { Err(BodyError::TooLarge(limit)) };
        }
        let mut collected = BytesMut::new();
        while let Some(block) = self.next_block().await {
            let block = block?;
            if (collected.len() + block.len()) as u64 > limit {
                return Err(BodyError::TooLarge(limit));
            }
            collected.extend_from_slice(&block);
        }
        Ok(collected.freeze())
    }

    /// The next block of data, as it becomes ready; `None` at the end.
    pub async fn next_block(&mut self) -> Option<Result<Bytes, BodyError>> {
        self.frame().await.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()))
    }

    /// The whole body, if it is in memory: taken at once, and so complete.
    pub fn take_bytes(&mut self) -> Option<Bytes> {
        let bytes = match &mut self.kind {
            Kind::Empty => Bytes::new(),
            Kind::Bytes(bytes) => mem::take(bytes),
            Kind::Foreign(foreign) => foreign.take_whole()?,
            Kind::File(_) | Kind::Stream(_) => return None,
        };
        self.complete();
        Some(bytes)
    }

    /// The foreign body of type `T`, if this is one that no layer has touched or waits for the end of.
    pub fn into_untouched<T: Foreign>(self) -> Result<Box<T>, Body> {
        let Body { kind, hooks } = self;
        match kind {
            Kind::Foreign(foreign) if hooks.0.is_empty() && foreign.as_any().is::<T>() => {
                // Of this type, as was looked at just before.
                foreign.into_any().downcast::<T>().map_err(|_| Body { kind: Kind::Empty, hooks })
            }
            kind => Err(Body { kind, hooks }),
        }
    }

    /// Says that the body was taken by another way than by polling it (sendfile, a single write).
    pub fn complete(&mut self) {
        self.kind = Kind::Empty;
        self.hooks.run(End::Complete);
    }

    fn poll_file(range: &mut FileRange) -> Result<Option<Bytes>, io::Error> {
        if range.length == 0 {
            return Ok(None);
        }
        let mut block = vec![0; range.length.min(FILE_BLOCK) as usize];
        let read = range.file.read_at(&mut block, range.offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        block.truncate(read);
        range.offset += read as u64;
        range.length -= read as u64;
        Ok(Some(block.into()))
    }
}

/// How much of a file is read at a time where it can't be sent as it stands.
const FILE_BLOCK: u64 = 64 * 1024;

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = match &mut self.kind {
            Kind::Empty => Poll::Ready(None),
            Kind::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(mem::take(bytes))))),
            Kind::File(range) => {
                let block = Self::poll_file(range).map_err(|error| BodyError::Producer(error.into()));
                Poll::Ready(block.transpose().map(|block| block.map(Frame::data)))
            }
            Kind::Stream(stream) => stream.as_mut().poll_frame(context),
            Kind::Foreign(foreign) => {
                foreign.poll_block(context).map(|block| block.map(|block| block.map(Frame::data)))
            }
        };
        match polled {
            Poll::Ready(None) => self.complete(),
            Poll::Ready(Some(Err(_))) => {
                self.kind = Kind::Empty;
                self.hooks.run(End::Failed);
            }
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.kind, Kind::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        self.length().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// What waits for the end of a body.
#[derive(Default)]
struct Hooks(Vec<Box<dyn FnOnce(End) + Send>>);

impl Hooks {
    fn run(&mut self, end: End) {
        if self.0.is_empty() {
            return;
        }
        for hook in mem::take(&mut self.0) {
            hook(end);
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.run(End::Dropped);
    }
}

impl From<Kind> for Body {
    fn from(kind: Kind) -> Self {
        Body { kind, hooks: Hooks::default() }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() { Body::empty() } else { Kind::Bytes(bytes).into() }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Empty => "empty",
            Kind::Bytes(_) => "bytes",
            Kind::File(_) => "file",
            Kind::Stream(_) => "stream",
            Kind::Foreign(_) => "foreign",
        };
        write!(formatter, "Body({kind}, {:?})", self.length())
    }
}
