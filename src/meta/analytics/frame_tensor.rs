//! The poses of a frame as one tensor.

use gst::glib;
use gst_analytics::{Tensor, TensorDataType, TensorDimOrder, TensorMeta};

use super::POSES_TENSOR;
use crate::meta::{FrameFaces, MetaError};

/// Adds `[faces, 6]` f32, `rx, ry, rz, tx, ty, tz` of each face in the order of the record, in the machine's byte
/// order; `[0, 6]` without faces.
pub fn add(buffer: &mut gst::BufferRef, frame: &FrameFaces) -> Result<(), MetaError> {
    let poses: Vec<u8> = frame.faces.iter().flat_map(|face| bytes(&face.pose)).collect();
    let tensor = Tensor::new_simple(
        name(),
        TensorDataType::Float32,
        gst::Buffer::from_mut_slice(poses),
        TensorDimOrder::RowMajor,
        &[frame.faces.len(), 6],
    );
    // Readers look at one tensor meta of a buffer. Where another element has made it, 1.26 gives back that one when asked
    // for a new one, and 1.28 adds a second.
    if buffer.meta::<TensorMeta>().is_none() {
        TensorMeta::add(buffer);
    }
    let mut meta = buffer.meta_mut::<TensorMeta>().ok_or(MetaError::Analytics)?;
    let mut tensors = others(&meta);
    tensors.push(tensor);
    meta.set(tensors.into());
    Ok(())
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
