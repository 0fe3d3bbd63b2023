//! Where the planes of a frame lie in its buffer.

use gst_video::{VideoFormat, VideoInfo, VideoMeta};

use super::MappingError;

/// Most planes that a format of those that [`readable_caps`](crate::video::readable_caps) lists has.
pub const PLANES: usize = 3;

/// One plane in a buffer or a memory, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    /// Where the first pixel is.
    pub offset: usize,
    /// From one row to the next; at least a row.
    pub stride: usize,
    /// From the first to the last pixel.
    pub len: usize,
}

/// A plane in one of the memories of a buffer.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryExtent {
    /// Index of the memory.
    pub memory: usize,
    /// Where in that memory the plane lies.
    pub extent: Extent,
}

/// The planes of a frame, all of them inside its buffer.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    extents: [Extent; PLANES],
    count: usize,
}

impl Layout {
    /// Reads and checks what the buffer's video meta says, or without one the caps, whose format is one of
    /// those that [`readable_caps`](crate::video::readable_caps) lists.
    ///
    /// # Errors
    /// See [`MappingError`].
    pub fn new(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<Self, MappingError> {
        let count = info.n_planes() as usize;
        assert!(count <= PLANES, "{} has {count} planes", info.format());
        // As GStreamer chooses where a buffer has several views.
        let meta = buffer.iter_meta::<VideoMeta>().min_by_key(|meta| meta.id());
        if let Some(meta) = &meta {
            check_meta(meta, info)?;
        }
        let (offsets, strides) = meta.as_ref().map_or_else(
            || (info.offset(), info.stride()),
            |meta| (meta.offset(), meta.stride()),
        );
        let size = buffer.size();
        let mut extents = [Extent::default(); PLANES];
        for (plane, extent) in extents.iter_mut().enumerate().take(count) {
            *extent = plane_extent(info, plane, offsets[plane], strides[plane])?;
            let inside = extent
                .offset
                .checked_add(extent.len)
                .is_some_and(|end| end <= size);
            if !inside {
                return Err(outside(plane, extent, size));
            }
        }
        Ok(Self { extents, count })
    }

    /// The planes, in the buffer as a whole.
    pub fn planes(&self) -> &[Extent] {
        &self.extents[..self.count]
    }

    /// The planes in their memories; `None` if one of them does not lie in a single memory.
    pub fn places(&self, buffer: &gst::BufferRef) -> Option<[MemoryExtent; PLANES]> {
        let mut places = [MemoryExtent::default(); PLANES];
        for (place, extent) in places.iter_mut().zip(self.planes()) {
            let mut offset = extent.offset;
            let memory = buffer.iter_memories().position(|memory| {
                let here = offset < memory.size();
                if !here {
                    offset -= memory.size();
                }
                here
            })?;
            if buffer.peek_memory(memory).size() - offset < extent.len {
                return None;
            }
            *place = MemoryExtent {
                memory,
                extent: Extent { offset, ..*extent },
            };
        }
        Some(places)
    }
}

/// Checks what the meta says of the frame as a whole. A frame that is larger than the caps say is one whose edges do not
/// count.
fn check_meta(meta: &VideoMeta, info: &VideoInfo) -> Result<(), MappingError> {
    if arrangement(meta.format()) != arrangement(info.format()) {
        return Err(MappingError::Format {
            found: meta.format().to_str().into(),
            expected: info.format().to_str().into(),
        });
    }
    if meta.width() < info.width() || meta.height() < info.height() {
        return Err(MappingError::Size {
            width: meta.width(),
            height: meta.height(),
            expected_width: info.width(),
            expected_height: info.height(),
        });
    }
    let expected = info.n_planes();
    if meta.n_planes() < expected || meta.n_planes() as usize > gst_video::ffi::GST_VIDEO_MAX_PLANES as usize
    {
        return Err(MappingError::Planes {
            found: meta.n_planes(),
            expected,
        });
    }
    Ok(())
}

/// The format, alpha aside: where nothing but the caps was changed, the meta may still speak of the other.
fn arrangement(format: VideoFormat) -> VideoFormat {
    match format {
        VideoFormat::Rgba => VideoFormat::Rgbx,
        VideoFormat::Bgra => VideoFormat::Bgrx,
        other => other,
    }
}

fn plane_extent(info: &VideoInfo, plane: usize, offset: usize, stride: i32) -> Result<Extent, MappingError> {
    // In all formats plane `n` begins with component `n`, or holds all components.
    let component = plane as u8;
    let row =
        (info.comp_width(component) as usize).saturating_mul(info.comp_pstride(component).max(1) as usize);
    let rows = info.comp_height(component) as usize;
    let stride = usize::try_from(stride).map_err(|_| MappingError::NegativeStride { plane, stride })?;
    if stride < row {
        return Err(MappingError::ShortStride {
            plane,
            needed: row,
            stride,
        });
    }
    // What is too much for a usize is too much for any memory.
    let len = rows.saturating_sub(1).saturating_mul(stride).saturating_add(row);
    Ok(Extent { offset, stride, len })
}

/// The error for a plane that is not inside `size` bytes.
pub fn outside(plane: usize, extent: &Extent, size: usize) -> MappingError {
    MappingError::Outside {
        plane,
        len: extent.len,
        offset: extent.offset,
        size,
    }
}
