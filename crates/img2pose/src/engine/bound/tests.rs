//! The path of the GPUs, on the processor: everything but where the memory is. With a provider's name in the environment variable
//! [`DEVICE`] on that provider's device, see `scripts/test-gpu-software.sh`.

use std::collections::BTreeMap;

use img2pose_onnx::{Builder, ModelProto, ValueInfoProto, data_type};
use ort::session::Session;
use ort::value::{DynValue, TensorRef};
use prost::Message;
use test_support::{Image, golden, golden_model_in_16_bits, read_collages, read_png, shipped_model};

use super::part::{BoundOutput, BoundPart};
use super::*;
use crate::cancel::Canceller;
use crate::engine::{self, Opened, new_pool};
use crate::frame::{
    ColorMatrix, ColorRange, Frame, FrameLayout, Orientation, PixelAspectRatio, PixelFormat, Plane, Region,
    View,
};
use crate::memory::Destination;
use crate::options::{DetectorOptions, ExecutionProvider, PluginProvider, Precision};
use crate::pose::angle_between;
use crate::shapes::Shapes;
use crate::tensor::Tensor;
use crate::{Batch, Detector, Face, runtime};

/// Names the provider whose device the parts are bound to; unset: the processor.
const DEVICE: &str = "IMG2POSE_TEST_DEVICE";

/// With the provider `plugin`: its library.
const PLUGIN: &str = "IMG2POSE_TEST_PLUGIN";

pub(super) const SIDE: usize = 96;

/// The provider that [`DEVICE`] names.
fn device() -> Option<ExecutionProvider> {
    let name = std::env::var(DEVICE).ok()?;
    let provider = ExecutionProvider::from_name(&name);
    Some(provider.unwrap_or_else(|| panic!("{DEVICE} is '{name}', which is no execution provider")))
}

/// Where bound parts run.
fn placement(options: &DetectorOptions, precision: Precision) -> Placement {
    let Some(execution_provider) = device() else {
        return Placement {
            precision,
            ..Placement::on_processor(options)
        };
    };
    let options = DetectorOptions {
        execution_provider,
        precision,
        plugin: std::env::var_os(PLUGIN).map(PluginProvider::new),
        ..options.clone()
    };
    Placement::candidates(&options, runtime::load(None, None).unwrap()).unwrap()[0]
}

pub(super) fn options(min_size: u32, score_threshold: f32) -> DetectorOptions {
    DetectorOptions {
        min_size: Some(min_size),
        execution_provider: ExecutionProvider::Cpu,
        selection: Selection {
            score_threshold,
            ..Selection::default()
        },
        ..DetectorOptions::default()
    }
}

/// An engine with bound parts.
fn engine(
    model: &Model,
    options: &DetectorOptions,
    precision: Precision,
    shapes: Shapes,
) -> (Setting, BoundEngine) {
    engine_at(model, options, precision, shapes, None)
}

/// An engine with parts that are bound to `memory`; `None`: to that of the device.
fn engine_at(
    model: &Model,
    options: &DetectorOptions,
    precision: Precision,
    shapes: Shapes,
    memory: Option<&Memory>,
) -> (Setting, BoundEngine) {
    let placement = match memory {
        Some(_) => Placement {
            precision,
            ..Placement::on_processor(options)
        },
        None => placement(options, precision),
    };
    let memory = memory
        .copied()
        .or_else(|| placement.memory())
        .unwrap_or(Memory::HOST);
    let mut setting = Setting::new(model, placement, new_pool(options.threads()).unwrap()).unwrap();
    setting.shapes = shapes;
    let runtime = runtime::load(None, None).unwrap();
    let mut engine = BoundEngine::load(model, runtime, placement, &setting, &memory).unwrap();
    engine.warm_up(&setting).unwrap();
    (setting, engine)
}

/// Fetches tensors from wherever they lie.
struct Reader {
    part: BoundPart,
    canceller: Canceller,
}

impl Reader {
    fn new(setting: &Setting, engine: &BoundEngine, options: &DetectorOptions) -> Self {
        let mut graph = Builder::piece("reader");
        let read = graph.op("Identity", &["value"], vec![]);
        graph.rename(&read, "read");
        let mut graph = graph.into_graph("reader");
        graph.input = vec![ValueInfoProto::tensor("value", data_type::FLOAT, None)];
        graph.output = vec![ValueInfoProto::tensor("read", data_type::FLOAT, None)];
        let bytes = ModelProto::of(graph).encode_to_vec();
        let placement = placement(options, Precision::Fp32);
        let runtime = runtime::load(None, None).unwrap();
        let session = load_session("a test".as_ref(), runtime, placement, None, "reader", &bytes).unwrap();
        let output = BoundOutput {
            name: "read".to_owned(),
            memory: Destination::Named(engine.network.exchange.info().unwrap()),
            is_read: true,
        };
        Self {
            part: BoundPart::new("reader", session, vec![output], setting.turns).unwrap(),
            canceller: setting.canceller.clone(),
        }
    }

    /// Shape and elements.
    fn read(&mut self, value: &DynValue) -> (Vec<i64>, Vec<f32>) {
        self.part.bind(0, value, &self.canceller).unwrap();
        let outputs = self.part.run(&self.canceller).unwrap();
        let tensor = outputs.read(0).unwrap();
        (tensor.shape.to_vec(), tensor.data.to_vec())
    }
}

fn bound_in(model: &Model, options: DetectorOptions, precision: Precision, shapes: Shapes) -> Detector {
    bound_to(model, options, precision, shapes, None)
}

/// A detector with parts that are bound to `memory` of the processor; `None`: to that of the device.
pub(super) fn bound_to(
    model: &Model,
    options: DetectorOptions,
    precision: Precision,
    shapes: Shapes,
    memory: Option<&Memory>,
) -> Detector {
    let (setting, engine) = engine_at(model, &options, precision, shapes, memory);
    let opened = Opened {
        setting,
        network: engine::Network::Rcnn(Box::new(engine)),
        passed_over: Vec::new(),
    };
    Detector::with_network(model, options, opened).unwrap()
}

/// A detector with bound parts.
fn bound(model: &Model, options: DetectorOptions, precision: Precision) -> Detector {
    bound_in(model, options, precision, shapes()[0])
}

/// How the shapes of runs may be chosen. A device compiles its kernels for each shape that it sees, so it sees few.
fn shapes() -> &'static [Shapes] {
    match device() {
        None => &[Shapes::Free, Shapes::Few],
        Some(_) => &[Shapes::Few],
    }
}

/// Rectangles; another picture for each seed.
pub(super) fn picture(seed: usize, width: usize, height: usize) -> Image {
    let grey = |i: usize| ((i % width / (5 + seed) * 37) ^ (i / width / 9 * 61 * (seed + 1))) as u8;
    Image {
        width: width as u32,
        height: height as u32,
        pixels: (0..width * height).flat_map(|i| [grey(i); 3]).collect(),
    }
}

/// `times` as wide and high.
fn enlarged(image: &Image, times: usize) -> Image {
    let rows = image.pixels.chunks_exact(3 * image.width as usize);
    let wide = rows.map(|row| -> Vec<u8> {
        row.chunks_exact(3)
            .flat_map(|pixel| pixel.repeat(times))
            .collect()
    });
    Image {
        width: image.width * times as u32,
        height: image.height * times as u32,
        pixels: wide.flat_map(|row| row.repeat(times)).collect(),
    }
}

fn frame(image: &Image) -> Frame<'_> {
    Frame::rgb(&image.pixels, image.width, image.height)
}

fn batch(detector: &Detector, images: &[Image], capacity: usize) -> Batch {
    let layout = FrameLayout::rgb(SIDE as u32, SIDE as u32);
    let layout = images.first().map_or(layout, |image| frame(image).layout);
    let mut batch = detector.new_batch(layout, capacity).unwrap();
    for image in images {
        batch.push(&frame(image)).unwrap();
    }
    batch
}

/// What the networks are shown, at which size.
struct Pictures {
    images: Vec<Image>,
    min_size: u32,
    /// Drawn pictures show no face: there everything above the floor counts.
    have_faces: bool,
}

/// The pictures of the golden data that are at hand, else drawn ones. A device may be made of software, which is slow: fewer and
/// smaller.
fn pictures(test: &str) -> Pictures {
    let Some(golden) = golden(test) else {
        return Pictures {
            images: (0..6).map(|seed| picture(seed, SIDE, SIDE)).collect(),
            min_size: SIDE as u32,
            have_faces: false,
        };
    };
    let (count, min_size) = match device() {
        None => (8, 480),
        Some(_) => (2, 256),
    };
    let names: Vec<String> = read_collages(&golden).into_keys().take(count).collect();
    let folder = golden.join("collages");
    Pictures {
        images: names.iter().map(|name| read_png(&folder.join(name))).collect(),
        min_size,
        have_faces: true,
    }
}

impl Pictures {
    fn threshold(&self) -> f32 {
        if self.have_faces { 0.3 } else { 0.0 }
    }
}

/// A device computes in another order than the processor.
fn assert_same(expected: &[f32], found: &[f32], what: &str) {
    assert_eq!(expected.len(), found.len(), "{what}");
    if device().is_none() {
        let bits = |data: &[f32]| data.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(bits(expected) == bits(found), "{what} differs");
        return;
    }
    let largest = expected
        .iter()
        .fold(0.0, |most: f32, value| most.max(value.abs()));
    let pairs = expected.iter().zip(found);
    let furthest = pairs.fold(0.0, |most: f32, (a, b)| most.max((a - b).abs()));
    assert!(
        furthest <= 2e-5 * largest,
        "{what} differs by {furthest}, the largest number is {largest}"
    );
}

/// How far faces are from those expected.
#[derive(Debug, Default)]
struct Deviation {
    expected: usize,
    matched: usize,
    extra: usize,
    pixels: f32,
    score: f32,
    degrees: f64,
}

impl Deviation {
    /// Partners are those whose boxes overlap most, by at least a half.
    fn add(&mut self, expected: &[Face], found: &[Face]) {
        let mut left: Vec<&Face> = found.iter().collect();
        for face in expected {
            self.expected += 1;
            let overlaps = left.iter().map(|other| overlap(&face.bbox, &other.bbox));
            let best = overlaps.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
            let Some((index, _)) = best.filter(|(_, overlap)| *overlap >= 0.5) else {
                continue;
            };
            let other = left.swap_remove(index);
            self.matched += 1;
            let sides = face.bbox.iter().zip(&other.bbox).map(|(a, b)| (a - b).abs());
            self.pixels = sides.fold(self.pixels, f32::max);
            self.score = self.score.max((face.confidence - other.confidence).abs());
            self.degrees = self.degrees.max(angle_between(&face.pose, &other.pose));
        }
        self.extra += left.len();
    }
}

fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |b: &[f32; 4]| (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0);
    let both = area(&[a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    both / (area(a) + area(b) - both).max(f32::MIN_POSITIVE)
}

fn deviation(expected: &mut Detector, found: &mut Detector, images: &[Image]) -> Deviation {
    let mut sum = Deviation::default();
    for image in images {
        let image = std::slice::from_ref(image);
        let one = batch(expected, image, 1);
        let expected = expected.detect_batch(&one).unwrap();
        let one = batch(found, image, 1);
        let found = found.detect_batch(&one).unwrap();
        sum.add(&expected[0], &found[0]);
    }
    sum
}

#[test]
fn a_bound_part_gives_the_bits_of_the_unbound_one() {
    let model = Model::open(&shipped_model()).unwrap();
    let options = options(SIDE as u32, 0.0);
    let detector = bound(&model, options.clone(), Precision::Fp32);
    let (setting, mut engine) = engine(&model, &options, Precision::Fp32, Shapes::Free);
    let mut reader = Reader::new(&setting, &engine, &options);
    let whole = HalfParts {
        dense: false,
        heads: false,
    };
    let parts = model.rcnn().unwrap().device_parts(whole, true).unwrap();
    let threads = options.threads();
    let mut unbound = Session::builder(runtime::load(None, None).unwrap().environment())
        .unwrap()
        .with_intra_threads(threads)
        .unwrap()
        .commit_from_memory(&parts.dense)
        .unwrap();
    // The memory of one run serves the next one of that shape; another shape comes between.
    for (round, frames, width) in [
        (0, 1, 96),
        (1, 1, 96),
        (2, 3, 96),
        (3, 2, 128),
        (4, 2, 128),
        (5, 1, 96),
    ] {
        let images: Vec<Image> = (0..frames).map(|i| picture(round + i, width, 96)).collect();
        let batch = batch(&detector, &images, frames);
        let shape = [frames, 3, 96, width];
        let device = &mut engine.network;
        let (conversion, _, tensor) = batch.input().frames().unwrap();
        let images = device
            .frames
            .images(conversion, RawFrames::Exchanged(tensor))
            .unwrap();
        let (_, numbers) = reader.read(images.value());
        let input = TensorRef::from_array_view((shape, &numbers[..])).unwrap();
        let expected = unbound.run(ort::inputs![input]).unwrap();
        let found = device.dense.run(images.value()).unwrap();
        let mut compared = 0;
        for (index, name) in parts.dense_outputs.iter().enumerate() {
            let (shape, data) = expected[&**name].try_extract_tensor::<f32>().unwrap();
            let owned = |tensor: Tensor<'_>| (tensor.shape.to_vec(), tensor.data.to_vec());
            let (found_shape, found_data) = match index {
                0..4 => reader.read(found.features(index)),
                4..9 => owned(found.objectness(index - 4).unwrap()),
                9..14 => owned(found.deltas(index - 9).unwrap()),
                _ => {
                    assert_eq!((&shape[..], data.len()), (&[frames as i64][..], frames), "{name}");
                    found.check_features(frames).unwrap();
                    continue;
                }
            };
            assert_eq!(shape[..], found_shape, "{name}");
            assert_same(data, &found_data, &format!("round {round}: {name}"));
            compared += data.len();
        }
        assert!(compared > 10_000);
    }
}

/// Bytes as of a picture with noise, `len` of them.
fn noise(len: usize) -> Vec<u8> {
    let number = |index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8;
    (0..len as u32).map(number).collect()
}

#[test]
fn a_device_makes_the_network_images_that_the_processor_makes() {
    let model = Model::open(&shipped_model()).unwrap();
    // Larger and smaller than the network image, of its size, odd, and turned; and what is padded.
    let sizes = [
        (96, 96),
        (160, 90),
        (61, 43),
        (101, 211),
        (128, 96),
        (64, 64),
        (97, 96),
    ];
    let bytes = noise(300_000);
    let mut on_processor = Detector::load(&model, options(SIDE as u32, 0.5)).unwrap();
    let on_device = bound(&model, options(SIDE as u32, 0.5), Precision::Fp32);
    let options = options(SIDE as u32, 0.5);
    let (setting, mut engine) = engine(&model, &options, Precision::Fp32, Shapes::Free);
    let mut reader = Reader::new(&setting, &engine, &options);
    for format in PixelFormat::ALL {
        for (matrix, range) in [
            (ColorMatrix::Bt601, ColorRange::Limited),
            (ColorMatrix::Bt601, ColorRange::Full),
            (ColorMatrix::Bt709, ColorRange::Limited),
            (ColorMatrix::Bt709, ColorRange::Full),
        ] {
            for ((width, height), orientation) in sizes.into_iter().zip(Orientation::ALL).chain([
                ((61, 43), Orientation::Clockwise),
                ((101, 211), Orientation::MirrorAntiDiagonal),
                ((64, 64), Orientation::Identity),
                ((97, 96), Orientation::HalfTurn),
            ]) {
                let layout = FrameLayout {
                    format,
                    width,
                    height,
                    matrix,
                    range,
                    view: View {
                        pixel_aspect_ratio: PixelAspectRatio::new(12, 11).unwrap(),
                        orientation,
                    },
                };
                let planes = [0, 101, 202].map(|start| Plane {
                    data: &bytes[start..],
                    stride: 1024,
                });
                let frame = Frame { layout, planes };
                let mut expected = on_processor.new_batch(layout, 2).unwrap();
                let mut found = on_device.new_batch(layout, 2).unwrap();
                for batch in [&mut expected, &mut found] {
                    batch.push(&frame).unwrap();
                    batch
                        .push(&Frame {
                            planes: [planes[2], planes[0], planes[1]],
                            ..frame
                        })
                        .unwrap();
                }
                assert_eq!(found.images(), None, "{layout:?}");
                let device = &mut engine.network;
                let (conversion, _, tensor) = found.input().frames().unwrap();
                let images = device
                    .frames
                    .images(conversion, RawFrames::Exchanged(tensor))
                    .unwrap();
                let (shape, images) = reader.read(images.value());
                let size = expected.network_size();
                let sides = [size.padded_height, size.padded_width].map(i64::from);
                assert_eq!(shape[..], [2, 3, sides[0], sides[1]], "{layout:?}");
                // Positions are rounded otherwise, and noise is as steep as can be: 0.001 is a twentieth of a grey level.
                for (expected, found) in expected.images().unwrap().iter().zip(images) {
                    assert!((expected - found).abs() < 1e-3, "{layout:?}: {expected} {found}");
                }
            }
        }
    }
    let refused = on_processor.detect_batch(&batch(&on_device, &[picture(1, SIDE, SIDE)], 1));
    assert!(matches!(refused, Err(Error::OtherDevice)));
}

/// Of frames that are much larger than the network image, fewer bytes cross the bus when the processor shrinks them.
#[test]
fn large_frames_are_converted_before_they_go_to_the_device() {
    let model = Model::open(&shipped_model()).unwrap();
    let mut expected = Detector::load(&model, options(SIDE as u32, 0.0)).unwrap();
    let mut found = bound_in(&model, options(SIDE as u32, 0.0), Precision::Fp32, Shapes::Few);
    let mut sum = Deviation::default();
    for count in [2, 1] {
        let images: Vec<Image> = (0..count)
            .map(|seed| enlarged(&picture(seed, 128, 96), 5))
            .collect();
        let [theirs, ours] = [batch(&expected, &images, 2), batch(&found, &images, 2)];
        assert!(ours.input().frames().is_none() && ours.images() == theirs.images());
        let (theirs, ours) = (
            expected.detect_batch(&theirs).unwrap(),
            found.detect_batch(&ours).unwrap(),
        );
        for (theirs, ours) in theirs.iter().zip(&ours) {
            sum.add(theirs, ours);
        }
    }
    assert!(
        sum.expected > 5 && sum.matched == sum.expected && sum.extra == 0,
        "{sum:?}"
    );
    assert!(sum.pixels <= 1.0 && sum.score <= 1e-3, "{sum:?}");
}

/// The plugin moves frames of a batch that was given up to the next one.
#[test]
fn frames_for_a_device_move_to_another_batch() {
    let model = Model::open(&shipped_model()).unwrap();
    let mut detector = bound(&model, options(SIDE as u32, 0.0), Precision::Fp32);
    let pictures: Vec<Image> = (0..3).map(|seed| picture(seed, SIDE, SIDE)).collect();
    let whole = batch(&detector, &pictures, 3);
    let expected = detector.detect_batch(&whole).unwrap();
    let mut moved = batch(&detector, &pictures[..0], 3);
    for slot in [2, 0] {
        moved.push_from(&whole, slot).unwrap();
    }
    let found = detector.detect_batch(&moved).unwrap();
    assert_eq!(found, [expected[2].clone(), expected[0].clone()]);

    let on_processor = Detector::load(&model, options(SIDE as u32, 0.0)).unwrap();
    let mut foreign = batch(&on_processor, &pictures, 4);
    assert!(foreign.push_from(&whole, 0).is_err());
    assert!(moved.push_from(&foreign, 0).is_err());
    assert_eq!((foreign.len(), moved.len()), (3, 2));
}

#[test]
fn bound_parts_find_the_same_faces() {
    let pictures = pictures("bound_parts_find_the_same_faces");
    let (images, threshold) = (&pictures.images, pictures.threshold());
    let model = Model::open(&shipped_model()).unwrap();
    // As they are, and resized where the network computes.
    for min_size in [pictures.min_size, pictures.min_size * 3 / 4] {
        let mut expected = Detector::load(&model, options(min_size, threshold)).unwrap();
        let mut found = bound(&model, options(min_size, threshold), Precision::Fp32);
        let sum = deviation(&mut expected, &mut found, images);
        println!("{min_size}: {sum:?}");
        assert!(
            sum.expected > 5 && sum.matched == sum.expected && sum.extra == 0,
            "{sum:?}"
        );
        assert!(
            sum.pixels <= 1.0 && sum.score <= 1e-3 && sum.degrees <= 0.05,
            "{sum:?}"
        );
    }
}

#[test]
fn bound_batches_full_and_partial_and_of_several_sizes() {
    let model = Model::open(&shipped_model()).unwrap();
    let mut expected = Detector::load(&model, options(SIDE as u32, 0.0)).unwrap();
    for &shapes in shapes() {
        let mut found = bound_in(&model, options(SIDE as u32, 0.0), Precision::Fp32, shapes);
        let mut sum = Deviation::default();
        for (count, width) in [(4, 96), (1, 96), (4, 128), (3, 128), (2, 96), (4, 96)] {
            let images: Vec<Image> = (0..count).map(|seed| picture(seed, width, 96)).collect();
            let theirs = batch(&expected, &images, 4);
            let ours = batch(&found, &images, 4);
            let [theirs, ours] = [
                expected.detect_batch(&theirs).unwrap(),
                found.detect_batch(&ours).unwrap(),
            ];
            assert_eq!(ours.len(), count);
            for (theirs, ours) in theirs.iter().zip(&ours) {
                sum.add(theirs, ours);
            }
        }
        assert!(
            sum.expected > 5 && sum.matched == sum.expected && sum.extra == 0,
            "{sum:?}"
        );
        assert!(sum.pixels <= 1.0 && sum.score <= 1e-3, "{sum:?}");

        // A batch that another detector made has its frames in other memory.
        let images = [picture(1, 96, 96)];
        let foreign = batch(&expected, &images, 1);
        let own = batch(&found, &images, 1);
        let faces = found.detect_batch(&own).unwrap();
        assert_eq!(found.detect_batch(&foreign).unwrap(), faces);
        // Room for four, one frame in it: alone as in company.
        let roomy = batch(&found, &images, 4);
        let mut alone = Deviation::default();
        alone.add(&faces[0], &found.detect_batch(&roomy).unwrap()[0]);
        assert!(alone.matched == alone.expected && alone.score < 1e-5, "{alone:?}");
    }
}

/// As the plugin does with a model on a GPU: batches of one detector's making, run at one time by two.
#[test]
fn two_bound_detectors_run_batches_side_by_side() {
    const BATCHES: usize = 6;
    let model = Model::open(&shipped_model()).unwrap();
    let mut detectors = [(), ()].map(|()| bound(&model, options(SIDE as u32, 0.05), Precision::Fp32));
    let in_flight = match device() {
        Some(ExecutionProvider::WebGpu | ExecutionProvider::Plugin) => 1,
        _ => 2,
    };
    assert_eq!(detectors[0].batches_in_flight(), in_flight);
    let batches: Vec<Batch> = (0..BATCHES)
        .map(|i| {
            let images: Vec<Image> = (0..=i % 3).map(|j| picture(3 * i + j, SIDE, SIDE)).collect();
            batch(&detectors[0], &images, 3)
        })
        .collect();
    let all = |detector: &mut Detector| -> Vec<_> {
        let run = |batch| detector.detect_batch(batch).unwrap();
        batches.iter().map(run).collect()
    };
    let expected = all(&mut detectors[0]);
    let found = std::thread::scope(|scope| {
        let threads = detectors.each_mut().map(|detector| scope.spawn(|| all(detector)));
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(found == [expected.clone(), expected]);
    assert!(found[0].iter().flatten().any(|faces| !faces.is_empty()));
}

#[test]
fn a_cancelled_bound_detector_runs_again_after_the_reset() {
    let model = Model::open(&shipped_model()).unwrap();
    let mut detector = bound(&model, options(SIDE as u32, 0.0), Precision::Fp32);
    let images = [picture(1, SIDE, SIDE)];
    let batch = batch(&detector, &images, 1);
    let before = detector.detect_batch(&batch).unwrap();
    let canceller = detector.canceller();
    canceller.cancel();
    assert!(matches!(detector.detect_batch(&batch), Err(Error::Cancelled)));
    canceller.reset();
    assert_eq!(detector.detect_batch(&batch).unwrap(), before);
}

/// fp16 as `cuda` has it. The processor computes each operator in 32 bits between values of 16 bits, so what a GPU loses in
/// its sums comes on top.
#[test]
fn fp16_moves_faces_a_little() {
    let pictures = pictures("fp16_moves_faces_a_little");
    let model = Model::open(&shipped_model()).unwrap();
    let options = options(pictures.min_size, pictures.threshold());
    let mut expected = Detector::load(&model, options.clone()).unwrap();
    let mut found = bound(&model, options, Precision::Fp16);
    let sum = deviation(&mut expected, &mut found, &pictures.images);
    println!("{sum:?}");
    assert!(sum.expected > 5 && sum.score > 0.0, "{sum:?}");
    assert!(sum.score < 0.02, "{sum:?}");
    if pictures.have_faces {
        assert!(sum.matched == sum.expected && sum.extra == 0, "{sum:?}");
        // lavapipe, which sums in 16 bits: 3.75 pixels, 1.9 degrees.
        let (pixels, degrees) = match device() {
            None => (2.0, 2.0),
            Some(_) => (6.0, 3.0),
        };
        assert!(sum.pixels <= pixels && sum.degrees < degrees, "{sum:?}");
    }
}

#[test]
fn a_model_whose_regions_cannot_be_pooled_apart_is_refused() {
    let bytes = std::fs::read(shipped_model()).unwrap();
    let mut proto = img2pose_onnx::ModelProto::decode(&bytes[..]).unwrap();
    let nodes = &mut proto.graph.as_mut().unwrap().node;
    for node in nodes.iter_mut().filter(|node| node.op_type() == "RoiAlign") {
        node.op_type = Some("MyAlign".to_owned());
    }
    let model = Model::parse("mine.onnx".as_ref(), proto.encode_to_vec()).unwrap();
    let parts = HalfParts {
        dense: false,
        heads: false,
    };
    let error = model.rcnn().unwrap().device_parts(parts, true).err().unwrap();
    assert!(matches!(error, Error::Contract { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("mine.onnx") && text.contains("'features_0'") && text.contains("RoiAlign"),
        "{text}"
    );
}

/// The shipped model has its weights in 32 bits, and they are narrowed; here they are narrow already.
#[test]
fn weights_that_are_stored_in_16_bits_serve_too() {
    let Some(golden) = golden("weights_that_are_stored_in_16_bits_serve_too") else {
        return;
    };
    let model = Model::open(golden_model_in_16_bits(&golden)).unwrap();
    let image = read_png(
        &golden
            .join("collages")
            .join(read_collages(&golden).into_keys().next().expect("a collage")),
    );
    let mut expected = Detector::load(&model, options(480, 0.5)).unwrap();
    let mut found = bound(&model, options(480, 0.5), Precision::Fp16);
    let sum = deviation(&mut expected, &mut found, &[image]);
    assert!(
        sum.expected > 0 && sum.matched == sum.expected && sum.extra == 0,
        "{sum:?}"
    );
    assert!(sum.pixels <= 2.0 && sum.score < 0.02, "{sum:?}");
}

/// Features stay on the device, and the heads may hide that one of them is NaN: frames had no faces then.
#[test]
fn features_that_are_no_numbers_are_seen_where_they_lie() {
    let bytes = std::fs::read(shipped_model()).unwrap();
    let mut proto = img2pose_onnx::ModelProto::decode(&bytes[..]).unwrap();
    let graph = proto.graph.as_mut().unwrap();
    let mut nodes = graph.node.iter();
    let name = nodes.find(|node| node.output[0] == "features_3").unwrap().input[1].clone();
    let mut weights = graph.initializer.iter_mut();
    let weights = weights.find(|tensor| tensor.name() == name).unwrap();
    // Each weight is a number, their sums are beyond what floats hold.
    let raw = weights.raw_data.take().unwrap();
    let signs = raw
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes).signum());
    let scaled: Vec<u8> = signs.flat_map(|sign| (sign * f32::MAX).to_le_bytes()).collect();
    weights.raw_data = Some(scaled.into());
    let model = Model::parse("wide.onnx".as_ref(), proto.encode_to_vec()).unwrap();

    let images = [picture(1, SIDE, SIDE)];
    let mut detector = bound(&model, options(SIDE as u32, 0.5), Precision::Fp32);
    let one = batch(&detector, &images, 1);
    for _ in 0..2 {
        let error = detector.detect_batch(&one).unwrap_err();
        assert!(matches!(error, Error::NotFinite { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("wide.onnx") && text.contains("'features'"),
            "{text}"
        );
    }
}

#[test]
fn regions_show_bound_parts_what_they_show_the_others() {
    let Some(golden) = golden("regions_show_bound_parts_what_they_show_the_others") else {
        return;
    };
    let model = Model::open(&shipped_model()).unwrap();
    let options = options(480, 0.5);
    let mut host = Detector::load(&model, options.clone()).unwrap();
    let image = read_png(&golden.join("headpose_2p_a.png"));
    let frame = frame(&image);
    let whole = host.detect(&[frame]).unwrap().remove(0);
    let regions: Vec<Region> = whole
        .iter()
        .map(|face| Region::around(face.bbox, 2.0, 0.0, &frame.layout))
        .collect();
    for &shapes in shapes() {
        let mut bound = bound_in(&model, options.clone(), Precision::Fp32, shapes);
        let [expected, found] = [&mut host, &mut bound].map(|detector| {
            let mut batch = detector.new_region_batch(128, 5).unwrap();
            for regions in [&regions[..], &[], &regions[..1]] {
                batch.push(&frame, regions).unwrap();
            }
            let mut faces = Vec::new();
            detector.detect_regions_into(&batch, &mut faces).unwrap();
            faces
        });
        assert_eq!(expected.iter().map(Vec::len).collect::<Vec<_>>(), [2, 0, 1]);
        assert_eq!(expected.len(), found.len());
        let mut sum = Deviation::default();
        for (expected, found) in expected.iter().zip(&found) {
            sum.add(expected, found);
        }
        assert_eq!((sum.matched, sum.extra), (sum.expected, 0), "{sum:?}");
        assert!(sum.score < 1e-3 && sum.degrees < 0.1, "{sum:?}");
    }
}

/// What ran each kind of node, in ONNX Runtime's own words.
fn ran(
    placement: Placement,
    name: &str,
    part: &[u8],
    inputs: &[(&str, &[i64], Numbers)],
) -> BTreeMap<String, String> {
    let folder = std::env::temp_dir().join(format!("img2pose-profile-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = runtime::load(None, None).unwrap();
    let _turn = placement.turn().unwrap();
    let builder = Session::builder(runtime.environment()).unwrap();
    let builder = builder.with_profiling(folder.join(name)).unwrap();
    let mut session = placement
        .register(builder, runtime, None)
        .unwrap()
        .commit_from_memory(part)
        .unwrap();
    let values = inputs.iter().map(|(name, shape, numbers)| {
        let len = shape.iter().product::<i64>() as usize;
        let value = match numbers {
            Numbers::Floats => ort::value::Tensor::from_array((shape.to_vec(), vec![0.5f32; len]))
                .unwrap()
                .into_dyn(),
            Numbers::Integers(number) => ort::value::Tensor::from_array((shape.to_vec(), vec![*number; len]))
                .unwrap()
                .into_dyn(),
        };
        ((*name).to_owned(), value)
    });
    let values: Vec<(String, DynValue)> = values.collect();
    session.run(values).unwrap();
    let file = session.end_profiling().unwrap();
    let events: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let nodes = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["cat"] == "Node");
    let of = |event: &serde_json::Value| {
        let text = |name: &str| event["args"][name].as_str().unwrap_or_default().to_owned();
        (text("op_name"), text("provider"))
    };
    nodes
        .map(of)
        .filter(|(operator, _)| !operator.is_empty())
        .collect()
}

#[derive(Clone, Copy)]
enum Numbers {
    Floats,
    Integers(i64),
}

/// Nothing is left to the processor but what is known to be.
#[test]
fn the_device_runs_the_network() {
    use Numbers::{Floats, Integers};
    let model = Model::open(&shipped_model()).unwrap();
    let options = options(SIDE as u32, 0.5);
    let placement = placement(&options, Precision::Fp32);
    let whole = HalfParts {
        dense: false,
        heads: false,
    };
    let rcnn = model.rcnn().unwrap();
    let parts = rcnn
        .device_parts(whole, placement.provider.sums_features)
        .unwrap();
    let dense = ran(
        placement,
        "dense",
        &parts.dense,
        &[("images", &[1, 3, 96, 96], Floats)],
    );
    let facts = model.rcnn_facts().unwrap();
    let channels = facts.channels as i64;
    let regions = ran(
        placement,
        "regions",
        &parts.regions,
        &[
            ("features_0", &[1, channels, 24, 24], Floats),
            ("features_1", &[1, channels, 12, 12], Floats),
            ("features_2", &[1, channels, 6, 6], Floats),
            ("features_3", &[1, channels, 3, 3], Floats),
            ("boxes", &[8, 4], Floats),
            ("box_frames", &[8], Integers(0)),
            ("level_counts", &[4], Integers(2)),
        ],
    );
    let side = facts.contract.roi.output_size as i64;
    let poses = ran(
        placement,
        "poses",
        &parts.poses,
        &[
            ("roi_features", &[8, channels, side, side], Floats),
            ("wanted_rows", &[8], Integers(1)),
        ],
    );
    println!("{dense:?}\n{regions:?}\n{poses:?}");
    let on_processor = |nodes: &BTreeMap<String, String>| -> Vec<String> {
        let nodes = nodes
            .iter()
            .filter(|(_, provider)| *provider == "CPUExecutionProvider");
        nodes.map(|(operator, _)| operator.clone()).collect()
    };
    if device().is_none() {
        assert!(on_processor(&dense).contains(&"Conv".to_owned()));
        return;
    }
    assert!(dense.contains_key("Conv"), "{dense:?}");
    assert_eq!(on_processor(&dense), Vec::<String>::new());
    assert_eq!(on_processor(&poses), Vec::<String>::new());
    if !placement.provider.pools_regions {
        // The boxes come from the processor, where they are sorted out.
        assert_eq!(on_processor(&regions), ["RoiAlign", "Split"]);
    }
}
