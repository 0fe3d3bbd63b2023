//! Zip files written by hand, so that they can lie.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// An entry and what the file says of it.
#[derive(Clone, Debug)]
pub struct Raw {
    pub name: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    /// As it lies in the file.
    pub data: Vec<u8>,
    pub crc: u32,
    /// Sizes that the directory tells.
    pub packed: u64,
    pub unpacked: u64,
    /// Lies where this entry does, instead of having bytes of its own.
    pub same_as: Option<usize>,
}

impl Raw {
    pub fn stored(name: &str, data: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(data);
        Self {
            name: name.as_bytes().to_vec(),
            method: 0,
            flags: 0,
            data: data.to_vec(),
            crc: crc.sum(),
            packed: data.len() as u64,
            unpacked: data.len() as u64,
            same_as: None,
        }
    }

    pub fn deflated(name: &str, data: &[u8]) -> Self {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(data).unwrap();
        let packed = encoder.finish().unwrap();
        Self {
            method: 8,
            packed: packed.len() as u64,
            data: packed,
            ..Self::stored(name, data)
        }
    }
}

/// Writes the entries; `count` is how many the directory's end claims, when that is to be a lie.
pub fn zip(entries: &[Raw], count: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut starts = Vec::new();
    for entry in entries {
        if let Some(same) = entry.same_as {
            starts.push(starts[same]);
            continue;
        }
        starts.push(out.len() as u32);
        out.extend(b"PK\x03\x04");
        header(&mut out, entry);
        out.extend(0u16.to_le_bytes());
        out.extend(&entry.name);
        out.extend(&entry.data);
    }
    let directory = out.len();
    for (entry, start) in entries.iter().zip(starts) {
        out.extend(b"PK\x01\x02\x2d\x00");
        header(&mut out, entry);
        let large = [entry.unpacked, entry.packed].map(|size| (u32::try_from(size).is_err(), size));
        let extra: Vec<u8> = large
            .iter()
            .filter(|(large, _)| *large)
            .flat_map(|(_, size)| size.to_le_bytes())
            .collect();
        let extra = match extra.len() {
            0 => extra,
            len => [&[1, 0, len as u8, 0], &extra[..]].concat(),
        };
        out.extend((extra.len() as u16).to_le_bytes());
        // Comment, disk, attributes.
        out.extend([0; 10]);
        out.extend(start.to_le_bytes());
        out.extend(&entry.name);
        out.extend(extra);
    }
    let size = (out.len() - directory) as u32;
    let count = count.unwrap_or(entries.len() as u64);
    if count > 0xffff {
        let end = out.len() as u64;
        out.extend(b"PK\x06\x06");
        out.extend(44u64.to_le_bytes());
        out.extend([45, 0, 45, 0]);
        out.extend([0; 8]);
        out.extend(count.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend(u64::from(size).to_le_bytes());
        out.extend((directory as u64).to_le_bytes());
        out.extend(b"PK\x06\x07");
        out.extend([0; 4]);
        out.extend(end.to_le_bytes());
        out.extend(1u32.to_le_bytes());
    }
    let count = count.min(0xffff) as u16;
    out.extend(b"PK\x05\x06");
    out.extend([0; 4]);
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend((directory as u32).to_le_bytes());
    out.extend([0; 2]);
    out
}

/// What the headers before an entry and in the directory have in common.
fn header(out: &mut Vec<u8>, entry: &Raw) {
    out.extend(45u16.to_le_bytes());
    out.extend(entry.flags.to_le_bytes());
    out.extend(entry.method.to_le_bytes());
    out.extend([0; 4]);
    out.extend(entry.crc.to_le_bytes());
    for size in [entry.packed, entry.unpacked] {
        out.extend(u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes());
    }
    out.extend((entry.name.len() as u16).to_le_bytes());
}
