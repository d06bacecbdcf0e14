//! A file that was found, in all its forms: as it is, and compressed beforehand.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use onion::{Body, FileRange};
use twox_hash::XxHash3_128;

use crate::accept::{Accepted, Coding};
use crate::conditions::Validators;

/// A file, ready to be sent.
pub(super) struct Found {
    /// As it is first, then compressed, best first.
    forms: Vec<Form>,
    /// Of answers without content: how long they may be kept, what the options give.
    pub(super) common: HeaderMap,
}

/// One representation of a file.
pub(super) struct Form {
    pub(super) coding: Coding,
    pub(super) length: u64,
    /// Of a whole answer.
    pub(super) headers: HeaderMap,
    pub(super) media_type: HeaderValue,
    pub(super) etag: String,
    modified: Option<SystemTime>,
    content: Content,
    stamp: Stamp,
    /// Whether it had not been touched for a while when it was read.
    settled: bool,
}

/// A form as it was opened, before it is read.
pub(super) struct Opened {
    pub(super) coding: Coding,
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

enum Content {
    Memory(Bytes),
    File(Arc<File>),
}

/// What changes when a file is changed, or another one is put in its place.
#[derive(PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Found {
    /// Reads the small ones among `opened`, and describes all of them. `headers` are those that its name gives it.
    pub(super) fn read(opened: Vec<Opened>, mut headers: HeaderMap, now: SystemTime) -> io::Result<Self> {
        let media_type = headers.remove(header::CONTENT_TYPE).expect("the policy gives every file a type");
        if opened.len() > 1 {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        let forms = opened.into_iter().map(|opened| Form::read(opened, &headers, &media_type, now));
        Ok(Found { forms: forms.collect::<Result<_, _>>()?, common: headers })
    }

    /// Whether `opened` is what it was made of. Of a file that had just been changed when it was read, nobody knows: a
    /// further change may have left the same times behind.
    pub(super) fn is_still(&self, opened: &[Opened]) -> bool {
        let same = |(form, opened): (&Form, &Opened)| {
            form.coding == opened.coding && form.settled && form.stamp == Stamp::of(&opened.metadata)
        };
        self.forms.len() == opened.len() && self.forms.iter().zip(opened).all(same)
    }

    /// The form that a client with these headers is to get.
    pub(super) fn choose(&self, headers: &HeaderMap) -> &Form {
        let [plain, compressed @ ..] = &*self.forms else {
            unreachable!("a file has itself as its first form")
        };
        if compressed.is_empty() {
            return plain;
        }
        let best = |coding: &Coding| compressed.iter().find(|form| form.coding == *coding);
        let mut offered = [Coding::Identity; 3];
        for (place, form) in offered.iter_mut().zip(compressed) {
            *place = form.coding;
        }
        // Whoever rules out everything gets the file as it is, rather than nothing (RFC 9110 section 12.5.3).
        Accepted::of(headers).best(&offered[..compressed.len()]).as_ref().and_then(best).unwrap_or(plain)
    }
}

impl Form {
    fn read(
        opened: Opened,
        common: &HeaderMap,
        media_type: &HeaderValue,
        now: SystemTime,
    ) -> io::Result<Self> {
        let Opened { coding, file, metadata } = opened;
        let stamp = Stamp::of(&metadata);
        let modified = metadata.modified().ok().filter(|modified| (UNIX_EPOCH..=now).contains(modified));
        let (content, length, etag) = match read_small(&file, stamp.length)? {
            Some(bytes) => (Content::Memory(bytes.clone()), bytes.len() as u64, tag_of_bytes(&bytes)),
            None => (Content::File(Arc::new(file)), stamp.length, stamp.tag(coding, modified, now)),
        };
        let mut headers = common.clone();
        let as_value = |text: &str| HeaderValue::try_from(text).expect("it is made of ASCII");
        headers.insert(header::CONTENT_TYPE, media_type.clone());
        headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(header::ETAG, as_value(&etag));
        if let Some(modified) = modified {
            headers.insert(header::LAST_MODIFIED, as_value(&httpdate::fmt_http_date(modified)));
        }
        if coding != Coding::Identity {
            headers.insert(header::CONTENT_ENCODING, coding.value());
        }
        let media_type = media_type.clone();
        let settled = stamp.is_settled(now);
        Ok(Form { coding, length, headers, media_type, etag, modified, content, stamp, settled })
    }

    /// What a request's conditions are compared with.
    pub(super) fn validators(&self) -> Validators<'_> {
        Validators { etag: Some(&self.etag), modified: self.modified }
    }

    /// The bytes from `start` to `end`.
    pub(super) fn body(&self, start: u64, end: u64) -> Body {
        match &self.content {
            Content::Memory(bytes) => bytes.slice(place(start)..place(end)).into(),
            Content::File(file) => {
                Body::file(FileRange { file: Arc::clone(file), offset: start, length: end - start })
            }
        }
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether it had not been touched for a while. No call sets this time, unlike that of the last change.
    fn is_settled(&self, now: SystemTime) -> bool {
        let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.changed.0 < since_1970.saturating_sub(SETTLING).as_secs().cast_signed()
    }

    /// The entity tag of a file that is too large to be read for it. It is weak as long as a further change could leave
    /// the same time behind (RFC 9110 section 8.8.1).
    fn tag(&self, coding: Coding, modified: Option<SystemTime>, now: SystemTime) -> String {
        let settled = modified.is_some_and(|modified| modified + SETTLING <= now);
        let weak = if settled { "" } else { "W/" };
        let (seconds, nanoseconds) = self.modified;
        let coding = if coding == Coding::Identity { "" } else { coding.name() };
        format!("{weak}\"{seconds:x}.{nanoseconds:x}-{:x}{coding}\"", self.length)
    }
}

/// The content of a file whose length was said to be small, unless it has grown since.
fn read_small(file: &File, length: u64) -> io::Result<Option<Bytes>> {
    if length > SMALL as u64 {
        return Ok(None);
    }
    let mut bytes = vec![0; SMALL + 1];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((filled <= SMALL).then(|| Bytes::copy_from_slice(&bytes[..filled])))
}

fn tag_of_bytes(bytes: &[u8]) -> String {
    format!("\"{:032x}\"", XxHash3_128::oneshot(bytes))
}

fn place(position: u64) -> usize {
    usize::try_from(position).expect("what is in memory is small")
}

/// Up to so many bytes are kept in memory and leave in one write with the head; more are sent by the kernel.
const SMALL: usize = 32 * 1024;

/// No file system's clock is coarser.
const SETTLING: Duration = Duration::from_secs(2);
