//! The graph that makes network images of frames where the network computes, as
//! [`Converter`](crate::frame::Converter) does on the processor.
//!
//! Chroma is turned into colours before it is spread over 2x2 pixels: a quarter of the work.

use prost::Message;
use prost::bytes::Bytes;

use super::cut::{self, Dimension};
use crate::contract;
use crate::frame::{Colours, Conversion, FrameLayout, raw_len};
use crate::onnx::attribute::{int, ints, text};
use crate::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, data_type,
};

/// Input of the graph: bytes of frames without gaps, `[frames, bytes of a frame]`.
const FRAMES: &str = "frames";

/// The graph for one [`Conversion`], as an ONNX file; its output is [`contract::IMAGES`].
pub(crate) fn frame_graph(conversion: &Conversion) -> Vec<u8> {
    let mut graph = Graph::default();
    let frames = graph.node("Cast", &[FRAMES], vec![int("to", data_type::FLOAT.into())]);
    let layout = &conversion.layout;
    let (colours, channels) = match conversion.colours() {
        Colours::Packed { bytes, places } => (packed(&mut graph, &frames, layout, bytes, places), 3),
        Colours::Gray { scale, offset } => {
            let luma = graph.pixels(&frames, [1, height(layout), width(layout)]);
            let scaled = graph.with_number("Mul", &luma, scale);
            let gray = graph.with_number("Add", &scaled, offset);
            (graph.clamped(&gray), 1)
        }
        Colours::YCbCr {
            scale,
            cb,
            cr,
            offset,
            interleaved,
        } => {
            let tint = tint(&mut graph, &frames, layout, interleaved, [cb, cr], offset);
            let luma = graph.part(&frames, 1, 0, height(layout) * width(layout));
            let luma = graph.pixels(&luma, [1, height(layout), width(layout)]);
            let scaled = graph.with_number("Mul", &luma, scale);
            let rgb = graph.node("Add", &[&scaled, &tint], vec![]);
            (graph.clamped(&rgb), 3)
        }
    };
    let resized = resized(&mut graph, &colours, conversion, channels);
    let resized = turned(&mut graph, &resized, conversion);
    // One channel becomes three here.
    let factors = conversion.normalisation();
    let scaled = graph.with_colour("Mul", &resized, factors.map(|(scale, _)| scale));
    let normalised = graph.with_colour("Add", &scaled, factors.map(|(_, offset)| offset));
    let images = padded(&mut graph, &normalised, conversion);
    graph.finish(&images, raw_len(layout))
}

fn height(layout: &FrameLayout) -> i64 {
    layout.height.into()
}

fn width(layout: &FrameLayout) -> i64 {
    layout.width.into()
}

/// R, G, B `[frames, 3, height, width]` of packed pixels.
fn packed(graph: &mut Graph, frames: &str, layout: &FrameLayout, bytes: usize, places: [usize; 3]) -> String {
    let pixels = graph.pixels(frames, [height(layout), width(layout), bytes as i64]);
    let planes = graph.node("Transpose", &[&pixels], vec![ints("perm", &[0, 3, 1, 2])]);
    if bytes == 3 && places == [0, 1, 2] {
        return planes;
    }
    let places = graph.integers(&places.map(|place| place as i64));
    graph.node("Gather", &[&planes, &places], vec![int("axis", 1)])
}

/// What the chroma of YCbCr frames adds to R, G, B, `[frames, 3, height, width]`.
fn tint(
    graph: &mut Graph,
    frames: &str,
    layout: &FrameLayout,
    interleaved: bool,
    factors: [[f32; 3]; 2],
    offset: [f32; 3],
) -> String {
    let (rows, columns) = ((height(layout) + 1) / 2, (width(layout) + 1) / 2);
    let bytes = graph.part(frames, 1, height(layout) * width(layout), raw_len(layout) as i64);
    let chroma = if interleaved {
        let pairs = graph.pixels(&bytes, [rows, columns, 2]);
        graph.node("Transpose", &[&pairs], vec![ints("perm", &[0, 3, 1, 2])])
    } else {
        graph.pixels(&bytes, [2, rows, columns])
    };
    let [blue, red] = [0, 1].map(|channel| {
        let samples = graph.part(&chroma, 1, channel, channel + 1);
        graph.with_colour("Mul", &samples, factors[channel as usize])
    });
    let both = graph.node("Add", &[&blue, &red], vec![]);
    let tint = graph.with_colour("Add", &both, offset);
    let doubled = graph.floats(&[4], &[1.0, 1.0, 2.0, 2.0]);
    let attributes = vec![
        text("mode", "nearest"),
        text("coordinate_transformation_mode", "asymmetric"),
        text("nearest_mode", "floor"),
    ];
    let mut tint = graph.node("Resize", &[&tint, "", &doubled], attributes);
    for (axis, side) in [(2, height(layout)), (3, width(layout))] {
        if side % 2 == 1 {
            tint = graph.part(&tint, axis, 0, side);
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
fn resized(graph: &mut Graph, colours: &str, conversion: &Conversion, channels: i64) -> String {
    let layout = &conversion.layout;
    let (width, height) = resized_size(conversion);
    if (layout.width, layout.height) == (width, height) {
        return colours.to_owned();
    }
    let shape = graph.node("Shape", &[colours], vec![]);
    let frames = graph.part(&shape, 0, 0, 1);
    let rest = graph.integers(&[channels, height.into(), width.into()]);
    let shape = graph.node("Concat", &[&frames, &rest], vec![int("axis", 0)]);
    let attributes = vec![
        text("mode", "linear"),
        text("coordinate_transformation_mode", "half_pixel"),
    ];
    graph.node("Resize", &[colours, "", "", &shape], attributes)
}

/// Upright.
fn turned(graph: &mut Graph, resized: &str, conversion: &Conversion) -> String {
    let orientation = conversion.layout.view.orientation;
    let (width, height) = resized_size(conversion);
    let mut image = resized.to_owned();
    for (reversed, axis, side) in [
        (orientation.reverses_rows(), 2, height),
        (orientation.reverses_columns(), 3, width),
    ] {
        if reversed {
            // Slice with a negative step is not known everywhere.
            let places = graph.integers(&(0..i64::from(side)).rev().collect::<Vec<_>>());
            image = graph.node("Gather", &[&image, &places], vec![int("axis", axis)]);
        }
    }
    match orientation.swaps_sides() {
        true => graph.node("Transpose", &[&image], vec![ints("perm", &[0, 1, 3, 2])]),
        false => image,
    }
}

/// With zeros right and below.
fn padded(graph: &mut Graph, images: &str, conversion: &Conversion) -> String {
    let size = &conversion.size;
    let below = i64::from(size.padded_height - size.height);
    let right = i64::from(size.padded_width - size.width);
    if (below, right) == (0, 0) {
        return images.to_owned();
    }
    let pads = graph.integers(&[0, 0, 0, 0, 0, 0, below, right]);
    graph.node("Pad", &[images, &pads], vec![])
}

/// A graph that is being written; values are named in the order in which they are made.
#[derive(Default)]
struct Graph {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Graph {
    fn node(&mut self, operator: &str, inputs: &[&str], attribute: Vec<AttributeProto>) -> String {
        let output = format!("frames/{operator}/{}", self.nodes.len());
        self.nodes.push(NodeProto {
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output.clone()],
            name: Some(output.clone()),
            op_type: Some(operator.to_owned()),
            attribute,
            ..NodeProto::default()
        });
        output
    }

    fn constant(&mut self, dims: &[i64], element: i32, bytes: Vec<u8>) -> String {
        let name = format!("frames/constant/{}", self.constants.len());
        self.constants.push(TensorProto {
            dims: dims.to_vec(),
            data_type: Some(element),
            name: Some(name.clone()),
            raw_data: Some(Bytes::from(bytes)),
            ..TensorProto::default()
        });
        name
    }

    fn floats(&mut self, dims: &[i64], values: &[f32]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(dims, data_type::FLOAT, bytes)
    }

    fn integers(&mut self, values: &[i64]) -> String {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant(&[values.len() as i64], data_type::INT64, bytes)
    }

    /// `operator` on every element and one number.
    fn with_number(&mut self, operator: &str, value: &str, number: f32) -> String {
        let number = self.floats(&[1], &[number]);
        self.node(operator, &[value, &number], vec![])
    }

    /// `operator` on a value `[frames, 1 or 3, height, width]` and one number for each of R, G and B.
    fn with_colour(&mut self, operator: &str, value: &str, numbers: [f32; 3]) -> String {
        let numbers = self.floats(&[1, 3, 1, 1], &numbers);
        self.node(operator, &[value, &numbers], vec![])
    }

    /// Elements `from..to` along `axis`.
    fn part(&mut self, value: &str, axis: i64, from: i64, to: i64) -> String {
        let [from, to, axis] = [from, to, axis].map(|number| self.integers(&[number]));
        self.node("Slice", &[value, &from, &to, &axis], vec![])
    }

    /// Bytes of frames `[frames, bytes]` as `[frames, a, b, c]`.
    fn pixels(&mut self, bytes: &str, [a, b, c]: [i64; 3]) -> String {
        // 0: as many frames as there are.
        let shape = self.integers(&[0, a, b, c]);
        self.node("Reshape", &[bytes, &shape], vec![])
    }

    fn clamped(&mut self, value: &str) -> String {
        let [black, white] = [0.0, 255.0].map(|number| self.floats(&[], &[number]));
        self.node("Clip", &[value, &black, &white], vec![])
    }

    fn finish(mut self, images: &str, bytes: usize) -> Vec<u8> {
        for output in self.nodes.iter_mut().flat_map(|node| &mut node.output) {
            if output == images {
                *output = contract::IMAGES.to_owned();
            }
        }
        let input = [Dimension::Free(FRAMES), Dimension::Fixed(bytes)];
        let model = ModelProto {
            ir_version: Some(8),
            opset_import: vec![OperatorSetIdProto {
                domain: None,
                version: Some(17),
            }],
            graph: Some(GraphProto {
                node: self.nodes,
                name: Some(FRAMES.to_owned()),
                initializer: self.constants,
                input: vec![cut::tensor_value(FRAMES, data_type::UINT8, Some(&input))],
                output: vec![cut::tensor_value(contract::IMAGES, data_type::FLOAT, None)],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}
