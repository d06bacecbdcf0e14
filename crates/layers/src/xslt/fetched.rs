//! Stylesheets that are fetched from the application itself: compiled once, revalidated when they are no longer fresh.
//!
//! A stylesheet is compiled on a worker thread. What it needs there (its own text, what it imports) is asked of the task
//! that holds the request, which sends subrequests to the handlers inside the layer.

use std::collections::HashMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use onion::{Next, Origin, Response};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::document::path_of;
use super::engine::{Fetch, Transformation, engine};
use super::head::is_coded;
use crate::begun::{Collected, collect};

/// What was fetched so far, by site and URL.
pub(super) struct Store {
    lifetime: Duration,
    resources: Mutex<HashMap<Key, Resource>>,
    sheets: Mutex<HashMap<Key, Compiled>>,
}

type Key = (Arc<str>, String);

#[derive(Clone)]
struct Resource {
    bytes: Bytes,
    /// Another one for other bytes.
    version: u64,
    validators: HeaderMap,
    checked: Instant,
}

#[derive(Clone)]
struct Compiled {
    outcome: Result<Arc<dyn Transformation>, String>,
    /// The URLs and versions of what it was compiled from.
    parts: Vec<(String, u64)>,
    checked: Instant,
}

impl Store {
    pub(super) fn new(lifetime: Duration) -> Self {
        Store { lifetime, resources: Mutex::default(), sheets: Mutex::default() }
    }

    /// The stylesheet at `url`, which is an absolute path. Blocks: for worker threads.
    pub(super) fn sheet(&self, line: &Arc<Line>, url: &str) -> Result<Arc<dyn Transformation>, String> {
        let (key, now) = ((Arc::clone(&line.site), url.to_owned()), Instant::now());
        let known = self.known(&key, now);
        let old = match known {
            Some((compiled, true)) => return compiled.outcome,
            Some((compiled, false)) => compiled.outcome.ok().map(|sheet| (sheet, compiled.parts)),
            None => None,
        };
        if let Some((sheet, parts)) = &old {
            let same = |(url, version): &(String, u64)| Ok(line.get(url)?.1 == *version);
            match parts.iter().map(same).collect::<Result<Vec<bool>, String>>() {
                Ok(same) if same.iter().all(|same| *same) => return Ok(Arc::clone(sheet)),
                Ok(_) => {}
                Err(reason) => return Ok(kept(sheet, &reason)),
            }
        }
        line.parts().clear();
        let fetch: Arc<dyn Fetch> = Arc::clone(line) as Arc<dyn Fetch>;
        match (engine().and_then(|engine| engine.compile_fetched(url, &fetch)), old) {
            (Err(reason), Some((sheet, _))) => Ok(kept(&sheet, &reason)),
            (outcome, _) => {
                let parts = line.parts().clone();
                let mut sheets = lock(&self.sheets);
                make_room(&mut sheets, SHEETS, |sheet| sheet.checked);
                sheets.insert(key, Compiled { outcome: outcome.clone(), parts, checked: now });
                outcome
            }
        }
    }

    /// The stylesheet as it was compiled last, and whether it is fresh. While one thread revalidates it, it is fresh for
    /// the others.
    fn known(&self, key: &Key, now: Instant) -> Option<(Compiled, bool)> {
        let mut sheets = lock(&self.sheets);
        let known = sheets.get_mut(key)?;
        let lifetime = if known.outcome.is_ok() { self.lifetime } else { self.lifetime.min(FAILED_LIFETIME) };
        let is_fresh = now.saturating_duration_since(known.checked) < lifetime;
        if !is_fresh {
            known.checked = now;
        }
        Some((known.clone(), is_fresh))
    }

    /// What was fetched from `key`, whether it is fresh or not.
    fn resource(&self, key: &Key) -> Option<Resource> {
        lock(&self.resources).get(key).cloned()
    }

    fn keep(&self, key: Key, resource: Resource) {
        let mut resources = lock(&self.resources);
        make_room(&mut resources, RESOURCES, |resource| resource.checked);
        resources.insert(key, resource);
    }

    /// Fetches `url` from the handlers inside the layer, unless it is known there to be as it was.
    async fn load(&self, key: Key, origin: &Origin, next: Next<'_>) -> Result<(Bytes, u64), String> {
        let url = key.1.clone();
        let mut request = origin.get(&url).ok_or_else(|| {
            let mount_point = String::from_utf8_lossy(origin.mount_point()).into_owned();
            format!("{url} is outside of the mount point {mount_point}; put this layer around the mount")
        })?;
        let old = self.resource(&key);
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static(ACCEPT));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(old) = &old {
            for (condition, validator) in CONDITIONS {
                if let Some(value) = old.validators.get(validator) {
                    headers.insert(condition, value.clone());
                }
            }
        }
        let (parts, body) = next.run(request).await.into_parts();
        if let (StatusCode::NOT_MODIFIED, Some(old)) = (parts.status, &old) {
            let (bytes, version) = (old.bytes.clone(), old.version);
            self.keep(key, Resource { checked: Instant::now(), ..old.clone() });
            return Ok((bytes, version));
        }
        let bytes = whole(&url, Response::from_parts(parts.clone(), body)).await?;
        let version = match &old {
            Some(old) if old.bytes == bytes => old.version,
            Some(old) => old.version + 1,
            None => 0,
        };
        let mut validators = HeaderMap::new();
        for (_, name) in CONDITIONS {
            if let Some(value) = parts.headers.get(&name) {
                validators.insert(name, value.clone());
            }
        }
        self.keep(key, Resource { bytes: bytes.clone(), version, validators, checked: Instant::now() });
        Ok((bytes, version))
    }
}

/// The body of a response that can be used.
async fn whole(url: &str, response: Response) -> Result<Bytes, String> {
    if response.status() != StatusCode::OK {
        return Err(format!("{url} was answered with {}", response.status()));
    }
    if is_coded(response.headers()) {
        return Err(format!("{url} has a Content-Encoding; put compression outside of this layer"));
    }
    match collect(response.into_body(), MAX_BYTES).await {
        Collected::Whole(bytes) => Ok(bytes),
        Collected::TooLong(_) => Err(format!("{url} is longer than {} MiB", MAX_BYTES >> 20)),
        Collected::Broken(error) => Err(format!("{url} broke off: {error}")),
    }
}

fn kept(sheet: &Arc<dyn Transformation>, reason: &str) -> Arc<dyn Transformation> {
    onion::report(&format!("xslt: {reason}; the stylesheet stays as it was"));
    Arc::clone(sheet)
}

/// Removes the entries that were not checked for the longest time.
fn make_room<T>(entries: &mut HashMap<Key, T>, most: usize, checked: impl Fn(&T) -> Instant) {
    while entries.len() >= most {
        let Some(oldest) = entries.iter().min_by_key(|(_, entry)| checked(entry)).map(|(key, _)| key.clone())
        else {
            return;
        };
        entries.remove(&oldest);
    }
}

/// A worker thread's end of the line to the task that holds the request.
pub(super) struct Line {
    store: Arc<Store>,
    site: Arc<str>,
    origin: Arc<Origin>,
    asks: UnboundedSender<Ask>,
    /// What was fetched through this line: URLs and versions.
    parts: Mutex<Vec<(String, u64)>>,
}

struct Ask {
    url: String,
    reply: SyncSender<Result<(Bytes, u64), String>>,
}

impl Line {
    pub(super) fn new(store: &Arc<Store>, origin: Arc<Origin>) -> (Self, Serving) {
        let (asks, asked) = unbounded_channel();
        let site: Arc<str> = origin.site().into();
        let serving =
            Serving { asked, store: Arc::clone(store), site: Arc::clone(&site), origin: Arc::clone(&origin) };
        let line = Line { store: Arc::clone(store), site, origin, asks, parts: Mutex::default() };
        (line, serving)
    }

    /// The path of the client's document.
    pub(super) fn document(&self) -> &str {
        self.origin.path()
    }

    /// The path that `href` stands for in the client's document, if it is on this host.
    pub(super) fn resolve(&self, href: &str) -> Option<String> {
        path_of(self.origin.path(), href, |authority| self.origin.is_at(authority))
    }

    /// What is at `url`, and its version.
    fn get(&self, url: &str) -> Result<(Bytes, u64), String> {
        let here = self.resolve(url).ok_or_else(|| format!("{url:?} is on another host"))?;
        let known = self.store.resource(&(Arc::clone(&self.site), here.clone()));
        if let Some(known) = known.filter(|known| known.checked.elapsed() < self.store.lifetime) {
            return Ok((known.bytes, known.version));
        }
        let (reply, replied) = sync_channel(1);
        let ended = |()| "the request ended before its stylesheet was fetched".to_owned();
        self.asks.send(Ask { url: here, reply }).map_err(|_| ended(()))?;
        replied.recv().map_err(|_| ended(()))?
    }

    fn parts(&self) -> MutexGuard<'_, Vec<(String, u64)>> {
        lock(&self.parts)
    }
}

impl Fetch for Line {
    fn fetch(&self, url: &str) -> Result<Bytes, String> {
        let (bytes, version) = self.get(url)?;
        let mut parts = self.parts();
        if parts.len() >= MAX_PARTS {
            return Err(format!("{url}: a stylesheet may load at most {MAX_PARTS} others"));
        }
        parts.push((url.to_owned(), version));
        Ok(bytes)
    }
}

/// The end of the line where the request is.
pub(super) struct Serving {
    asked: UnboundedReceiver<Ask>,
    store: Arc<Store>,
    site: Arc<str>,
    origin: Arc<Origin>,
}

impl Serving {
    /// Fetches what the worker thread asks for.
    pub(super) async fn run(mut self, next: Next<'_>) {
        while let Some(Ask { url, reply }) = self.asked.recv().await {
            let fetched = self.store.load((Arc::clone(&self.site), url), &self.origin, next).await;
            // The thread may have given up.
            let _ = reply.send(fetched);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which header makes a request conditional on which.
const CONDITIONS: [(http::HeaderName, http::HeaderName); 2] =
    [(header::IF_NONE_MATCH, header::ETAG), (header::IF_MODIFIED_SINCE, header::LAST_MODIFIED)];

const ACCEPT: &str = "application/xslt+xml, text/xsl, application/xml, text/xml, */*;q=0.1";

/// How long a stylesheet that could not be fetched or compiled is not tried again.
const FAILED_LIFETIME: Duration = Duration::from_secs(5);

const MAX_BYTES: u64 = 1 << 20;

/// How many files a stylesheet may consist of, with what it reads for one document.
const MAX_PARTS: usize = 64;

/// Clients choose the host, and so how many sites there seem to be.
const SHEETS: usize = 64;
const RESOURCES: usize = 256;
