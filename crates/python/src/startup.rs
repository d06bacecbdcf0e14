//! Gives back what only the start needed: the pages of our code that read options, schemas and files.
//!
//! They are a third of the extension's own, and an idle server would keep them for as long as it runs. What is needed
//! again is mapped again, from the kernel's cache of the file.

/// Unmaps the pages of our code. To be called once all is read, before the first request.
#[cfg(target_os = "linux")]
pub(crate) fn forget() {
    use rustix::mm::{Advice, madvise};

    let here = forget as *const () as usize;
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else { return };
    let Some((start, end)) = maps.lines().find_map(|line| code_around(line, here)) else { return };
    // SAFETY: this is our own code, mapped from a file, private and never written to: pages that are dropped come back
    // from the file as they were, whoever runs there meanwhile.
    let dropped = unsafe { madvise(start as *mut _, end - start, Advice::LinuxDontNeed) };
    // If the kernel doesn't, we are merely larger.
    let _ = dropped;
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn forget() {}

/// The mapping of code that a line of `/proc/self/maps` tells of, if `address` is in it.
#[cfg(target_os = "linux")]
fn code_around(line: &str, address: usize) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
    (fields.next()? == "r-xp" && (start..end).contains(&address)).then_some((start, end))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_cannot_be_written_to_is_ours_to_drop() {
        let line = |mode: &str| format!("1000-3000 {mode} 00001000 fe:00 42    /site-packages/_core.so");
        assert_eq!(code_around(&line("r-xp"), 0x2000), Some((0x1000, 0x3000)));
        assert_eq!(code_around(&line("r-xp"), 0x3000), None);
        assert_eq!(code_around(&line("rwxp"), 0x2000), None);
        assert_eq!(code_around("", 0), None);
    }
}
