//! What is put aside, and what becomes of it.

use super::*;
use crate::Body;

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn push(producer: &mut Producer, bytes: &[u8]) -> Poll<Result<(), Unwanted>> {
    producer.poll_push(&context(), &mut Bytes::copy_from_slice(bytes))
}

fn next(backlog: &mut Backlog) -> Option<Bytes> {
    match http_body::Body::poll_frame(Pin::new(backlog), &mut context()) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => None,
    }
}

#[tokio::test]
async fn blocks_come_out_in_their_order_by_memory_and_by_file() {
    let room = Room::new(100, 1000, 1000);
    let (mut producer, backlog) = backlog(&room);
    let written: Vec<u8> = (0..110).flat_map(|number: u8| [number; 10]).collect();
    let producing = async {
        for block in written.chunks(30) {
            producer.push(Bytes::copy_from_slice(block)).await.expect("it is wanted");
        }
        producer.end();
    };
    let (body, ()) = tokio::join!(Body::stream(backlog).into_bytes(10_000), producing);
    assert_eq!(body.expect("whole"), written);
    assert_eq!(room.shared.left.load(Relaxed), 1000);
}

#[test]
fn a_ring_is_filled_and_read_around_its_end() {
    let room = Room::new(0, 10, 100);
    let (mut producer, mut backlog) = backlog(&room);
    let mut rest = Bytes::from_static(b"0123456789abcdef");
    assert!(producer.poll_push(&context(), &mut rest).is_pending());
    assert_eq!(rest, "abcdef");
    assert_eq!(next(&mut backlog).as_deref(), Some(&b"0123456789"[..]));
    assert!(producer.poll_push(&context(), &mut rest).is_ready());
    lock(&backlog.0).start = 4;
    lock(&backlog.0).length = 2;
    assert!(push(&mut producer, b"ABCDEFGH").is_ready());
    assert_eq!(next(&mut backlog).as_deref(), Some(&b"efABCD"[..]));
    assert_eq!(next(&mut backlog).as_deref(), Some(&b"EFGH"[..]));
}

#[test]
fn who_is_too_far_ahead_waits() {
    let (mut producer, mut backlog) = backlog(&Room::new(10, 20, 100));
    assert!(push(&mut producer, &[b'm'; 10]).is_ready());
    assert!(push(&mut producer, &[b'f'; 20]).is_ready());
    assert!(push(&mut producer, b"more").is_pending());
    assert_eq!(next(&mut backlog).map(|block| block.len()), Some(10));
    assert!(push(&mut producer, b"more").is_pending());
    assert_eq!(next(&mut backlog).map(|block| block.len()), Some(20));
    assert!(push(&mut producer, b"more").is_ready());
}

#[test]
fn a_block_is_always_taken_when_there_is_nothing_else() {
    let room = Room::new(10, 1000, 0);
    let (mut producer, mut backlog) = backlog(&room);
    assert!(push(&mut producer, &[b'x'; 500]).is_ready());
    assert!(push(&mut producer, b"y").is_pending());
    assert_eq!(next(&mut backlog).map(|block| block.len()), Some(500));
    assert!(push(&mut producer, b"y").is_ready());
}

#[test]
fn what_one_has_in_files_others_cannot_have() {
    let room = Room::new(0, 100, 120);
    let (mut one, first) = backlog(&room);
    let (mut other, mut second) = backlog(&room);
    assert!(push(&mut one, &[1; 100]).is_ready());
    assert!(push(&mut other, &[2; 20]).is_ready());
    assert!(push(&mut other, &[2; 1]).is_pending());
    drop((one, first));
    assert!(push(&mut other, &[2; 1]).is_ready());
    assert_eq!(next(&mut second).map(|block| block.len()), Some(21));
}

#[tokio::test]
async fn a_failure_comes_after_the_blocks_before_it() {
    let (mut producer, backlog) = backlog(&Room::new(100, 0, 0));
    producer.push("begun".into()).await.expect("it is wanted");
    drop(producer);
    let mut body = Body::stream(backlog);
    assert_eq!(body.next_block().await.expect("a block").expect("whole"), "begun");
    assert!(matches!(body.next_block().await, Some(Err(BodyError::Producer(_)))));
}

#[test]
fn a_producer_that_nobody_wants_is_told() {
    let (mut producer, taker) = backlog(&Room::new(100, 0, 0));
    drop(taker);
    assert_eq!(push(&mut producer, b"x"), Poll::Ready(Err(Unwanted)));
}
