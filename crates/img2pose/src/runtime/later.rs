//! Functions that ONNX Runtime has gained since the oldest version that is taken.
//!
//! `ort` calls them only where it is built for the version that brought them, and then refuses all older libraries. So they are
//! called past it, where the loaded library has them.

use std::ptr::{self, NonNull};

use ort::AsPointer;
use ort::session::Session;
use ort::sys::{OrtApi, OrtMemoryInfo, OrtSession, OrtStatusPtr};

/// The version that brought the last of them, as [`ORT_API_VERSION`](ort::sys::ORT_API_VERSION) counts: 1.23.
pub(super) const VERSION: u32 = 23;

/// `OrtApi` of ONNX Runtime's C header, to which versions append and in which nothing ever moves.
#[repr(C)]
pub(super) struct LaterApi {
    known: OrtApi,
    /// From 1.22 and 1.23 on, `ReleaseValueInfo` to `SessionGetMemoryInfoForInputs`.
    others: [Unused; 96],
    session_get_memory_info_for_outputs:
        unsafe extern "system" fn(*const OrtSession, *mut *const OrtMemoryInfo, usize) -> OrtStatusPtr,
}

/// A function that nobody calls here.
type Unused = Option<unsafe extern "system" fn()>;

/// A memory of a session's, in ONNX Runtime's words. It belongs to the session.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionMemory(NonNull<OrtMemoryInfo>);

// SAFETY: nothing writes to it, and nothing of it belongs to a thread.
unsafe impl Send for SessionMemory {}

impl LaterApi {
    /// Where `session` leaves its outputs when nobody says where to, in their order.
    ///
    /// # Errors
    /// What ONNX Runtime says.
    pub fn output_memory(&self, session: &Session) -> ort::Result<Vec<SessionMemory>> {
        let mut memory = vec![ptr::null(); session.outputs().len()];
        // SAFETY: the session lives, and there is room for as many pointers as it has outputs.
        unsafe {
            let status =
                (self.session_get_memory_info_for_outputs)(session.ptr(), memory.as_mut_ptr(), memory.len());
            ort::Error::result_from_status(status)?;
        }
        let known = memory.into_iter().map(|memory| NonNull::new(memory.cast_mut()));
        known
            .map(|memory| memory.map(SessionMemory))
            .collect::<Option<_>>()
            .ok_or_else(|| ort::Error::new("it does not say where its outputs lie"))
    }
}

impl SessionMemory {
    /// The pointer, for calls while the session lives.
    pub fn as_ptr(self) -> *const OrtMemoryInfo {
        self.0.as_ptr()
    }

    /// Whether it is the processor's.
    ///
    /// # Safety
    /// The session that it is of must live.
    pub unsafe fn is_host(self) -> bool {
        use ort::sys::OrtMemoryInfoDeviceType::{self, OrtMemoryInfoDeviceType_CPU};
        let mut device: OrtMemoryInfoDeviceType = OrtMemoryInfoDeviceType_CPU;
        // SAFETY: as above; the function only reads.
        unsafe { (ort::api().MemoryInfoGetDeviceType)(self.as_ptr(), &mut device) };
        matches!(device, OrtMemoryInfoDeviceType_CPU)
    }
}
