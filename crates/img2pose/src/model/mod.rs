//! A model file: read, checked against the contract, and cut into the parts that the detector runs.

mod device_parts;
mod file;
mod first_layer;
mod frame_graph;
mod pair;
mod parts;
mod rcnn;
pub(crate) mod server_graph;
mod soundness;
mod tensors;

use std::path::{Path, PathBuf};

use img2pose_onnx::{Dimension, GraphProto, Index, ModelProto, ValueInfoProto, data_type, encode, shown};
use prost::bytes::Bytes;

use crate::Error;
use crate::contract::{
    self, CONTRACT_VERSION, Contract, FIND_AND_LOOK, Facts, METADATA_KEY, PAIR_CONTRACT_VERSION, PairContract,
};
use crate::options::Precision;
pub(crate) use device_parts::{DeviceParts, HalfParts};
pub(crate) use frame_graph::frame_graph;
pub(crate) use pair::PairParts;
pub(crate) use rcnn::{Parts, RcnnFacts, RcnnModel};
pub use server_graph::{ServerModel, ServerTensor};

/// A model file whose contract holds, not yet loaded into ONNX Runtime.
pub struct Model {
    path: PathBuf,
    network: Network,
    is_quantized: bool,
    proto: ModelProto,
}

/// The architecture of a model, and what is known of it.
enum Network {
    Rcnn(Box<RcnnFacts>),
    Pair(Box<PairContract>),
}

/// The parts that a detector runs on the processor, by architecture.
pub(crate) enum HostParts {
    Rcnn(Parts),
    Pair(PairParts),
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("path", &self.path)
            .field("architecture", &self.facts().architecture())
            .field("is_quantized", &self.is_quantized)
            .finish_non_exhaustive()
    }
}

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
        if let Some(fact) = model.facts().first_difference(&twin.facts()) {
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
        let network = read_network(&proto).map_err(broken)?;
        soundness::check(&proto).map_err(broken)?;
        let mut nodes = proto.graph.iter().flat_map(|graph| &graph.node);
        let is_quantized = nodes.any(|node| node.op_type() == "QuantizeLinear");
        let model = Self {
            path: path.to_owned(),
            network,
            is_quantized,
            proto,
        };
        match &model.network {
            Network::Rcnn(_) => model.rcnn().map(|rcnn| rcnn.check_parts()),
            Network::Pair(contract) => Ok(pair::check_parts(&model.proto, contract)),
        }?
        .map_err(broken)?;
        Ok(model)
    }

    /// The facts that stand in the file's metadata.
    pub fn facts(&self) -> Facts<'_> {
        match &self.network {
            Network::Rcnn(facts) => Facts::Img2pose(&facts.contract),
            Network::Pair(contract) => Facts::FindAndLook(contract),
        }
    }

    /// Those of an img2pose network; `None`: the file holds another architecture.
    pub fn contract(&self) -> Option<&Contract> {
        self.facts().img2pose()
    }

    /// Channels of the pyramid features; `None`: the file holds another architecture than an img2pose network.
    pub fn channels(&self) -> Option<usize> {
        match &self.network {
            Network::Rcnn(facts) => Some(facts.channels),
            Network::Pair(_) => None,
        }
    }

    /// What is known of the img2pose network.
    ///
    /// # Errors
    /// [`Error::Contract`] when the file holds another architecture.
    pub(crate) fn rcnn_facts(&self) -> Result<&RcnnFacts, Error> {
        match &self.network {
            Network::Rcnn(facts) => Ok(facts),
            Network::Pair(contract) => Err(self.is_other_than("an img2pose network", &contract.architecture)),
        }
    }

    /// The img2pose network.
    ///
    /// # Errors
    /// [`Error::Contract`] when the file holds another architecture.
    pub(crate) fn rcnn(&self) -> Result<RcnnModel<'_>, Error> {
        let RcnnFacts { contract, channels } = self.rcnn_facts()?;
        Ok(RcnnModel {
            path: &self.path,
            contract,
            channels: *channels,
            proto: &self.proto,
        })
    }

    /// The facts of two networks that find and look.
    ///
    /// # Errors
    /// [`Error::Contract`] when the file holds another architecture.
    pub(crate) fn pair_contract(&self) -> Result<&PairContract, Error> {
        match &self.network {
            Network::Pair(contract) => Ok(contract),
            Network::Rcnn(facts) => {
                Err(self.is_other_than("a model that finds and looks", &facts.contract.architecture))
            }
        }
    }

    fn is_other_than(&self, wanted: &str, architecture: &str) -> Error {
        Error::Contract {
            path: self.path.clone(),
            reason: format!(
                "it is of architecture '{}', this needs {wanted}",
                shown(architecture)
            ),
        }
    }

    /// The parts that a detector runs on the processor.
    ///
    /// # Errors
    /// [`Error::Contract`] when one cannot be cut out.
    pub(crate) fn host_parts(&self) -> Result<HostParts, Error> {
        match &self.network {
            Network::Rcnn(_) => self.rcnn()?.parts().map(HostParts::Rcnn),
            Network::Pair(contract) => pair::cut_parts(&self.proto, contract)
                .map(HostParts::Pair)
                .map_err(|reason| Error::Contract {
                    path: self.path.clone(),
                    reason,
                }),
        }
    }

    /// The file that was read.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes for each pixel of a network image that the first convolution holds at once, where the processor computes it.
    pub(crate) fn first_layer_bytes_per_pixel(&self) -> f64 {
        let graph = self.proto.graph.as_ref();
        graph.map_or(0.0, |graph| first_layer::bytes_per_pixel(graph, contract::IMAGES))
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
}

/// Reads the metadata, and checks that the graph is of the architecture that it names.
fn read_network(proto: &ModelProto) -> Result<Network, String> {
    let text = proto
        .metadata_props
        .iter()
        .find(|entry| entry.key() == METADATA_KEY)
        .ok_or_else(|| {
            format!("it has no metadata '{METADATA_KEY}'; make it with `img2pose convert CHECKPOINT`")
        })?
        .value();
    // The version first: another contract has other fields.
    #[derive(serde::Deserialize)]
    struct Version {
        contract_version: u32,
        architecture: Option<String>,
    }
    let unreadable =
        |error: serde_json::Error| format!("its metadata '{METADATA_KEY}' cannot be read: {error}");
    let refused = |error: contract::ContractError| format!("its metadata says {error}");
    let version: Version = serde_json::from_str(text).map_err(unreadable)?;
    match version.contract_version {
        CONTRACT_VERSION => {
            let contract: Contract = serde_json::from_str(text).map_err(unreadable)?;
            contract.validate().map_err(refused)?;
            let channels = rcnn::check_graph(proto)?;
            Ok(Network::Rcnn(Box::new(RcnnFacts { contract, channels })))
        }
        PAIR_CONTRACT_VERSION => {
            let architecture = version.architecture.unwrap_or_default();
            if architecture != FIND_AND_LOOK {
                return Err(format!(
                    "it keeps contract version {PAIR_CONTRACT_VERSION} with architecture '{}', of which this detector \
                     reads '{FIND_AND_LOOK}'; use a newer detector",
                    shown(&architecture)
                ));
            }
            let contract: PairContract = serde_json::from_str(text).map_err(unreadable)?;
            contract.validate().map_err(refused)?;
            pair::check_graph(proto, &contract)?;
            Ok(Network::Pair(Box::new(contract)))
        }
        other => Err(format!(
            "it keeps contract version {other}, this detector reads {CONTRACT_VERSION} and {PAIR_CONTRACT_VERSION}; \
             convert the checkpoint again, or use a newer detector"
        )),
    }
}

/// The shape of the network images.
fn image_dimensions() -> [Dimension<'static>; 4] {
    [
        Dimension::Free("batch"),
        Dimension::Fixed(3),
        Dimension::Free("height"),
        Dimension::Free("width"),
    ]
}

/// Checks that the network images, which the graph takes as `name`, can be of any number and size.
fn check_images(graph: &GraphProto, name: &str) -> Result<(), String> {
    let images = graph
        .input
        .iter()
        .find(|input| input.name() == name)
        .ok_or_else(|| format!("it has no input '{}'", shown(name)))?;
    let name = shown(name);
    let shape = images
        .r#type
        .as_ref()
        .and_then(|t| t.tensor_type.as_ref())
        .and_then(|t| t.shape.as_ref());
    let dimensions = shape.map(|shape| &shape.dim[..]).unwrap_or_default();
    let [batch, channels, height, width] = dimensions else {
        return Err(format!(
            "its input '{name}' has {} dimensions, expected [batch, 3, height, width]",
            dimensions.len()
        ));
    };
    if let Some(size) = batch.dim_value {
        return Err(format!(
            "its input '{name}' has a fixed batch size of {size}, expected a dynamic one; convert the checkpoint \
             again with img2pose convert"
        ));
    }
    if channels.dim_value != Some(3) {
        return Err(format!("its input '{name}' has no 3 channels"));
    }
    if height.dim_value.is_some() || width.dim_value.is_some() {
        return Err(format!(
            "its input '{name}' has a fixed height or width, expected dynamic ones"
        ));
    }
    Ok(())
}
