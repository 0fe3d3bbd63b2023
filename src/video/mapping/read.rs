//! Reading a frame.

use gst::MemoryMap;
use gst::memory::Readable;
use gst_video::VideoInfo;
use img2pose::frame::Plane;

use super::MappingError;
use super::layout::{Extent, Layout, PLANES, outside};

const NO_PLANE: Plane<'static> = Plane { data: &[], stride: 0 };

/// Maps the buffer and gives its planes to `read`, without a copy where each lies in one memory. The buffer stays as it is.
///
/// # Errors
/// When the buffer cannot be mapped, or describes planes that are not in it or do not fit the caps.
pub fn read<R>(
    buffer: &gst::BufferRef,
    info: &VideoInfo,
    read: impl FnOnce([Plane<'_>; PLANES]) -> R,
) -> Result<R, MappingError> {
    let layout = Layout::new(buffer, info)?;
    let Some(places) = layout.places(buffer) else {
        return read_merged(buffer, &layout, read);
    };
    let count = layout.planes().len();
    let mut maps: [Option<MemoryMap<'_, Readable>>; PLANES] = Default::default();
    for (map, place) in maps.iter_mut().zip(&places).take(count) {
        *map = Some(buffer.peek_memory(place.memory).map_readable()?);
    }
    let mut planes = [NO_PLANE; PLANES];
    for (index, ((plane, map), place)) in planes.iter_mut().zip(&maps).zip(&places).enumerate() {
        if let Some(map) = map {
            *plane = cut(map, index, &place.extent)?;
        }
    }
    Ok(read(planes))
}

/// Whether the frame can be read and written, mapping aside: for work that would be in vain otherwise.
///
/// # Errors
/// When the buffer describes planes that are not in it or do not fit the caps.
pub fn check(buffer: &gst::BufferRef, info: &VideoInfo) -> Result<(), MappingError> {
    Layout::new(buffer, info).map(|_| ())
}

/// For a buffer with a plane that no single memory holds. GStreamer copies such memories together; into a memory
/// of its own, because mapping the buffer would put the copy in the place of the buffer's memories.
fn read_merged<R>(
    buffer: &gst::BufferRef,
    layout: &Layout,
    read: impl FnOnce([Plane<'_>; PLANES]) -> R,
) -> Result<R, MappingError> {
    let memory = buffer
        .all_memory()
        .ok_or_else(|| gst::glib::bool_error!("its memories cannot be put together"))?;
    let map = memory.map_readable()?;
    let mut planes = [NO_PLANE; PLANES];
    for (index, (plane, extent)) in planes.iter_mut().zip(layout.planes()).enumerate() {
        *plane = cut(&map, index, extent)?;
    }
    Ok(read(planes))
}

/// The plane that lies at `extent` of the bytes.
fn cut<'b>(bytes: &'b [u8], index: usize, extent: &Extent) -> Result<Plane<'b>, MappingError> {
    // A memory may map fewer bytes than it says it has.
    let data = bytes
        .get(extent.offset..)
        .filter(|data| data.len() >= extent.len)
        .ok_or_else(|| outside(index, extent, bytes.len()))?;
    Ok(Plane {
        data,
        stride: extent.stride,
    })
}
