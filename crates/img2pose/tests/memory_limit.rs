//! What cannot fit into memory is an error of that frame, and the process lives on.
//!
//! The test starts itself again under a limit: without one, the system promises more memory than there is.

use std::process::Command;

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use img2pose::{Detector, DetectorOptions, Error, ExecutionProvider, Model};

/// Set in the process that is under the limit.
const VARIABLE: &str = "IMG2POSE_TEST_UNDER_LIMIT";
/// Address space in KiB; ONNX Runtime and the model take about a tenth of it.
const LIMIT: &str = "3000000";

fn layout(width: u32, height: u32) -> FrameLayout {
    FrameLayout {
        format: PixelFormat::Gray8,
        width,
        height,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Full,
        view: View::PLAIN,
    }
}

fn frame(layout: FrameLayout, pixels: &[u8]) -> Frame<'_> {
    let stride = layout.width as usize;
    Frame {
        layout,
        planes: [Plane { data: pixels, stride }; 3],
    }
}

#[test]
fn a_frame_that_is_too_large_for_memory_is_an_error() {
    if std::env::var_os(VARIABLE).is_some() {
        return under_the_limit();
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new("sh")
        .args(["-c", &format!("ulimit -v {LIMIT} && exec \"$0\" \"$@\"")])
        .arg(program)
        .args([
            "a_frame_that_is_too_large_for_memory_is_an_error",
            "--exact",
            "--nocapture",
        ])
        .env(VARIABLE, "1")
        .output()
        .unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("lived on"),
        "{}\n{text}",
        output.status
    );
}

fn under_the_limit() {
    let model = Model::open(&test_support::shipped_model()).unwrap();
    let load = |min_size| {
        let options = DetectorOptions::default()
            .with_min_size(min_size)
            .with_max_size(16_384)
            .with_num_threads(1)
            .with_execution_provider(ExecutionProvider::Cpu);
        Detector::load(&model, options).unwrap()
    };
    let pixels = vec![90; 4000 * 4000];

    // The network's input alone does not fit: 3.2 GB.
    let large = layout(4000, 4000);
    let mut detector = load(16_384);
    let error = detector.detect(&[frame(large, &pixels)]).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    // The input fits, what the network makes of it does not.
    let mut detector = load(8000);
    let error = detector.detect(&[frame(large, &pixels)]).unwrap_err();
    assert!(matches!(error, Error::Inference { .. }), "{error}");
    // The same detector, a frame that fits: of a strip, the long side is bound.
    let strip = layout(4000, 40);
    let found = detector.detect(&[frame(strip, &pixels[..4000 * 40])]);
    match found {
        Ok(faces) => assert_eq!(faces.len(), 1),
        Err(error) => assert!(matches!(error, Error::Inference { .. }), "{error}"),
    }
    let mut detector = load(64);
    assert_eq!(detector.detect(&[frame(large, &pixels)]).unwrap().len(), 1);
    println!("lived on");
}
