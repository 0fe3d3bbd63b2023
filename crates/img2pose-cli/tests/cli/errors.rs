//! Bad input: one line that says what is wrong, exit code 1, and nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::synthetic::{
    self, Entry, Pickle, Style, TorchZip, checkpoint_pickle, entries, write_pth, write_safetensors,
};
use crate::tool::{Folder, Ran, command, run, text};

/// A folder with `bad.pth`, made by `make`, that is then converted.
fn converting(make: impl FnOnce(&std::path::Path)) -> Ran {
    let folder = Folder::new();
    let (from, to) = (folder.path("bad.pth"), folder.path("out.onnx"));
    make(&from);
    let before = folder.names();
    let ran = run(&["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)]);
    assert_eq!(folder.names(), before, "something was left behind");
    ran
}

fn tiny() -> Vec<Entry> {
    entries(&synthetic::tiny(), &Style::default())
}

/// Writes a torch checkpoint of f32 whose numbers `change` may change; it gets the name of each tensor.
fn write_changed(path: &std::path::Path, entries: &[Entry], change: impl Fn(&str, &mut Vec<f32>)) {
    let mut zip = TorchZip::create(path, &checkpoint_pickle(entries, &Style::default()));
    for (index, (name, shape)) in entries.iter().enumerate() {
        let mut numbers = synthetic::numbers(name, shape);
        change(name, &mut numbers);
        zip.entry(
            &format!("data/{index}"),
            &numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>(),
        );
    }
    zip.finish();
}

fn with_pickle(pickle: &[u8]) -> Ran {
    converting(|path| TorchZip::create(path, pickle).finish())
}

#[test]
fn not_a_checkpoint_at_all() {
    converting(|path| fs::write(path, "hello, world").unwrap())
        .refused(&["bad.pth", "neither a torch zip checkpoint"]);
    converting(|path| fs::write(path, "").unwrap()).refused(&["an empty file"]);
    converting(|path| fs::create_dir(path).unwrap()).refused(&["a folder"]);
    converting(|path| fs::write(path, [0x80, 2, b'.']).unwrap()).refused(&["a bare pickle", "PyTorch 1.6"]);
    converting(|_| {}).refused(&["cannot read", "bad.pth", "No such file"]);
}

#[test]
fn a_zip_of_something_else() {
    converting(|path| {
        let mut zip = zip::ZipWriter::new(fs::File::create(path).unwrap());
        zip.start_file("mimetype", zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.finish().unwrap();
    })
    .refused(&["no torch checkpoint", "data.pkl"]);
    // A torch file of something else.
    with_pickle(b"hello, world").refused(&["the pickle is malformed at byte 0"]);
    with_pickle(b"\x80\x02}X\x02\x00\x00\x00lrK\x01s.")
        .refused(&["no tensors under the key fpn_model", "keys found: lr"]);
    with_pickle(b"\x80\x02K\x01.").refused(&["no dict"]);
}

#[test]
fn a_truncated_zip() {
    converting(|path| {
        write_pth(path, &tiny(), &Style::default());
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    })
    .refused(&["bad.pth", "a broken zip file"]);
}

#[test]
fn damaged_numbers() {
    converting(|path| {
        write_pth(path, &tiny(), &Style::default());
        let mut bytes = fs::read(path).unwrap();
        // In the middle of the numbers of a large tensor.
        let index = tiny()
            .iter()
            .position(|(name, _)| name.ends_with("class_head.fc6.weight"))
            .unwrap();
        let entry = format!("/data/{index}");
        let at = bytes
            .windows(entry.len())
            .position(|window| window == entry.as_bytes())
            .unwrap()
            + 200;
        bytes[at] ^= 0xff;
        fs::write(path, bytes).unwrap();
    })
    .refused(&[
        "tensor module.roi_heads.class_head.fc6.weight",
        "Invalid checksum",
    ]);
}

#[test]
fn missing_tensors_are_named() {
    let mut entries = tiny();
    entries.retain(|(name, _)| !name.contains("layer3.1.bn2"));
    converting(|path| write_pth(path, &entries, &Style::default())).refused(&[
        "4 of 140 tensors are missing",
        "backbone.body.layer3.1.bn2.weight, backbone.body.layer3.1.bn2.bias",
        "and 1 more",
    ]);
    let others = vec![("fc.weight".to_owned(), vec![2, 2])];
    converting(|path| write_pth(path, &others, &Style::default())).refused(&[
        "not an img2pose checkpoint",
        "140 of 140 tensors are missing",
        "and 137 more",
    ]);
}

#[test]
fn a_shape_that_does_not_fit() {
    let mut entries = tiny();
    let entry = entries
        .iter_mut()
        .find(|(name, _)| name.ends_with("class_head.fc6.weight"))
        .unwrap();
    entry.1 = vec![16, 400];
    for safetensors in [false, true] {
        converting(|path| match safetensors {
            true => write_safetensors(path, &entries, &Style::default()),
            false => write_pth(path, &entries, &Style::default()),
        })
        .refused(&[
            "roi_heads.class_head.fc6.weight",
            "[16, 400]",
            "expected [16, 392]",
        ]);
    }
}

#[test]
fn truncated_tensors() {
    let entries = tiny();
    let pickle = checkpoint_pickle(&entries, &Style::default());
    let short = |length: Option<usize>| {
        converting(|path| {
            let mut zip = TorchZip::create(path, &pickle);
            for (index, (name, shape)) in entries.iter().enumerate() {
                let numbers = synthetic::numbers(name, shape);
                let mut bytes: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
                match (index, length) {
                    (5, Some(length)) => bytes.truncate(length),
                    (5, None) => continue,
                    _ => {}
                }
                zip.entry(&format!("data/{index}"), &bytes);
            }
            zip.finish();
        })
    };
    let name = "backbone.body.layer1.0.conv1.weight";
    short(Some(100)).refused(&[name, "truncated: 100 bytes, expected 2304"]);
    short(None).refused(&[name, "no entry archive/data/5"]);

    converting(|path| {
        write_safetensors(path, &entries, &Style::default());
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 10]).unwrap();
    })
    .refused(&["broken safetensors", "truncated"]);
}

#[test]
fn numbers_that_make_no_sense() {
    let set = |tensor: &'static str, number: f32| {
        move |name: &str, numbers: &mut Vec<f32>| {
            if name.ends_with(tensor) {
                numbers[3] = number;
            }
        }
    };
    let nan = set("rpn.head.conv.bias", f32::NAN);
    converting(|path| write_changed(path, &tiny(), nan)).refused(&[
        "rpn.head.conv.bias",
        "NaN",
        "not finite",
    ]);
    let negative = set("layer2.1.bn1.running_var", -0.5);
    converting(|path| write_changed(path, &tiny(), negative))
        .refused(&["backbone.body.layer2.1.bn1.running_var", "a variance of -0.5"]);
}

#[test]
fn weights_that_no_f16_can_hold() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_changed(&from, &tiny(), |name, numbers| {
        if name.ends_with("class_head.fc7.weight") {
            numbers[0] = 1e5;
        }
    });
    let convert = |storage| {
        let arguments = [
            "convert",
            text(&from),
            "--pose-stats",
            "wider",
            "-o",
            text(&to),
            "--storage",
            storage,
        ];
        run(&arguments)
    };
    convert("f16").refused(&["class_head.fc7.weight", "100000", "store it as f32"]);
    assert!(!to.exists());
    convert("f32").succeeded();
}

#[test]
fn a_pickle_that_wants_to_call_something() {
    let folder = Folder::new();
    let witness = folder.path("pwned");
    let shell = format!("touch {}", text(&witness));
    // What `__reduce__` returning (os.system, (command,)) makes.
    let mut pickle = Pickle::default();
    pickle.op(b"cposix\nsystem\n(").text(&shell).op(b"tR.");
    with_pickle(&pickle.0).refused(&["posix.system", "nothing was executed"]);
    let mut pickle = Pickle::default();
    pickle
        .text("builtins")
        .text("eval")
        .op(b"\x93(")
        .text("1")
        .op(b"tR.");
    with_pickle(&pickle.0).refused(&["builtins.eval"]);
    with_pickle(b"\x80\x02(ios\nsystem\n.").refused(&["os.system"]);
    assert!(!witness.exists());
}

#[test]
fn pose_statistics_that_cannot_be_had() {
    let folder = Folder::new();
    let (from, to, mean, stddev) = (
        folder.path("a.pth"),
        folder.path("a.onnx"),
        folder.path("pose_mean.npy"),
        folder.path("pose_stddev.npy"),
    );
    write_pth(&from, &tiny(), &Style::default());
    let convert = |statistics: &[&str]| {
        let arguments = ["convert", text(&from), "-o", text(&to)];
        let ran = run(&[&arguments[..], statistics].concat());
        assert!(!to.exists());
        ran
    };
    convert(&[]).refused(&[
        "pose statistics: none beside",
        "--pose-stats",
        "`wider`",
        "`none`",
    ]);
    // What is no checkpoint was blamed for that, too.
    let other = folder.path("notes.txt");
    fs::write(&other, "not weights").unwrap();
    let told = run(&["convert", text(&other), "-o", text(&to)]);
    told.refused(&["notes.txt", "neither"]);
    assert!(!told.stderr.contains("statistics"), "{}", told.stderr);
    convert(&["--pose-stats", "nowhere"]).refused(&["nowhere is no folder"]);

    ndarray_npy::write_npy(&mean, &ndarray::arr1(&[0f64; 6])).unwrap();
    convert(&[]).refused(&["no *pose_stddev*.npy"]);
    let both = ["--pose-stats", text(&mean), text(&stddev)];
    convert(&both).refused(&["cannot read", "pose_stddev.npy"]);
    fs::write(&stddev, "1 2 3 4 5 6").unwrap();
    convert(&both).refused(&["pose_stddev.npy", "not a readable .npy file"]);
    ndarray_npy::write_npy(&stddev, &ndarray::arr1(&[1f64; 5])).unwrap();
    convert(&both).refused(&["5 numbers, expected 6"]);
    ndarray_npy::write_npy(&stddev, &ndarray::arr1(&[1i64; 6])).unwrap();
    convert(&both).refused(&["<i8", "expected '<f8' or '<f4'"]);
    ndarray_npy::write_npy(&stddev, &ndarray::arr1(&[1f64, 1.0, 0.0, 1.0, 1.0, 1.0])).unwrap();
    convert(&both).refused(&["a standard deviation of 0"]);
    ndarray_npy::write_npy(&stddev, &ndarray::arr1(&[1f64, f64::NAN, 1.0, 1.0, 1.0, 1.0])).unwrap();
    convert(&both).refused(&["not finite"]);
    ndarray_npy::write_npy(&stddev, &ndarray::arr1(&[1f64; 6])).unwrap();
    fs::copy(&mean, folder.path("other_pose_mean.npy")).unwrap();
    convert(&[]).refused(&["several *pose_mean*.npy"]);
}

#[test]
fn an_output_that_cannot_be_written() {
    let folder = Folder::new();
    let from = folder.path("a.pth");
    write_pth(&from, &tiny(), &Style::default());
    let before = fs::read(&from).unwrap();
    let convert =
        |to: &std::path::Path| run(&["convert", text(&from), "--pose-stats", "wider", "-o", text(to)]);

    convert(&from).refused(&["a.pth is an input"]);
    assert!(fs::read(&from).unwrap() == before);
    convert(&folder.path("nowhere/out.onnx")).refused(&[
        "cannot write",
        "nowhere/out.onnx",
        "there is no folder",
    ]);
    fs::create_dir(folder.path("dir.onnx")).unwrap();
    convert(&folder.path("dir.onnx")).refused(&["cannot write", "dir.onnx: it is a folder"]);
    assert_eq!(folder.names(), ["a.pth", "dir.onnx"]);

    // Root may write anywhere; the rest of the test is for everybody else.
    let locked = folder.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(locked.join("probe"), "").is_err() {
        convert(&locked.join("out.onnx")).refused(&["cannot write", "permission denied"]);
    }
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The tool used to put the model in the place of the device when root ran it.
#[test]
fn a_device_is_not_replaced_by_the_model() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("socket"));
    write_pth(&from, &tiny(), &Style::default());
    // Stands for a device node, which only root can make.
    let _socket = std::os::unix::net::UnixListener::bind(&to).unwrap();
    let ran = run(&["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)]);
    ran.refused(&["cannot write", "socket: it is a device or pipe"]);
    assert!(!fs::metadata(&to).unwrap().is_file());
}

/// The tool used to write the model over the statistics that it had read.
#[test]
fn an_output_over_statistics_or_licence_is_refused() {
    let folder = Folder::new();
    let (from, mean, stddev, licence) = (
        folder.path("a.pth"),
        folder.path("m.npy"),
        folder.path("s.npy"),
        folder.path("LICENCE"),
    );
    write_pth(&from, &tiny(), &Style::default());
    for statistics in [&mean, &stddev] {
        ndarray_npy::write_npy(statistics, &ndarray::arr1(&[1f64; 6])).unwrap();
    }
    fs::write(&licence, "MIT").unwrap();
    for input in [&mean, &stddev, &licence] {
        let before = fs::read(input).unwrap();
        let statistics = ["--pose-stats", text(&mean), text(&stddev)];
        let arguments = [
            "convert",
            text(&from),
            "-o",
            text(input),
            "--licence",
            text(&licence),
        ];
        run(&[&arguments[..], &statistics].concat()).refused(&["is an input of the conversion"]);
        assert!(fs::read(input).unwrap() == before);
    }
}

/// The name of a file that is not there used to become the licence.
#[test]
fn a_mistyped_licence_file_is_refused() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_pth(&from, &tiny(), &Style::default());
    let arguments = ["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)];
    run(&[&arguments[..], &["--licence", "LICENSE.txt"]].concat())
        .refused(&["licence: there is no file LICENSE.txt"]);
    assert!(!to.exists());
}

#[test]
fn a_failed_conversion_keeps_the_old_model() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    fs::write(&to, "the old model").unwrap();
    let mut entries = tiny();
    // Found only when the numbers are read, after writing has begun.
    let pickle = checkpoint_pickle(&entries, &Style::default());
    entries.truncate(100);
    let mut zip = TorchZip::create(&from, &pickle);
    for (index, (name, shape)) in entries.iter().enumerate() {
        let numbers = synthetic::numbers(name, shape);
        zip.entry(
            &format!("data/{index}"),
            &numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>(),
        );
    }
    zip.finish();
    run(&["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)]).refused(&["data are missing"]);
    assert_eq!(fs::read_to_string(&to).unwrap(), "the old model");
    assert_eq!(folder.names(), ["a.onnx", "a.pth"]);
}

#[test]
fn inspect_and_check_refuse_what_they_cannot_read() {
    let folder = Folder::new();
    let file = folder.path("file");
    fs::write(&file, "hello, world").unwrap();
    run(&["inspect", text(&file)]).refused(&["neither a checkpoint nor an ONNX model"]);
    run(&["check", text(&file)]).refused(&["file is not an ONNX model"]);
    run(&["check", text(&folder.path("nowhere"))]).refused(&["cannot read", "nowhere"]);
    write_pth(&file, &tiny(), &Style::default());
    run(&["check", text(&file)]).refused(&["file is not an ONNX model"]);
}

#[test]
fn sizes_that_contradict() {
    let folder = Folder::new();
    let (from, to) = (folder.path("a.pth"), folder.path("a.onnx"));
    write_pth(&from, &tiny(), &Style::default());
    let sizes = ["--min-size", "800", "--max-size", "600"];
    let arguments = ["convert", text(&from), "--pose-stats", "wider", "-o", text(&to)];
    run(&[&arguments[..], &sizes].concat()).refused(&["--max-size 600 is below --min-size 800"]);
    assert!(!to.exists());
}

#[test]
fn output_that_nobody_reads() {
    let folder = Folder::new();
    let file = folder.path("a.pth");
    write_pth(&file, &tiny(), &Style::default());
    let inspect = |stdout: Stdio| {
        let output = command(&["inspect", text(&file)])
            .stdout(stdout)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // `inspect FILE | head -n 1`: the rest of the lines is nobody's loss.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(inspect(writer.into()), (Some(0), String::new()));
    // A full disk is.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, said) = inspect(full.into());
    assert!(
        code == Some(1) && said.starts_with("error: cannot write to stdout: "),
        "{code:?}: {said}"
    );
}
