//! The mark on a 500 that stands for an application's exception.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

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

impl fmt::Debug for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Fault")
    }
}
