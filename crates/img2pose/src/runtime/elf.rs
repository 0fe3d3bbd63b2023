//! Whether a file can be a shared library of this machine, before the system's loader maps it: the loader believes what the
//! file says of its own length, and reading behind the end of a truncated one ends the process with SIGBUS.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Size of the header of a 64-bit ELF file, and of an entry of its table of segments.
const HEADER: usize = 64;
const SEGMENT: usize = 56;
/// Kinds of segments: one that is mapped, and the table that tells the loader where everything else is.
const LOAD: u32 = 1;
const DYNAMIC: u32 = 2;
/// Kind of a file that is a shared library.
const SHARED: u16 = 3;

/// An entry of the dynamic table: a tag and a number. The table ends with the tag 0.
const ENTRY: usize = 16;
/// Entries of a table that are believed; ONNX Runtime's have some thirty.
const MOST_ENTRIES: u64 = 4096;
/// Tags whose number is a place among the names: libraries that are needed, the library's own name, where to look (twice).
const NAMES: [u64; 4] = [1, 14, 15, 29];
/// Tags of the names, of their length in bytes, and of the symbols.
const STRINGS: u64 = 5;
const STRINGS_LEN: u64 = 10;
const SYMBOLS: u64 = 6;
/// Tags whose number is an address, with the tag of that part's length in bytes, if there is one: names, symbols, both kinds
/// of hash tables, relocations (three tables), functions to call at the start and the end, versions.
const ADDRESSES: [(u64, Option<u64>); 14] = [
    (STRINGS, Some(STRINGS_LEN)),
    (SYMBOLS, None),
    (4, None),
    (0x6fff_fef5, None),
    (7, Some(8)),
    (17, Some(18)),
    (23, Some(2)),
    (12, None),
    (13, None),
    (25, Some(27)),
    (26, Some(28)),
    (0x6fff_fff0, None),
    (0x6fff_fffc, None),
    (0x6fff_fffe, None),
];

/// Number and name of the processors that libraries are made for, as ELF has them.
const MACHINES: [(u16, &str); 10] = [
    (3, "x86"),
    (8, "mips"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (43, "sparc64"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (258, "loongarch64"),
];

/// Checks the file at `path`: that it is a shared library for this kind of processor, and as long as it says.
///
/// # Errors
/// A text that says what was found and what was expected.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => format!("it cannot be read: {error}"),
    })?;
    if metadata.is_dir() {
        return Err("it is a folder, expected the library file in it".to_owned());
    }
    if !metadata.is_file() {
        return Err("it is a device or a pipe, expected a library file".to_owned());
    }
    let file = File::open(path).map_err(|error| format!("it cannot be read: {error}"))?;
    check_content(&file, metadata.len())
}

fn check_content(file: &File, len: u64) -> Result<(), String> {
    let unread = |error: std::io::Error| format!("it cannot be read: {error}");
    let mut start = Vec::with_capacity(HEADER);
    file.take(HEADER as u64).read_to_end(&mut start).map_err(unread)?;
    let Some(header) = start.first_chunk::<HEADER>() else {
        return Err(format!(
            "it cannot be loaded: file too short, {len} bytes, expected a shared library"
        ));
    };
    let header = Fields(header);
    if !header.0.starts_with(b"\x7fELF") {
        return Err("it cannot be loaded: invalid ELF header, expected a shared library".to_owned());
    }
    check_machine(&header)?;
    // Segments as they are described in the header: where their table begins, and how many there are.
    let (table, size, count) = (header.u64(32), header.u16(54), header.u16(56));
    if usize::from(size) != SEGMENT || count == 0 {
        return Err("it cannot be loaded: invalid ELF header, it has no segments".to_owned());
    }
    let sections = header
        .u64(40)
        .saturating_add(u64::from(header.u16(58)) * u64::from(header.u16(60)));
    let mut needed = sections.max(table.saturating_add(u64::from(size) * u64::from(count)));
    let mut segments = vec![0; SEGMENT * usize::from(count)];
    if needed <= len {
        file.read_exact_at(&mut segments, table).map_err(unread)?;
        for segment in loaded(&segments) {
            needed = needed.max(segment.offset.saturating_add(segment.bytes));
        }
    }
    if needed > len {
        return Err(format!(
            "it is truncated: {len} bytes, its headers speak of {needed}; install or copy it again"
        ));
    }
    check_dynamic(file, &segments)
        .map_err(|what| format!("it is damaged: its dynamic table {what}; install or copy it again"))
}

/// Where a segment is in the file, and where it comes to lie.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    bytes: u64,
    memory: u64,
}

fn segments(table: &[u8]) -> impl Iterator<Item = Segment> {
    table.as_chunks::<SEGMENT>().0.iter().map(|entry| {
        let entry = Fields(entry);
        Segment {
            kind: entry.u32(0),
            offset: entry.u64(8),
            address: entry.u64(16),
            bytes: entry.u64(32),
            memory: entry.u64(40),
        }
    })
}

fn loaded(table: &[u8]) -> impl Iterator<Item = Segment> {
    segments(table).filter(|segment| segment.kind == LOAD)
}

/// Checks that the dynamic table, and every part that it points to, lies in what is mapped; the loader follows the addresses
/// without a look.
fn check_dynamic(file: &File, table: &[u8]) -> Result<(), String> {
    let mapped = |address: u64, len: u64| {
        loaded(table).any(|segment| {
            let Some(start) = address.checked_sub(segment.address) else {
                return false;
            };
            start < segment.memory && len <= segment.memory - start
        })
    };
    let dynamic = segments(table)
        .find(|segment| segment.kind == DYNAMIC)
        .ok_or("is missing")?;
    let from_file = loaded(table).any(|segment| {
        let start = dynamic.offset.checked_sub(segment.offset);
        start.is_some_and(|start| {
            segment.address.checked_add(start) == Some(dynamic.address)
                && start
                    .checked_add(dynamic.bytes)
                    .is_some_and(|end| end <= segment.bytes)
        })
    });
    let count = dynamic.bytes / ENTRY as u64;
    if !from_file || count > MOST_ENTRIES {
        return Err("lies outside of what is mapped".to_owned());
    }
    let mut bytes = vec![0; count as usize * ENTRY];
    file.read_exact_at(&mut bytes, dynamic.offset)
        .map_err(|error| format!("cannot be read: {error}"))?;
    let entries: Vec<_> = bytes
        .as_chunks::<ENTRY>()
        .0
        .iter()
        .map(|entry| (Fields(entry).u64(0), Fields(entry).u64(8)))
        .take_while(|&(tag, _)| tag != 0)
        .collect();
    if entries.len() == bytes.len() / ENTRY {
        return Err("has no end".to_owned());
    }
    let number = |tag| entries.iter().find(|entry| entry.0 == tag).map(|entry| entry.1);
    for required in [STRINGS, STRINGS_LEN, SYMBOLS] {
        number(required).ok_or("names no symbols")?;
    }
    let names = entries.iter().filter(|entry| NAMES.contains(&entry.0));
    if let Some((tag, place)) = names
        .into_iter()
        .find(|entry| number(STRINGS_LEN) <= Some(entry.1))
    {
        return Err(format!(
            "has a name outside of its names (tag {tag}, place {place})"
        ));
    }
    for (tag, len_tag) in ADDRESSES {
        let Some(address) = number(tag) else { continue };
        let len = len_tag.and_then(number).unwrap_or(1);
        if len > 0 && !mapped(address, len) {
            return Err(format!(
                "points outside of what is mapped (tag {tag}, address {address:#x})"
            ));
        }
    }
    Ok(())
}

fn check_machine(header: &Fields<'_, HEADER>) -> Result<(), String> {
    let (bits, order) = (header.0[4], header.0[5]);
    let own_bits = if cfg!(target_pointer_width = "64") { 2 } else { 1 };
    let own_order = if cfg!(target_endian = "little") { 1 } else { 2 };
    let number = u16::from_le_bytes([header.0[18], header.0[19]]);
    let number = if order == 2 { number.swap_bytes() } else { number };
    let own = MACHINES.iter().find(|(_, name)| *name == std::env::consts::ARCH);
    let is_own = own.is_none_or(|(own, _)| *own == number);
    if bits != own_bits || order != own_order || !is_own {
        let known = MACHINES.iter().find(|(known, _)| *known == number);
        let found = known.map_or_else(|| format!("machine {number}"), |(_, name)| (*name).to_owned());
        return Err(format!(
            "it cannot be loaded: it is for another kind of processor, {found} in {} bits, this one is {} in {}",
            if bits == 1 { 32 } else { 64 },
            std::env::consts::ARCH,
            usize::BITS
        ));
    }
    if header.u16(16) != SHARED {
        return Err("it cannot be loaded: it is an ELF file, but no shared library".to_owned());
    }
    Ok(())
}

/// Numbers at their places in a part of the file. Those of 64-bit files of this machine's byte order; 32-bit machines are not
/// looked at further than that.
struct Fields<'b, const N: usize>(&'b [u8; N]);

impl<const N: usize> Fields<'_, N> {
    fn at<const M: usize>(&self, place: usize) -> [u8; M] {
        std::array::from_fn(|index| self.0[place + index])
    }

    fn u16(&self, place: usize) -> u16 {
        u16::from_ne_bytes(self.at(place))
    }

    fn u32(&self, place: usize) -> u32 {
        u32::from_ne_bytes(self.at(place))
    }

    fn u64(&self, place: usize) -> u64 {
        u64::from_ne_bytes(self.at(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program that runs, as a library is built.
    fn own_program() -> Vec<u8> {
        let mut bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        bytes[16] = SHARED as u8;
        bytes
    }

    fn check_bytes(name: &str, bytes: &[u8]) -> Result<(), String> {
        let path = std::env::temp_dir().join(format!("img2pose-elf-{name}-{}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let checked = check(&path);
        std::fs::remove_file(&path).unwrap();
        checked
    }

    #[test]
    fn a_whole_file_passes_and_no_part_of_it_does() {
        let whole = own_program();
        assert_eq!(check_bytes("whole", &whole), Ok(()));
        for len in [64, 100, 4096, whole.len() / 2, whole.len() - 1] {
            let text = check_bytes("part", &whole[..len]).unwrap_err();
            assert!(text.contains(&format!("truncated: {len} bytes")), "{text}");
        }
        for len in [0, 1, 63] {
            let text = check_bytes("stub", &whole[..len]).unwrap_err();
            assert!(text.contains(&format!("file too short, {len} bytes")), "{text}");
        }
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let changed = |place: usize, bytes: &[u8]| {
            let mut whole = own_program();
            whole[place..place + bytes.len()].copy_from_slice(bytes);
            check_bytes("lie", &whole).unwrap_err()
        };
        assert!(changed(0, b"text").contains("invalid ELF header"));
        assert!(changed(4, &[1]).contains("32 bits"));
        assert!(changed(5, &[2]).contains("another kind of processor"));
        assert!(changed(18, &22_u16.to_le_bytes()).contains("s390x"));
        assert!(changed(18, &9999_u16.to_le_bytes()).contains("machine 9999"));
        assert!(changed(16, &[2]).contains("no shared library"));
        assert!(changed(32, &u64::MAX.to_le_bytes()).contains("truncated"));
        assert!(changed(40, &u64::MAX.to_le_bytes()).contains("truncated"));
        assert!(changed(54, &[0, 0]).contains("no segments"));
        assert!(changed(56, &[0, 0]).contains("no segments"));
    }

    /// The damaged library is as long as it should be, and the loader would follow its addresses.
    #[test]
    fn a_dynamic_table_that_points_anywhere_is_refused() {
        let whole = own_program();
        let header = Fields(whole.first_chunk::<HEADER>().unwrap());
        let (table, count) = (header.u64(32) as usize, usize::from(header.u16(56)));
        let described = |index: usize| table + index * SEGMENT;
        let dynamic = (0..count).find(|&index| {
            let entry = whole[described(index)..].first_chunk::<SEGMENT>().unwrap();
            Fields(entry).u32(0) == DYNAMIC
        });
        let dynamic = described(dynamic.unwrap());
        let segment = segments(&whole[dynamic..dynamic + SEGMENT]).next().unwrap();
        let entry_of = |tag: u64| {
            (segment.offset as usize..)
                .step_by(ENTRY)
                .find(|&place| Fields(whole[place..].first_chunk::<ENTRY>().unwrap()).u64(0) == tag)
                .unwrap()
        };
        let refused = |place: usize, number: u64, expected: &str| {
            let mut changed = whole.clone();
            changed[place..place + 8].copy_from_slice(&number.to_ne_bytes());
            let text = check_bytes("dynamic", &changed).unwrap_err();
            assert!(text.contains("damaged") && text.contains(expected), "{text}");
        };
        for far in [1 << 40, u64::MAX] {
            // Its own place, where it comes to lie, its length, and then what it says.
            refused(dynamic + 8, far, "outside of what is mapped");
            refused(dynamic + 16, far, "outside of what is mapped");
            refused(dynamic + 32, far, "outside of what is mapped");
            for tag in [STRINGS, STRINGS_LEN, SYMBOLS, 7, 8, 25] {
                refused(entry_of(tag) + 8, far, "outside of what is mapped");
            }
            refused(entry_of(NAMES[0]) + 8, far, "outside of its names");
        }
        refused(dynamic, 0, "is missing");
        refused(entry_of(SYMBOLS), 0x7000_0000, "names no symbols");
        refused(dynamic + 32, ENTRY as u64, "has no end");
    }
}
