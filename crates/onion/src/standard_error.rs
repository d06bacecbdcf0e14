//! Standard error, written so that nobody is stopped by it: not when nobody reads it, not when it is broken or full.
//!
//! What is lost is counted, and told as soon as something can be told there.

use std::io::{self, Write, stderr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use crate::forked::logs_as_fork;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// As much is taken without waiting by a pipe that says that it can be written to (`PIPE_BUF` on Linux).
const LARGEST: usize = 4096;

/// How long somebody who reads standard error may take to make room, once.
const ROOM: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

static UNREAD: AtomicBool = AtomicBool::new(false);
static LOST: AtomicU64 = AtomicU64::new(0);

/// Writes to standard error, unless it takes nothing.
pub(crate) fn to_stderr(text: &[u8]) {
    if logs_as_fork() {
        // In one piece or not at all.
        let _ = rustix::io::write(rustix::stdio::stderr(), text);
        return;
    }
    let mut stderr = stderr().lock();
    let room = if UNREAD.load(Relaxed) { NOW } else { ROOM };
    if !is_ready(&stderr, &room) {
        UNREAD.store(true, Relaxed);
        return note_lost();
    }
    UNREAD.store(false, Relaxed);
    if tell_lost(&mut stderr).is_err() {
        return note_lost();
    }
    // In one piece, where there is room for all of it.
    for (place, block) in text.chunks(LARGEST).enumerate() {
        if place > 0 && !is_ready(&stderr, &room) {
            return;
        }
        if stderr.write_all(block).is_err() {
            return note_lost();
        }
    }
}

/// Counts a line that did not get to standard error, by whichever way.
pub fn note_lost() {
    LOST.fetch_add(1, Relaxed);
}

/// Somebody else could write to standard error: tells there what was lost before, if anything was.
pub fn stderr_works() {
    if LOST.load(Relaxed) > 0 && !logs_as_fork() {
        let mut stderr = stderr().lock();
        if is_ready(&stderr, &NOW) {
            // If it can't be told after all, it stays counted.
            let _ = tell_lost(&mut stderr);
        }
    }
}

fn tell_lost(stderr: &mut io::StderrLock<'_>) -> io::Result<()> {
    let lost = LOST.load(Relaxed);
    if lost > 0 {
        let told = format!("onionskin: standard error took nothing for a while: {lost} lines were lost\n");
        stderr.write_all(told.as_bytes())?;
        LOST.fetch_sub(lost, Relaxed);
    }
    Ok(())
}

fn is_ready(stderr: &io::StderrLock<'_>, room: &Timespec) -> bool {
    poll(&mut [PollFd::new(stderr, PollFlags::OUT)], Some(room)) != Ok(0)
}
