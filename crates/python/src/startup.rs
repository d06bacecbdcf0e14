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

    use crate::mappings::clean;

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
}
