//! Frame to tensor, one core: `cargo bench -p img2pose --bench frame`.

use img2pose::frame::{
    ColorMatrix, ColorRange, Converter, Frame, FrameLayout, NetworkSize, Orientation, PixelFormat, Plane,
    View,
};

/// Frame sizes, all to the network size for `min_size` 480.
const SIZES: [(u32, u32); 4] = [(1280, 720), (640, 360), (1920, 1080), (3840, 2160)];

fn main() {
    divan::main();
}

fn convert(
    bencher: divan::Bencher<'_, '_>,
    format: PixelFormat,
    (width, height): (u32, u32),
    orientation: Orientation,
) {
    let layout = FrameLayout {
        format,
        width,
        height,
        matrix: ColorMatrix::Bt709,
        range: ColorRange::Limited,
        view: View {
            orientation,
            ..View::PLAIN
        },
    };
    let size = NetworkSize::of_layout(&layout, 480, 1400, 32);
    let mut converter = Converter::new(layout, size, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]).unwrap();
    let stride = width as usize * 4;
    // Noise of a small linear congruential generator: no byte can be predicted from its neighbours.
    let mut state = 1_u32;
    let bytes: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    })
    .take(stride * height as usize)
    .collect();
    let stride = match format {
        PixelFormat::Rgb | PixelFormat::Bgr => width * 3,
        PixelFormat::Rgbx | PixelFormat::Bgrx => width * 4,
        PixelFormat::Gray8 | PixelFormat::Nv12 | PixelFormat::I420 => width,
    } as usize;
    let chroma = if format == PixelFormat::I420 {
        stride / 2
    } else {
        stride
    };
    let planes = [(0, stride), (1000, chroma), (2000, chroma)].map(|(start, stride)| Plane {
        data: &bytes[start..],
        stride,
    });
    let frame = Frame { layout, planes };
    let mut slot = vec![0.0; size.tensor_len()];
    bencher.bench_local(|| {
        converter
            .convert(divan::black_box(&frame), divan::black_box(&mut slot))
            .unwrap()
    });
}

macro_rules! formats {
    ($($name:ident: $format:ident),*) => { $(
        #[divan::bench(args = SIZES.map(|(w, h)| format!("{w}x{h}")), min_time = 1)]
        fn $name(bencher: divan::Bencher<'_, '_>, size: &str) {
            let (width, height) = size.split_once('x').unwrap();
            let size = (width.parse().unwrap(), height.parse().unwrap());
            convert(bencher, PixelFormat::$format, size, Orientation::Identity);
        }
    )* };
}

formats!(nv12: Nv12, i420: I420, rgb: Rgb, bgrx: Bgrx, gray8: Gray8);

/// NV12 frames of 1280x720 in each orientation.
#[divan::bench(args = Orientation::ALL, min_time = 1)]
fn turned(bencher: divan::Bencher<'_, '_>, orientation: &Orientation) {
    convert(bencher, PixelFormat::Nv12, (1280, 720), *orientation);
}
