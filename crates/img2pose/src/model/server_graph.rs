//! The graph that an inference server runs: frames as they are in, what an engine ends at out.
//!
//! Bytes cross the network, not floats: a frame is a quarter of its network image of the same size. They are samples, three for
//! each pixel, and what makes R, G, B of them comes along, so that one graph serves all formats and rounds nothing.

use img2pose_onnx::attribute::{int, ints, text};
use img2pose_onnx::{
    Builder, Dimension, ModelProto, StringStringEntryProto, Value, ValueInfoProto, cut, data_type, encode,
};

use super::Model;
use super::device_parts::put_before;
use crate::Error;
use crate::contract::{self, Contract, METADATA_KEY};
use crate::frame::normalisation;

/// Input: samples of upright frames, u8 `[frames, height, width, 3]`.
pub(crate) const PIXELS: &str = "pixels";
/// Input: how samples become R, G, B of 0..255, f32 `[4, 3]`: what each of the three samples is multiplied with for R, G and B,
/// then what is added.
pub(crate) const COLOURS: &str = "colours";
/// Output: which model this is, u8 `[16]`.
pub(crate) const CONTRACT: &str = "img2pose_contract";

/// What the names of the nodes that are put in front begin with.
const PIECE: &str = "server";

/// Goes into the hash: another number for inputs or outputs of another kind.
const INTERFACE: &str = "img2pose server graph 1";

/// A model for an inference server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerModel {
    /// The ONNX file.
    pub onnx: Vec<u8>,
    /// Which model it is, a hash in lower-case hex: each answer says so, and a client compares.
    pub contract: String,
    /// What it takes.
    pub inputs: Vec<ServerTensor>,
    /// What it gives.
    pub outputs: Vec<ServerTensor>,
}

/// A tensor that goes over the network.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerTensor {
    /// Its name.
    pub name: &'static str,
    /// The name of its elements in the Open Inference Protocol: `UINT8`, `INT64`, `FP32`.
    pub elements: &'static str,
    /// Its sides; -1: known when it is sent.
    pub shape: Vec<i64>,
}

/// What the graph takes.
pub(crate) fn inputs() -> Vec<ServerTensor> {
    vec![
        tensor(PIXELS, "UINT8", &[-1, -1, -1, 3]),
        tensor(COLOURS, "FP32", &[4, 3]),
        tensor(contract::IMAGE_SIZE, "INT64", &[2]),
    ]
}

/// What the graph gives.
pub(crate) fn outputs() -> Vec<ServerTensor> {
    vec![
        tensor(contract::PROPOSALS, "FP32", &[-1, 4]),
        tensor(contract::PROPOSAL_FRAMES, "INT64", &[-1]),
        tensor(contract::CLASS_SCORES, "FP32", &[-1]),
        tensor(contract::POSE_REGRESSION, "FP32", &[-1, 6]),
        tensor(CONTRACT, "UINT8", &[16]),
    ]
}

fn tensor(name: &'static str, elements: &'static str, shape: &[i64]) -> ServerTensor {
    ServerTensor {
        name,
        elements,
        shape: shape.to_vec(),
    }
}

impl ServerTensor {
    fn info(&self) -> ValueInfoProto {
        let elements = match self.elements {
            "UINT8" => data_type::UINT8,
            "INT64" => data_type::INT64,
            _ => data_type::FLOAT,
        };
        let names = ["frames", "height", "width"];
        // Rows of different tensors are different numbers.
        let rows = format!("{}_rows", self.name);
        let is_pixels = self.name == PIXELS;
        let dimension = |(axis, &side): (usize, &i64)| match usize::try_from(side) {
            Ok(side) => Dimension::Fixed(side),
            Err(_) if is_pixels => Dimension::Free(names[axis]),
            Err(_) => Dimension::Free(&rows),
        };
        let shape: Vec<Dimension<'_>> = self.shape.iter().enumerate().map(dimension).collect();
        ValueInfoProto::tensor(self.name, elements, Some(&shape))
    }
}

impl Model {
    /// The graph of this model that an inference server runs for detectors elsewhere.
    ///
    /// # Errors
    /// [`Error::Contract`] when the file holds another architecture than an img2pose network, or cannot be cut.
    pub fn for_server(&self) -> Result<ServerModel, Error> {
        let contract = &self.rcnn_facts()?.contract;
        let hash = self.server_contract();
        let onnx = server_graph(&self.proto, contract, &hash).map_err(|reason| Error::Contract {
            path: self.path.clone(),
            reason,
        })?;
        Ok(ServerModel {
            onnx,
            contract: hex(&hash),
            inputs: inputs(),
            outputs: outputs(),
        })
    }

    /// What tells this model from others at a server: the facts in its file, among them the hash of its checkpoint, and whether it
    /// was quantized.
    pub(crate) fn server_contract(&self) -> [u8; 16] {
        let entry = |key| {
            self.proto
                .metadata_props
                .iter()
                .find(move |entry| entry.key() == key)
        };
        let facts = entry(METADATA_KEY).map_or("", StringStringEntryProto::value);
        let numbers = if self.is_quantized { "int8" } else { "float" };
        let mut hash = FNV_START;
        for text in [INTERFACE, facts, numbers] {
            let length = (text.len() as u64).to_le_bytes();
            for byte in length.iter().chain(text.as_bytes()) {
                hash = (hash ^ u128::from(*byte)).wrapping_mul(FNV_PRIME);
            }
        }
        hash.to_be_bytes()
    }
}

/// Numbers of the hash FNV-1a with 128 bits. It tells models apart that are mixed up, not those that somebody has forged.
const FNV_START: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn server_graph(model: &ModelProto, contract: &Contract, hash: &[u8; 16]) -> Result<Vec<u8>, String> {
    let images = super::image_dimensions();
    let cut_points: Vec<String> = outputs()
        .iter()
        .filter(|output| output.name != CONTRACT)
        .map(|output| output.name.to_owned())
        .collect();
    let taken: [(&str, &[Dimension<'_>]); 2] = [
        (contract::IMAGES, &images),
        (contract::IMAGE_SIZE, &[Dimension::Fixed(2)]),
    ];
    let mut served = cut(model, &taken, &cut_points)?;
    let graph = served.graph.as_mut().ok_or("it has no graph")?;

    let mut g = Builder::piece(PIECE);
    let rgb = colours(&mut g);
    let resized = resized(&mut g, &rgb);
    let factors = [0, 1, 2].map(|i| normalisation(contract.image_mean[i], contract.image_std[i]));
    let scale = g.f32s(&[1, 3, 1, 1], &factors.map(|(scale, _)| scale));
    let offset = g.f32s(&[1, 3, 1, 1], &factors.map(|(_, offset)| offset));
    let scaled = g.binary("Mul", &resized, &scale);
    let normalised = g.binary("Add", &scaled, &offset);
    let pads = pads(&mut g, contract.size_divisor.into());
    g.op_to(contract::IMAGES, "Pad", &[normalised, pads], vec![]);
    let hash = g.u8s(hash);
    g.op_to(CONTRACT, "Identity", &[hash], vec![]);
    put_before(graph, g);

    graph.input = inputs().iter().map(ServerTensor::info).collect();
    graph.output = outputs().iter().map(ServerTensor::info).collect();
    served.metadata_props.clone_from(&model.metadata_props);
    encode(&served)
}

/// R, G, B of 0..255 `[frames, 3, height, width]`.
fn colours(g: &mut Builder) -> Value {
    let planes = g.op("Transpose", &[PIXELS], vec![ints("perm", &[0, 3, 1, 2])]);
    let samples = g.cast(&planes, data_type::FLOAT);
    // No MatMul: a GPU may round its factors to 10 bits.
    let row = |g: &mut Builder, row: i64| {
        let row = g.slice(COLOURS, 0, row, row + 1);
        g.reshape(&row, &[1, 3, 1, 1])
    };
    let mut rgb = row(g, 3);
    for sample in 0..3 {
        let plane = g.slice(&samples, 1, sample, sample + 1);
        let factors = row(g, sample);
        let part = g.binary("Mul", &plane, &factors);
        rgb = g.binary("Add", &part, &rgb);
    }
    let [black, white] = [0.0, 255.0].map(|number| g.f32(number));
    g.op("Clip", &[&rgb, &black, &white], vec![])
}

/// Brought to `image_size`.
fn resized(g: &mut Builder, rgb: &str) -> Value {
    let shape = g.op("Shape", &[rgb], vec![]);
    let planes = g.slice(&shape, 0, 0, 2);
    let sizes = g.concat(&[planes.as_str(), contract::IMAGE_SIZE], 0);
    let attributes = vec![
        text("mode", "linear"),
        text("coordinate_transformation_mode", "half_pixel"),
    ];
    g.op("Resize", &[rgb, "", "", &sizes], attributes)
}

/// Zeros right and below, up to a multiple of `divisor`, as `Pad` takes them.
fn pads(g: &mut Builder, divisor: i64) -> Value {
    let (step, most) = (g.i64s(&[divisor]), g.i64s(&[divisor - 1]));
    let more = g.binary("Add", contract::IMAGE_SIZE, &most);
    let whole = g.binary("Div", &more, &step);
    let padded = g.binary("Mul", &whole, &step);
    let missing = g.binary("Sub", &padded, contract::IMAGE_SIZE);
    let none = g.i64s(&[0; 6]);
    g.op("Concat", &[none, missing], vec![int("axis", 0)])
}
