//! The words of the house: what a request, a response, a handler and a layer are.
//!
//! ```
//! use onion::{Answer, Handler, Layer, Next, Request, Response, answer};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn call(&self, _request: Request) -> Answer<'_> {
//!         answer(Response::new("Hello, World!".into()))
//!     }
//! }
//!
//! struct Greeted;
//!
//! impl Layer for Greeted {
//!     fn call<'a>(&'a self, request: Request, next: Next<'a>) -> Answer<'a> {
//!         let inner = next.run(request); // above: a pre-processor
//!         Box::pin(async {
//!             let mut response = inner.await; // below: a post-processor
//!             response.headers_mut().insert("x-greeted", http::HeaderValue::from_static("yes"));
//!             response
//!         })
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let onion = onion::wrap(std::sync::Arc::new(Greeted), std::sync::Arc::new(Hello));
//! let response = onion.call(Request::new(onion::Body::empty())).await;
//! assert_eq!(response.headers()["x-greeted"], "yes");
//! # }
//! ```
//!
//! Nothing here opens a socket or knows Python.

#![forbid(unsafe_code)]

mod address;
mod addressed;
mod backlog;
pub mod body;
mod body_budget;
mod bound;
mod context;
pub mod error_page;
mod fault;
mod foreign;
mod forked;
mod glob;
mod host;
mod ids;
mod layer;
mod limit;
mod log_file;
pub mod masking;
mod matching;
mod notes;
mod options;
mod outages;
mod panics;
pub mod path;
mod pauses;
pub mod placeholders;
mod random;
pub mod reading;
mod repeats;
mod report;
mod response;
pub mod reuse;
mod spool;
mod standard_error;
mod stars;
mod subrequest;
mod supplied;
mod temporary;
pub mod text_options;
mod timestamp;
mod traceparent;
mod trouble;
mod turn;
mod units;
mod upgrade;

pub use address::AddressRange;
pub use addressed::{Addressed, RequestLabel};
pub use backlog::{Backlog, Producer, Room, Unwanted, backlog};
pub use body::{Body, BodyError, End, FileRange, Foreign};
pub use body_budget::{BodyBudget, Crowded, Share, crowded_bodies};
pub use bound::{ThreadBound, thread_is_bound};
pub use context::{Connection, Context, Peer, RequestExt, Scheme, Secured, Value};
pub use fault::{Broken, Fault, broken};
pub use forked::log_as_fork;
pub use glob::Glob;
pub use host::{Host, HostPattern};
pub use ids::Ids;
pub use layer::{Answer, Handler, Layer, Next, answer, wrap, wrap_when};
pub use limit::Limit;
pub use log_file::{LogFile, LogPlace};
pub use matching::{Matching, When, one_or_many};
pub use notes::{Notes, TimeoutWaiter};
pub use options::{Build, Declaration, OptionError, Phase};
pub use outages::{count_store_outage, store_outages};
pub use panics::{Caught, catch, panicked, panics, report_panics};
pub use pauses::{Calls, abandoned_responses};
pub use random::{forget_random, random};
pub use report::{
    ErrorLog, LogFormat, LogLevel, Record, close_error_log, detail, inform, lines_left_out, logs_application,
    pass_on, reopen_error_log, report, report_error,
};
pub use response::{NotFound, ReasonPhrase, Refusal, plain, timed_out, unreadable};
pub use spool::{SpoolLimits, Spooled, spool};
pub use standard_error::{note_lost, stderr_works};
pub use subrequest::{Origin, Subrequest};
pub use supplied::{Find, Supply, Target};
pub use temporary::{Held, TemporaryFile};
pub use timestamp::Timestamp;
pub use traceparent::{Traceparent, hexadecimal};
pub use trouble::Trouble;
pub use turn::{give_way, has_given_way, poll_give_way};
pub use units::{Size, Span, SpanOrOff, Written};
pub use upgrade::{Duplex, Upgrade};

/// A request on its way down the onion.
pub type Request = http::Request<Body>;

/// A response on its way up.
pub type Response = http::Response<Body>;
