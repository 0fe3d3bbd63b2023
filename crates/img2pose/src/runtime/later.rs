//! Functions that ONNX Runtime has gained since the oldest version that is taken.
//!
//! `ort` calls them only where it is built for the version that brought them, and then refuses all older libraries. So they are
//! called past it, where the loaded library has them.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::{self, NonNull};

use ort::AsPointer;
use ort::environment::Environment;
use ort::session::Session;
use ort::sys::{
    OrtApi, OrtEnv, OrtEpDevice, OrtHardwareDevice, OrtMemoryInfo, OrtSession, OrtSessionOptions,
    OrtStatusPtr,
};

/// The version that brought the last of them, as [`ORT_API_VERSION`](ort::sys::ORT_API_VERSION) counts: 1.23.
pub(super) const VERSION: u32 = 23;

/// `OrtApi` of ONNX Runtime's C header, to which versions append and in which nothing ever moves.
#[repr(C)]
pub(crate) struct LaterApi {
    known: OrtApi,
    /// `ReleaseValueInfo` to `ReleaseKeyValuePairs`.
    others_1: [Unused; 16],
    register_execution_provider_library:
        unsafe extern "system" fn(*mut OrtEnv, *const c_char, *const c_char) -> OrtStatusPtr,
    /// `UnregisterExecutionProviderLibrary`.
    others_2: [Unused; 1],
    get_ep_devices:
        unsafe extern "system" fn(*const OrtEnv, *mut *const *const OrtEpDevice, *mut usize) -> OrtStatusPtr,
    session_options_append_execution_provider_v2: unsafe extern "system" fn(
        *mut OrtSessionOptions,
        *mut OrtEnv,
        *const *const OrtEpDevice,
        usize,
        *const *const c_char,
        *const *const c_char,
        usize,
    ) -> OrtStatusPtr,
    /// `SessionOptionsSetEpSelectionPolicy` and the same with a delegate.
    others_3: [Unused; 2],
    hardware_device_type: unsafe extern "system" fn(*const OrtHardwareDevice) -> c_int,
    /// `HardwareDevice_VendorId`.
    others_4: [Unused; 1],
    hardware_device_vendor: unsafe extern "system" fn(*const OrtHardwareDevice) -> *const c_char,
    /// `HardwareDevice_DeviceId` and `HardwareDevice_Metadata`.
    others_5: [Unused; 2],
    ep_device_ep_name: unsafe extern "system" fn(*const OrtEpDevice) -> *const c_char,
    /// `EpDevice_EpVendor`, `EpDevice_EpMetadata`, `EpDevice_EpOptions`.
    others_6: [Unused; 3],
    ep_device_device: unsafe extern "system" fn(*const OrtEpDevice) -> *const OrtHardwareDevice,
    /// `GetEpApi`, and from 1.23 on `GetTensorSizeInBytes` to `GetRunConfigEntry`.
    others_7: [Unused; 57],
    ep_device_memory_info: unsafe extern "system" fn(*const OrtEpDevice, c_int) -> *const OrtMemoryInfo,
    /// `CreateSharedAllocator` to `SessionGetMemoryInfoForInputs`.
    others_8: [Unused; 6],
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

/// A device, and the provider that would run it. It belongs to ONNX Runtime's environment, which is never freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpDevice {
    device: NonNull<OrtEpDevice>,
    api: &'static LaterApi,
}

// SAFETY: nothing writes to it, and nothing of it belongs to a thread.
unsafe impl Send for EpDevice {}
// SAFETY: as above.
unsafe impl Sync for EpDevice {}

impl LaterApi {
    /// The devices of all providers that ONNX Runtime knows.
    ///
    /// # Errors
    /// What ONNX Runtime says.
    pub fn devices(&'static self, environment: &Environment) -> ort::Result<Vec<EpDevice>> {
        let (mut first, mut count) = (ptr::null(), 0);
        // SAFETY: the environment lives; the function sets both.
        unsafe {
            let status = (self.get_ep_devices)(environment.ptr(), &mut first, &mut count);
            ort::Error::result_from_status(status)?;
        }
        if first.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: it is an array of that many pointers, which belongs to the environment until a library is registered or
        // unregistered; whoever registers one holds the lock under which this is called.
        let devices = unsafe { std::slice::from_raw_parts(first, count) };
        let devices = devices
            .iter()
            .filter_map(|device| NonNull::new(device.cast_mut()));
        Ok(devices.map(|device| EpDevice { device, api: self }).collect())
    }

    /// Loads a library with providers under a name of one's own.
    ///
    /// # Errors
    /// What ONNX Runtime says.
    pub fn register_library(&self, environment: &Environment, name: &CStr, path: &CStr) -> ort::Result<()> {
        // SAFETY: the environment lives, and both are texts, which are copied. What runs when the library is loaded is the
        // choice of whoever named it.
        unsafe {
            let register = self.register_execution_provider_library;
            let status = register(environment.ptr().cast_mut(), name.as_ptr(), path.as_ptr());
            ort::Error::result_from_status(status)
        }
    }

    /// Adds the provider of `device` to the options of a session.
    ///
    /// # Errors
    /// What ONNX Runtime says.
    pub fn append(
        &self,
        options: *mut OrtSessionOptions,
        environment: &Environment,
        device: EpDevice,
        keys: &[*const c_char],
        values: &[*const c_char],
    ) -> ort::Result<()> {
        let devices = [device.device.as_ptr().cast_const()];
        // SAFETY: the caller's options and the environment live, the device is the environment's, and there are as many keys as
        // values, which are copied.
        unsafe {
            let append = self.session_options_append_execution_provider_v2;
            let environment = environment.ptr().cast_mut();
            let (keys, values, count) = (keys.as_ptr(), values.as_ptr(), keys.len().min(values.len()));
            let status = append(options, environment, devices.as_ptr(), 1, keys, values, count);
            ort::Error::result_from_status(status)
        }
    }
}

impl EpDevice {
    /// Name of the provider.
    pub fn provider(&self) -> String {
        // SAFETY: the device lives as long as the environment.
        unsafe { text((self.api.ep_device_ep_name)(self.device.as_ptr())) }
    }

    /// `CPU`, `GPU` or `NPU`.
    pub fn kind(&self) -> &'static str {
        // SAFETY: as above, and so does the hardware that it names.
        let kind =
            unsafe { (self.api.hardware_device_type)((self.api.ep_device_device)(self.device.as_ptr())) };
        match kind {
            0 => "CPU",
            1 => "GPU",
            2 => "NPU",
            _ => "device",
        }
    }

    /// Who made the hardware.
    pub fn vendor(&self) -> String {
        // SAFETY: as above.
        unsafe {
            text((self.api.hardware_device_vendor)((self.api.ep_device_device)(
                self.device.as_ptr(),
            )))
        }
    }

    /// Whether it has memory that the processor cannot read.
    pub fn has_memory(&self) -> bool {
        const DEFAULT: c_int = 0;
        // SAFETY: as above; what it gives is null, or lives as long as the device.
        unsafe {
            let memory = (self.api.ep_device_memory_info)(self.device.as_ptr(), DEFAULT);
            NonNull::new(memory.cast_mut()).is_some_and(|memory| !SessionMemory(memory).is_host())
        }
    }
}

/// A text of ONNX Runtime's.
///
/// # Safety
/// It must be null or a text that ends.
unsafe fn text(text: *const c_char) -> String {
    match text.is_null() {
        true => String::new(),
        // SAFETY: as the caller says.
        false => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
    }
}

impl PartialEq for LaterApi {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self, other)
    }
}

impl Eq for LaterApi {}

impl std::fmt::Debug for LaterApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LaterApi")
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

#[cfg(test)]
mod tests {
    use crate::runtime;

    /// The table is ONNX Runtime's, counted by hand: one field off, and these would call other functions.
    #[test]
    fn the_processor_is_among_the_devices() {
        let runtime = runtime::load(None, None).unwrap();
        let Some(later) = runtime.later() else {
            let version = runtime.version();
            return test_support::skip(
                "the_processor_is_among_the_devices",
                &format!("ONNX Runtime is {version}"),
            );
        };
        let devices = later.devices(runtime.environment()).unwrap();
        let processor = devices
            .iter()
            .find(|device| device.provider() == "CPUExecutionProvider");
        let processor = processor.expect("ONNX Runtime runs on the processor");
        assert_eq!((processor.kind(), processor.has_memory()), ("CPU", false));
        assert!(!processor.vendor().is_empty());
        let refused = later
            .register_library(runtime.environment(), c"none", c"/nonexistent.so")
            .unwrap_err();
        assert!(refused.message().contains("nonexistent"), "{refused}");
    }
}
