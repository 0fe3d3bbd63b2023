//! Converting a frame allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use img2pose::frame::{
    ColorMatrix, ColorRange, Converter, Frame, FrameLayout, NetworkSize, Orientation, PixelFormat, Plane,
    View,
};

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; counting neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn converting_allocates_nothing() {
    let before = ALLOCATIONS.get();
    let bytes = vec![50; 4 * 320 * 180];
    assert!(ALLOCATIONS.get() > before, "the allocator does not count");

    for (format, orientation) in [
        PixelFormat::Rgb,
        PixelFormat::Bgrx,
        PixelFormat::Gray8,
        PixelFormat::Nv12,
        PixelFormat::I420,
    ]
    .into_iter()
    .flat_map(|format| Orientation::ALL.map(|orientation| (format, orientation)))
    {
        let layout = FrameLayout {
            format,
            width: 320,
            height: 180,
            matrix: ColorMatrix::Bt709,
            range: ColorRange::Limited,
            view: View {
                orientation,
                ..View::PLAIN
            },
        };
        let size = NetworkSize::of_layout(&layout, 240, 1400, 32);
        let mut converter = Converter::new(layout, size, [0.5; 3], [0.2; 3]).unwrap();
        let mut slot = vec![0.0; size.tensor_len()];
        let frame = Frame {
            layout,
            planes: [Plane {
                data: &bytes,
                stride: 1280,
            }; 3],
        };

        let before = ALLOCATIONS.get();
        for _ in 0..3 {
            converter.convert(&frame, &mut slot).unwrap();
        }
        assert_eq!(ALLOCATIONS.get(), before, "{format:?} {orientation:?}");
    }
}
