//! Pose statistics in a file that begins as `.npy` files do are read or refused.
#![no_main]

use arbitrary::Arbitrary;
use img2pose_export::statistics::PoseStatistics;
use libfuzzer_sys::fuzz_target;

#[path = "../builders/mod.rs"]
#[allow(dead_code)] // For other targets.
mod builders;

use builders::Size;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    version: u8,
    /// Instead of the length that the header has.
    length: Option<u32>,
    header: Header<'a>,
    data: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Header<'a> {
    Text(&'a str),
    Dict {
        descr: Descr<'a>,
        fortran: bool,
        shape: Vec<Size>,
        more: &'a str,
    },
    Nested(u16),
}

#[derive(Arbitrary, Debug)]
enum Descr<'a> {
    F8,
    F4,
    Other(&'a str),
}

fuzz_target!(|input: Input<'_>| {
    let header = match &input.header {
        Header::Text(text) => (*text).to_owned(),
        Header::Nested(depth) => {
            let depth = usize::from(*depth);
            format!("{{'shape': {}{}}}", "(".repeat(depth), ")".repeat(depth))
        }
        Header::Dict {
            descr,
            fortran,
            shape,
            more,
        } => {
            let descr = match descr {
                Descr::F8 => "<f8",
                Descr::F4 => "<f4",
                Descr::Other(text) => text,
            };
            let fortran = if *fortran { "True" } else { "False" };
            let shape: Vec<String> = shape.iter().map(|size| format!("{},", size.0)).collect();
            let shape = shape.concat();
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': ({shape}), {more}}}\n")
        }
    };
    let length = input.length.unwrap_or(header.len() as u32).to_le_bytes();
    let version = input.version % 4;
    let length = if version == 1 { &length[..2] } else { &length[..] };
    let bytes = [
        &b"\x93NUMPY"[..],
        &[version, 0],
        length,
        header.as_bytes(),
        input.data,
    ]
    .concat();
    let path = builders::file::with(&bytes);
    if let Ok(statistics) = PoseStatistics::read(path, path) {
        assert!(statistics.stddev.iter().all(|s| s.is_finite() && *s > 0.0));
    }
});
