//! The graph that makes network images of frames where the network computes, as
//! [`Converter`](crate::frame::Converter) does on the processor.
//!
//! Chroma is turned into colours before it is spread over 2x2 pixels: a quarter of the work.

use img2pose_onnx::attribute::{int, ints, text};
use img2pose_onnx::{Builder, Dimension, ModelProto, Value, ValueInfoProto, data_type};
use prost::Message;

use crate::contract;
use crate::frame::{Colours, Conversion, FrameLayout, raw_len};

/// Input of the graph: bytes of frames without gaps, `[frames, bytes of a frame]`.
const FRAMES: &str = "frames";

/// The graph for one [`Conversion`], as an ONNX file; its output is [`contract::IMAGES`].
pub(crate) fn frame_graph(conversion: &Conversion) -> Vec<u8> {
    let mut graph = Builder::piece(FRAMES);
    let frames = graph.cast(FRAMES, data_type::FLOAT);
    let layout = &conversion.layout;
    let (colours, channels) = match conversion.colours() {
        Colours::Packed { bytes, places } => (packed(&mut graph, &frames, layout, bytes, places), 3),
        Colours::Gray { scale, offset } => {
            let luma = pixels(&mut graph, &frames, [1, height(layout), width(layout)]);
            let scaled = with_number(&mut graph, "Mul", &luma, scale);
            let gray = with_number(&mut graph, "Add", &scaled, offset);
            (clamped(&mut graph, &gray), 1)
        }
        Colours::YCbCr {
            scale,
            cb,
            cr,
            offset,
            interleaved,
        } => {
            let tint = tint(&mut graph, &frames, layout, interleaved, [cb, cr], offset);
            let luma = graph.slice(&frames, 1, 0, height(layout) * width(layout));
            let luma = pixels(&mut graph, &luma, [1, height(layout), width(layout)]);
            let scaled = with_number(&mut graph, "Mul", &luma, scale);
            let rgb = graph.op("Add", &[&scaled, &tint], vec![]);
            (clamped(&mut graph, &rgb), 3)
        }
    };
    let resized = resized(&mut graph, &colours, conversion, channels);
    let resized = turned(&mut graph, &resized, conversion);
    // One channel becomes three here.
    let factors = conversion.normalisation();
    let scaled = with_colour(&mut graph, "Mul", &resized, factors.map(|(scale, _)| scale));
    let normalised = with_colour(&mut graph, "Add", &scaled, factors.map(|(_, offset)| offset));
    let images = padded(&mut graph, &normalised, conversion);
    finish(graph, &images, raw_len(layout))
}

fn height(layout: &FrameLayout) -> i64 {
    layout.height.into()
}

fn width(layout: &FrameLayout) -> i64 {
    layout.width.into()
}

/// R, G, B `[frames, 3, height, width]` of packed pixels.
fn packed(
    graph: &mut Builder,
    frames: &str,
    layout: &FrameLayout,
    bytes: usize,
    places: [usize; 3],
) -> String {
    let pixels = pixels(graph, frames, [height(layout), width(layout), bytes as i64]);
    let planes = graph.op("Transpose", &[&pixels], vec![ints("perm", &[0, 3, 1, 2])]);
    if bytes == 3 && places == [0, 1, 2] {
        return planes;
    }
    let places = graph.i64s(&places.map(|place| place as i64));
    graph.op("Gather", &[&planes, &places], vec![int("axis", 1)])
}

/// What the chroma of YCbCr frames adds to R, G, B, `[frames, 3, height, width]`.
fn tint(
    graph: &mut Builder,
    frames: &str,
    layout: &FrameLayout,
    interleaved: bool,
    factors: [[f32; 3]; 2],
    offset: [f32; 3],
) -> String {
    let (rows, columns) = ((height(layout) + 1) / 2, (width(layout) + 1) / 2);
    let bytes = graph.slice(frames, 1, height(layout) * width(layout), raw_len(layout) as i64);
    let chroma = if interleaved {
        let pairs = pixels(graph, &bytes, [rows, columns, 2]);
        graph.op("Transpose", &[&pairs], vec![ints("perm", &[0, 3, 1, 2])])
    } else {
        pixels(graph, &bytes, [2, rows, columns])
    };
    let [blue, red] = [0, 1].map(|channel| {
        let samples = graph.slice(&chroma, 1, channel, channel + 1);
        with_colour(graph, "Mul", &samples, factors[channel as usize])
    });
    let both = graph.op("Add", &[&blue, &red], vec![]);
    let tint = with_colour(graph, "Add", &both, offset);
    let doubled = graph.f32s(&[4], &[1.0, 1.0, 2.0, 2.0]);
    let attributes = vec![
        text("mode", "nearest"),
        text("coordinate_transformation_mode", "asymmetric"),
        text("nearest_mode", "floor"),
    ];
    let mut tint = graph.op("Resize", &[&tint, "", &doubled], attributes);
    for (axis, side) in [(2, height(layout)), (3, width(layout))] {
        if side % 2 == 1 {
            tint = graph.slice(&tint, axis, 0, side);
        }
    }
    tint
}

/// Size of the network image without its padding, its sides as those of the frame.
fn resized_size(conversion: &Conversion) -> (u32, u32) {
    let size = &conversion.size;
    match conversion.layout.view.orientation.swaps_sides() {
        true => (size.height, size.width),
        false => (size.width, size.height),
    }
}

/// Brought to the size of the network image without its padding, not turned yet.
fn resized(graph: &mut Builder, colours: &str, conversion: &Conversion, channels: i64) -> String {
    let layout = &conversion.layout;
    let (width, height) = resized_size(conversion);
    if (layout.width, layout.height) == (width, height) {
        return colours.to_owned();
    }
    let shape = graph.op("Shape", &[colours], vec![]);
    let frames = graph.slice(&shape, 0, 0, 1);
    let rest = graph.i64s(&[channels, height.into(), width.into()]);
    let shape = graph.op("Concat", &[&frames, &rest], vec![int("axis", 0)]);
    let attributes = vec![
        text("mode", "linear"),
        text("coordinate_transformation_mode", "half_pixel"),
    ];
    graph.op("Resize", &[colours, "", "", &shape], attributes)
}

/// Upright.
fn turned(graph: &mut Builder, resized: &str, conversion: &Conversion) -> String {
    let orientation = conversion.layout.view.orientation;
    let (width, height) = resized_size(conversion);
    let mut image = resized.to_owned();
    for (reversed, axis, side) in [
        (orientation.reverses_rows(), 2, height),
        (orientation.reverses_columns(), 3, width),
    ] {
        if reversed {
            // Slice with a negative step is not known everywhere.
            let places = graph.i64s(&(0..i64::from(side)).rev().collect::<Vec<_>>());
            image = graph.op("Gather", &[&image, &places], vec![int("axis", axis)]);
        }
    }
    match orientation.swaps_sides() {
        true => graph.op("Transpose", &[&image], vec![ints("perm", &[0, 1, 3, 2])]),
        false => image,
    }
}

/// With zeros right and below.
fn padded(graph: &mut Builder, images: &str, conversion: &Conversion) -> String {
    let size = &conversion.size;
    let below = i64::from(size.padded_height - size.height);
    let right = i64::from(size.padded_width - size.width);
    if (below, right) == (0, 0) {
        return images.to_owned();
    }
    let pads = graph.i64s(&[0, 0, 0, 0, 0, 0, below, right]);
    graph.op("Pad", &[images, &pads], vec![])
}

/// `operator` on every element and one number.
fn with_number(graph: &mut Builder, operator: &str, value: &str, number: f32) -> Value {
    let number = graph.f32s(&[1], &[number]);
    graph.binary(operator, value, &number)
}

/// `operator` on a value `[frames, 1 or 3, height, width]` and one number for each of R, G and B.
fn with_colour(graph: &mut Builder, operator: &str, value: &str, numbers: [f32; 3]) -> Value {
    let numbers = graph.f32s(&[1, 3, 1, 1], &numbers);
    graph.binary(operator, value, &numbers)
}

/// Bytes of frames `[frames, bytes]` as `[frames, a, b, c]`.
fn pixels(graph: &mut Builder, bytes: &str, [a, b, c]: [i64; 3]) -> Value {
    // 0: as many frames as there are.
    graph.reshape(bytes, &[0, a, b, c])
}

fn clamped(graph: &mut Builder, value: &str) -> Value {
    let [black, white] = [0.0, 255.0].map(|number| graph.f32(number));
    graph.op("Clip", &[value, &black, &white], vec![])
}

/// The file of a graph that takes frames of that many bytes and makes `images`.
fn finish(mut graph: Builder, images: &str, bytes: usize) -> Vec<u8> {
    graph.rename(images, contract::IMAGES);
    let mut graph = graph.into_graph(FRAMES);
    let input = [Dimension::Free(FRAMES), Dimension::Fixed(bytes)];
    graph.input = vec![ValueInfoProto::tensor(FRAMES, data_type::UINT8, Some(&input))];
    graph.output = vec![ValueInfoProto::tensor(contract::IMAGES, data_type::FLOAT, None)];
    ModelProto::of(graph).encode_to_vec()
}
