//! `Balance`: passes requests on to one of several servers.
//!
//! ```
//! let balance = layers::declaration("balance")?;
//! let options = [("targets", "http://10.0.0.1:9000,http://10.0.0.2:9000"), ("health_path", "/healthz")];
//! let built = layers::build(balance, layers::from_text(balance, options)?)?;
//! # Ok::<(), onion::OptionError>(())
//! ```
//!
//! Promises: all of [`proxy`](crate::proxy)'s, for each target; a target that fails is left alone for a while; a request
//! is tried elsewhere only where that can do no harm, and only a share of all requests is.
//!
//! It does not start or stop targets, and it does not tell its fellows in other processes what it knows of them.

mod budget;
mod health;
mod member;
mod options;
mod policy;
mod sticky;

use std::sync::Arc;
use std::time::Instant;

use http::header::SET_COOKIE;
use http::request::Parts;
use onion::{Context, Declaration, End, Layer, Next, OptionError, Phase, Request, Response};
use serde_json::{Map, Value};

use crate::proxy::failure::{Failure, Of};
use crate::proxy::link::Due;
use crate::proxy::options::{Forwarding, schema, take};
use crate::proxy::request_head::RequestHeads;
use crate::proxy::target::Target;
use crate::proxy::upstream::{Answer, Upstream};
use crate::proxy::{leave_with_client, refusal, respond};
use budget::Budget;
use health::Health;
use member::{Busy, Member};
use options::Options;
use policy::{Chooser, Key};
use sticky::CookieForm;

pub(crate) const DECLARATION: Declaration = Declaration {
    name: "balance",
    class: "Balance",
    summary: "Passes requests on to one of several servers.",
    phase: Phase::Dispatch,
    positional: Some("targets"),
    stands_alone: true,
    schema: || schema(Declaration::schema_of::<Options>()),
    build: |given| Ok(Arc::new(Balance::new(given)?)),
};

struct Balance {
    heads: Arc<RequestHeads>,
    forwarding: Arc<Forwarding>,
    members: Vec<Arc<Member>>,
    chooser: Chooser,
    sticky: Option<CookieForm>,
    health: Option<Health>,
    tries: usize,
    budget: Budget,
}

impl Balance {
    fn new(mut given: Map<String, Value>) -> Result<Self, OptionError> {
        let forwarding = Arc::new(take(&mut given)?);
        let options: Options = onion::reading::read(given)?;
        if options.targets.is_empty() {
            return Err(OptionError("targets: the list is empty; give one target at least".to_owned()));
        }
        let sticky = CookieForm::new(&options)?;
        let heads = Arc::new(RequestHeads::new(&forwarding)?);
        let mut members = Vec::new();
        for (index, text) in options.targets.iter().enumerate() {
            let refused = |why| OptionError(format!("targets[{index}]: {why}"));
            let target = Target::parse(text).map_err(refused)?;
            let upstream = Arc::new(Upstream::new(target, &forwarding, &heads)?);
            let (fails, time) = (options.max_fails, options.fail_time.0);
            members.push(Arc::new(Member::new(upstream, sticky::mark(text), fails, time)));
        }
        let health =
            options.health_path.map(|path| Health::new(&path, options.health_every.0)).transpose()?;
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).expect("the kernel has random bytes");
        Ok(Balance {
            heads,
            forwarding,
            members,
            chooser: Chooser::new(options.policy, Key::parse(&options.hash_by)?, u64::from_ne_bytes(seed)),
            sticky,
            health,
            tries: options.tries.max(1).into(),
            budget: Budget::new(options.retry_budget.min(100)),
        })
    }

    /// The member that the client stays with, if it has one that is well.
    fn kept(&self, parts: &Parts) -> Option<usize> {
        let mark = sticky::find(&parts.headers, &self.sticky.as_ref()?.name)?;
        let index = self.members.iter().position(|member| member.mark == mark)?;
        self.members[index].is_well(Instant::now()).then_some(index)
    }

    /// The response, with all that has to be seen to at its end.
    fn respond(&self, answer: Answer, busy: Busy, member: &Arc<Member>, parts: &Parts, due: Due) -> Response {
        let mut response = respond(answer, &member.upstream, &self.heads, parts, due);
        let failing = Arc::clone(member);
        response.body_mut().on_end(move |end| {
            if end == End::Failed {
                failing.fail(Instant::now());
            }
            drop(busy);
        });
        if let Some(sticky) = &self.sticky
            && sticky::find(&parts.headers, &sticky.name) != Some(&*member.mark)
        {
            let context = parts.extensions.get::<Context>();
            let scheme = context.map(|context| context.connection.scheme).unwrap_or_default();
            let cookie = sticky.cookie(&member.mark, scheme);
            response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
        }
        response
    }

    /// Whether there is a further target, and a retry is in the budget.
    fn may_retry(&self, failure: &Failure, tried: usize) -> bool {
        failure.is_of_the_target()
            && !matches!(failure, Failure::TotalTimedOut(_))
            && tried < self.tries.min(self.members.len())
            && self.budget.pay()
    }
}

impl Layer for Balance {
    fn call<'a>(&'a self, request: Request, _: Next<'a>) -> onion::Answer<'a> {
        Box::pin(async move {
            if let Some(refusal) = refusal(&request, &self.heads, &self.forwarding) {
                return refusal;
            }
            if let Some(health) = &self.health {
                health.begin(&self.members);
            }
            self.budget.gain();
            let mut due = Due::new(self.forwarding.total_timeout.map(|span| span.0));
            let (parts, body) = request.into_parts();
            leave_with_client(&parts);
            let mut body = Some(body);
            let mut tried = Vec::new();
            let mut next = self.kept(&parts).or_else(|| self.chooser.choose(&self.members, &tried, &parts));
            loop {
                let index =
                    next.expect("there is a member that was not tried, as long as it may be tried again");
                let member = &self.members[index];
                let busy = member.begin();
                let failure = match member.upstream.exchange(&parts, &mut body, &mut due).await {
                    Ok(answer) => return self.respond(answer, busy, member, &parts, due),
                    Err(failure) => failure,
                };
                if failure.is_of_the_target() {
                    member.fail(Instant::now());
                }
                tried.push(index);
                // Without its body, too much of the request is gone to send it again.
                if body.is_none() || !self.may_retry(&failure, tried.len()) {
                    return failure.answer(&Of::request(&parts), member.upstream.name());
                }
                Of::request(&parts).tell(
                    member.upstream.name(),
                    &format_args!("{failure}; another is tried"),
                    None,
                );
                next = self.chooser.choose(&self.members, &tried, &parts);
            }
        })
    }

    fn needs_runtime(&self) -> bool {
        true
    }
}
