//! Frames in the memory of an NVIDIA GPU, where they are: nothing is copied to the processor. What is unsafe about it is here.
//!
//! Never run on hardware, see the tests in `tests/detect/cuda.rs`.

use std::ffi::c_void;
use std::marker::PhantomData;

use gst_video::VideoInfo;
use img2pose::frame::FrameLayout;
use img2pose::{CudaFrame, CudaPlane};

use super::layout::{Layout, PLANES, outside};

/// GStreamer's name for such memory.
const MEMORY: &str = "gst.cuda.memory";

/// Has such memory mapped where it is (`GST_MAP_CUDA`).
const MAP_CUDA: u32 = gst::ffi::GST_MAP_FLAG_LAST << 1;

/// Whether the frame lies in the memory of an NVIDIA GPU, in one piece, as GStreamer's elements leave it.
pub fn is_in_cuda(buffer: &gst::BufferRef) -> bool {
    buffer.n_memory() == 1 && buffer.peek_memory(0).is_type(MEMORY)
}

/// Gives the frame of a buffer that [is there](is_in_cuda) to `read`. The buffer stays as it is.
///
/// # Errors
/// In words: when the buffer cannot be mapped there, describes planes that are not in it or do not fit the caps, or GStreamer does not
/// say what the frame is finished with.
pub fn read_cuda<R>(
    buffer: &gst::BufferRef,
    info: &VideoInfo,
    frame_layout: FrameLayout,
    read: impl FnOnce(&CudaFrame<'_>) -> R,
) -> Result<R, String> {
    let layout = Layout::new(buffer, info).map_err(|error| error.to_string())?;
    let memory = buffer.peek_memory(0);
    let map = CudaMap::new(memory)?;
    let (address, size) = map.place();
    let mut planes = [CudaPlane::default(); PLANES];
    for (index, (plane, extent)) in planes.iter_mut().zip(layout.planes()).enumerate() {
        // A memory may map fewer bytes than it says it has.
        if extent.offset.checked_add(extent.len).is_none_or(|end| end > size) {
            return Err(outside(index, extent, size).to_string());
        }
        *plane = CudaPlane {
            address: address + extent.offset as u64,
            stride: extent.stride,
            len: extent.len,
        };
    }
    let stream = stream(memory)?;
    // SAFETY: the planes lie in what is mapped, for longer than the frame; whoever would write them has to wait for the end of the
    // mapping. Before, GStreamer's elements have put their work on this stream of the memory's context or, where there are none (before
    // 1.24), have waited for its end.
    let frame = unsafe { CudaFrame::new(frame_layout, planes, stream) };
    let done = read(&frame);
    drop(map);
    Ok(done)
}

/// A memory that is mapped where it is.
struct CudaMap<'m> {
    map: gst::ffi::GstMapInfo,
    memory: PhantomData<&'m gst::MemoryRef>,
}

impl<'m> CudaMap<'m> {
    /// `memory` is of [`MEMORY`].
    fn new(memory: &'m gst::MemoryRef) -> Result<Self, String> {
        let mut map = std::mem::MaybeUninit::zeroed();
        // SAFETY: the memory is borrowed, so it is there; to read it takes no more. The flag is one that memory of this kind knows.
        let mapped = unsafe {
            let flags = gst::ffi::GST_MAP_READ | MAP_CUDA;
            gst::ffi::gst_memory_map(memory.as_mut_ptr(), map.as_mut_ptr(), flags)
        };
        match mapped {
            gst::glib::ffi::GFALSE => Err("the memory cannot be mapped on the GPU".to_owned()),
            _ => Ok(Self {
                // SAFETY: it was filled in.
                map: unsafe { map.assume_init() },
                memory: PhantomData,
            }),
        }
    }

    /// Where the first byte lies on the GPU, and how many there are.
    fn place(&self) -> (u64, usize) {
        (self.map.data.addr() as u64, self.map.size)
    }
}

impl Drop for CudaMap<'_> {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this, and the memory is still there.
        unsafe { gst::ffi::gst_memory_unmap(self.map.memory, &mut self.map) };
    }
}

/// The stream whose work the memory is finished with; null: the default stream of its context, or nothing.
#[cfg(target_os = "linux")]
fn stream(memory: &gst::MemoryRef) -> Result<*mut c_void, String> {
    use std::sync::OnceLock;

    use libloading::os::unix::{Library, RTLD_LAZY, Symbol};

    type Function = unsafe extern "C" fn(*mut c_void) -> *mut c_void;
    /// What GStreamer has for streams since 1.24; `None`: it is older.
    type Streams = Option<(Symbol<Function>, Symbol<Function>)>;
    /// Not to be loaded, but found where it is.
    const RTLD_NOLOAD: i32 = 4;
    static STREAMS: OnceLock<Option<(Library, Streams)>> = OnceLock::new();

    let found = STREAMS.get_or_init(|| {
        // SAFETY: nothing is loaded, so nothing runs.
        let library = unsafe { Library::open(Some("libgstcuda-1.0.so.0"), RTLD_LAZY | RTLD_NOLOAD) }.ok()?;
        // SAFETY: of these types since there are these functions.
        let streams = unsafe {
            let of_memory = library.get::<Function>(b"gst_cuda_memory_get_stream\0");
            let handle = library.get::<Function>(b"gst_cuda_stream_get_handle\0");
            of_memory.ok().zip(handle.ok())
        };
        Some((library, streams))
    });
    let Some((_, streams)) = found else {
        return Err("GStreamer's library for CUDA was not found in the process".to_owned());
    };
    let Some((of_memory, handle)) = streams else {
        return Ok(std::ptr::null_mut());
    };
    // SAFETY: the memory is of this library's; it keeps the stream, which the second function takes, as it takes none.
    Ok(unsafe { handle(of_memory(memory.as_mut_ptr().cast())) })
}

#[cfg(not(target_os = "linux"))]
fn stream(_: &gst::MemoryRef) -> Result<*mut c_void, String> {
    Err("frames are copied from CUDA memory to the network on Linux only".to_owned())
}
