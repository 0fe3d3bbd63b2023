//! The poses of a frame as one tensor.

use gst::glib;
use gst_analytics::{Tensor, TensorDataType, TensorDimOrder, TensorMeta};

use super::POSES_TENSOR;
use crate::meta::FrameFaces;

/// Adds `[faces, 6]` f32, `rx, ry, rz, tx, ty, tz` of each face in the order of the record, in the machine's byte
/// order; `[0, 6]` without faces.
pub fn add(buffer: &mut gst::BufferRef, frame: &FrameFaces) {
    let poses: Vec<u8> = frame.faces.iter().flat_map(|face| bytes(&face.pose)).collect();
    let tensor = Tensor::new_simple(
        name(),
        TensorDataType::Float32,
        gst::Buffer::from_mut_slice(poses),
        TensorDimOrder::RowMajor,
        &[frame.faces.len(), 6],
    );
    // A buffer has one tensor meta: where another element has made it, this gives back that one.
    let mut meta = TensorMeta::add(buffer);
    let mut tensors = others(&meta);
    tensors.push(tensor);
    meta.set(tensors.into());
}

/// Takes away what [`add`] has put on the buffer.
pub fn remove(buffer: &mut gst::BufferRef) {
    let Some(mut meta) = buffer.meta_mut::<TensorMeta>() else {
        return;
    };
    let others = others(&meta);
    if others.is_empty() {
        // Fails for metas that are locked, and no one locks this one.
        let _ = meta.remove();
    } else if others.len() < meta.as_slice().len() {
        meta.set(others.into());
    }
}

/// The tensors of other elements.
fn others(meta: &TensorMeta) -> Vec<Tensor> {
    let tensors = meta.as_slice().iter();
    tensors.filter(|tensor| tensor.id() != name()).cloned().collect()
}

fn name() -> glib::Quark {
    glib::Quark::from_str(POSES_TENSOR)
}

pub fn bytes(pose: &[f32; 6]) -> impl Iterator<Item = u8> {
    pose.map(f32::to_ne_bytes).into_iter().flatten()
}
