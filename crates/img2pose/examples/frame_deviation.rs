//! How far the network images of a YCbCr video are from those of the same video as RGB, in gray levels of 0..255.
//!
//! `frame_deviation nv12|i420 bt601|bt709 WIDTH HEIGHT VIDEO.yuv VIDEO.rgb`: both files are raw, limited range and
//! full range, with the strides of GStreamer (rows rounded up to 4 bytes).
//! `scripts/compare-videoconvert.sh` makes such files and runs this on them.

use std::error::Error;
use std::fs::File;
use std::io::{BufReader, Read};

use img2pose::frame::{
    ColorMatrix, ColorRange, Converter, Frame, FrameLayout, NetworkSize, PixelFormat, Plane, View,
};

/// With these the network images are in gray levels.
const MEAN: [f32; 3] = [0.0; 3];
const STD: [f32; 3] = [1.0 / 255.0; 3];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [format, matrix, width, height, yuv, rgb] = arguments.as_slice() else {
        return Err("usage: frame_deviation nv12|i420 bt601|bt709 WIDTH HEIGHT VIDEO.yuv VIDEO.rgb".into());
    };
    let layout = FrameLayout {
        format: match format.as_str() {
            "nv12" => PixelFormat::Nv12,
            "i420" => PixelFormat::I420,
            other => return Err(format!("unknown format '{other}'").into()),
        },
        width: width.parse()?,
        height: height.parse()?,
        matrix: match matrix.as_str() {
            "bt601" => ColorMatrix::Bt601,
            "bt709" => ColorMatrix::Bt709,
            other => return Err(format!("unknown matrix '{other}'").into()),
        },
        range: ColorRange::Limited,
        view: View::PLAIN,
    };
    let (width, height) = (layout.width, layout.height);
    let own_size = NetworkSize::new(width, height, width.min(height), width.max(height), 1);
    for (what, size) in [
        ("pixels", own_size),
        ("network image", NetworkSize::new(width, height, 480, 1400, 32)),
    ] {
        let mut yuv = Reader::new(yuv, layout, size)?;
        let mut rgb = Reader::new(
            rgb,
            FrameLayout {
                format: PixelFormat::Rgb,
                ..layout
            },
            size,
        )?;
        let (mut frames, mut values, mut within_one) = (0_u32, 0_u64, 0_u64);
        let (mut sum, mut signed_sum) = (0.0, 0.0);
        let mut max = 0.0_f64;
        while yuv.next()? & rgb.next()? {
            frames += 1;
            for (found, expected) in yuv.image.iter().zip(&rgb.image) {
                let difference = f64::from(found - expected);
                signed_sum += difference;
                sum += difference.abs();
                max = max.max(difference.abs());
                within_one += u64::from(difference.abs() <= 1.0);
            }
            values += 3 * u64::from(size.width) * u64::from(size.height);
        }
        // The padding is equal: leave it out.
        within_one -= u64::from(frames) * size.tensor_len() as u64 - values;
        let values = values as f64;
        println!(
            "{what} {}x{}, {frames} frames: mean {:.2}, max {max:.1} levels, {:+.2} brighter; within 1: {:.1} %",
            size.width,
            size.height,
            sum / values,
            signed_sum / values,
            100.0 * within_one as f64 / values,
        );
    }
    Ok(())
}

/// Reads a raw video frame by frame, into network images.
struct Reader {
    file: BufReader<File>,
    converter: Converter,
    /// Stride and rows of each plane.
    planes: [(usize, usize); 3],
    bytes: Vec<u8>,
    image: Vec<f32>,
}

impl Reader {
    fn new(path: &str, layout: FrameLayout, size: NetworkSize) -> Result<Self, Box<dyn Error>> {
        let (width, height) = (layout.width as usize, layout.height as usize);
        let half_height = height.div_ceil(2);
        let round_up = |bytes: usize| bytes.next_multiple_of(4);
        let planes = match layout.format {
            PixelFormat::Nv12 => [(round_up(width), height), (round_up(width), half_height), (0, 0)],
            PixelFormat::I420 => {
                let chroma = (round_up(width.div_ceil(2)), half_height);
                [(round_up(width), height), chroma, chroma]
            }
            _ => [(round_up(3 * width), height), (0, 0), (0, 0)],
        };
        Ok(Self {
            file: BufReader::new(File::open(path).map_err(|error| format!("{path}: {error}"))?),
            converter: Converter::new(layout, size, MEAN, STD)?,
            planes,
            bytes: vec![0; planes.iter().map(|(stride, rows)| stride * rows).sum()],
            image: vec![0.0; size.tensor_len()],
        })
    }

    /// Whether there was another frame.
    fn next(&mut self) -> Result<bool, Box<dyn Error>> {
        match self.file.read_exact(&mut self.bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        let mut rest = self.bytes.as_slice();
        let planes = self.planes.map(|(stride, rows)| {
            let (data, after) = rest.split_at(stride * rows);
            rest = after;
            Plane { data, stride }
        });
        self.converter.convert(
            &Frame {
                layout: *self.converter.layout(),
                planes,
            },
            &mut self.image,
        )?;
        Ok(true)
    }
}
