//! What ONNX Runtime says when something fails in it.

/// The message of ONNX Runtime.
#[derive(Debug)]
pub struct OnnxRuntimeFailure(ort::Error);

impl OnnxRuntimeFailure {
    pub(crate) fn new(error: ort::Error) -> Self {
        Self(error)
    }
}

impl std::fmt::Display for OnnxRuntimeFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for OnnxRuntimeFailure {}
