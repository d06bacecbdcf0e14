//! The session of one request, as the application has it in its hands.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderValue, header};
use onion::{LogLevel, Request, RequestExt, RequestLabel, Value};

use super::OnStoreError;
use super::keeper::Keeper;
use super::recent::Base;
use super::record::{Expiry, Id, Record};

/// The session of one request. Nothing is read before somebody asks for it.
///
/// The values belong to whoever has read them: a door makes live objects of them, and says with [`hold`](Self::hold)
/// where the layer finds them when the head is about to go out.
pub struct OpenSession {
    pub(super) keeper: Arc<Keeper>,
    cookies: Vec<HeaderValue>,
    label: RequestLabel,
    state: Mutex<State>,
}

/// The values of a session, where the application changes them.
pub trait Contents: Send + Sync {
    /// The values as a JSON object, or in one line why they can't be.
    fn json(&self) -> Result<String, String>;
}

/// The store does not answer.
#[derive(Clone, Debug)]
pub struct Unavailable(pub String);

#[derive(Default)]
struct State {
    touched: Option<Touched>,
    contents: Option<Arc<dyn Contents>>,
    /// The head has gone: nothing is saved any more.
    gone: bool,
    /// It was told that something came too late.
    told: bool,
}

/// A session that somebody has asked for.
#[derive(Clone)]
pub(super) struct Touched {
    pub(super) record: Record,
    /// What it was read from.
    pub(super) base: Option<Base>,
    /// How long it lasted then.
    pub(super) expiry: Expiry,
    /// Whether the client's cookie has an older state of it.
    pub(super) behind: bool,
    /// Whether the client has a cookie.
    pub(super) came: bool,
    /// Whether the application has ended what was read.
    pub(super) ended: bool,
    /// Why it could not be read.
    pub(super) failed: Option<Unavailable>,
}

impl OpenSession {
    /// The session that a layer outside of this one has opened, in the same onion or ahead of a Python middleware.
    pub(super) fn outside(request: &Request) -> Option<Arc<Self>> {
        match request.told(super::KEY) {
            Some(Value::Live(session)) => Arc::clone(session).downcast().ok(),
            _ => request.extensions().get().cloned(),
        }
    }

    /// Whether its cookie has the name of the cookie of `keeper`.
    pub(super) fn shares_cookie(&self, keeper: &Keeper) -> bool {
        self.keeper.cookie.name == keeper.cookie.name
    }

    pub(super) fn of(request: &Request, keeper: &Arc<Keeper>) -> Self {
        OpenSession {
            keeper: Arc::clone(keeper),
            cookies: request.headers().get_all(header::COOKIE).iter().cloned().collect(),
            label: RequestLabel::of(request),
            state: Mutex::default(),
        }
    }

    /// The values as JSON. The first call of this or any of the following asks the store, and waits for it.
    pub fn read(&self) -> Result<String, Unavailable> {
        self.with(|touched| touched.record.values.clone())
    }

    /// Whether the client came without a session, or with none that is still good.
    pub fn is_new(&self) -> Result<bool, Unavailable> {
        self.with(|touched| touched.base.is_none() || touched.ended)
    }

    /// What the session is called in stores and logs. It changes when the session is rotated, and opens nothing.
    pub fn name(&self) -> Result<String, Unavailable> {
        self.with(|touched| touched.record.id.name().hex())
    }

    /// Whether saving would have something to do, if these were the values.
    pub fn is_changed(&self, json: &str) -> Result<bool, Unavailable> {
        self.with(|touched| touched.is_changed(json))
    }

    /// How long the session lasts, if the application has chosen that.
    pub fn expiry(&self) -> Result<Expiry, Unavailable> {
        self.with(|touched| touched.record.expiry)
    }

    /// Chooses how long the session lasts.
    pub fn set_expiry(&self, expiry: Expiry) -> Result<(), Unavailable> {
        self.change(|touched| touched.record.expiry = expiry)
    }

    /// In how many seconds the session expires if this is its last use.
    pub fn max_age(&self) -> Result<u64, Unavailable> {
        let now = (self.keeper.clock)();
        self.with(|touched| self.keeper.lasts(&Record { used: now, ..touched.record.clone() }, now))
    }

    /// Whether the session's cookie outlives the browser.
    pub fn is_persistent(&self) -> Result<bool, Unavailable> {
        self.with(|touched| self.keeper.is_persistent(touched.record.expiry))
    }

    /// Goes on with the same values under a new id; the old one is good for nothing any more.
    pub fn rotate(&self) -> Result<(), Unavailable> {
        let now = (self.keeper.clock)();
        self.change(|touched| {
            touched.record.id = Id::new();
            (touched.record.begun, touched.record.used) = (now, now);
        })
    }

    /// Ends the session, and begins an empty one.
    pub fn invalidate(&self) -> Result<(), Unavailable> {
        let now = (self.keeper.clock)();
        self.change(|touched| {
            touched.record = Record::new(now);
            touched.ended = true;
        })
    }

    /// From now on the values are with `contents`.
    pub fn hold(&self, contents: Arc<dyn Contents>) {
        self.state().contents = Some(contents);
    }

    /// Is to be called before a change: says so in the log if it comes too late.
    pub fn will_change(&self) {
        if self.state().gone {
            self.tell_late();
        }
    }

    /// What was asked for, and where its values are, if anything was; from now on it is too late for changes.
    pub(super) fn leave(&self) -> Option<(Touched, Option<Arc<dyn Contents>>)> {
        let mut state = self.state();
        state.gone = true;
        Some((state.touched.clone()?, state.contents.clone()))
    }

    /// Says in the log, once, that something is not saved.
    pub(super) fn tell_late(&self) {
        if !std::mem::replace(&mut self.state().told, true) {
            self.tell("it was changed when the head had gone already; this is not saved");
        }
    }

    /// One line of the log, for those who look for a fault.
    #[track_caller]
    pub(super) fn tell_detail(&self, what: &str) {
        self.label.log(LogLevel::Debug, &format!("session: {what}, on {}", self.label));
    }

    /// One line of the log.
    #[track_caller]
    pub(super) fn tell(&self, what: &str) {
        self.label.log(LogLevel::Warning, &format!("session: {what}, on {}", self.label));
    }

    fn change(&self, change: impl FnOnce(&mut Touched)) -> Result<(), Unavailable> {
        self.will_change();
        self.with(change)
    }

    /// Gives the session to `work`, and finds it before that if nobody has asked for it yet.
    fn with<T>(&self, work: impl FnOnce(&mut Touched) -> T) -> Result<T, Unavailable> {
        let mut state = self.state();
        let touched = state.touched.get_or_insert_with(|| self.find());
        match &touched.failed {
            Some(failed) if self.keeper.on_store_error == OnStoreError::Refuse => Err(failed.clone()),
            _ => Ok(work(touched)),
        }
    }

    fn find(&self) -> Touched {
        match self.keeper.find(&self.cookies) {
            Ok(found) => {
                if let Some(why) = found.refused {
                    self.tell(&format!("{why}: it is anonymous"));
                }
                let Record { id, version, expiry, .. } = found.record;
                let base = found.known.then_some(Base { id, version });
                let (came, behind) = (found.came, found.behind);
                Touched { record: found.record, base, expiry, behind, came, ended: false, failed: None }
            }
            Err(error) => {
                self.tell(&format!("the store can't be read: {error}"));
                let record = Record::new((self.keeper.clock)());
                let failed = Some(Unavailable(error.to_string()));
                let (base, expiry) = (None, Expiry::default());
                Touched { record, base, expiry, behind: false, came: false, ended: false, failed }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Touched {
    /// Whether the session that was read goes on under a new id, or not at all.
    pub(super) fn is_replaced(&self) -> bool {
        self.base.is_some_and(|base| base.id != self.record.id)
    }

    /// Whether it is not what was read any more, if these are its values.
    pub(super) fn is_changed(&self, values: &str) -> bool {
        values != self.record.values || self.is_replaced() || self.record.expiry != self.expiry
    }

    /// Goes on from `theirs`, which another request has saved meanwhile.
    pub(super) fn rebase(&mut self, theirs: Record) {
        if let Some(base) = &mut self.base {
            base.version = theirs.version;
        }
        if self.record.id == theirs.id {
            self.record.begun = theirs.begun;
        }
        if self.record.expiry == self.expiry {
            self.record.expiry = theirs.expiry;
        }
        (self.expiry, self.record.values, self.behind) = (theirs.expiry, theirs.values, false);
    }

    /// The version that was read, if the session goes on under its id.
    pub(super) fn goes_on(&self) -> Option<u64> {
        self.base.filter(|base| base.id == self.record.id).map(|base| base.version)
    }
}
