//! From an img2pose checkpoint to one ONNX file that keeps the [`img2pose::contract`].
