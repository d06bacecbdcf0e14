//! Work on threads of its own: so many at once, and so long.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use onion::Size;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::charset::DefaultCharset;
use super::choice::Sheets;
use super::document::Raw;
use super::engine::{Fetch, Transformed};
use super::fetched::{Line, Store};
use super::sheet::Sheet;

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

/// Waits for the result of `work`, and serves it meanwhile.
pub(super) async fn until_done<T>(
    work: impl Future<Output = T>,
    serving: Option<impl Future<Output = ()>>,
) -> T {
    let (mut work, mut serving) = (
        pin!(work),
        pin!(async {
            if let Some(serving) = serving {
                serving.await;
            }
        }),
    );
    let mut is_served = false;
    poll_fn(|context| {
        if let Poll::Ready(done) = work.as_mut().poll(context) {
            return Poll::Ready(done);
        }
        if !is_served {
            is_served = serving.as_mut().poll(context).is_ready();
        }
        Poll::Pending
    })
    .await
}

/// A transformation, for a worker thread.
pub(super) struct Work {
    pub(super) sheets: Arc<Sheets>,
    pub(super) fetched: Arc<Store>,
    pub(super) sheet: Option<Arc<Sheet>>,
    /// The `href` of the stylesheet that the document names.
    pub(super) named: Option<String>,
    pub(super) raw: Raw,
    /// Where stylesheets are fetched, if they are.
    pub(super) line: Option<Arc<Line>>,
    pub(super) parameters: Arc<[(String, String)]>,
    pub(super) default_charset: DefaultCharset,
    pub(super) max_output: Size,
}

impl Work {
    /// The result, or the reason for a failure; `None` if no stylesheet applies.
    pub(super) fn run(self) -> Result<Option<Transformed>, String> {
        let mut url = None;
        let transformation = if let Some(sheet) = self.in_directory()? {
            sheet.fresh(Instant::now().into())
        } else if let Some((line, path)) = self.fetched_from() {
            url = Some(line.document().to_owned());
            self.fetched.sheet(line, &path)?
        } else if let Some(sheet) = &self.sheet {
            sheet.fresh(Instant::now().into())
        } else {
            return Ok(None);
        };
        let fetch = self.line.filter(|_| url.is_some()).map(|line| line as Arc<dyn Fetch>);
        let document = self.raw.decoded(self.default_charset, self.parameters, url)?;
        let made = transformation.apply(&document, fetch.as_ref())?;
        let most = self.max_output;
        if made.as_ref().is_some_and(|made| made.bytes.len() as u64 > most.0) {
            return Err(format!("the result is longer than {most}"));
        }
        Ok(made)
    }

    fn in_directory(&self) -> Result<Option<Arc<Sheet>>, String> {
        self.named.as_ref().and_then(|href| self.sheets.at(href)).transpose()
    }

    fn fetched_from(&self) -> Option<(&Arc<Line>, String)> {
        let line = self.line.as_ref()?;
        Some((line, line.resolve(self.named.as_ref()?)?))
    }
}
