//! What a server runs: a model as `img2pose serve-model` writes it, in plain ONNX Runtime.

use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use img2pose::{Model, ServerTensor};
use ort::session::{Session, SessionInputValue};
use ort::value::Tensor;

use crate::proto::{InferRequest, InferResponse, InferTensor, ModelMetadataResponse, TensorMetadata};

/// A model that is loaded for a server.
pub struct Served {
    session: Mutex<Session>,
    inputs: Vec<ServerTensor>,
    outputs: Vec<ServerTensor>,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").finish_non_exhaustive()
    }
}

impl Served {
    /// The model of the file at `path`.
    pub fn open(path: &Path) -> Self {
        let served = Model::open(path).unwrap().for_server().unwrap();
        let session = img2pose::stages::server_session(&served.onnx).unwrap();
        Self {
            session: Mutex::new(session),
            inputs: served.inputs,
            outputs: served.outputs,
        }
    }

    /// What it is.
    pub fn metadata(&self, name: &str) -> ModelMetadataResponse {
        let tensors = |tensors: &[ServerTensor]| {
            let tensor = |tensor: &ServerTensor| TensorMetadata {
                name: tensor.name.to_owned(),
                datatype: tensor.elements.to_owned(),
                shape: tensor.shape.clone(),
            };
            tensors.iter().map(tensor).collect()
        };
        ModelMetadataResponse {
            name: name.to_owned(),
            versions: vec!["1".to_owned()],
            platform: "onnxruntime_onnx".to_owned(),
            inputs: tensors(&self.inputs),
            outputs: tensors(&self.outputs),
        }
    }

    /// The answer to a batch.
    pub fn run(&self, request: &InferRequest) -> Result<InferResponse, String> {
        let mut inputs: Vec<(String, SessionInputValue<'_>)> = Vec::new();
        for (input, bytes) in request.inputs.iter().zip(&request.raw_input_contents) {
            let shape = input.shape.clone();
            let value = match input.datatype.as_str() {
                "UINT8" => Tensor::from_array((shape, bytes.to_vec())).map(SessionInputValue::from),
                "FP32" => {
                    let numbers: Vec<f32> = bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| f32::from_le_bytes(*b))
                        .collect();
                    Tensor::from_array((shape, numbers)).map(SessionInputValue::from)
                }
                "INT64" => {
                    let numbers: Vec<i64> = bytes
                        .as_chunks()
                        .0
                        .iter()
                        .map(|b| i64::from_le_bytes(*b))
                        .collect();
                    Tensor::from_array((shape, numbers)).map(SessionInputValue::from)
                }
                other => return Err(format!("no input of {other}")),
            };
            inputs.push((input.name.clone(), value.map_err(|error| error.to_string())?));
        }
        let mut session = self.session.lock().unwrap();
        let found = session.run(inputs).map_err(|error| error.to_string())?;
        let mut response = InferResponse {
            model_name: request.model_name.clone(),
            model_version: "1".to_owned(),
            ..InferResponse::default()
        };
        for wanted in &request.outputs {
            let value = &found[wanted.name.as_str()];
            let (shape, bytes): (Vec<i64>, Vec<u8>) = match self.elements(&wanted.name) {
                "FP32" => {
                    let (shape, data) = value.try_extract_tensor::<f32>().unwrap();
                    (
                        shape.to_vec(),
                        data.iter().flat_map(|n| n.to_le_bytes()).collect(),
                    )
                }
                "INT64" => {
                    let (shape, data) = value.try_extract_tensor::<i64>().unwrap();
                    (
                        shape.to_vec(),
                        data.iter().flat_map(|n| n.to_le_bytes()).collect(),
                    )
                }
                _ => {
                    let (shape, data) = value.try_extract_tensor::<u8>().unwrap();
                    (shape.to_vec(), data.to_vec())
                }
            };
            response.outputs.push(InferTensor {
                name: wanted.name.clone(),
                datatype: self.elements(&wanted.name).to_owned(),
                shape,
                contents: None,
            });
            response.raw_output_contents.push(Bytes::from(bytes));
        }
        Ok(response)
    }

    fn elements(&self, name: &str) -> &'static str {
        let output = self.outputs.iter().find(|output| output.name == name);
        output.expect("an output of the model").elements
    }
}
