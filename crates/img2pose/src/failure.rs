//! What ONNX Runtime says when something fails in it.

use std::borrow::Cow;

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
        f.write_str(&short(self.0.message()))
    }
}

impl std::error::Error for OnnxRuntimeFailure {}

/// `message` without the place in ONNX Runtime's source and the condition there, which say nothing to those who have only the model.
fn short(message: &str) -> Cow<'_, str> {
    short_of_node(message).map_or(Cow::Borrowed(message), Cow::Owned)
}

/// Of `Non-zero status code returned while running OPERATOR node. Name:'NAME' Status Message: FILE:LINE FUNCTION CONDITION was
/// false. REASON` the operator, the name and the reason; `None` for other messages.
fn short_of_node(message: &str) -> Option<String> {
    // One around another: those of loops and branches. The innermost says what is wrong.
    let (node, reason) = message.rsplit_once(" Status Message: ")?;
    let (_, node) = node.rsplit_once("while running ")?;
    let (operator, name) = node.split_once(" node. Name:")?;
    let reason = match reason.strip_prefix('/').and_then(|place| place.split_once(' ')) {
        Some((_, rest)) => match rest.split_once(" was false.") {
            Some((_, said)) if !said.trim().is_empty() => said,
            _ => rest,
        },
        None => reason,
    };
    let name = match name {
        "" | "''" => String::new(),
        name => format!(" {name}"),
    };
    Some(format!("node {operator}{name}: {}", reason.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_fails_is_told_without_the_place_in_the_source() {
        let outer = "Non-zero status code returned while running If node. Name:'branch' Status Message: ";
        let node =
            "Non-zero status code returned while running QuantizeLinear node. Name:'q' Status Message: ";
        let place = "/onnxruntime_src/onnxruntime/core/quantize_linear.cc:117 void onnxruntime::PrepareForQDQ(const TensorShape&) ";
        let condition =
            "scale.Shape()[0] == broadcast_dim was false. For per axis quantization, scale must be 1D\n";
        let reason = "node QuantizeLinear 'q': For per axis quantization, scale must be 1D";
        assert_eq!(short(&format!("{node}{place}{condition}")), reason);
        assert_eq!(short(&format!("{outer}{node}{place}{condition}")), reason);
        assert_eq!(
            short(&format!("{node}/a/b.cc:3 x == y was false. ")),
            "node QuantizeLinear 'q': x == y was false."
        );
        assert_eq!(
            short(&format!("{node}indices out of bounds")),
            "node QuantizeLinear 'q': indices out of bounds"
        );
        assert_eq!(
            short(&format!("{}x", node.replace("'q'", "''"))),
            "node QuantizeLinear: x"
        );
        for other in ["no such file", "", " Status Message: "] {
            assert_eq!(short(other), other);
        }
    }
}
