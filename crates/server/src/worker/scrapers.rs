//! Those who ask a worker for the metrics of all workers. Its supervisor is asked for them: once for all who have come
//! until then, and again for those who have come since. So nobody is told what was true before he asked.

use std::mem;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::metrics::{ASKING, Numbers, PATIENCE, Scraper};

/// Who waits for the metrics.
pub(super) struct Scrapers {
    sender: mpsc::Sender<Scraper>,
    come: mpsc::Receiver<Scraper>,
    /// Those for whom the supervisor is asked next.
    waiting: Vec<Scraper>,
    asked: Option<Asked>,
    last: u64,
}

/// What the supervisor was asked.
struct Asked {
    number: u64,
    at: Instant,
    scrapers: Vec<Scraper>,
}

impl Default for Scrapers {
    fn default() -> Self {
        let (sender, come) = mpsc::channel(ASKING);
        Scrapers { sender, come, waiting: Vec::new(), asked: None, last: 0 }
    }
}

impl Scrapers {
    /// What tells them.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers::OfWorkers(self.sender.clone())
    }

    /// Waits for somebody who asks.
    pub(super) async fn next(&mut self) {
        // It never ends, since there is a sender here.
        self.waiting.extend(self.come.recv().await);
    }

    /// The number of the question that the supervisor is to be asked now, if any.
    pub(super) fn question(&mut self) -> Option<u64> {
        self.waiting.retain(|scraper| !scraper.is_closed());
        // Those who wait for an answer that is so late are gone.
        let is_asked = self.asked.as_ref().is_some_and(|asked| asked.at.elapsed() < PATIENCE);
        if is_asked || self.waiting.is_empty() {
            return None;
        }
        self.last += 1;
        let scrapers = mem::take(&mut self.waiting);
        self.asked = Some(Asked { number: self.last, at: Instant::now(), scrapers });
        Some(self.last)
    }

    /// The supervisor has answered.
    pub(super) fn tell(&mut self, number: u64, text: String) {
        let Some(asked) = self.asked.take_if(|asked| asked.number == number) else { return };
        let text = Bytes::from(text);
        for scraper in asked.scrapers {
            // Who hung up has nobody to be told.
            let _ = scraper.send(text.clone());
        }
    }

    /// There is no supervisor any more.
    pub(super) fn give_up(&mut self) {
        self.come.close();
        while self.come.try_recv().is_ok() {}
        self.waiting.clear();
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    async fn come(scrapers: &mut Scrapers) -> oneshot::Receiver<Bytes> {
        let (scraper, answer) = oneshot::channel();
        scrapers.sender.send(scraper).await.expect("somebody listens");
        scrapers.next().await;
        answer
    }

    #[tokio::test]
    async fn who_asks_later_is_told_what_was_true_later() {
        let mut scrapers = Scrapers::default();
        let first = come(&mut scrapers).await;
        assert_eq!(scrapers.question(), Some(1));
        let mut second = come(&mut scrapers).await;
        assert_eq!(scrapers.question(), None);
        scrapers.tell(1, "before".to_owned());
        assert_eq!(first.await.expect("an answer"), "before");
        assert!(second.try_recv().is_err());
        assert_eq!(scrapers.question(), Some(2));
        scrapers.tell(1, "late".to_owned());
        scrapers.tell(2, "after".to_owned());
        assert_eq!(second.await.expect("an answer"), "after");
    }

    #[tokio::test]
    async fn who_waits_for_a_supervisor_that_is_gone_is_told_so() {
        let mut scrapers = Scrapers::default();
        let (asked, waiting) = (come(&mut scrapers).await, come(&mut scrapers).await);
        let (scraper, queued) = oneshot::channel();
        scrapers.sender.send(scraper).await.expect("somebody listens");
        scrapers.give_up();
        for answer in [asked, waiting, queued] {
            assert!(answer.await.is_err());
        }
        assert!(scrapers.sender.send(oneshot::channel().0).await.is_err());
    }
}
