//! The network input that torchvision's `GeneralizedRCNNTransform` made, from the same PNG files.

use std::fs::File;
use std::path::Path;

use img2pose::frame::{NetworkSize, PixelFormat};
use ndarray_npy::NpzReader;

use super::picture::{Picture, layout};

fn read_png(path: &Path) -> Picture {
    let mut reader = png::Decoder::new(std::io::BufReader::new(File::open(path).unwrap()))
        .read_info()
        .unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!(
        (info.color_type, info.bit_depth),
        (png::ColorType::Rgb, png::BitDepth::Eight)
    );
    Picture {
        layout: layout(PixelFormat::Rgb, info.width, info.height),
        planes: vec![bytes],
        strides: [info.line_size, 0, 0],
    }
}

#[test]
fn network_input_is_torchvisions() {
    let Some(folder) = test_support::golden("network_input_is_torchvisions") else {
        return;
    };
    for (name, min_size) in [
        ("faker_0", 480),
        ("faker_0", 640),
        ("headpose_2p_a", 480),
        ("classroom", 480),
    ] {
        let picture = read_png(&folder.join(format!("{name}.png")));
        let npz = File::open(folder.join(format!("{name}_min{min_size}.npz"))).unwrap();
        let mut npz = NpzReader::new(npz).unwrap();
        let expected: ndarray::Array3<f32> = npz.by_name("net_input").unwrap();
        let image_size: ndarray::Array1<i64> = npz.by_name("net_image_size_hw").unwrap();

        let size = NetworkSize::new(picture.layout.width, picture.layout.height, min_size, 1400, 32);
        assert_eq!(
            image_size.to_vec(),
            [i64::from(size.height), i64::from(size.width)],
            "{name}"
        );
        assert_eq!(
            expected.shape(),
            [3, size.padded_height as usize, size.padded_width as usize],
            "{name}"
        );
        let found = picture.convert(&size);
        let difference = found
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        println!("{name} at {min_size}: largest difference {difference:e}");
        assert!(difference <= 1e-5, "{name} at {min_size}: {difference:e}");
    }
}
