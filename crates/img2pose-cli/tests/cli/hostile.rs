//! Checkpoints that were made to do harm: one line, exit code 1, within seconds and 1 GiB, and nothing left behind.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::raw_zip::{Raw, zip};
use crate::synthetic::{
    self, Entry, Pickle, Random, Style, TorchZip, checkpoint_pickle, entries, write_pth, write_pth_of,
};
use crate::tool::{Folder, Ran, ran, text};

/// Tests run in debug builds beside one another.
const SECONDS: Duration = Duration::from_secs(60);

/// Runs the tool with 1 GiB of memory.
pub fn limited(arguments: &[&str]) -> Ran {
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -v 1048576 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_img2pose"))
        .args(arguments);
    let started = Instant::now();
    let ran = ran(command);
    assert!(started.elapsed() < SECONDS, "{:?}", started.elapsed());
    ran
}

/// Converts what `make` has written.
fn converting(make: impl FnOnce(&Path)) -> Ran {
    let folder = Folder::new();
    let (from, to) = (folder.path("bad.pth"), folder.path("out.onnx"));
    make(&from);
    let before = folder.names();
    let ran = limited(&["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)]);
    if ran.code == 0 {
        return ran;
    }
    assert_eq!(folder.names(), before, "something was left behind");
    assert!(ran.stderr.len() < 2000, "{} bytes of message", ran.stderr.len());
    ran
}

fn converting_zip(entries: &[Raw]) -> Ran {
    converting(|path| fs::write(path, zip(entries, None)).unwrap())
}

fn tiny() -> Vec<Entry> {
    entries(&synthetic::tiny(), &Style::default())
}

/// A good checkpoint, entry by entry.
fn good() -> Vec<Raw> {
    let mut raw = vec![Raw::stored(
        "m/data.pkl",
        &checkpoint_pickle(&tiny(), &Style::default()),
    )];
    for (index, (name, shape)) in tiny().iter().enumerate() {
        let bytes: Vec<u8> = if name.ends_with("num_batches_tracked") {
            vec![0; 8]
        } else {
            let numbers = synthetic::numbers(name, shape);
            numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
        };
        raw.push(Raw::stored(&format!("m/data/{index}"), &bytes));
    }
    raw
}

#[test]
fn what_is_written_by_hand_is_as_good_as_any() {
    converting_zip(&good()).succeeded();
    // Compressed, as PyTorch does not do, but a user may.
    let packed: Vec<_> = good()
        .iter()
        .map(|raw| Raw::deflated(std::str::from_utf8(&raw.name).unwrap(), &raw.data))
        .collect();
    converting_zip(&packed).succeeded();
}

/// 2^40 bytes in the zip64 field used to end in an abort, and a temporary file stayed.
#[test]
fn sizes_in_the_directory_that_lie() {
    for index in [0, 1] {
        for lie in [1 << 40, u64::MAX] {
            let mut entries = good();
            entries[index].unpacked = lie;
            converting_zip(&entries).refused(&["bad.pth"]);
            entries[index].packed = lie;
            converting_zip(&entries).refused(&["bad.pth", "a broken zip file"]);
        }
        // Too small, and nothing.
        for lie in [0, 3] {
            let mut entries = good();
            entries[index].unpacked = lie;
            converting_zip(&entries).refused(&["bad.pth"]);
            entries[index].packed = lie;
            converting_zip(&entries).refused(&["bad.pth"]);
        }
    }
    // Deflated data that go on behind the size.
    let mut entries = good();
    let data = entries[1].data.clone();
    entries[1] = Raw::deflated("m/data/0", &[&data[..], &vec![0; 1 << 26]].concat());
    entries[1].unpacked = data.len() as u64;
    converting_zip(&entries).refused(&["entry m/data/0 cannot be read"]);
    // And that end before it.
    entries[1] = Raw::deflated("m/data/0", &data[..100]);
    entries[1].unpacked = data.len() as u64;
    converting_zip(&entries).refused(&["entry m/data/0 cannot be read"]);
}

#[test]
fn entries_that_cannot_be() {
    let mut twice = good();
    twice.push(twice[3].clone());
    converting_zip(&twice).refused(&["two entries with the name m/data/2"]);
    let mut overlapping = good();
    overlapping[3].same_as = Some(2);
    converting_zip(&overlapping).refused(&["entries share bytes"]);
    let mut encrypted = good();
    encrypted[4].flags = 1;
    converting_zip(&encrypted).refused(&["m/data/3", "it is encrypted"]);
    let mut other = good();
    other[4].method = 93;
    converting_zip(&other).refused(&["compression method 93"]);
    let mut damaged = good();
    damaged[5].crc ^= 1;
    converting_zip(&damaged).refused(&["m/data/4", "nvalid checksum"]);
    // Names that fill the memory of whoever prints them.
    let mut named = good();
    named.push(Raw::stored(&"n".repeat(1000), b""));
    named.push(named[named.len() - 1].clone());
    converting_zip(&named).refused(&["two entries with the name nnnn"]);
    named.pop();
    named[5].name = vec![b'n'; 60_000];
    converting_zip(&named).refused(&["the name of an entry has 60000 bytes, expected at most 1024: nnnn"]);
}

#[test]
fn directories_of_many_entries() {
    let many: Vec<_> = (0..70_000).map(|i| Raw::stored(&format!("{i}"), b"")).collect();
    converting_zip(&many).refused(&["a zip file of 70000 entries, expected at most 65536"]);
    for count in [0, 5, 0xfffe, 1 << 40] {
        converting(|path| fs::write(path, zip(&good(), Some(count))).unwrap())
            .refused(&["bad.pth", "zip file"]);
    }
    // Ends of directories without end, each of which could be the one.
    converting(|path| {
        let end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x2e\0\0\0\0\0\0\0\0\0";
        fs::write(path, [b"PK\x03\x04", &end.repeat(1 << 20)[..]].concat()).unwrap();
    })
    .refused(&["zip file"]);
}

/// 64 KB that unpack to 64 MB of empty tuples took 7 GB.
#[test]
fn pickles_that_grow() {
    for one in [&b")"[..], b"]", b"}", b"N", b"(", b"]\x94", b"\x85", b"2\x85"] {
        // As long as the longest that is read, and not compressed.
        let long = [b"\x80\x02N", &one.repeat((15 << 20) / one.len())[..], b"."].concat();
        converting_zip(&[Raw::stored("m/data.pkl", &long)]).refused(&["bad.pth"]);
    }
    let long = [b"\x80\x02", &b")".repeat(64 << 20)[..], b"."].concat();
    converting_zip(&[Raw::deflated("m/data.pkl", &long)]).refused(&["data.pkl", "would unpack to"]);
    let empties = [b"\x80\x02", &b")".repeat(8 << 20)[..], b"."].concat();
    converting_zip(&[Raw::stored("m/data.pkl", &empties)]).refused(&["the memory for its values would pass"]);
}

/// A long name was copied for each storage that has it: 1.2 KB in the file, 3 GB in memory.
#[test]
fn pickles_that_copy() {
    let key = "k".repeat(1 << 20);
    let mut pickle = Pickle::default();
    pickle
        .op(b"(")
        .text("storage")
        .op(b"ctorch\nFloatStorage\n")
        .text(&key)
        .text("cpu")
        .int(6);
    pickle.op(b"tq\x01");
    for _ in 0..3000 {
        pickle.op(b"h\x01Q");
    }
    pickle.op(b".");
    converting_zip(&[Raw::deflated("m/data.pkl", &pickle.0)]).refused(&["not a tensor storage"]);
    // A global of two long names.
    let mut pickle = Pickle::default();
    pickle.text(&key).op(b"q\x01h\x01\x93.");
    converting_zip(&[Raw::deflated("m/data.pkl", &pickle.0)]).refused(&["nothing was executed", "kkk..."]);
    // Keys of a dict that is no checkpoint.
    let mut pickle = Pickle::default();
    pickle.op(b"}").text(&key).op(b"K\x01s.");
    converting_zip(&[Raw::deflated("m/data.pkl", &pickle.0)])
        .refused(&["no tensors under the key", "kkk..."]);
    // Names of tensors.
    let mut pickle = Pickle::default();
    pickle
        .op(b"}")
        .text(&key)
        .tensor("FloatStorage", 0, &[1])
        .op(b"s.");
    converting_zip(&[Raw::deflated("m/data.pkl", &pickle.0)])
        .refused(&["the name of a tensor has 1048576 bytes"]);
}

/// Names were copied before anything was held against a limit: 1 MiB for each pair of two bytes, and the shape of one tensor for
/// each name. A compressed file of 20 KB took gigabytes.
#[test]
fn names_and_tensors_that_are_used_again_and_again() {
    let start = |key: &str, shape: &[usize]| {
        let mut pickle = Pickle::default();
        pickle.text(key).op(b"q\x010");
        pickle.tensor("FloatStorage", 0, shape).op(b"q\x020}(");
        pickle
    };
    let mut long = start(&"k".repeat(1 << 20), &[1]);
    long.op(&b"h\x01h\x02".repeat(4000)).op(b"u.");
    converting_zip(&[Raw::deflated("m/data.pkl", &long.0)])
        .refused(&["the name of a tensor has 1048576 bytes, expected at most 512: kkk"]);
    let mut many = start("k", &[1; 64]);
    for i in 0..70_000u32 {
        many.op(b"\x8c\x05").op(format!("{i:05}").as_bytes()).op(b"h\x02");
    }
    many.op(b"u.");
    converting_zip(&[Raw::deflated("m/data.pkl", &many.0)]).refused(&["it has more than 65536 tensors"]);
    // One tensor that is set again and again is one.
    let mut again = start("k", &[1]);
    again.op(&b"h\x01h\x02".repeat(70_000)).op(b"u.");
    converting_zip(&[Raw::deflated("m/data.pkl", &again.0)]).refused(&["not an img2pose checkpoint"]);
}

/// Blocks were counted by looking through all tensors for each: 139 KB took 36 s.
#[test]
fn networks_of_many_blocks() {
    let mut names = tiny();
    for block in 2..20_000 {
        names.push((format!("backbone.body.layer1.{block}.x"), vec![1]));
    }
    converting(|path| TorchZip::create(path, &checkpoint_pickle(&names, &Style::default())).finish())
        .refused(&["backbone.body.layer1 has more than 256 blocks"]);
}

#[test]
fn shapes_that_cannot_be() {
    let with = |tensor: &str, shape: &[usize]| {
        let mut names = tiny();
        let entry = names.iter_mut().find(|(name, _)| name.ends_with(tensor)).unwrap();
        entry.1 = shape.to_vec();
        let mut pickle = Pickle::default();
        pickle.op(b"}(");
        for (index, (name, shape)) in names.iter().enumerate() {
            pickle.text(name);
            long_tensor(&mut pickle, index, shape);
        }
        pickle.op(b"u.");
        converting_zip(&[Raw::stored("m/data.pkl", &pickle.0)])
    };
    let large = 1 << 60;
    with("body.conv1.weight", &[0, 3, 7, 7]).refused(&[
        "body.conv1.weight",
        "0 channels",
        "expected 1 to 65536",
    ]);
    with("body.conv1.weight", &[large, 3, 7, 7]).refused(&["body.conv1.weight", "expected 1 to 65536"]);
    with("fpn.inner_blocks.0.0.weight", &[0, 8, 1, 1]).refused(&["inner_blocks.0.0.weight", "0 channels"]);
    with("fpn.inner_blocks.0.0.weight", &[large, large, large, large]).refused(&["expected 1 to 65536"]);
    with("layer2.0.conv1.weight", &[0, 8, 3, 3]).refused(&["layer2.0.conv1.weight", "0 channels"]);
    with("class_head.fc6.weight", &[0, 392]).refused(&["class_head.fc6.weight", "0 channels"]);
    with("dof_pred.0.weight", &[0, 16]).refused(&["dof_pred.0.weight", "0 channels"]);
    // As wide as is believed, in a file without numbers.
    with("class_head.fc6.weight", &[65536, 392]).refused(&["its tensors would have", "are believed"]);
    with("rpn.head.conv.bias", &[large, large]).refused(&["rpn.head.conv.bias"]);
    with("rpn.head.conv.bias", &[1; 100]).refused(&["unexpected arguments of a tensor"]);
}

/// As [`Pickle::tensor`], of any size.
fn long_tensor(pickle: &mut Pickle, key: usize, shape: &[usize]) {
    pickle
        .op(b"ctorch._utils\n_rebuild_tensor_v2\n((")
        .text("storage");
    pickle
        .op(b"ctorch\nFloatStorage\n")
        .text(&key.to_string())
        .text("cpu");
    pickle.int(6).op(b"tQ").int(0).op(b"(");
    for &dim in shape {
        if dim <= 1 << 20 {
            pickle.int(dim);
        } else {
            pickle.op(&[0x8a, 8]).op(&dim.to_le_bytes());
        }
    }
    pickle.op(b"t(");
    for _ in shape {
        pickle.int(1);
    }
    pickle.op(b"t\x89}tR");
}

/// Tensors that take their numbers from two large storages by turns.
#[test]
fn storages_that_are_read_again_and_again() {
    let names = tiny();
    let count = 2 << 20;
    let mut pickle = Pickle::default();
    pickle.op(b"}(");
    for (index, (name, shape)) in names.iter().enumerate() {
        pickle
            .text(name)
            .op(b"ctorch._utils\n_rebuild_tensor_v2\n((")
            .text("storage");
        pickle
            .op(b"ctorch\nFloatStorage\n")
            .text(&(index % 2).to_string())
            .text("cpu");
        pickle.int(count).op(b"tQ").int(0).op(b"(");
        for &dim in shape {
            pickle.int(dim);
        }
        pickle.op(b"t(");
        for axis in 0..shape.len() {
            pickle.int(shape[axis + 1..].iter().product());
        }
        pickle.op(b"t\x89}tR");
    }
    pickle.op(b"u.");
    let ones: Vec<u8> = std::iter::repeat_n(1f32.to_le_bytes(), count).flatten().collect();
    let storages = [Raw::deflated("m/data/0", &ones), Raw::deflated("m/data/1", &ones)];
    let pickle = Raw::stored("m/data.pkl", &pickle.0);
    converting_zip(&[&[pickle], &storages[..]].concat()).refused(&["reading the tensors takes more than"]);
}

/// Each number is finite, and their product is not. It used to be written without a word.
#[test]
fn batch_norms_that_overflow_when_they_are_folded() {
    let with = |norm: &'static str, weight: f32, variance: f32, mean: f32| {
        let folder = Folder::new();
        let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
        write_pth_of(&from, &tiny(), &Style::default(), &|name, shape| {
            let mut numbers = synthetic::numbers(name, shape);
            for (what, value) in [
                ("weight", weight),
                ("running_var", variance),
                ("running_mean", mean),
            ] {
                if name.ends_with(&format!("{norm}.{what}")) {
                    numbers[3] = value;
                }
            }
            numbers
        });
        let ran = limited(&["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)]);
        assert_eq!(ran.code == 0, to.exists());
        ran
    };
    for norm in ["body.bn1", "layer3.1.bn2", "dof_pred.1"] {
        // The weights, and the bias alone.
        with(norm, f32::MAX, 1e-10, 0.1).refused(&[norm, "folded into", "no 32-bit float can hold"]);
        with(norm, 100.0, 1.0, f32::MAX).refused(&[norm, "folded into", "no 32-bit float can hold"]);
        with(norm, 100.0, 1.0, 0.1).succeeded();
    }
}

#[test]
fn statistics_files_that_lie() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_pth(&from, &tiny(), &Style::default());
    let (good, bad) = (folder.path("good.npy"), folder.path("bad.npy"));
    ndarray_npy::write_npy(&good, &ndarray::arr1(&[1f64; 6])).unwrap();
    let convert = |mean: &Path, stddev: &Path| {
        let statistics = ["--pose-stats", text(mean), text(stddev)];
        let ran = limited(&[&["convert", text(&from), "-o", text(&to)], &statistics[..]].concat());
        assert_eq!(to.exists(), ran.code == 0);
        ran
    };
    convert(&good, &good).succeeded();
    fs::remove_file(&to).unwrap();
    let bytes = fs::read(&good).unwrap();
    let shape = bytes.windows(4).position(|window| window == b"(6,)").unwrap();
    for lie in [
        "(100000000000,)",
        "(18446744073709551615,)",
        "(((((((((((6,)",
        "(6,999999999999)",
        "(-6,)",
        // The library repeats it.
        &format!("({},)", "9".repeat(3000)),
    ] {
        let mut lying = bytes.clone();
        lying.splice(shape..shape + "(6,)".len(), lie.bytes());
        // How long the header is.
        let header = u16::from_le_bytes([bytes[8], bytes[9]]) + (lie.len() - "(6,)".len()) as u16;
        lying[8..10].copy_from_slice(&header.to_le_bytes());
        fs::write(&bad, &lying).unwrap();
        convert(&good, &bad).refused(&["bad.npy"]);
        convert(&bad, &good).refused(&["bad.npy"]);
    }
    let mut lying = bytes.clone();
    (lying[6], lying[8], lying[9], lying[10], lying[11]) = (2, 0xff, 0xff, 0xff, 0xff);
    fs::write(&bad, &lying).unwrap();
    convert(&good, &bad).refused(&["bad.npy", "its header is longer than the file"]);
    for length in 0..bytes.len() {
        fs::write(&bad, &bytes[..length]).unwrap();
        if length % 20 == 0 {
            convert(&good, &bad).refused(&["bad.npy"]);
        }
    }
    ndarray_npy::write_npy(&bad, &ndarray::arr1(&[1e30f64; 6])).unwrap();
    convert(&bad, &good).refused(&["pose_mean"]);
    convert(&good, &bad).refused(&["pose_stddev"]);
    ndarray_npy::write_npy(&bad, &ndarray::arr1(&[1e-30f64; 6])).unwrap();
    convert(&good, &bad).refused(&["pose_stddev"]);
}

#[test]
fn safetensors_headers_that_lie() {
    let with = |header: &str, data: usize| {
        converting(|path| {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.bytes());
            bytes.resize(bytes.len() + data, 0);
            fs::write(path, bytes).unwrap();
        })
    };
    let tensor = |shape: &str, to: &str| {
        format!("{{\"a\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[0,{to}]}}}}")
    };
    with(&tensor("[1]", "4"), 4).refused(&["not an img2pose checkpoint"]);
    with(&tensor("[1099511627776]", "4398046511104"), 4).refused(&["broken safetensors"]);
    with(&tensor("[4611686018427387904, 4]", "18446744073709551615"), 4).refused(&["broken safetensors"]);
    with(&tensor("[1]", "18446744073709551615"), 4).refused(&["broken safetensors"]);
    with(&tensor(&format!("[{}1]", "1,".repeat(100)), "4"), 4).refused(&["101 axes, expected at most 64"]);
    with(&"{\"a\":".repeat(100_000), 0).refused(&["broken safetensors"]);
    let long = format!("{{\"__metadata__\":{{\"a\":\"{}\"}}}}", "x".repeat(5 << 20));
    with(&long, 0).refused(&["its header has", "expected at most"]);
    let shape = format!("[{}1]", "1,".repeat(1 << 20));
    with(&tensor(&shape, "4"), 4).refused(&["1048577 axes"]);
}

/// Whatever becomes of a byte of a checkpoint, it is read or refused.
#[test]
fn damage_anywhere_is_an_answer() {
    let folder = Folder::new();
    let path = folder.path("damaged.pth");
    let mut names = tiny();
    names.sort_by_key(|(_, shape)| shape.iter().product::<usize>());
    names.truncate(6);
    write_pth(&path, &names, &Style::default());
    let whole = fs::read(&path).unwrap();
    let mut random = Random::new("damage");
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + (random.next() * 4.0) as usize {
            let at = (random.next() * bytes.len() as f32) as usize % bytes.len();
            match (random.next() * 4.0) as u8 {
                0 => bytes[at] = 0xff,
                1 => bytes[at] ^= 1 << (random.next() * 8.0) as u8,
                2 => bytes[at] = (random.next() * 256.0) as u8,
                _ => drop(bytes.drain(at..(at + 3).min(bytes.len()))),
            }
        }
        fs::write(&path, &bytes).unwrap();
        let Ok(checkpoint) = img2pose_export::checkpoint::Checkpoint::open(&path) else {
            continue;
        };
        for (name, info) in checkpoint.tensors() {
            if let Ok(numbers) = checkpoint.read(name) {
                assert_eq!(numbers.len(), info.len());
            }
        }
    }
}
