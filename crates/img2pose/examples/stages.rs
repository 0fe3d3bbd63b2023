//! Prints where the detector's time goes, stage by stage, in milliseconds a frame.
//!
//!     cargo run --release -p img2pose --example stages -- MODEL WIDTH HEIGHT MIN_SIZE BATCH [PROVIDER [PRECISION]]

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
use img2pose::{Detector, DetectorOptions, ExecutionProvider, Precision, StageTimes};

const ROUNDS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, width, height, min_size, batch, rest @ ..] = &arguments[..] else {
        return Err("MODEL WIDTH HEIGHT MIN_SIZE BATCH [PROVIDER [PRECISION]]".into());
    };
    let (width, height, capacity) = (width.parse()?, height.parse()?, batch.parse()?);
    let options = DetectorOptions::default()
        .with_min_size(Some(min_size.parse()?))
        .with_execution_provider({
            let name = rest.first().map_or("auto", String::as_str);
            ExecutionProvider::from_name(name).ok_or_else(|| format!("unknown provider '{name}'"))?
        })
        .with_precision(match rest.get(1).map(String::as_str) {
            None => Precision::Auto,
            Some("fp32") => Precision::Fp32,
            Some("fp16") => Precision::Fp16,
            Some("bf16") => Precision::Bf16,
            Some("int8") => Precision::Int8,
            Some(other) => return Err(format!("unknown precision '{other}'").into()),
        });
    let mut detector = Detector::open(Path::new(model), options)?;
    let layout = FrameLayout {
        format: PixelFormat::Nv12,
        width,
        height,
        matrix: ColorMatrix::Bt709,
        range: ColorRange::Limited,
        view: View::PLAIN,
    };
    // A pattern with edges at every scale, so that proposals survive suppression as they do in a photo.
    let (w, h) = (width as usize, height as usize);
    let pixels: Vec<u8> = (0..w * h * 3 / 2)
        .map(|i| ((i % w / 7 * 31) ^ (i / w / 11 * 57) ^ (i.wrapping_mul(2_654_435_761) >> 25)) as u8)
        .collect();
    let planes = [
        Plane {
            data: &pixels,
            stride: w,
        },
        Plane {
            data: &pixels[w * h..],
            stride: w,
        },
    ];
    let frame = Frame {
        layout,
        planes: [planes[0], planes[1], planes[1]],
    };

    let mut rows: Vec<(Duration, StageTimes, Duration)> = Vec::new();
    let mut slot = detector.new_batch(layout, capacity)?;
    for round in 0..ROUNDS + 2 {
        slot.clear();
        let start = Instant::now();
        for _ in 0..capacity {
            slot.push(&frame)?;
        }
        let convert = start.elapsed();
        detector.detect_batch(&slot)?;
        if round >= 2 {
            rows.push((convert, detector.stage_times(), start.elapsed()));
        }
    }
    println!(
        "{} at {} x {}, batch {capacity}: median of {ROUNDS}, ms a frame",
        detector.active_provider(),
        w,
        h
    );
    let median = |pick: &dyn Fn(&(Duration, StageTimes, Duration)) -> Duration| {
        let mut values: Vec<Duration> = rows.iter().map(pick).collect();
        values.sort();
        values[values.len() / 2].as_secs_f64() * 1e3 / capacity as f64
    };
    for (name, value) in [
        ("convert", median(&|row| row.0)),
        ("dense", median(&|row| row.1.dense)),
        ("proposals", median(&|row| row.1.proposals)),
        ("roi align", median(&|row| row.1.roi_align)),
        ("class head", median(&|row| row.1.class_head)),
        ("pose head", median(&|row| row.1.pose_head)),
        ("faces", median(&|row| row.1.faces)),
        ("all", median(&|row| row.2)),
    ] {
        println!("{name:>10} {value:8.2}");
    }
    Ok(())
}
