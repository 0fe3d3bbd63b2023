//! Golden data of the reference implementation: images, and what it finds in them.
//!
//! The data is not part of the repository. It is looked for in the folder that the environment variable
//! [`VARIABLE`] names, else in `../shared/golden` beside the checkout; the checkpoint that it was made with is looked
//! for in `../models` beside that folder. Tests that need it print that they were skipped when it is absent.

mod cuda;
mod damage;
mod pair;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use img2pose_export::statistics::PoseStatistics;
use img2pose_export::{Options, Storage, convert};
use ndarray::ArrayD;
use ndarray_npy::NpzReader;
use serde::Deserialize;

pub use cuda::stand_in_for_nvidia;
pub use damage::damage;
pub use pair::{small_pair, small_pair_contract, small_pair_model};

/// Environment variable that names the folder with the golden data.
pub const VARIABLE: &str = "IMG2POSE_GOLDEN";

/// Environment variable that names the file which takes a line for each test that was skipped.
pub const SKIPPED: &str = "IMG2POSE_SKIPPED";

/// The checkpoint that the golden numbers were made with, beside their folder.
const CHECKPOINT: &str = "../models/img2pose_slim_v0.pth";

/// The folder with the golden data, or `None` after printing that `test` is skipped.
pub fn golden(test: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/golden");
    let folder = std::env::var_os(VARIABLE).map_or(beside, PathBuf::from);
    if let Some(missing) = ["README.md", CHECKPOINT]
        .map(|name| folder.join(name))
        .iter()
        .find(|path| !path.exists())
    {
        let missing = missing.display();
        skip(test, &format!("golden data lacks {missing} (set {VARIABLE})"));
        return None;
    }
    Some(folder)
}

/// Environment variable that names the folder with golden numbers of a model of two networks, which
/// `python -m img2pose_train.golden` makes.
pub const PAIR_VARIABLE: &str = "IMG2POSE_GOLDEN_V2";

/// That folder, or `None` after printing that `test` is skipped.
pub fn golden_pair(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os(PAIR_VARIABLE).map(PathBuf::from);
    let folder = folder.filter(|folder| folder.join("golden.json").exists());
    if folder.is_none() {
        skip(test, &format!("no golden.json in the folder {PAIR_VARIABLE}"));
    }
    folder
}

/// Says that `test` tests nothing and why: on stdout, and in the file that [`SKIPPED`] names, which `scripts/test.sh`
/// counts, because cargo counts such a test as passed and does not show what it prints.
pub fn skip(test: &str, why: &str) {
    println!("skipped {test}: {why}");
    let Some(path) = std::env::var_os(SKIPPED) else {
        return;
    };
    let line = format!("{test}: {why}\n");
    let added = OpenOptions::new()
        .append(true)
        .create(true)
        .open(&path)
        // In one piece: tests run at the same time.
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = added {
        panic!("{}: {error}", path.display());
    }
}

/// The model that the golden numbers in `folder` belong to: their checkpoint, converted beside the test program.
pub fn golden_model(folder: &Path) -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| converted(folder, "golden.onnx", Storage::F32))
}

/// The same with its weights stored as 16-bit floats.
pub fn golden_model_in_16_bits(folder: &Path) -> &'static Path {
    static MODEL: OnceLock<PathBuf> = OnceLock::new();
    MODEL.get_or_init(|| converted(folder, "golden-f16.onnx", Storage::F16))
}

fn converted(folder: &Path, extension: &str, storage: Storage) -> PathBuf {
    let program = std::env::current_exe().expect("the test program has a path");
    let model = program.with_extension(extension);
    let options = Options::new(PoseStatistics::WIDER)
        .with_sizes(480, 1400)
        .with_licence("for tests")
        .with_storage(storage);
    let checkpoint = folder.join(CHECKPOINT);
    convert(&checkpoint, &model, &options).unwrap_or_else(|error| panic!("{error}"));
    model
}

/// The model that the project ships.
pub fn shipped_model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/img2pose-slim.onnx")
}

/// The same network in 8 bits.
pub fn shipped_model_in_8_bits() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/img2pose-slim-int8.onnx")
}

/// The images of [`CASES`] by name, each with the reference's result at `min_size`.
pub fn images(golden: &Path, min_size: u32) -> impl Iterator<Item = (&'static str, Image, GoldenResult)> {
    CASES.iter().map(move |(name, _)| {
        let result = read_result(golden, name, min_size);
        (*name, read_png(&golden.join(&result.image)), result)
    })
}

/// Mean difference of two pictures of one size, in grey levels.
pub fn mean_difference(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

/// The number behind `name` in what Linux says of this process: `VmRSS:` is its resident memory in KiB, `Threads:` the
/// number of its threads.
pub fn process_status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no number behind {name} in /proc/self/status"))
}

/// An RGB image.
pub struct Image {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// R, G, B bytes, row by row without gaps.
    pub pixels: Vec<u8>,
}

/// A face that the reference found.
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenFace {
    /// `x_min, y_min, x_max, y_max` in pixels.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// Confidence.
    pub score: f32,
    /// Rotation vector and translation.
    pub pose: [f32; 6],
    /// Five keypoints in pixels.
    #[serde(deserialize_with = "keypoints")]
    pub keypoints: [[f32; 2]; 5],
}

/// What the reference says of one image at one network size.
#[derive(Debug, Deserialize)]
pub struct GoldenResult {
    /// File name of the image.
    pub image: String,
    /// Short side of the network image.
    pub min_size: u32,
    /// Upper bound of its long side.
    pub max_size: u32,
    /// Height and width of the network image before padding.
    pub net_image_size_hw: [u32; 2],
    /// Faces with a score of at least 0.5.
    pub faces: Vec<GoldenFace>,
}

/// What the reference says of one picture of [`read_sizes`].
#[derive(Debug, Deserialize)]
pub struct GoldenSize {
    /// Short side of the network image.
    pub min_size: u32,
    /// Upper bound of its long side.
    pub max_size: u32,
    /// Least score of a face.
    pub score_threshold: f32,
    /// Height and width of the network image before padding.
    pub net_image_size_hw: [u32; 2],
    /// The faces.
    pub faces: Vec<GoldenFace>,
}

/// Keypoints as a list, or as members named for what they are.
#[derive(Deserialize)]
#[serde(untagged)]
enum GoldenKeypoints {
    List([[f32; 2]; 5]),
    Named {
        left_eye: [f32; 2],
        right_eye: [f32; 2],
        nose: [f32; 2],
        mouth_left: [f32; 2],
        mouth_right: [f32; 2],
    },
}

fn keypoints<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[[f32; 2]; 5], D::Error> {
    GoldenKeypoints::deserialize(deserializer).map(|keypoints| match keypoints {
        GoldenKeypoints::List(points) => points,
        GoldenKeypoints::Named {
            left_eye,
            right_eye,
            nose,
            mouth_left,
            mouth_right,
        } => [left_eye, right_eye, nose, mouth_left, mouth_right],
    })
}

/// How the reference aligns a face that it found at `min_size` 480.
#[derive(Clone, Debug, Deserialize)]
pub struct GoldenAlignment {
    /// Index of the face in [`GoldenResult::faces`].
    pub face: usize,
    /// Index of the template that fits best.
    pub template: usize,
    /// From pixels of the image to pixels of a crop of 112 x 112.
    pub transform_112: [[f64; 3]; 2],
}

/// The images with the reference's results, at both network sizes.
pub const CASES: [(&str, [u32; 2]); 8] = [
    ("classroom", [480, 640]),
    ("faker_0", [480, 640]),
    ("faker_1", [480, 640]),
    ("faker_2", [480, 640]),
    ("headpose_2p_a", [480, 640]),
    ("headpose_2p_b", [480, 640]),
    ("walking", [480, 640]),
    ("walking_pause", [480, 640]),
];

/// The cases whose intermediate tensors are there too.
pub const STAGED: [(&str, u32); 4] = [
    ("faker_0", 480),
    ("faker_0", 640),
    ("headpose_2p_a", 480),
    ("classroom", 480),
];

/// Reads an 8-bit RGB PNG.
pub fn read_png(path: &Path) -> Image {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut reader = png::Decoder::new(BufReader::new(file))
        .read_info()
        .expect("a PNG");
    let mut pixels = vec![0; reader.output_buffer_size().expect("a PNG that fits into memory")];
    let info = reader.next_frame(&mut pixels).expect("a whole PNG");
    assert_eq!(
        (info.color_type, info.bit_depth),
        (png::ColorType::Rgb, png::BitDepth::Eight)
    );
    pixels.truncate(info.buffer_size());
    Image {
        width: info.width,
        height: info.height,
        pixels,
    }
}

/// Reads a binary PPM of 8 bits whose header has no comments.
pub fn read_ppm(path: &Path) -> Image {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut fields = bytes.splitn(4, |byte| byte.is_ascii_whitespace());
    let mut field = || fields.next().expect("a PPM");
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<u32>().ok();
    assert_eq!(field(), b"P6");
    let [width, height] = [(); 2].map(|()| number(field()).expect("a number"));
    let pixels = field().strip_prefix(b"255\n").expect("8 bits").to_vec();
    assert_eq!(pixels.len(), 3 * width as usize * height as usize);
    Image {
        width,
        height,
        pixels,
    }
}

/// Reads the result for `name` at `min_size`.
pub fn read_result(golden: &Path, name: &str, min_size: u32) -> GoldenResult {
    read_json(&golden.join(format!("{name}_min{min_size}.json")))
}

/// Reads the detections above 0.05 in the collages, by file name.
pub fn read_collages(golden: &Path) -> BTreeMap<String, Vec<GoldenFace>> {
    read_json(&golden.join("collages/collages_min480.json"))
}

/// Pictures of sizes at which a scale rounded to f32 makes the network image a pixel short, by name, each with all
/// detections above 0.05.
pub fn read_sizes(golden: &Path) -> BTreeMap<String, (Image, GoldenSize)> {
    let folder = golden.join("sizes");
    let results: BTreeMap<String, GoldenSize> = read_json(&folder.join("sizes.json"));
    let with_image = |(name, result): (String, GoldenSize)| {
        let image = read_png(&folder.join(format!("{name}.png")));
        (name, (image, result))
    };
    results.into_iter().map(with_image).collect()
}

/// Reads the alignments of all faces, by name of the image.
pub fn read_alignments(golden: &Path) -> BTreeMap<String, Vec<GoldenAlignment>> {
    read_json(&golden.join("align/align.json"))
}

/// Reads the crop of `size` x `size` pixels of a face.
pub fn read_crop(golden: &Path, name: &str, face: usize, size: u32) -> Image {
    read_png(&golden.join(format!("align/{name}_face{face}_{size}.png")))
}

/// The intermediate tensors for `name` at `min_size`.
pub fn open_tensors(golden: &Path, name: &str, min_size: u32) -> NpzReader<File> {
    let path = golden.join(format!("{name}_min{min_size}.npz"));
    NpzReader::new(File::open(path).expect("the tensors are there")).expect("an npz file")
}

/// One f32 tensor out of an npz file.
pub fn read_tensor(tensors: &mut NpzReader<File>, name: &str) -> ArrayD<f32> {
    tensors
        .by_name(name)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> T {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_reader(BufReader::new(file))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
