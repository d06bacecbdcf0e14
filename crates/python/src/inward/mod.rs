//! The inward door: a Python application as a [`Handler`](onion::Handler).

mod application;
mod environ;
mod file_wrapper;
mod head;
mod input;
mod iterable;
mod limited;
mod native;
mod relayed;
mod start_response;
mod templates;
mod writing;
mod written;

pub(crate) use application::{Raised, WsgiApplication};
pub(crate) use environ::Environ;
pub(crate) use file_wrapper::FileWrapper;
pub(crate) use head::{header_list, status_line};
pub(crate) use input::Input;
pub(crate) use iterable::{AppIterable, block_of};
pub(crate) use native::Native;
pub(crate) use relayed::{Before, Relayed};
pub(crate) use start_response::StartResponse;
