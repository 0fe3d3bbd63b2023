//! The zip file around a torch checkpoint: entries by name, read within a budget.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;

use flate2::bufread::DeflateDecoder;
use img2pose::text::brief;
use rawzip::{
    CompressionMethod, FileReader, RECOMMENDED_BUFFER_SIZE, ZipArchive, ZipArchiveEntryWayfinder, ZipLocator,
};

use super::budget;

/// Entries of a checkpoint: one for each tensor, three with the optimiser's state.
const MOST_ENTRIES: usize = 1 << 16;

/// Longest name of an entry in bytes: that of a folder, and `data/` with a number. The format has 64 KiB, which would be 4 GiB
/// of names in a file with holes.
const MOST_NAME: usize = 1024;

/// The directory's end is at the end of the file, before a comment of at most 64 KiB.
const END: u64 = (1 << 16) + 22;

/// Deflate makes at most 1032 bytes of one.
const DEFLATE_RATIO: u64 = 1032;

/// Characters of a name in a message.
const NAME: usize = 80;

pub struct Archive {
    zip: ZipArchive<FileReader>,
    file: File,
    file_len: u64,
    entries: BTreeMap<String, Entry>,
    /// The entry that holds the pickle comes first in a file; its name.
    pickle: Option<String>,
    /// Bytes read so far.
    read: Cell<u64>,
    /// Stored entries whose checksum was right.
    checked: RefCell<BTreeSet<String>>,
    /// The compressed entry that was read last: tensors that share one are read one after the other.
    last: RefCell<Option<(String, Vec<u8>)>>,
}

#[derive(Clone, Copy)]
struct Entry {
    at: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
    encrypted: bool,
}

impl Archive {
    /// Reads the directory of a zip file of `file_len` bytes. The pickle is the first entry called `data.pkl`, in whatever
    /// folder.
    pub fn open(file: File, file_len: u64) -> Result<Self, String> {
        let broken = |e: rawzip::Error| format!("a broken zip file: {e}");
        let reading = file.try_clone().map_err(|e| e.to_string())?;
        let mut buffer = vec![0; RECOMMENDED_BUFFER_SIZE];
        let zip = ZipLocator::new()
            .max_search_space(END)
            .locate_in_file(file, &mut buffer)
            .map_err(|(_, e)| broken(e))?;
        if zip.entries_hint() > MOST_ENTRIES as u64 {
            return Err(too_many(zip.entries_hint()));
        }
        let mut entries = BTreeMap::new();
        let mut ranges = Vec::new();
        let mut pickle = None;
        let mut directory = zip.entries(&mut buffer);
        while let Some(header) = directory.next_entry().map_err(broken)? {
            if ranges.len() == MOST_ENTRIES {
                return Err(too_many("more"));
            }
            let entry = Entry {
                at: header.wayfinder(),
                method: header.compression_method(),
                encrypted: header.flags().is_encrypted(),
            };
            let path = header.file_path();
            let path: &[u8] = path.as_ref();
            if path.len() > MOST_NAME {
                let start = String::from_utf8_lossy(&path[..MOST_NAME]);
                return Err(format!(
                    "the name of an entry has {} bytes, expected at most {MOST_NAME}: {}",
                    path.len(),
                    brief(&start, NAME)
                ));
            }
            let name = String::from_utf8_lossy(path).into_owned();
            let is_pickle = name
                .strip_suffix("data.pkl")
                .is_some_and(|folder| folder.is_empty() || folder.ends_with('/'));
            if pickle.is_none() && is_pickle {
                pickle = Some(name.clone());
            }
            let end = zip.get_entry(entry.at).map_err(broken)?.compressed_data_range().1;
            if end > zip.directory_offset() {
                let name = brief(&name, NAME);
                return Err(format!(
                    "a broken zip file: entry {name} would end at byte {end}, behind all data; the file is truncated, or \
                     lies about the size"
                ));
            }
            ranges.push(header.local_header_offset()..end);
            if entries.contains_key(&name) {
                let name = brief(&name, NAME);
                return Err(format!(
                    "a broken zip file: it has two entries with the name {name}"
                ));
            }
            entries.insert(name, entry);
        }
        if ranges.len() as u64 != zip.entries_hint() {
            return Err(format!(
                "a broken zip file: its directory has {} entries, expected {}",
                ranges.len(),
                zip.entries_hint()
            ));
        }
        ranges.sort_unstable_by_key(|range| (range.start, range.end));
        if ranges.is_sorted_by(|a, b| a.end <= b.start) {
            Ok(Self {
                zip,
                file: reading,
                file_len,
                entries,
                pickle,
                read: Cell::new(0),
                checked: RefCell::default(),
                last: RefCell::default(),
            })
        } else {
            Err(
                "a broken zip file: entries share bytes, so that it would unpack to more than there is"
                    .into(),
            )
        }
    }

    /// Name of the entry that holds the pickle.
    pub fn pickle(&self) -> Option<&str> {
        self.pickle.as_deref()
    }

    /// Bytes of an entry when it is unpacked, as the directory says, if that can be.
    pub fn len_of(&self, name: &str) -> Result<u64, String> {
        Ok(self.entry(name)?.at.uncompressed_size_hint())
    }

    /// A whole entry of at most `most` bytes; its checksum is checked on the way.
    pub fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, String> {
        let entry = self.entry(name)?;
        let len = entry.at.uncompressed_size_hint();
        if len > most {
            return Err(format!(
                "entry {} has {len} bytes, expected at most {most}",
                brief(name, NAME)
            ));
        }
        self.unpack(name, entry)
    }

    /// The bytes `range` of an entry, which must be within it. The checksum of the entry is checked once.
    pub fn read_range(&self, name: &str, range: Range<usize>) -> Result<Vec<u8>, String> {
        let entry = self.entry(name)?;
        if entry.method == CompressionMethod::STORE {
            if !self.checked.borrow().contains(name) {
                self.check(name, entry)?;
                self.checked.borrow_mut().insert(name.to_owned());
            }
            self.charge(range.len() as u64)?;
            let failed = |e: &dyn std::fmt::Display| cannot(name, e);
            let (start, _) = self
                .zip
                .get_entry(entry.at)
                .map_err(|e| failed(&e))?
                .compressed_data_range();
            let mut bytes = budget::zeroed(range.len())?;
            self.file
                .read_exact_at(&mut bytes, start + range.start as u64)
                .map_err(|e| failed(&e))?;
            return Ok(bytes);
        }
        let mut last = self.last.borrow_mut();
        if last.as_ref().is_none_or(|(kept, _)| kept != name) {
            // The old one first: there may be no room for two.
            *last = None;
            *last = Some((name.to_owned(), self.unpack(name, entry)?));
        }
        let bytes = last.as_ref().and_then(|(_, bytes)| bytes.get(range));
        let bytes = bytes.ok_or_else(|| cannot(name, &"it is shorter than its directory says"))?;
        let mut copy = budget::room(bytes.len())?;
        copy.extend_from_slice(bytes);
        Ok(copy)
    }

    fn entry(&self, name: &str) -> Result<Entry, String> {
        let entry = *self.entries.get(name).ok_or_else(|| {
            let name = brief(name, NAME);
            format!("its data are missing: the file has no entry {name}")
        })?;
        if entry.encrypted {
            return Err(cannot(name, &"it is encrypted"));
        }
        let (packed, len) = (entry.at.compressed_size_hint(), entry.at.uncompressed_size_hint());
        let most = match entry.method {
            CompressionMethod::STORE => packed,
            CompressionMethod::DEFLATE => packed.saturating_mul(DEFLATE_RATIO),
            other => {
                return Err(cannot(
                    name,
                    &format_args!("compression method {} is not read", other.as_u16()),
                ));
            }
        };
        let least = if entry.method == CompressionMethod::STORE {
            packed
        } else {
            0
        };
        if !(least..=most).contains(&len) {
            let reason = format_args!("{packed} bytes cannot be {len} bytes when they are unpacked");
            return Err(cannot(name, &reason));
        }
        let budget = budget::unpacked(self.file_len);
        if len > budget {
            let reason = format_args!(
                "it would unpack to {len} bytes; in a file of {} bytes at most {budget} are believed",
                self.file_len
            );
            return Err(cannot(name, &reason));
        }
        Ok(entry)
    }

    fn unpack(&self, name: &str, entry: Entry) -> Result<Vec<u8>, String> {
        let len = entry.at.uncompressed_size_hint();
        self.charge(len)?;
        let mut bytes = budget::room(usize::try_from(len).map_err(|_| cannot(name, &"it is too large"))?)?;
        // One byte more than it should have is enough to see that it lies, and nothing but 0 may be read behind it.
        self.contents(name, entry, |reader| {
            reader
                .take(len.saturating_add(1))
                .read_to_end(&mut bytes)
                .map(drop)
        })?;
        if bytes.len() as u64 != len {
            return Err(cannot(
                name,
                &format_args!("it has {} bytes, expected {len}", bytes.len()),
            ));
        }
        Ok(bytes)
    }

    fn check(&self, name: &str, entry: Entry) -> Result<(), String> {
        self.charge(entry.at.uncompressed_size_hint())?;
        self.contents(name, entry, |reader| io::copy(reader, &mut io::sink()).map(drop))
    }

    /// Gives `take` a reader of an entry that fails at its end when the checksum or the size is wrong.
    fn contents(
        &self,
        name: &str,
        entry: Entry,
        take: impl FnOnce(&mut dyn Read) -> io::Result<()>,
    ) -> Result<(), String> {
        let found = self.zip.get_entry(entry.at).map_err(|e| cannot(name, &e))?;
        let packed = BufReader::with_capacity(1 << 16, found.reader());
        let done = if entry.method == CompressionMethod::STORE {
            take(&mut found.verifying_reader(packed))
        } else {
            take(&mut found.verifying_reader(DeflateDecoder::new(packed)))
        };
        done.map_err(|e| cannot(name, &e))
    }

    /// Counts bytes that are read: entries that are large and read by turns would take hours.
    fn charge(&self, bytes: u64) -> Result<(), String> {
        let budget = budget::read(self.file_len);
        let read = self.read.get().saturating_add(bytes);
        if read > budget {
            return Err(format!(
                "reading the tensors takes more than {budget} bytes, too much for a file of {} bytes; tensors share their \
                 data in a way that no checkpoint does",
                self.file_len
            ));
        }
        self.read.set(read);
        Ok(())
    }
}

fn cannot(name: &str, reason: &dyn std::fmt::Display) -> String {
    format!("entry {} cannot be read: {reason}", brief(name, NAME))
}

fn too_many(found: impl std::fmt::Display) -> String {
    format!("a zip file of {found} entries, expected at most {MOST_ENTRIES}")
}
