//! What becomes of a session when the head is about to go out.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use onion::body::Kind;
use onion::{Response, plain};

use super::cookies::keep_private;
use super::keeper::{Backing, Keeper};
use super::open::{OpenSession, Touched};
use super::recent::Swapped;
use super::record::{EMPTY, Record};
use super::store::{Change, Put, Remove, StoreError};
use super::{OnConflict, OnStoreError};

/// Saves `session` if that is needed, and gives the response with what the client has to know of it.
pub(super) async fn save(session: Arc<OpenSession>, mut response: Response) -> Response {
    let Some((touched, contents)) = session.leave() else { return response };
    let values = match &contents {
        Some(contents) => contents.json(),
        None => Ok(touched.record.values.clone()),
    };
    let planned = match &values {
        Ok(values) => plan(&session, &touched, values, response.status()),
        Err(why) => Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, format!("it can't be saved: {why}"))),
    };
    let done = match planned {
        Ok(plan) => carry_out(&session, &touched, plan).await,
        Err(refusal) => Err(refusal),
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
    let changed = values != touched.record.values || touched.is_replaced();
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
    if values == EMPTY || is_fault {
        // A session that has no values is none.
        let cookie = touched.came.then(|| keeper.cookie.clear());
        return Ok(Plan { cookie, ends: touched.base.is_some(), ..Plan::default() });
    }
    let now = (keeper.clock)();
    if !changed && !keeper.is_stale(&touched.record, now) {
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
    if touched.goes_on().is_some() && keeper.waits() && !keeper.cookie.persistent() {
        return Ok(None);
    }
    keeper.cookie.set(&keeper.cookie_value(next), keeper.lasts(next, now)).map(Some).map_err(|length| {
        let why = format!(
            "its cookie would have {length} bytes, and browsers keep 4096; keep less, or use a store"
        );
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, why)
    })
}

/// Does it, and gives the cookie that belongs to it: none if it could not be done and the response goes out anyway.
async fn carry_out(
    session: &OpenSession,
    touched: &Touched,
    plan: Plan,
) -> Result<Option<HeaderValue>, Refusal> {
    if plan.next.is_none() && !plan.ends {
        return Ok(plan.cookie);
    }
    let keeper = &session.keeper;
    let why = match swap(session, touched, &plan).await {
        Ok(true) => return Ok(plan.cookie),
        // Somebody else has noted its use, or more.
        Ok(false) if plan.notes_use => return Ok(None),
        Ok(false) => {
            let why = "another request has changed it meanwhile; the changes of this one are lost".to_owned();
            if keeper.on_conflict == OnConflict::Refuse {
                return Err(Refusal(StatusCode::CONFLICT, why));
            }
            why
        }
        Err(error) => {
            let why = format!("the store can't be written: {error}");
            // A session that should be over must not live on while everybody thinks that it is.
            if keeper.on_store_error == OnStoreError::Refuse || plan.ends {
                return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, why));
            }
            why
        }
    };
    session.tell(&why);
    Ok(None)
}

/// Changes what is kept, unless somebody else has done so in the meantime.
async fn swap(session: &OpenSession, touched: &Touched, plan: &Plan) -> Result<bool, StoreError> {
    let keeper = &session.keeper;
    let now = (keeper.clock)();
    match &keeper.backing {
        Backing::Cookie(recent) => {
            let next = plan.next.as_ref().map(|next| (next.id, next.version));
            let swapped = touched.base.map_or(Swapped::Yes, |base| recent.swap(base, next, now));
            if swapped == Swapped::FromOld && plan.notes_use {
                return Ok(false);
            }
            if swapped == Swapped::FromOld {
                session.tell("it is saved from an older cookie than the last one; what came between is lost");
            }
            Ok(swapped != Swapped::No)
        }
        Backing::Store(store) => {
            let (store, change) = (Arc::clone(store), change(keeper, touched, plan, now));
            let swapped = tokio::task::spawn_blocking(move || store.swap(&change, now)).await;
            swapped.unwrap_or_else(|error| Err(StoreError(error.to_string())))
        }
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
