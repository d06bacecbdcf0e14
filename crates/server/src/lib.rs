//! From bytes to [`onion::Request`], and from [`onion::Response`] to bytes.
//!
//! The way of a request through this room: `accept` takes a connection, [`connection`](self) reads a head with
//! `http1`, gives the request to the handler, and `respond` writes what comes back.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # async fn example(handler: Arc<dyn onion::Handler>) -> Result<(), server::BindError> {
//! let config = server::Config { bind: vec!["127.0.0.1:8000".parse().expect("a place")], ..server::Config::default() };
//! let server = server::Server::bind(config)?;
//! let stop = server.stop_handle();
//! server.serve(handler).await; // until somebody calls stop.begin()
//! # Ok(()) }
//! ```

#![forbid(unsafe_code)]

mod accept;
mod admission;
mod aside;
mod bind;
mod config;
mod connection;
mod deadline;
mod farewell;
mod handed;
mod health;
mod heartbeat;
mod http2;
mod incoming;
mod listen;
mod metrics;
mod outbox;
mod owner;
mod pace;
mod pid_file;
mod prelude;
pub mod proxy_protocol;
mod redirect;
mod rejections;
mod respond;
mod seeing;
mod sending;
mod serve;
mod shared;
mod stay;
mod stop;
mod stream;
pub mod supervisor;
mod systemd;
mod tally;
mod terminal;
mod tls;
mod tracing;
mod tunnel;
mod watch;
mod worker;

pub use admission::{AddressLimit, Connections};
pub use bind::{Bind, BindError, UnixMode};
pub use config::Config;
pub use handed::{Handed, HandedSocket, HandedSockets};
pub use health::{HealthPath, LimitLoad, Load, Loaded};
pub use heartbeat::Heartbeat;
pub use listen::Speaks;
pub use metrics::{Buckets, Metrics, MetricsPath, Snapshot};
pub use owner::UnixOwner;
pub use pid_file::PidFile;
pub use rejections::ErrorPages;
pub use seeing::{AccessLog, LineFormat, check_logs, error_log};
pub use serve::Server;
pub use stop::StopHandle;
pub use systemd::Notify;
pub use terminal::Terminal;
pub use tls::{ClientAuth, Tls, TlsVersion};
pub use tracing::{Endpoint, Tracer};
pub use worker::{Imported, ReadyPath, WorkerEnd, enter_boot};
