//! `wsgi.errors` where the server has an error log of its own: what is written to it goes there.
//!
//! A line goes there in one piece, when it is whole or when it is flushed. Several threads may write: each has a line
//! of its own.

use std::cell::RefCell;

use pyo3::prelude::*;

/// The stream (PEP 3333, "Input and Error Streams").
#[pyclass(name = "ErrorStream", frozen, module = "onionskin._core")]
pub(crate) struct ErrorStream;

thread_local! {
    /// What was written of a line that is not whole yet.
    static BEGUN: RefCell<String> = const { RefCell::new(String::new()) };
}

/// No line is kept back that is longer.
const LONGEST: usize = 64 * 1024;

#[pymethods]
impl ErrorStream {
    /// Writes text. Returns how many characters that were.
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn write(&self, text: &str) -> usize {
        BEGUN.with_borrow_mut(|begun| {
            begun.push_str(text);
            let whole =
                if begun.len() > LONGEST { begun.len() } else { begun.rfind('\n').map_or(0, |end| end + 1) };
            if whole > 0 {
                pass_on(&begun[..whole]);
                begun.drain(..whole);
            }
        });
        text.chars().count()
    }

    /// Writes one text after the other.
    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            let line = line?;
            self.write(line.extract()?);
        }
        Ok(())
    }

    /// Has what was written of a line go on its way.
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn flush(&self) {
        BEGUN.with_borrow_mut(|begun| {
            if !begun.is_empty() {
                pass_on(begun);
                begun.clear();
            }
        });
    }

    /// It is no file.
    #[expect(clippy::unused_self, reason = "Python calls it on the stream")]
    fn isatty(&self) -> bool {
        false
    }
}

fn pass_on(lines: &str) {
    if lines.ends_with('\n') {
        onion::pass_on(lines);
    } else {
        onion::pass_on(&format!("{lines}\n"));
    }
}
