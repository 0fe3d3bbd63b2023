//! The stand-in for NVIDIA's driver as tests see it: frames in its memory, and what it can be told to do.

use std::ffi::{c_int, c_uint, c_void};
use std::path::PathBuf;
use std::ptr::null_mut;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use libloading::{Library, Symbol};
use test_support::{skip, stand_in_for_nvidia};

use super::driver::{Context, Copy, Driver, Place, Rows, Stream};
use super::{CudaFrame, CudaPlane, driver};
use crate::frame::{Frame, raw_planes};

/// Where the library is; `None`: there is no C compiler to make it.
pub(super) fn library() -> Option<PathBuf> {
    static LIBRARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let program = std::env::current_exe().unwrap();
        let folder = program.parent().unwrap().join("stand-in-for-nvidia");
        stand_in_for_nvidia("libcuda", &folder)
    };
    LIBRARY.get_or_init(make).clone()
}

/// The stand-in. One test has it at a time.
pub(crate) struct StandIn {
    library: Library,
    pub(super) driver: &'static Driver,
    _alone: MutexGuard<'static, ()>,
}

/// A context that is no primary one, as GStreamer's is, and a stream of it.
pub(crate) struct Foreign<'s> {
    stand_in: &'s StandIn,
    pub(super) context: Context,
    pub(super) stream: Stream,
}

/// A frame in the memory of the stand-in, which is freed with this.
pub(crate) struct Uploaded<'f> {
    foreign: &'f Foreign<'f>,
    layout: crate::frame::FrameLayout,
    pub(super) planes: [CudaPlane; 3],
}

impl StandIn {
    /// `None` after saying that `test` is skipped.
    pub fn open(test: &str) -> Option<Self> {
        static ALONE: Mutex<()> = Mutex::new(());
        let Some(path) = library() else {
            skip(test, "there is no C compiler (cc)");
            return None;
        };
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: what it does when it is loaded is nothing.
        let library = unsafe { Library::new(path) }.unwrap();
        let stand_in = Self {
            library,
            driver: driver().unwrap(),
            _alone: alone,
        };
        stand_in.refuse_copies(0);
        stand_in.refuse_allocations(0);
        Some(stand_in)
    }

    fn get<T>(&self, name: &str) -> Symbol<'_, T> {
        // SAFETY: the callers name the types that `libcuda.c` has.
        unsafe { self.library.get(name.as_bytes()) }.unwrap()
    }

    /// So many copies are refused from now on.
    pub fn refuse_copies(&self, count: c_int) {
        // SAFETY: sets a number.
        unsafe { self.get::<unsafe extern "C" fn(c_int)>("stand_in_refuse_copies")(count) };
    }

    /// So many pieces of memory are refused from now on.
    pub fn refuse_allocations(&self, count: c_int) {
        // SAFETY: sets a number.
        unsafe { self.get::<unsafe extern "C" fn(c_int)>("stand_in_refuse_allocations")(count) };
    }

    /// Asserts that no context is current in this thread, and that all copies were waited for.
    pub fn assert_at_rest(&self) {
        let number = |name| {
            // SAFETY: reads a number.
            unsafe { self.get::<unsafe extern "C" fn() -> c_int>(name)() }
        };
        assert_eq!(number("stand_in_depth"), 0, "a context is still current");
        assert_eq!(number("stand_in_pending"), 0, "copies were not waited for");
    }

    /// A context on GPU number `device`.
    pub fn foreign(&self, device: c_int) -> Foreign<'_> {
        let (mut context, mut stream) = (null_mut::<c_void>(), null_mut::<c_void>());
        // SAFETY: the types are those of `libcuda.c`; each writes one pointer, and the context that is made current is taken away again.
        unsafe {
            type Make = unsafe extern "C" fn(*mut *mut c_void, c_uint, c_int) -> c_int;
            type MakeStream = unsafe extern "C" fn(*mut *mut c_void, c_uint) -> c_int;
            type Pop = unsafe extern "C" fn(*mut *mut c_void) -> c_int;
            assert_eq!(self.get::<Make>("cuCtxCreate_v2")(&mut context, 0, device), 0);
            assert_eq!(self.get::<MakeStream>("cuStreamCreate")(&mut stream, 0), 0);
            assert_eq!(self.get::<Pop>("cuCtxPopCurrent_v2")(&mut null_mut()), 0);
        }
        Foreign {
            stand_in: self,
            context: Context::of(context),
            stream: Stream(stream),
        }
    }
}

impl Foreign<'_> {
    /// Has `frame` copied to memory whose rows are `gap` bytes longer than they must be. The stream does that when somebody waits for it.
    pub fn upload(&self, frame: &Frame<'_>, gap: usize) -> Uploaded<'_> {
        let mut planes = [CudaPlane::default(); 3];
        for ((plane, host), raw) in planes
            .iter_mut()
            .zip(&frame.planes)
            .zip(raw_planes(&frame.layout))
        {
            let stride = raw.row + gap;
            let len = stride * raw.rows;
            let driver = self.stand_in.driver;
            let address = driver.allocate(self.context, len).unwrap();
            let copy = Copy {
                from: Rows {
                    place: Place::HostToRead(host.data.as_ptr()),
                    stride: host.stride,
                },
                to: Rows {
                    place: Place::Device(address),
                    stride,
                },
                row: raw.row,
                rows: raw.rows,
            };
            // SAFETY: both sides are long enough, and outlive the test's use of the stream.
            unsafe { driver.begin(self.context, self.stream, &copy) }.unwrap();
            *plane = CudaPlane { address, stride, len };
        }
        Uploaded {
            foreign: self,
            layout: frame.layout,
            planes,
        }
    }
}

impl Uploaded<'_> {
    /// The frame as a user of the crate describes it.
    pub fn frame(&self) -> CudaFrame<'_> {
        // SAFETY: the memory lives as long as this, and only work of the stream writes it.
        unsafe { CudaFrame::new(self.layout, self.planes, self.foreign.stream.0) }
    }
}

impl Drop for Uploaded<'_> {
    fn drop(&mut self) {
        for plane in self.planes.iter().filter(|plane| plane.len > 0) {
            // SAFETY: allocated in `upload`.
            let freed = unsafe {
                self.foreign
                    .stand_in
                    .driver
                    .free(self.foreign.context, plane.address)
            };
            freed.unwrap();
        }
    }
}
