//! Follows the faces of a video: the whole frame is looked at now and then, in between only the surroundings of each face.
//!
//! `follow_stdin MODEL.onnx [INTERVAL [BATCH]] < FRAMES` reads frames as `detect_stdin` does, each a line `WIDTH HEIGHT` and
//! then the pixels, RGB, 3 x WIDTH x HEIGHT bytes. Every INTERVAL-th (15) is looked at as a whole; BATCH (8) frames go
//! through the network together. For each frame it writes one line of JSON: `[{"box": [x0, y0, x1, y1], "score": s,
//! "pose": [rx, ry, rz, tx, ty, tz]}, ...]`, and at the end, on standard error, how the frames were looked at. With a file:
//!
//! `(ffmpeg -v error -i VIDEO -vf scale=640:360 -f rawvideo -pix_fmt rgb24 - | python3 -c 'import sys
//! while frame := sys.stdin.buffer.read(640 * 360 * 3): sys.stdout.buffer.write(b"640 360\n" + frame)') | follow_stdin MODEL.onnx`

use std::error::Error;
use std::io::{BufRead, Write};

use img2pose::frame::Frame;
use img2pose::{Detector, DetectorOptions, FollowOptions, Follower, StreamFrame};
use serde_json::json;

/// A picture as it was read.
struct Picture {
    pixels: Vec<u8>,
    width: u32,
    height: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (model, interval, batch): (_, u32, usize) = match arguments.as_slice() {
        [model] => (model, 15, 8),
        [model, interval] => (model, interval.parse()?, 8),
        [model, interval, batch] => (model, interval.parse()?, batch.parse()?),
        _ => return Err("usage: follow_stdin MODEL.onnx [INTERVAL [BATCH]] < FRAMES".into()),
    };
    let mut detector = Detector::open(model.as_ref(), DetectorOptions::default())?;
    let options = FollowOptions::default().with_whole_frame_interval(interval);
    let mut followers = [Follower::default()];
    let mut faces = Vec::new();

    let (mut input, mut output) = (std::io::stdin().lock(), std::io::stdout().lock());
    loop {
        let mut pictures = Vec::new();
        while pictures.len() < batch.max(1)
            && let Some(picture) = read(&mut input)?
        {
            pictures.push(picture);
        }
        if pictures.is_empty() {
            break;
        }
        let frames: Vec<_> = pictures
            .iter()
            .map(|picture| StreamFrame {
                frame: Frame::rgb(&picture.pixels, picture.width, picture.height),
                stream: 0,
            })
            .collect();
        detector.detect_following(&frames, &mut followers, &options, &mut faces)?;
        for faces in &faces {
            let faces: Vec<_> = faces
                .iter()
                .map(|face| json!({"box": face.bbox, "score": face.confidence, "pose": face.pose}))
                .collect();
            writeln!(output, "{}", serde_json::Value::from(faces))?;
        }
        output.flush()?;
    }
    let counts = followers[0].counts();
    eprintln!(
        "{} whole frames, {} regions, {} faces lost on the way",
        counts.whole_frames, counts.regions, counts.losses
    );
    Ok(())
}

/// The next frame; `None` at the end.
fn read(input: &mut impl BufRead) -> Result<Option<Picture>, Box<dyn Error>> {
    let mut header = String::new();
    if input.read_line(&mut header)? == 0 {
        return Ok(None);
    }
    let mut numbers = header.split_whitespace().map(str::parse::<u32>);
    let (Some(Ok(width @ 1..)), Some(Ok(height @ 1..)), None) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        let found = header.trim_end();
        return Err(format!("expected a line 'WIDTH HEIGHT' before each frame, found '{found}'").into());
    };
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    input.read_exact(&mut pixels)?;
    Ok(Some(Picture {
        pixels,
        width,
        height,
    }))
}
