//! The part of the Open Inference Protocol (version 2, gRPC) that is used here, as protobuf messages. Field numbers are those
//! of the published schema; what is left out is skipped when it is read.

use prost::bytes::Bytes;

/// The service, and its methods.
pub const SERVER_READY: &str = "/inference.GRPCInferenceService/ServerReady";
/// See [`SERVER_READY`].
pub const MODEL_READY: &str = "/inference.GRPCInferenceService/ModelReady";
/// See [`SERVER_READY`].
pub const MODEL_METADATA: &str = "/inference.GRPCInferenceService/ModelMetadata";
/// See [`SERVER_READY`].
pub const MODEL_INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

/// Whether the server can take requests?
#[derive(Clone, PartialEq, prost::Message)]
pub struct ServerReadyRequest {}

/// Whether it can, or the model.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ReadyResponse {
    #[prost(bool, tag = "1")]
    pub ready: bool,
}

/// Which model is meant. Asks whether it is ready, or what it is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelRequest {
    #[prost(string, tag = "1")]
    pub name: String,
    /// Empty: the server chooses.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// What a model is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ModelMetadataResponse {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, repeated, tag = "2")]
    pub versions: Vec<String>,
    #[prost(string, tag = "3")]
    pub platform: String,
    #[prost(message, repeated, tag = "4")]
    pub inputs: Vec<TensorMetadata>,
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<TensorMetadata>,
}

/// A tensor that a model takes or gives.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorMetadata {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

/// A batch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InferRequest {
    #[prost(string, tag = "1")]
    pub model_name: String,
    #[prost(string, tag = "2")]
    pub model_version: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<InferTensor>,
    #[prost(message, repeated, tag = "6")]
    pub outputs: Vec<RequestedOutput>,
    /// The elements of each input, little-endian.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub raw_input_contents: Vec<Bytes>,
}

/// An output that is asked for.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RequestedOutput {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A tensor that goes over the network; its elements stand in it or in a list of the message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InferTensor {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub datatype: String,
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
    #[prost(message, optional, tag = "5")]
    pub contents: Option<TensorContents>,
}

/// Elements by type.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TensorContents {
    #[prost(int64, repeated, tag = "3")]
    pub int64_contents: Vec<i64>,
    /// Those of 8 bits, too.
    #[prost(uint32, repeated, tag = "4")]
    pub uint_contents: Vec<u32>,
    #[prost(float, repeated, tag = "6")]
    pub fp32_contents: Vec<f32>,
}

/// What a batch gave.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InferResponse {
    #[prost(string, tag = "1")]
    pub model_name: String,
    #[prost(string, tag = "2")]
    pub model_version: String,
    #[prost(string, tag = "3")]
    pub id: String,
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<InferTensor>,
    /// The elements of each output, little-endian.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub raw_output_contents: Vec<Bytes>,
}
