//! How many calls run at once, and who waits: the promises of `permits`, tick by tick.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use onion::Limit;
use server::Loaded;

use crate::permits::{Acquire, Crowded, Permit, Permits, Queue};

const PATIENT: Duration = Duration::from_secs(3600);

fn permits(threads: usize, most: usize, patience: Duration) -> Arc<Permits> {
    Permits::new(threads, Queue { most, patience })
}

fn poll(acquire: &mut Acquire) -> Poll<Result<Permit, Crowded>> {
    Pin::new(acquire).poll(&mut Context::from_waker(Waker::noop()))
}

fn granted(permits: &Arc<Permits>) -> Permit {
    match poll(&mut Arc::clone(permits).acquire(Vec::new())) {
        Poll::Ready(Ok(permit)) => permit,
        _ => panic!("a call may begin"),
    }
}

#[test]
fn a_call_begins_at_once_only_while_nothing_runs_or_waits() {
    let permits = permits(4, 10, PATIENT);
    let first = Arc::clone(&permits).begin_now(&[]).expect("nothing runs");
    assert!(Arc::clone(&permits).begin_now(&[]).is_err());
    drop(first);
    assert!(Arc::clone(&permits).begin_now(&[]).is_ok());
}

#[test]
fn a_second_call_begins_when_the_first_has_ended_or_has_grown_old() {
    let permits = permits(4, 10, PATIENT);
    let first = granted(&permits);
    let mut second = Arc::clone(&permits).acquire(Vec::new());
    assert!(poll(&mut second).is_pending());
    permits.tick();
    assert!(poll(&mut second).is_pending(), "it has not lived through a whole tick");
    permits.tick();
    let Poll::Ready(Ok(second)) = poll(&mut second) else { panic!("the first is old") };

    // One grew old while another waited: two may be young from now on.
    let third = granted(&permits);
    let mut fourth = Arc::clone(&permits).acquire(Vec::new());
    assert!(poll(&mut fourth).is_pending());
    drop(first);
    assert!(poll(&mut fourth).is_pending(), "the old one held nobody up");
    drop(second);
    assert!(poll(&mut fourth).is_ready());
    drop(third);
}

#[test]
fn calls_that_sleep_all_sleep_at_once_and_no_more_than_threads() {
    let permits = permits(8, 100, PATIENT);
    let mut waiting: Vec<_> = (0..20).map(|_| Arc::clone(&permits).acquire(Vec::new())).collect();
    let mut running = Vec::new();
    for _ in 0..20 {
        waiting.retain_mut(|acquire| match poll(acquire) {
            Poll::Ready(Ok(permit)) => {
                running.push(permit);
                false
            }
            _ => true,
        });
        permits.tick();
    }
    assert_eq!((running.len(), permits.load().calls, permits.load().waiting), (8, 8, 12));
    assert_eq!(permits.tick().blocked, 8);
}

#[test]
fn once_short_calls_come_again_they_run_one_by_one() {
    let permits = permits(8, 100, PATIENT);
    let slow = [granted(&permits), {
        permits.tick();
        permits.tick();
        granted(&permits)
    }];
    drop(slow);
    for _ in 0..5 {
        drop(granted(&permits));
        permits.tick();
    }
    let _only = granted(&permits);
    assert!(poll(&mut Arc::clone(&permits).acquire(Vec::new())).is_pending());
}

#[test]
fn the_queue_has_a_bound_once_every_thread_is_taken() {
    let permits = permits(1, 1, PATIENT);
    let running = granted(&permits);
    let mut queued = Arc::clone(&permits).acquire(Vec::new());
    assert!(poll(&mut queued).is_pending());
    assert!(matches!(poll(&mut Arc::clone(&permits).acquire(Vec::new())), Poll::Ready(Err(Crowded))));
    drop(running);
    assert!(matches!(poll(&mut queued), Poll::Ready(Ok(_))));
}

#[test]
fn while_threads_are_free_the_bound_does_not_count() {
    let permits = permits(4, 0, PATIENT);
    let _running = granted(&permits);
    assert!(poll(&mut Arc::clone(&permits).acquire(Vec::new())).is_pending());
}

#[test]
fn those_who_came_before_every_thread_was_taken_are_bounded_once_it_is() {
    let permits = permits(2, 2, PATIENT);
    let _running = granted(&permits);
    let mut waiting: Vec<_> = (0..6).map(|_| Arc::clone(&permits).acquire(Vec::new())).collect();
    assert!(waiting.iter_mut().all(|acquire| poll(acquire).is_pending()));
    permits.tick();
    assert_eq!(permits.load().waiting, 6, "a thread is free");
    permits.tick();
    let Poll::Ready(Ok(_second)) = poll(&mut waiting[0]) else { panic!("the first has grown old") };
    assert!(waiting[1..3].iter_mut().all(|acquire| poll(acquire).is_pending()));
    assert!(waiting[3..].iter_mut().all(|acquire| matches!(poll(acquire), Poll::Ready(Err(Crowded)))));
    assert_eq!((permits.load().waiting, permits.load().refused), (2, 3));
}

#[test]
fn nobody_waits_for_longer_than_it_may() {
    let permits = permits(1, 10, Duration::ZERO);
    let _running = granted(&permits);
    let mut queued = Arc::clone(&permits).acquire(Vec::new());
    assert!(poll(&mut queued).is_pending());
    permits.tick();
    assert!(matches!(poll(&mut queued), Poll::Ready(Err(Crowded))));
    assert_eq!(permits.load().waiting, 0);
}

#[test]
fn who_goes_away_leaves_its_place_and_its_permit_to_others() {
    let permits = permits(1, 10, PATIENT);
    let running = granted(&permits);
    let mut gone = Arc::clone(&permits).acquire(Vec::new());
    let mut granted_and_gone = Arc::clone(&permits).acquire(Vec::new());
    let mut last = Arc::clone(&permits).acquire(Vec::new());
    for acquire in [&mut gone, &mut granted_and_gone, &mut last] {
        assert!(poll(acquire).is_pending());
    }
    drop(gone);
    assert_eq!(permits.load().waiting, 2);
    drop(running);
    // Its permit is there, but it never asks for it.
    drop(granted_and_gone);
    assert!(matches!(poll(&mut last), Poll::Ready(Ok(_))));
    assert_eq!(permits.load().waiting, 0);
}

fn limit(name: &str, most: usize) -> Vec<Arc<Limit>> {
    vec![Arc::new(Limit { name: name.into(), most })]
}

/// Asks once for a call under `limits`.
fn asked(permits: &Arc<Permits>, limits: &[Arc<Limit>]) -> (Acquire, Poll<Result<Permit, Crowded>>) {
    let mut acquire = Arc::clone(permits).acquire(limits.to_vec());
    let polled = poll(&mut acquire);
    (acquire, polled)
}

#[test]
fn an_application_with_a_limit_holds_up_its_own_requests_only() {
    let permits = permits(4, 10, PATIENT);
    let slow = limit("slow", 1);
    let (_, Poll::Ready(Ok(first))) = asked(&permits, &slow) else { panic!("it is the first") };
    permits.tick();
    permits.tick();
    let (mut second, Poll::Pending) = asked(&permits, &slow) else { panic!("there is one already") };
    let neighbour = granted(&permits);
    let load = permits.load();
    assert_eq!((load.calls, load.waiting, load.limited), (2, 1, 1));
    let limits = permits.limits();
    assert_eq!((limits[0].name.as_str(), limits[0].calls, limits[0].waiting), ("slow", 1, 1));

    drop(neighbour);
    assert!(poll(&mut second).is_pending());
    drop(first);
    assert!(matches!(poll(&mut second), Poll::Ready(Ok(_))));
    assert_eq!(permits.limits()[0].calls, 0);
}

#[test]
fn the_bounds_of_the_queue_hold_for_an_application_with_a_limit() {
    let permits = permits(4, 1, Duration::ZERO);
    let slow = limit("slow", 1);
    let (_, Poll::Ready(Ok(_first))) = asked(&permits, &slow) else { panic!("it is the first") };
    let (mut second, Poll::Pending) = asked(&permits, &slow) else { panic!("there is one already") };
    let (_, Poll::Ready(Err(Crowded))) = asked(&permits, &slow) else { panic!("the queue is full") };
    permits.tick();
    assert!(matches!(poll(&mut second), Poll::Ready(Err(Crowded))), "it has waited for too long");
    let limits = permits.limits();
    assert_eq!((limits[0].refused, limits[0].expired, limits[0].waiting), (1, 1, 0));
    assert_eq!((permits.load().refused, permits.load().expired), (1, 1));
}

#[test]
fn an_application_with_many_waiting_requests_leaves_room_to_its_neighbours() {
    let permits = permits(4, 2, PATIENT);
    let (slow, other) = (limit("slow", 1), limit("other", 1));
    let (_, Poll::Ready(Ok(_first))) = asked(&permits, &slow) else { panic!("it is the first") };
    permits.tick();
    permits.tick();
    let (_, Poll::Ready(Ok(_second))) = asked(&permits, &other) else { panic!("it is the first") };
    let mut waiting: Vec<_> = (0..2).map(|_| asked(&permits, &slow)).collect();
    let (_other, Poll::Pending) = asked(&permits, &other) else { panic!("there is one already") };
    assert!(poll(&mut waiting[0].0).is_pending());
    assert!(matches!(poll(&mut waiting[1].0), Poll::Ready(Err(Crowded))), "its line is the longest");
}

#[test]
fn limits_within_limits_hold_both_and_are_given_back() {
    let permits = permits(4, 10, PATIENT);
    let (outer, inner) = (limit("outer", 2), limit("inner", 1));
    let both = [outer[0].clone(), inner[0].clone()];
    let (_, Poll::Ready(Ok(first))) = asked(&permits, &both) else { panic!("it is the first") };
    permits.tick();
    permits.tick();
    let (second, Poll::Pending) = asked(&permits, &both) else { panic!("the inner limit is reached") };
    let (mut third, Poll::Pending) = asked(&permits, &outer) else { panic!("so is the outer one") };
    drop(second);
    assert!(matches!(poll(&mut third), Poll::Ready(Ok(_))), "its place has been given up");
    drop(first);
    assert!(permits.limits().iter().all(|limit| (limit.calls, limit.waiting) == (0, 0)));
}
