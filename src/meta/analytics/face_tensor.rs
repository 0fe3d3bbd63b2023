//! The pose of a face as a tensor that its object detection contains.

use std::mem::MaybeUninit;

use gst::glib;
use gst::glib::translate::{IntoGlib, IntoGlibPtr, from_glib};
use gst::meta::Standalone;
use gst_analytics::{AnalyticsRelationMeta, RelTypes, TensorDataType, TensorDimOrder, ffi};

use super::{POSE_TENSOR, frame_tensor};
use crate::meta::MetaError;

/// Adds `[6]` f32, `rx, ry, rz, tx, ty, tz`, and relates it to the object detection with the id `detection`.
pub fn add(
    meta: &mut gst::MetaRefMut<'_, AnalyticsRelationMeta, Standalone>,
    detection: u32,
    pose: &[f32; 6],
) -> Result<(), MetaError> {
    let data = gst::Buffer::from_mut_slice(frame_tensor::bytes(pose).collect::<Vec<u8>>());
    let mut dims = [pose.len()];
    let mut tensor = MaybeUninit::<ffi::GstAnalyticsTensorMtd>::uninit();
    // SAFETY: the meta is borrowed mutably and so is writable; the call takes over the one reference to `data`, reads
    // `dims` (one element) before it returns, and fills `tensor` when it returns true. The safe bindings lack it.
    let added: bool = unsafe {
        from_glib(ffi::gst_analytics_relation_meta_add_tensor_mtd_simple(
            meta.as_mut_ptr(),
            glib::Quark::from_str(POSE_TENSOR).into_glib(),
            TensorDataType::Float32.into_glib(),
            data.into_glib_ptr(),
            TensorDimOrder::RowMajor.into_glib(),
            dims.len(),
            dims.as_mut_ptr(),
            tensor.as_mut_ptr(),
        ))
    };
    if !added {
        return Err(MetaError::Analytics);
    }
    // SAFETY: filled, because the call returned true.
    let tensor = unsafe { tensor.assume_init() };
    meta.set_relation(RelTypes::CONTAIN, detection, tensor.id)
        .map_err(|_| MetaError::Analytics)
}
