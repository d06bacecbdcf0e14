//! Work on threads of its own: so many at once, and so long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

pub(super) struct Workshop {
    places: Arc<Semaphore>,
    patience: Duration,
}

/// Why there is no result.
#[derive(Debug, PartialEq)]
pub(super) enum Undone {
    /// All places were taken for all that time.
    Busy,
    /// It takes too long. It goes on, and keeps its place until it is done: nothing can stop it.
    TooLong,
    /// It came to a bad end.
    Failed,
}

impl Workshop {
    pub(super) fn new(places: usize, patience: Duration) -> Self {
        Workshop { places: Arc::new(Semaphore::new(places)), patience }
    }

    /// Does `work` on another thread.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Undone> {
        let deadline = Instant::now() + self.patience;
        let Ok(Ok(place)) = timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await else {
            return Err(Undone::Busy);
        };
        let task = spawn_blocking(move || {
            let result = work();
            drop(place);
            result
        });
        match timeout_at(deadline, task).await {
            Err(_) => Err(Undone::TooLong),
            Ok(Err(_)) => Err(Undone::Failed),
            Ok(Ok(result)) => Ok(result),
        }
    }
}
