//! Whether Vulkan has a device that WebGPU can use.
//!
//! ONNX Runtime says so by a C++ exception that passes through `pthread_once`. In a process that has loaded libunwind beside GCC's
//! own unwinder, as GStreamer does on Debian, that ends the process; so it is asked only where it has what it needs.

use std::ffi::{c_char, c_void};
use std::ptr;

use libloading::Library;

/// `VkInstanceCreateInfo`.
#[repr(C)]
struct InstanceCreateInfo {
    structure: u32,
    next: *const c_void,
    flags: u32,
    application: *const c_void,
    layer_count: u32,
    layers: *const *const c_char,
    extension_count: u32,
    extensions: *const *const c_char,
}

/// `VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO`.
const INSTANCE_CREATE_INFO: u32 = 1;

/// `VkPhysicalDeviceFeatures`: a yes or no for each.
type Features = [u32; 55];

/// `shaderUniformBufferArrayDynamicIndexing` to `shaderStorageImageArrayDynamicIndexing`, which WebGPU demands.
const DEMANDED: std::ops::RangeInclusive<usize> = 33..=36;

type Handle = *mut c_void;
type CreateInstance = unsafe extern "C" fn(*const InstanceCreateInfo, *const c_void, *mut Handle) -> i32;
type DestroyInstance = unsafe extern "C" fn(Handle, *const c_void);
type EnumerateDevices = unsafe extern "C" fn(Handle, *mut u32, *mut Handle) -> i32;
type GetFeatures = unsafe extern "C" fn(Handle, *mut Features);

/// Why there is no device to use; `None`: there is one.
pub(super) fn lacks_device() -> Option<String> {
    features().map_or_else(Some, |all| judged(&all))
}

fn judged(all: &[Features]) -> Option<String> {
    let is_usable = |features: &Features| features[DEMANDED].iter().all(|feature| *feature != 0);
    match all {
        [] => Some("Vulkan lists no device".to_owned()),
        all if all.iter().any(is_usable) => None,
        _ => Some("the Vulkan drivers that there are lack what WebGPU needs".to_owned()),
    }
}

/// What each device can do.
fn features() -> Result<Vec<Features>, String> {
    // SAFETY: the system's Vulkan loader; what runs when it is loaded is the system's choice.
    let library = unsafe { Library::new("libvulkan.so.1") }
        .map_err(|_| "libvulkan.so.1, Vulkan's loader, was not found (Debian: libvulkan1)".to_owned())?;
    // Drivers may leave threads behind, which run its code.
    let library = std::mem::ManuallyDrop::new(library);
    let missing = |error: libloading::Error| format!("libvulkan.so.1 is damaged: {error}");
    // SAFETY: the signatures of Vulkan 1.0, which every loader has.
    let (create, destroy, enumerate, get_features) = unsafe {
        (
            library
                .get::<CreateInstance>(b"vkCreateInstance\0")
                .map_err(missing)?,
            library
                .get::<DestroyInstance>(b"vkDestroyInstance\0")
                .map_err(missing)?,
            library
                .get::<EnumerateDevices>(b"vkEnumeratePhysicalDevices\0")
                .map_err(missing)?,
            library
                .get::<GetFeatures>(b"vkGetPhysicalDeviceFeatures\0")
                .map_err(missing)?,
        )
    };
    let wanted = InstanceCreateInfo {
        structure: INSTANCE_CREATE_INFO,
        next: ptr::null(),
        flags: 0,
        application: ptr::null(),
        layer_count: 0,
        layers: ptr::null(),
        extension_count: 0,
        extensions: ptr::null(),
    };
    let mut instance = ptr::null_mut();
    // SAFETY: the structure is as Vulkan describes it, and lives through the call.
    if unsafe { create(&wanted, ptr::null(), &mut instance) } != 0 || instance.is_null() {
        return Err("Vulkan has no driver".to_owned());
    }
    let mut count = 0;
    // SAFETY: the instance lives; without an array the function gives the number of devices.
    let counted = unsafe { enumerate(instance, &mut count, ptr::null_mut()) };
    let mut devices = vec![ptr::null_mut(); count as usize];
    // SAFETY: the array has room for as many as `count` says.
    let listed = unsafe { enumerate(instance, &mut count, devices.as_mut_ptr()) };
    devices.truncate(count as usize);
    let of = |device: Handle| {
        let mut features: Features = [0; 55];
        // SAFETY: the device is the instance's, and the structure has 55 fields of 32 bits.
        unsafe { get_features(device, &mut features) };
        features
    };
    let found = match (counted, listed) {
        (0, 0) => Ok(devices.into_iter().map(of).collect()),
        (0, error) | (error, _) => Err(format!("Vulkan cannot list its devices (error {error})")),
    };
    // SAFETY: nothing of the instance is used any more.
    unsafe { destroy(instance, ptr::null()) };
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_must_have_what_webgpu_demands() {
        let all: Features = [1; 55];
        let mut old = all;
        old[34] = 0;
        assert_eq!(judged(&[old, all]), None);
        assert!(judged(&[old]).unwrap().contains("lack"));
        assert!(judged(&[]).unwrap().contains("no device"));
        // Whatever this machine has, asking does no harm.
        let _ = lacks_device();
    }
}
