//! Saves a session when the head is about to go out.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, header};
use onion::body::Kind;
use onion::{Response, plain};

use super::cookies::keep_private;
use super::keeper::{Backing, Keeper};
use super::merge::{Winner, merge};
use super::open::{OpenSession, Touched};
use super::recent::Swapped;
use super::record::{EMPTY, Record};
use super::store::{Change, Put, Remove, StoreError};
use super::{OnConflict, OnStoreError};

/// Saves `session` if that is needed, and adds to the response what the client has to know of it.
pub(super) async fn save(session: Arc<OpenSession>, mut response: Response) -> Response {
    let Some((touched, contents)) = session.leave() else { return response };
    let values = match &contents {
        Some(contents) => contents.json(),
        None => Ok(touched.record.values.clone()),
    };
    let done = match &values {
        Ok(values) => settle(&session, touched, values, response.status()).await,
        Err(why) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("it can't be saved: {why}"))),
    };
    let cookie = match done {
        Ok(cookie) => cookie,
        Err(refusal) => return refused(&session, &refusal),
    };
    if let (Some(contents), Kind::Foreign(_) | Kind::Stream(_)) = (contents, response.body().kind()) {
        // The application goes on while its body is sent.
        response.body_mut().on_end(move |_| {
            if contents.json().ok() != values.ok() {
                session.tell_late();
            }
        });
    }
    keep_private(response.headers_mut(), cookie.is_some());
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Saves the session. If another request was faster, merges with what that one has saved, and tries again. Returns the
/// cookie that belongs to it: none if it could not be saved and the response goes out anyway.
async fn settle(
    session: &OpenSession,
    mut touched: Touched,
    values: &str,
    status: StatusCode,
) -> Result<Option<HeaderValue>, Refusal> {
    let mut values = Cow::Borrowed(values);
    let mut overwritten = BTreeSet::new();
    let until = session.keeper.until();
    for tries in 1.. {
        let plan = plan(session, &touched, &values, status)?;
        if plan.next.is_none() && !plan.ends {
            return Ok(plan.cookie);
        }
        let theirs = match swap(session, &touched, &plan, tries, until).await {
            Ok(Swapped::Yes) => {
                if !overwritten.is_empty() {
                    let keys = Vec::from_iter(overwritten).join(", ");
                    session
                        .tell_detail(&format!("another request has changed {keys}, too; it is overwritten"));
                }
                return Ok(plan.cookie);
            }
            // Its use was noted by the other request.
            Ok(_) if plan.notes_use => return Ok(None),
            Ok(Swapped::Behind(theirs)) if tries < MOST_TRIES => *theirs,
            Ok(Swapped::Behind(_)) => {
                let error = StoreError(format!("other requests have changed it {tries} times meanwhile"));
                return failed(session, &plan, &error);
            }
            Ok(Swapped::Gone) => {
                let why =
                    "another request has ended it or given it a new id; the changes of this one are lost";
                return conflict(session, why);
            }
            Err(error) => return failed(session, &plan, &error),
        };
        let (merged, conflicts) = merged(session, &touched, &values, &theirs)?;
        values = Cow::Owned(merged);
        overwritten.extend(conflicts);
        touched.rebase(theirs);
    }
    unreachable!("the last try returns")
}

/// The values with the changes of both requests, and the keys that both have changed.
fn merged(
    session: &OpenSession,
    touched: &Touched,
    values: &str,
    theirs: &Record,
) -> Result<(String, Vec<String>), Refusal> {
    let policy = session.keeper.on_conflict;
    let winner = if policy == OnConflict::Overwrite { Winner::Ours } else { Winner::Theirs };
    let merged = merge(&touched.record.values, values, &theirs.values, winner);
    if policy != OnConflict::Overwrite && !merged.conflicts.is_empty() {
        let keys = merged.conflicts.join(", ");
        conflict(
            session,
            &format!("another request has changed {keys}, too; the changes of this one are lost"),
        )?;
    }
    Ok((merged.values, merged.conflicts))
}

/// Changes are lost to another request.
fn conflict(session: &OpenSession, why: &str) -> Result<Option<HeaderValue>, Refusal> {
    if session.keeper.on_conflict == OnConflict::Refuse {
        return Err(Refusal(StatusCode::CONFLICT, why.to_owned()));
    }
    session.tell(why);
    Ok(None)
}

/// The store does not do what it has to.
fn failed(session: &OpenSession, plan: &Plan, error: &StoreError) -> Result<Option<HeaderValue>, Refusal> {
    let why = format!("the store can't be written: {error}");
    // A session that should be over must not live on while everybody thinks that it is.
    if session.keeper.on_store_error == OnStoreError::Refuse || plan.ends {
        return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, why));
    }
    session.tell(&why);
    Ok(None)
}

/// What there is to do.
#[derive(Default)]
struct Plan {
    cookie: Option<HeaderValue>,
    /// The session as it is saved.
    next: Option<Record>,
    /// Whether the one that was read is taken away.
    ends: bool,
    /// Whether only its use is noted: if that fails nothing is lost.
    notes_use: bool,
}

/// Why the client gets another answer than the application's.
struct Refusal(StatusCode, String);

/// Decides what there is to do.
fn plan(session: &OpenSession, touched: &Touched, values: &str, status: StatusCode) -> Result<Plan, Refusal> {
    let keeper = &session.keeper;
    let changed = touched.is_changed(values);
    if touched.failed.is_some() {
        if keeper.on_store_error == OnStoreError::Refuse || touched.ended {
            let why = "the request is refused, for the store could not be read";
            return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, why.to_owned()));
        }
        if changed {
            session.tell("it is not saved, for the store could not be read");
        }
        return Ok(Plan::default());
    }
    let is_fault = status.is_server_error();
    if is_fault && !touched.ended {
        if changed {
            session.tell(&format!("it is not saved, for the application answered {}", status.as_u16()));
        }
        return Ok(Plan::default());
    }
    let now = (keeper.clock)();
    let is_over = || keeper.lasts(&Record { used: now, ..touched.record.clone() }, now) == 0;
    if values == EMPTY || is_fault || is_over() {
        // A session without values is not kept.
        let cookie = touched.came.then(|| keeper.cookie.clear());
        return Ok(Plan { cookie, ends: touched.base.is_some(), ..Plan::default() });
    }
    if !changed && !touched.behind && !keeper.is_stale(&touched.record, now) {
        return Ok(Plan::default());
    }
    let next = next(keeper, touched, values, now)?;
    let cookie = cookie(keeper, touched, &next, now)?;
    Ok(Plan { cookie, next: Some(next), ends: touched.is_replaced(), notes_use: !changed })
}

/// The session as it is to be saved.
fn next(keeper: &Keeper, touched: &Touched, values: &str, now: u64) -> Result<Record, Refusal> {
    if values.len() as u64 > keeper.max_size {
        let why = format!("it has {} bytes, and may have {} (max_size)", values.len(), keeper.max_size);
        return Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, why));
    }
    let version = touched.goes_on().map_or(1, |version| version + 1);
    Ok(Record { used: now, version, values: values.to_owned(), ..touched.record.clone() })
}

/// The cookie that the client needs, unless it has that already.
fn cookie(
    keeper: &Keeper,
    touched: &Touched,
    next: &Record,
    now: u64,
) -> Result<Option<HeaderValue>, Refusal> {
    let persistent = keeper.is_persistent(next.expiry);
    let was_persistent = keeper.is_persistent(touched.expiry);
    if touched.goes_on().is_some() && keeper.waits() && !persistent && !was_persistent {
        return Ok(None);
    }
    let seconds = persistent.then(|| keeper.lasts(next, now));
    keeper.cookie.set(&keeper.cookie_value(next), seconds).map(Some).map_err(|length| {
        let why = format!(
            "its cookie would have {length} bytes, and browsers keep 4096; keep less, or use a store"
        );
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, why)
    })
}

/// Changes what is kept, unless another request has done so in the meantime.
async fn swap(
    session: &OpenSession,
    touched: &Touched,
    plan: &Plan,
    tries: u32,
    until: Instant,
) -> Result<Swapped, StoreError> {
    let keeper = &session.keeper;
    let now = (keeper.clock)();
    match &keeper.backing {
        Backing::Cookie(recent) => {
            let swapped = touched.base.map(|base| recent.swap(base, plan.next.as_ref(), touched.ended, now));
            Ok(swapped.unwrap_or(Swapped::Yes))
        }
        Backing::Store(store) => {
            give_way(tries).await;
            let change = change(keeper, touched, plan, now);
            let (keeper, store, base) = (Arc::clone(keeper), Arc::clone(store), touched.base);
            let swapped = tokio::task::spawn_blocking(move || {
                if store.swap(&change, now, until)? {
                    return Ok(Swapped::Yes);
                }
                let Some(base) = base else { return Ok(Swapped::Gone) };
                let row = store.read(base.id.name(), now, until)?;
                let theirs = row.and_then(|row| keeper.opened_row(base.id, &row));
                Ok(theirs.map_or(Swapped::Gone, |theirs| Swapped::Behind(Box::new(theirs))))
            });
            swapped.await.unwrap_or_else(|error| Err(StoreError(error.to_string())))
        }
    }
}

/// Lets other requests go first, after a few tries.
async fn give_way(tries: u32) {
    if tries > 2 {
        let mut chance = [0];
        getrandom::fill(&mut chance).expect("the kernel has random bytes");
        let most = 1_u64 << tries.min(6);
        tokio::time::sleep(Duration::from_millis(u64::from(chance[0]) % most)).await;
    }
}

/// The plan, for a store.
fn change(keeper: &Keeper, touched: &Touched, plan: &Plan, now: u64) -> Change {
    let remove = touched.base.filter(|_| plan.ends).map(|base| {
        // Whoever logs out is logged out, whatever others have done to the session.
        Remove { name: base.id.name(), version: (!touched.ended).then_some(base.version) }
    });
    let put = plan.next.as_ref().map(|next| Put {
        name: next.id.name(),
        replaces: touched.goes_on(),
        version: next.version,
        sealed: keeper.row(next),
        lasts: Duration::from_secs(keeper.lasts(next, now)),
    });
    Change { remove, put }
}

/// An answer in the application's place, and the log line that says why.
fn refused(session: &OpenSession, Refusal(status, why): &Refusal) -> Response {
    session.tell(why);
    let text = match *status {
        StatusCode::CONFLICT => "Another request has changed the session meanwhile; try again\n",
        StatusCode::SERVICE_UNAVAILABLE => "The session can't be had at the moment; try again later\n",
        _ => "Internal Server Error\n",
    };
    let mut response = plain(*status, text);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// More requests than this do not change one session at once.
const MOST_TRIES: u32 = 100;
