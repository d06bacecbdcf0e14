//! A limit on the calls into one application, beside the server's own.

use std::sync::Arc;

/// How many calls into one application may run at once. It is compared by identity: an `Arc` of it is one limit,
/// wherever it is used.
///
/// A dispatcher puts it into the [`Context`](crate::Context) of a request, and whoever calls the application keeps to it.
#[derive(Debug)]
pub struct Limit {
    /// The application, as logs, metrics and `status` call it.
    pub name: Arc<str>,
    /// The most calls.
    pub most: usize,
}
