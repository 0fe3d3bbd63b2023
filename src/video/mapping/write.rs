//! Writing into a frame.

use gst::MemoryMap;
use gst::memory::Writable;
use gst_video::VideoInfo;

use super::MappingError;
use super::layout::{Extent, Layout, MemoryExtent, PLANES, outside};

/// A frame whose planes can be written. Planes that share bytes, as nothing forbids, are written one at a time.
pub struct MappedFrame<'a> {
    info: &'a VideoInfo,
    /// The memories that hold the planes.
    memories: [&'a mut [u8]; PLANES],
    /// Where in them the planes are: inside, which [`MappedFrame::new`] checks.
    places: [MemoryExtent; PLANES],
    count: usize,
}

/// Maps the buffer and gives its planes to `write`. Memory that is shared or read-only is replaced by a copy, and so are
/// several memories if one of them does not hold a plane as a whole.
///
/// # Errors
/// When the buffer cannot be mapped, or describes planes that are not in it or do not fit the caps. The pixels are as they
/// were then.
pub fn write<R>(
    buffer: &mut gst::BufferRef,
    info: &VideoInfo,
    write: impl FnOnce(&mut MappedFrame<'_>) -> R,
) -> Result<R, MappingError> {
    let layout = Layout::new(buffer, info)?;
    let places = layout.places(buffer);
    match places {
        Some(places) if buffer.n_memory() > 1 => write_memories(buffer, info, &layout, places, write),
        _ => {
            let mut map = buffer.map_writable()?;
            let mut places = [MemoryExtent::default(); PLANES];
            for (place, extent) in places.iter_mut().zip(layout.planes()) {
                place.extent = *extent;
            }
            let memories = [&mut *map, &mut [], &mut []];
            let mut frame = MappedFrame::new(info, memories, places, layout.planes().len())?;
            Ok(write(&mut frame))
        }
    }
}

/// For a buffer with several memories, each of which holds its planes as a whole: they stay apart.
fn write_memories<R>(
    buffer: &mut gst::BufferRef,
    info: &VideoInfo,
    layout: &Layout,
    mut places: [MemoryExtent; PLANES],
    write: impl FnOnce(&mut MappedFrame<'_>) -> R,
) -> Result<R, MappingError> {
    for index in 0..buffer.n_memory() {
        // Puts a copy in the place of one that others may see.
        drop(buffer.map_range_writable(index..=index)?);
    }
    let count = layout.planes().len();
    let mut maps: [Option<MemoryMap<'_, Writable>>; PLANES] = Default::default();
    let mut used = [usize::MAX; PLANES];
    let mut free = 0;
    for (index, memory) in buffer.iter_memories_mut()?.enumerate() {
        if places[..count].iter().any(|place| place.memory == index) {
            maps[free] = Some(memory.map_writable()?);
            used[free] = index;
            free += 1;
        }
    }
    for place in &mut places[..count] {
        // Every memory of a plane is among those that were mapped: there are as many planes at least.
        place.memory = used.iter().position(|index| *index == place.memory).unwrap_or(0);
    }
    let memories = maps.each_mut().map(|map| match map {
        Some(map) => map.as_mut_slice(),
        None => &mut [],
    });
    let mut frame = MappedFrame::new(info, memories, places, count)?;
    Ok(write(&mut frame))
}

impl<'a> MappedFrame<'a> {
    fn new(
        info: &'a VideoInfo,
        memories: [&'a mut [u8]; PLANES],
        places: [MemoryExtent; PLANES],
        count: usize,
    ) -> Result<Self, MappingError> {
        for (plane, MemoryExtent { memory, extent }) in places.iter().enumerate().take(count) {
            // A memory may map fewer bytes than it says it has.
            let room = memories[*memory].len();
            let inside = extent
                .offset
                .checked_add(extent.len)
                .is_some_and(|end| end <= room);
            if !inside {
                return Err(outside(plane, extent, room));
            }
        }
        Ok(Self {
            info,
            memories,
            places,
            count,
        })
    }

    /// The format of the frame; its strides and offsets are those of the caps, not of this frame.
    pub fn info(&self) -> &'a VideoInfo {
        self.info
    }

    /// Bytes from one row of a plane to the next.
    pub fn stride(&self, plane: usize) -> usize {
        self.places[plane].extent.stride
    }

    /// The bytes of a plane from its first to its last pixel.
    pub fn plane(&mut self, plane: usize) -> &mut [u8] {
        assert!(plane < self.count, "plane {plane} of {}", self.count);
        let MemoryExtent { memory, extent } = self.places[plane];
        let Extent { offset, len, .. } = extent;
        &mut self.memories[memory][offset..offset + len]
    }
}
