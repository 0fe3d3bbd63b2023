//! A model file: read, checked against the contract, and cut into the parts that the detector runs.

mod device_parts;
mod file;
mod frame_graph;
mod parts;
mod soundness;
mod tensors;

use std::path::{Path, PathBuf};

use img2pose_onnx::{Dimension, Index, ModelProto, TensorShapeProto, ValueInfoProto, cut, data_type, encode};
use prost::bytes::Bytes;

use crate::Error;
use crate::contract::{self, CONTRACT_VERSION, Contract, FEATURE_LEVELS, METADATA_KEY, PROPOSAL_LEVELS};
use crate::options::Precision;
pub(crate) use device_parts::{DeviceParts, HalfParts};
pub(crate) use frame_graph::frame_graph;

/// A model file whose contract holds, not yet loaded into ONNX Runtime.
pub struct Model {
    path: PathBuf,
    contract: Contract,
    channels: usize,
    is_quantized: bool,
    proto: ModelProto,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("path", &self.path)
            .field("architecture", &self.contract.architecture)
            .field("is_quantized", &self.is_quantized)
            .finish_non_exhaustive()
    }
}

/// The three networks that a detector runs, as ONNX files in memory, and the names of their outputs.
pub(crate) struct Parts {
    /// Network image to pyramid features (channels last), RPN logits and RPN deltas.
    pub dense: Vec<u8>,
    pub features: Vec<String>,
    pub objectness: Vec<String>,
    pub deltas: Vec<String>,
    /// Pooled regions (channels last) to face probability.
    pub class_head: Vec<u8>,
    /// Pooled regions (channels last) to normalised pose.
    pub pose_head: Vec<u8>,
}

/// The heads, each from its input to its output.
const HEADS: [(&str, &str); 2] = [
    (contract::ROI_FEATURES, contract::CLASS_SCORES),
    (contract::POSE_ROI_FEATURES, contract::POSE_REGRESSION),
];

impl Model {
    /// Reads `path` and checks that it keeps the [contract](crate::contract). ONNX Runtime is not needed.
    ///
    /// # Errors
    /// [`Error::ReadModel`], [`Error::NotOnnx`] or [`Error::Contract`], each naming the file and what is wrong.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::parse(path, file::read(path)?)
    }

    /// Reads the file at `path` for a detector that computes in `precision`. At [`Precision::Int8`] that is its quantized
    /// twin, `NAME-int8.onnx` beside `NAME.onnx`, unless the file is quantized itself.
    ///
    /// # Errors
    /// Those of [`open`](Self::open), and [`Error::Precision`] when there is no twin, or one of another network.
    pub fn open_in(path: &Path, precision: Precision) -> Result<Self, Error> {
        let model = Self::open(path)?;
        if precision != Precision::Int8 || model.is_quantized {
            return Ok(model);
        }
        let mut twin = path.file_stem().unwrap_or_default().to_owned();
        twin.push("-int8.onnx");
        let twin = path.with_file_name(twin);
        if !twin.exists() {
            let reason = format!(
                "it is not quantized, and {} is not there; make that file with `python -m img2pose_train.quantize`",
                twin.display()
            );
            return Err(model.refuses(precision, reason));
        }
        let twin = Self::open(&twin)?;
        // A twin that was left behind when the model was exchanged would give the faces of the old one.
        if let Some(fact) = model.contract.first_difference(&twin.contract) {
            let reason = format!(
                "{} was made of another model ({fact} differs); make it anew with `python -m img2pose_train.quantize`",
                twin.path.display()
            );
            return Err(model.refuses(precision, reason));
        }
        Ok(twin)
    }

    /// The number format that the file computes in when `wanted` is asked for.
    ///
    /// # Errors
    /// [`Error::Precision`] when floats are wanted of a quantized file, or 8 bits of one that is not.
    pub fn precision(&self, wanted: Precision) -> Result<Precision, Error> {
        match (wanted, self.is_quantized) {
            (Precision::Auto | Precision::Int8, true) => Ok(Precision::Int8),
            (Precision::Int8, false) => {
                let reason = "it is not quantized; do so with `python -m img2pose_train.quantize`";
                Err(self.refuses(wanted, reason.to_owned()))
            }
            (_, true) => {
                let reason =
                    "it is quantized to 8 bits; set precision to int8 or auto, or give the file in 32 bits";
                Err(self.refuses(wanted, reason.to_owned()))
            }
            (_, false) => Ok(wanted.resolved()),
        }
    }

    fn refuses(&self, precision: Precision, reason: String) -> Error {
        Error::Precision {
            path: self.path.clone(),
            precision: precision.name(),
            reason,
        }
    }

    /// Like [`open`](Self::open), from the bytes of a file, which are not copied; `path` only serves messages.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn parse(path: &Path, bytes: impl AsRef<[u8]> + Send + 'static) -> Result<Self, Error> {
        let bytes = Bytes::from_owner(bytes);
        let not_onnx = |reason: &str| Error::NotOnnx {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let broken = |reason: String| Error::Contract {
            path: path.to_owned(),
            reason,
        };
        if bytes.is_empty() {
            return Err(not_onnx("the file is empty"));
        }
        if bytes.starts_with(b"PK\x03\x04") {
            return Err(not_onnx(
                "it is a zip file, as PyTorch checkpoints are; make a model of a checkpoint with `img2pose \
                 convert`",
            ));
        }
        let proto = img2pose_onnx::decode(bytes).map_err(|reason| not_onnx(&reason))?;
        if proto.graph.as_ref().is_none_or(|graph| graph.node.is_empty()) {
            return Err(not_onnx("it contains no graph"));
        }
        let contract = read_contract(&proto).map_err(broken)?;
        let channels = check_graph(&proto).map_err(broken)?;
        soundness::check(&proto).map_err(broken)?;
        let mut nodes = proto.graph.iter().flat_map(|graph| &graph.node);
        let is_quantized = nodes.any(|node| node.op_type() == "QuantizeLinear");
        let model = Self {
            path: path.to_owned(),
            contract,
            channels,
            is_quantized,
            proto,
        };
        model.check_parts().map_err(broken)?;
        Ok(model)
    }

    /// The facts that stand in the file's metadata.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Channels of the pyramid features.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The file that was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file as it is, with the tensors of these names as further outputs.
    ///
    /// # Errors
    /// [`Error::Contract`] when it does not make one of them, or there is no memory.
    pub(crate) fn with_outputs(&self, names: &[String]) -> Result<Vec<u8>, Error> {
        let broken = |reason: String| Error::Contract {
            path: self.path.clone(),
            reason,
        };
        let mut proto = self.proto.clone();
        if let Some(graph) = &mut proto.graph {
            let index = Index::new(graph);
            let missing: Vec<&str> = names
                .iter()
                .map(String::as_str)
                .filter(|name| index.maker(name).is_none())
                .collect();
            if !missing.is_empty() {
                return Err(broken(format!("it lacks the tensors {}", missing.join(", "))));
            }
            graph.output.extend(names.iter().map(|name| {
                let elements = match name.as_str() {
                    contract::PROPOSAL_FRAMES => data_type::INT64,
                    _ => data_type::FLOAT,
                };
                ValueInfoProto::tensor(name, elements, None)
            }));
        }
        encode(&proto).map_err(broken)
    }

    fn image_dimensions(&self) -> [Dimension<'static>; 4] {
        [
            Dimension::Free("batch"),
            Dimension::Fixed(3),
            Dimension::Free("height"),
            Dimension::Free("width"),
        ]
    }

    pub(crate) fn parts(&self) -> Result<Parts, Error> {
        self.cut_parts().map_err(|reason| Error::Contract {
            path: self.path.clone(),
            reason,
        })
    }

    /// Checks that every part can be cut out, and that the numbers in it are numbers, so that what reads a model refuses what
    /// a detector would.
    fn check_parts(&self) -> Result<(), String> {
        let graph = self.proto.graph.as_ref().ok_or("it has no graph")?;
        parts::check_pooling(graph, &self.contract)?;
        parts::check_finite(&self.cut_dense()?)?;
        for (input, output) in HEADS {
            let head = self.cut_head(input, output)?;
            img2pose_onnx::head_matrix(&head, input, self.channels, self.cells())?;
            parts::check_finite(&head)?;
        }
        Ok(())
    }

    fn cut_dense(&self) -> Result<ModelProto, String> {
        let images = self.image_dimensions();
        cut(
            &self.proto,
            &[(contract::IMAGES, &images)],
            &parts::dense_outputs(),
        )
    }

    fn cut_head(&self, input: &str, output: &str) -> Result<ModelProto, String> {
        let side = self.contract.roi.output_size;
        let regions = [
            Dimension::Free("regions"),
            Dimension::Fixed(side),
            Dimension::Fixed(side),
            Dimension::Fixed(self.channels),
        ];
        cut(&self.proto, &[(input, &regions)], &[output.to_owned()])
    }

    /// Cells of a pooled region.
    fn cells(&self) -> usize {
        let side = self.contract.roi.output_size;
        side * side
    }

    fn cut_parts(&self) -> Result<Parts, String> {
        let mut features: Vec<String> = (0..FEATURE_LEVELS).map(contract::features).collect();
        let objectness: Vec<String> = (0..PROPOSAL_LEVELS).map(contract::objectness).collect();
        let deltas: Vec<String> = (0..PROPOSAL_LEVELS).map(contract::deltas).collect();
        let mut dense = self.cut_dense()?;
        for name in &mut features {
            *name = img2pose_onnx::output_channels_last(&mut dense, name);
        }

        let head = |(input, output): (&str, &str)| {
            let mut head = self.cut_head(input, output)?;
            img2pose_onnx::take_channels_last(&mut head, input, self.channels, self.cells())?;
            encode(&head)
        };
        let [class, pose] = HEADS;
        Ok(Parts {
            dense: encode(&dense)?,
            features,
            objectness,
            deltas,
            class_head: head(class)?,
            pose_head: head(pose)?,
        })
    }
}

fn read_contract(proto: &ModelProto) -> Result<Contract, String> {
    let text = proto
        .metadata_props
        .iter()
        .find(|entry| entry.key() == METADATA_KEY)
        .ok_or_else(|| {
            format!("it has no metadata '{METADATA_KEY}'; make it with `img2pose convert CHECKPOINT`")
        })?
        .value();
    // The version first: a later contract may have other fields.
    #[derive(serde::Deserialize)]
    struct Version {
        contract_version: u32,
    }
    let unreadable =
        |error: serde_json::Error| format!("its metadata '{METADATA_KEY}' cannot be read: {error}");
    let Version { contract_version } = serde_json::from_str(text).map_err(unreadable)?;
    if contract_version != CONTRACT_VERSION {
        return Err(format!(
            "it keeps contract version {contract_version}, this detector reads {CONTRACT_VERSION}; convert the \
             checkpoint again"
        ));
    }
    let contract: Contract = serde_json::from_str(text).map_err(unreadable)?;
    contract
        .validate()
        .map_err(|error| format!("its metadata says {error}"))?;
    Ok(contract)
}

/// Checks names and shapes; returns the number of feature channels.
fn check_graph(proto: &ModelProto) -> Result<usize, String> {
    let graph = proto.graph.as_ref().ok_or("it has no graph")?;
    let images = graph
        .input
        .iter()
        .find(|input| input.name() == contract::IMAGES)
        .ok_or_else(|| format!("it has no input '{}'", contract::IMAGES))?;
    let shape = images
        .r#type
        .as_ref()
        .and_then(|t| t.tensor_type.as_ref())
        .and_then(|t| t.shape.as_ref());
    check_images(shape)?;

    let index = Index::new(graph);
    let missing: Vec<String> = parts::dense_outputs()
        .into_iter()
        .chain(
            HEADS
                .iter()
                .flat_map(|(input, output)| [input, output].map(|name| (*name).to_owned())),
        )
        .filter(|name| index.maker(name).is_none())
        .collect();
    if !missing.is_empty() {
        return Err(format!("it lacks the tensors {}", missing.join(", ")));
    }
    channels(&index)
}

/// Channels of a pooled region: as many as the last convolution of the pyramid has.
fn channels(index: &Index<'_>) -> Result<usize, String> {
    /// The published network has 256.
    const MOST: usize = 1 << 14;
    let features = contract::features(0);
    let convolution = index
        .made_by(index.before_conversions(&features))
        .filter(|node| node.op_type() == "Conv");
    convolution
        .and_then(|node| node.input.get(1))
        .and_then(|weight| index.weight(index.before_conversions(weight)))
        .and_then(|tensor| usize::try_from(*tensor.dims.first()?).ok())
        .filter(|channels| (1..=MOST).contains(channels))
        .ok_or_else(|| format!("'{features}' is not made by a convolution of 1 to {MOST} channels"))
}

fn check_images(shape: Option<&TensorShapeProto>) -> Result<(), String> {
    let dimensions = shape.map(|shape| &shape.dim[..]).unwrap_or_default();
    let [batch, channels, height, width] = dimensions else {
        return Err(format!(
            "its input '{}' has {} dimensions, expected [batch, 3, height, width]",
            contract::IMAGES,
            dimensions.len()
        ));
    };
    if let Some(size) = batch.dim_value {
        return Err(format!(
            "its input '{}' has a fixed batch size of {size}, expected a dynamic one; convert the checkpoint \
             again with img2pose convert",
            contract::IMAGES
        ));
    }
    if channels.dim_value != Some(3) {
        return Err(format!("its input '{}' has no 3 channels", contract::IMAGES));
    }
    if height.dim_value.is_some() || width.dim_value.is_some() {
        return Err(format!(
            "its input '{}' has a fixed height or width, expected dynamic ones",
            contract::IMAGES
        ));
    }
    Ok(())
}
