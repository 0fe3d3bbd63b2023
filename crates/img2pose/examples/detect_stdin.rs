//! Faces of raw frames, for programs in other languages and for evaluating models.
//!
//! `detect_stdin MODEL.onnx [MIN_SIZE]` reads frames from standard input, each a line `WIDTH HEIGHT` and then
//! the pixels, RGB, 3 x WIDTH x HEIGHT bytes. For each it writes one line of JSON, the faces above a score of 0.05
//! by falling score: `[{"box": [x0, y0, x1, y1], "score": s, "pose": [rx, ry, rz, tx, ty, tz]}, ...]`.

use std::error::Error;
use std::io::{BufRead, Read, Write};

use img2pose::frame::Frame;
use img2pose::{Detector, DetectorOptions, Selection};
use serde_json::json;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, min_size) = match arguments.as_slice() {
        [model] => (model, None),
        [model, min_size] => (model, Some(min_size.parse()?)),
        _ => return Err("usage: detect_stdin MODEL.onnx [MIN_SIZE] < FRAMES".into()),
    };
    let options = DetectorOptions::default()
        .with_selection(Selection::default().with_score_threshold(0.05))
        .with_min_size(min_size);
    let mut detector = Detector::open(model.as_ref(), options)?;

    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    let (mut header, mut pixels) = (String::new(), Vec::new());
    while input.read_line(&mut header)? > 0 {
        let (width, height) = size(&header)?;
        pixels.resize(3 * width as usize * height as usize, 0);
        input.read_exact(&mut pixels)?;
        let faces = detector.detect(&[Frame::rgb(&pixels, width, height)])?.remove(0);
        let faces: Vec<_> = faces
            .iter()
            .map(|face| json!({"box": face.bbox, "score": face.confidence, "pose": face.pose}))
            .collect();
        writeln!(output, "{}", serde_json::Value::from(faces))?;
        output.flush()?;
        header.clear();
    }
    Ok(())
}

/// Width and height from the line before a frame.
fn size(header: &str) -> Result<(u32, u32), Box<dyn Error>> {
    let wrong = || {
        format!(
            "expected a line 'WIDTH HEIGHT' before each frame, found '{}'",
            header.trim_end()
        )
    };
    let mut numbers = header.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(width)), Some(Ok(height)), None) if width > 0 && height > 0 => Ok((width, height)),
        _ => Err(wrong().into()),
    }
}
