//! A response on a stream that is made faster than its client takes it: the application runs on to its end.
//!
//! The same as on HTTP/1 ([`aside`](crate::aside)), turned round: there another task sends, here the stream's own future
//! goes to another task, since hyper asks for no block before the client takes it.

use std::mem;

use onion::{Body, Producer, Room, backlog};

use super::stream::Stream;

/// An application's open iterable, and where its blocks go.
pub(super) struct Pump {
    body: Body,
    producer: Producer,
}

impl Pump {
    /// Takes the stream's body, and leaves in its place what the pump gives. For whoever runs on the thread that the body
    /// is bound to.
    pub(super) fn new(stream: &Stream, room: &Room) -> Self {
        let (producer, backlog) = backlog(room);
        let body = mem::replace(&mut *stream.body(), Body::stream(backlog));
        Pump { body, producer }
    }

    /// Takes all blocks, unless nobody wants them any more; waits when the client is too far behind.
    pub(super) async fn run(mut self) {
        while let Some(block) = self.body.next_block().await {
            match block {
                Ok(block) => {
                    if self.producer.push(block).await.is_err() {
                        return;
                    }
                }
                Err(error) => return self.producer.fail(error),
            }
        }
        self.producer.end();
    }
}
