//! The two networks of a model file that finds and looks: what is checked of them, and cutting them out.

use img2pose_onnx::{Dimension, Index, ModelProto, cut, encode, shown};

use super::parts;
use crate::contract::PairContract;

/// The two networks, as ONNX files in memory. Each has one input and one output.
pub(crate) struct PairParts {
    /// Network images to cells.
    pub find: Vec<u8>,
    /// Crops to answers.
    pub look: Vec<u8>,
}

/// Checks that the tensors that the metadata names are there.
///
/// # Errors
/// A text that says what is missing.
pub(super) fn check_graph(proto: &ModelProto, contract: &PairContract) -> Result<(), String> {
    let graph = proto.graph.as_ref().ok_or("it has no graph")?;
    let (find, look) = (&contract.parts.find, &contract.parts.look);
    super::check_images(graph, &find.input)?;
    let index = Index::new(graph);
    let missing: Vec<String> = [&find.output, &look.input, &look.output]
        .into_iter()
        .filter(|name| index.maker(name).is_none())
        .map(|name| shown(name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("it lacks the tensors {}", missing.join(", ")))
}

/// Checks that both networks can be cut out, and that the numbers in them are numbers.
///
/// # Errors
/// A text that names the tensor.
pub(super) fn check_parts(proto: &ModelProto, contract: &PairContract) -> Result<(), String> {
    parts::check_finite(&cut_find(proto, contract)?)?;
    parts::check_finite(&cut_look(proto, contract)?)
}

/// Cuts both networks out.
///
/// # Errors
/// As [`check_parts`].
pub(super) fn cut_parts(proto: &ModelProto, contract: &PairContract) -> Result<PairParts, String> {
    Ok(PairParts {
        find: encode(&cut_find(proto, contract)?)?,
        look: encode(&cut_look(proto, contract)?)?,
    })
}

fn cut_find(proto: &ModelProto, contract: &PairContract) -> Result<ModelProto, String> {
    let find = &contract.parts.find;
    let images = super::image_dimensions();
    cut(
        proto,
        &[(&find.input, &images)],
        std::slice::from_ref(&find.output),
    )
}

fn cut_look(proto: &ModelProto, contract: &PairContract) -> Result<ModelProto, String> {
    let look = &contract.parts.look;
    let side = contract.crop_side as usize;
    let crops = [
        Dimension::Free("crops"),
        Dimension::Fixed(3),
        Dimension::Fixed(side),
        Dimension::Fixed(side),
    ];
    cut(
        proto,
        &[(&look.input, &crops)],
        std::slice::from_ref(&look.output),
    )
}
