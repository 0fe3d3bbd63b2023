//! NVIDIA's driver, as much of it as copies take: memory of our own, and copies that are waited for. All that is unsafe about it is
//! here.
//!
//! Never run on hardware: it is tested with a stand-in for the driver, on the processor's memory.

use std::error::Error as _;
use std::ffi::{CStr, OsStr, c_char, c_int, c_uint, c_void};
use std::ptr::{NonNull, null, null_mut};

use libloading::Library;

/// What every function returns; 0: it has done what it was asked for.
type Status = c_int;

/// Where something lies in the memory of a GPU.
pub(super) type Address = u64;

/// Where a memory belongs to, see [`Driver::owner`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub context: Context,
    /// Which GPU.
    pub device: i32,
}

/// What holds the memory and the streams of some part of the process on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context(NonNull<c_void>);

#[cfg(test)]
impl Context {
    pub fn of(handle: *mut c_void) -> Self {
        Self(NonNull::new(handle).unwrap())
    }
}

// SAFETY: a name that the driver gives out; any thread may make it current.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

/// A queue of work of a context; null: its default one, which waits for all others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stream(pub *mut c_void);

/// One side of a copy.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    HostToRead(*const u8),
    HostToWrite(*mut u8),
    /// Of any GPU and context: addresses are unique in a process.
    Device(Address),
}

/// Rows of bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    pub place: Place,
    /// Bytes from one row to the next.
    pub stride: usize,
}

/// Rows that are copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    pub from: Rows,
    pub to: Rows,
    /// Bytes of a row.
    pub row: usize,
    pub rows: usize,
}

/// The argument of `cuMemcpy2DAsync`, as the driver interface describes it.
#[repr(C)]
struct Copy2d {
    from: Side,
    to: Side,
    row: usize,
    rows: usize,
}

/// A half of it. Where it is written to, `host` is, too.
#[repr(C)]
struct Side {
    x: usize,
    y: usize,
    kind: c_uint,
    host: *const c_void,
    device: Address,
    array: *const c_void,
    stride: usize,
}

const KIND_HOST: c_uint = 1;
/// The driver finds out whose the memory is: the two sides of a copy are of two contexts.
const KIND_UNIFIED: c_uint = 4;
const ATTRIBUTE_CONTEXT: c_int = 1;
const ATTRIBUTE_DEVICE: c_int = 9;

impl Side {
    fn new(rows: &Rows) -> Self {
        let (kind, host, device) = match rows.place {
            Place::HostToRead(host) => (KIND_HOST, host.cast(), 0),
            Place::HostToWrite(host) => (KIND_HOST, host.cast_const().cast(), 0),
            Place::Device(address) => (KIND_UNIFIED, null(), address),
        };
        Self {
            x: 0,
            y: 0,
            kind,
            host,
            device,
            array: null(),
            stride: rows.stride,
        }
    }
}

/// The driver's functions, by the names that they have in its library.
macro_rules! functions {
    ($($field:ident = $name:literal: fn($($argument:ty),*);)*) => {
        struct Functions {
            $($field: unsafe extern "C" fn($($argument),*) -> Status,)*
        }

        impl Functions {
            /// # Safety
            /// `library` must be NVIDIA's driver, or behave as it does.
            unsafe fn of(library: &Library) -> Result<Self, libloading::Error> {
                Ok(Self {
                    // SAFETY: the types are those of the driver interface; the caller vouches for the library.
                    $($field: *unsafe { library.get($name) }?,)*
                })
            }
        }
    };
}

functions! {
    init = b"cuInit\0": fn(c_uint);
    error_text = b"cuGetErrorString\0": fn(Status, *mut *const c_char);
    device = b"cuDeviceGet\0": fn(*mut c_int, c_int);
    retain = b"cuDevicePrimaryCtxRetain\0": fn(*mut *mut c_void, c_int);
    push = b"cuCtxPushCurrent_v2\0": fn(*mut c_void);
    pop = b"cuCtxPopCurrent_v2\0": fn(*mut *mut c_void);
    attribute = b"cuPointerGetAttribute\0": fn(*mut c_void, c_int, Address);
    allocate = b"cuMemAlloc_v2\0": fn(*mut Address, usize);
    free = b"cuMemFree_v2\0": fn(Address);
    copy = b"cuMemcpy2DAsync_v2\0": fn(*const Copy2d, *mut c_void);
    wait = b"cuStreamSynchronize\0": fn(*mut c_void);
}

/// The driver's library, loaded.
pub(super) struct Driver {
    functions: Functions,
    /// What they are in.
    _library: Library,
}

/// A context that is the current one of this thread until this is dropped.
struct Current<'d>(&'d Driver);

impl Drop for Current<'_> {
    fn drop(&mut self) {
        let mut context = null_mut();
        // SAFETY: it writes one pointer. It fails only where there is no context to take away, and then none is left behind.
        unsafe { (self.0.functions.pop)(&mut context) };
    }
}

impl Driver {
    /// Loads the library of that name.
    ///
    /// # Errors
    /// When it is not there, lacks a function, or finds no GPU; in words.
    pub fn load(name: &OsStr) -> Result<Self, String> {
        let failed = |error: libloading::Error| {
            // What the system says is there.
            let cause = error
                .source()
                .map_or_else(|| error.to_string(), ToString::to_string);
            format!("NVIDIA's driver cannot be loaded: {cause}")
        };
        // SAFETY: what a driver does when it is loaded is what every program that uses the GPU lets it do.
        let library = unsafe { Library::new(name) }.map_err(failed)?;
        // SAFETY: this is the name of NVIDIA's driver.
        let functions = unsafe { Functions::of(&library) }.map_err(failed)?;
        let driver = Self {
            functions,
            _library: library,
        };
        // SAFETY: may be called at any time, also more than once.
        let status = unsafe { (driver.functions.init)(0) };
        driver.check("cuInit", status)?;
        Ok(driver)
    }

    fn check(&self, function: &str, status: Status) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        let mut text = null();
        // SAFETY: it writes one pointer: to a text that is there for good, or null.
        unsafe { (self.functions.error_text)(status, &mut text) };
        let text = match text.is_null() {
            true => "unknown error".into(),
            // SAFETY: a text of the driver's, which ends with a zero.
            false => unsafe { CStr::from_ptr(text) }.to_string_lossy(),
        };
        Err(format!("{function} says {status} ({text})"))
    }

    /// The context of GPU number `device` that CUDA's runtime uses, and ONNX Runtime with it. It is kept for good.
    pub fn primary_context(&self, device: i32) -> Result<Context, String> {
        let (mut handle, mut context) = (0, null_mut());
        // SAFETY: it writes one number.
        let status = unsafe { (self.functions.device)(&mut handle, device) };
        self.check("cuDeviceGet", status)?;
        // SAFETY: the device is there; it writes one pointer.
        let status = unsafe { (self.functions.retain)(&mut context, handle) };
        self.check("cuDevicePrimaryCtxRetain", status)?;
        NonNull::new(context)
            .map(Context)
            .ok_or_else(|| "the GPU has no context".to_owned())
    }

    /// Whose memory lies at `address`.
    ///
    /// # Errors
    /// When nothing of CUDA's does, or it is of no context, as that of a pool is not.
    pub fn owner(&self, address: Address) -> Result<Owner, String> {
        let (mut context, mut device) = (null_mut::<c_void>(), -1 as c_int);
        // SAFETY: for this attribute it writes one pointer; it takes any address.
        let status = unsafe {
            let into = (&raw mut context).cast();
            (self.functions.attribute)(into, ATTRIBUTE_CONTEXT, address)
        };
        self.check("cuPointerGetAttribute", status)?;
        // SAFETY: for this attribute it writes one int; it takes any address.
        let status = unsafe {
            let into = (&raw mut device).cast();
            (self.functions.attribute)(into, ATTRIBUTE_DEVICE, address)
        };
        self.check("cuPointerGetAttribute", status)?;
        let context = NonNull::new(context).ok_or("the memory of the frame belongs to no context")?;
        Ok(Owner {
            context: Context(context),
            device,
        })
    }

    fn enter(&self, context: Context) -> Result<Current<'_>, String> {
        // SAFETY: a context that the driver has given out: one that is kept for good, or that of memory which is there.
        let status = unsafe { (self.functions.push)(context.0.as_ptr()) };
        self.check("cuCtxPushCurrent", status)?;
        Ok(Current(self))
    }

    /// `len` bytes of the GPU's memory, to be [freed](Self::free).
    pub fn allocate(&self, context: Context, len: usize) -> Result<Address, String> {
        let _current = self.enter(context)?;
        let mut address = 0;
        // SAFETY: it writes one address.
        let status = unsafe { (self.functions.allocate)(&mut address, len) };
        self.check("cuMemAlloc", status)?;
        Ok(address)
    }

    /// # Safety
    /// `address` must have come from [`allocate`](Self::allocate) with this context, and nobody may use it any more.
    pub unsafe fn free(&self, context: Context, address: Address) -> Result<(), String> {
        let _current = self.enter(context)?;
        // SAFETY: the caller vouches for it.
        let status = unsafe { (self.functions.free)(address) };
        self.check("cuMemFree", status)
    }

    /// Asks for a copy.
    ///
    /// # Safety
    /// As [`copy`](Self::copy), until somebody has waited for the stream.
    #[cfg(test)]
    pub unsafe fn begin(&self, context: Context, stream: Stream, copy: &Copy) -> Result<(), String> {
        let _current = self.enter(context)?;
        // SAFETY: the caller vouches for it.
        unsafe { self.enqueue(stream, copy) }
    }

    /// Asks for a copy in the current context.
    ///
    /// # Safety
    /// As [`copy`](Self::copy), until somebody has waited for the stream.
    unsafe fn enqueue(&self, stream: Stream, copy: &Copy) -> Result<(), String> {
        let copy = Copy2d {
            from: Side::new(&copy.from),
            to: Side::new(&copy.to),
            row: copy.row,
            rows: copy.rows,
        };
        // SAFETY: the caller vouches for the memory and the stream; the argument is read before this returns.
        let status = unsafe { (self.functions.copy)(&copy, stream.0) };
        self.check("cuMemcpy2DAsync", status)
    }

    /// Copies, behind what `stream` has to do already, and waits for the end.
    ///
    /// # Errors
    /// What the driver says. Nothing is being copied any more then, unless the driver cannot say that either.
    ///
    /// # Safety
    /// Every byte that is to be read or written must be there until this returns, those to be written must be nobody else's, and
    /// `stream` must be null or one of `context`.
    pub unsafe fn copy(&self, context: Context, stream: Stream, copies: &[Copy]) -> Result<(), String> {
        let _current = self.enter(context)?;
        // SAFETY: the caller vouches for the memory and the stream until the end of the wait below.
        let begun = copies
            .iter()
            .try_for_each(|copy| unsafe { self.enqueue(stream, copy) });
        // Also after a failure: what has begun must not outlive the memory.
        // SAFETY: the caller vouches for the stream.
        let waited = unsafe { (self.functions.wait)(stream.0) };
        begun.and(self.check("cuStreamSynchronize", waited))
    }
}
