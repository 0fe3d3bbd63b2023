//! A torch checkpoint whose zip file and pickle are whole but for what they lie about is read or refused.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[path = "../builders/mod.rs"]
mod builders;

use builders::Size;
use builders::pickle::Program;
use builders::raw_zip::{Raw, zip};

#[derive(Arbitrary, Debug)]
struct Input {
    pickle: Program,
    pack_pickle: bool,
    entries: Vec<Entry>,
    lies: Vec<Lie>,
    count: Option<Size>,
}

#[derive(Arbitrary, Debug)]
struct Entry {
    /// Below `data/`.
    key: u8,
    /// Its content, so many times.
    content: Vec<u8>,
    times: u16,
    deflated: bool,
}

/// What is wrong with an entry.
#[derive(Arbitrary, Debug)]
struct Lie {
    entry: u8,
    what: What,
}

#[derive(Arbitrary, Debug)]
enum What {
    Unpacked(Size),
    Packed(Size),
    Both(Size),
    Method(u16),
    Flags(u16),
    Checksum(u32),
    Name(String),
    SameAs(u8),
    Cut(u8),
}

fuzz_target!(|input: Input| {
    let pickle = input.pickle.bytes();
    let mut entries = vec![match input.pack_pickle {
        true => Raw::deflated("m/data.pkl", &pickle),
        false => Raw::stored("m/data.pkl", &pickle),
    }];
    for entry in &input.entries {
        let times = usize::from(entry.times).min((1 << 20) / entry.content.len().max(1));
        let content = entry.content.repeat(times);
        let name = format!("m/data/{}", entry.key % 4);
        entries.push(match entry.deflated {
            true => Raw::deflated(&name, &content),
            false => Raw::stored(&name, &content),
        });
    }
    for lie in &input.lies {
        let count = entries.len();
        let index = usize::from(lie.entry) % count;
        let entry = &mut entries[index];
        match &lie.what {
            What::Unpacked(size) => entry.unpacked = size.0,
            What::Packed(size) => entry.packed = size.0,
            What::Both(size) => (entry.packed, entry.unpacked) = (size.0, size.0),
            What::Method(method) => entry.method = *method,
            What::Flags(flags) => entry.flags = *flags,
            What::Checksum(crc) => entry.crc = *crc,
            What::Name(name) => entry.name = name.bytes().take(usize::from(u16::MAX)).collect(),
            What::SameAs(other) if index > 0 => entry.same_as = Some(usize::from(*other) % index),
            What::SameAs(_) => {}
            What::Cut(bytes) => {
                let kept = entry.data.len().saturating_sub(usize::from(*bytes));
                entry.data.truncate(kept);
            }
        }
    }
    builders::file::read_checkpoint(&zip(&entries, input.count.map(|count| count.0)));
});
