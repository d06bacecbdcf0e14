//! What `/proc/self/smaps` tells of the mappings of this process.

/// Of what `/proc/self/smaps` tells, the mappings of the file whose code is at `address`: those that nobody can
/// write to, and nobody has written to before (as the dynamic linker does to some).
pub(crate) fn clean(mappings: &str, address: usize) -> Vec<(usize, usize)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0c0000000-55d0c0001000 r-xp 00000000 fd:00 131 /usr/bin/python3
Rss:                   4 kB
Anonymous:             0 kB
7f0000000000-7f0000100000 r--p 00000000 fd:00 262 /site/_core.abi3.so
Size:               1024 kB
Rss:                 512 kB
Anonymous:             0 kB
VmFlags: rd mr mw me
7f0000100000-7f0000900000 r-xp 00100000 fd:00 262 /site/_core.abi3.so
Rss:                4096 kB
Anonymous:             0 kB
7f0000900000-7f0000980000 r--p 00900000 fd:00 262 /site/_core.abi3.so
Anonymous:            16 kB
7f0000980000-7f0000990000 rw-p 00980000 fd:00 262 /site/_core.abi3.so
Anonymous:             0 kB
7f0000990000-7f00009a0000 rw-p 00000000 00:00 0
Anonymous:            64 kB
7f00009a0000-7f00009b0000 r--p 00000000 fd:00 300 /site/other.so
Anonymous:             0 kB
";

    #[test]
    fn what_is_as_in_the_file_and_not_writable_is_clean() {
        let found = clean(SMAPS, 0x7f00_0012_3456);
        assert_eq!(found, [(0x7f00_0000_0000, 0x7f00_0010_0000), (0x7f00_0010_0000, 0x7f00_0090_0000)]);
    }

    #[test]
    fn an_address_in_no_file_has_nothing_to_give_back() {
        assert_eq!(clean(SMAPS, 0x7f00_0099_1000), []);
        assert_eq!(clean(SMAPS, 0x1000), []);
        assert_eq!(clean("", 0x1000), []);
    }
}
