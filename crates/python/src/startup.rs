//! Gives back what only the start needed: the pages of our code and constants that read options, schemas and files, and
//! the memory that was freed since.
//!
//! They are half of what an idle server would keep for as long as it runs. What is needed again is mapped again, from
//! the kernel's cache of the file.

/// Gives it back. To be called once all is read, before the first request.
pub(crate) fn forget() {
    #[cfg(target_os = "linux")]
    linux::unmap_ourselves();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    linux::trim_heap();
}

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    use rustix::mm::{Advice, madvise};

    /// Unmaps the pages of our shared object that are as they are in the file.
    pub(super) fn unmap_ourselves() {
        let Ok(mappings) = fs::read_to_string("/proc/self/smaps") else { return };
        for (start, end) in clean(&mappings, unmap_ourselves as *const () as usize) {
            // SAFETY: this is our own code and what belongs to it, mapped from a file, private, not writable and never
            // written to: pages that are dropped come back from the file as they were, whoever uses them meanwhile.
            let dropped = unsafe { madvise(start as *mut _, end - start, Advice::LinuxDontNeed) };
            // If the kernel doesn't, we are merely larger.
            let _ = dropped;
        }
    }

    /// Has the allocator give free pages back, between others too: reading a configuration leaves many.
    #[cfg(target_env = "gnu")]
    pub(super) fn trim_heap() {
        // SAFETY: as glibc declares it in <malloc.h>.
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: glibc's own function, which takes the locks that it needs.
        unsafe { malloc_trim(0) };
    }

    /// Of what `/proc/self/smaps` tells, the mappings of the file whose code is at `address`: those that nobody can
    /// write to, and nobody has written to before (as the dynamic linker does to some).
    fn clean(mappings: &str, address: usize) -> Vec<(usize, usize)> {
        let mut parts: Vec<Mapping<'_>> = Vec::new();
        for line in mappings.lines() {
            if let Some(mapping) = Mapping::read(line) {
                parts.push(mapping);
            } else if line.starts_with("Anonymous:")
                && let Some(last) = parts.last_mut()
            {
                last.is_clean = line.split_ascii_whitespace().nth(1) == Some("0");
            }
        }
        let ours = parts.iter().find(|mapping| (mapping.start..mapping.end).contains(&address));
        let Some(file) = ours.and_then(|mapping| mapping.file) else { return Vec::new() };
        let droppable = parts.iter().filter(|mapping| mapping.file == Some(file) && mapping.is_clean);
        let droppable = droppable.filter(|mapping| matches!(mapping.mode, "r-xp" | "r--p"));
        droppable.map(|mapping| (mapping.start, mapping.end)).collect()
    }

    struct Mapping<'a> {
        start: usize,
        end: usize,
        mode: &'a str,
        file: Option<&'a str>,
        is_clean: bool,
    }

    impl<'a> Mapping<'a> {
        /// The first line of a mapping; the others tell more of it.
        fn read(line: &'a str) -> Option<Self> {
            let mut fields = line.split_ascii_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
            let mode = fields.next()?;
            Some(Mapping { start, end, mode, file: fields.nth(3), is_clean: false })
        }
    }
}
