//! The mark on a 500 that stands for an application's exception.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use crate::{BodyError, Response, plain, timed_out};

/// Kept in a response's extensions: the application raised, and this response stands for it.
///
/// A layer that answers in its place drops it with the response; whoever made it sees to it that the exception gets
/// to the log all the same.
#[derive(Clone)]
pub struct Fault(Arc<dyn Any + Send + Sync>);

impl Fault {
    /// The mark for `cause`, an exception in the form that its door has for it.
    pub fn new(cause: impl Any + Send + Sync) -> Self {
        Fault(Arc::new(cause))
    }

    /// The exception, for the door that made the mark.
    pub fn cause<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// The response for a layer that has taken in the application's body to make something of it, and found that it breaks
/// off: a 500 whose [`Fault`] has a [`Broken`] as its cause.
///
/// A body that the request timeout has broken off becomes the 504 that the client would have got without the layer.
pub fn broken(error: BodyError) -> Response {
    if matches!(error, BodyError::Overdue) {
        return timed_out();
    }
    let mut response = plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
    response.extensions_mut().insert(Fault::new(Broken(Mutex::new(Some(error)))));
    response
}

/// How a body broke off.
pub struct Broken(Mutex<Option<BodyError>>);

impl Broken {
    /// The error, for the first who asks.
    pub fn take(&self) -> Option<BodyError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fault")
    }
}
