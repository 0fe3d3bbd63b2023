//! Two networks that find and look, on the processor.

mod again;

use test_support::{small_pair, small_pair_model};

use super::*;
use crate::engine::{Network, Opened, new_pool};
use crate::frame::{
    ColorMatrix, ColorRange, Frame, FrameLayout, Orientation, PixelAspectRatio, PixelFormat, Plane, View,
};
use crate::options::{DetectorOptions, ExecutionProvider, Precision};
use crate::pose::{angle_between, turn_pose};
use crate::{Batch, Detector, Face, runtime};

const WIDTH: u32 = 90;
const HEIGHT: u32 = 64;

fn options() -> DetectorOptions {
    DetectorOptions {
        execution_provider: ExecutionProvider::Cpu,
        num_threads: 2,
        selection: Selection {
            score_threshold: 0.3,
            ..Selection::default()
        },
        ..DetectorOptions::default()
    }
}

fn detector(options: DetectorOptions) -> Detector {
    Detector::open(small_pair_model(), options).unwrap()
}

/// Waves; another picture for each seed.
fn picture(seed: usize) -> Vec<u8> {
    let phase = seed as f32 * 0.7;
    (0..3 * WIDTH * HEIGHT)
        .map(|index| {
            let (x, y, channel) = (index / 3 % WIDTH, index / 3 / WIDTH, index % 3);
            let (x, y) = (x as f32, y as f32 + 7.0 * channel as f32);
            let wave = (x * 0.31 + phase).sin() + (y * 0.23 - phase).cos() + (x * y * 0.004 + phase).sin();
            (128.0 + 42.0 * wave) as u8
        })
        .collect()
}

fn frame(pixels: &[u8]) -> Frame<'_> {
    Frame::rgb(pixels, WIDTH, HEIGHT)
}

fn alone(detector: &mut Detector, pixels: &[u8]) -> Vec<Face> {
    detector.detect(&[frame(pixels)]).unwrap().remove(0)
}

/// The few shapes of a device, on the processor.
fn detector_of_few_shapes() -> Detector {
    let (model, options) = (Model::open(small_pair_model()).unwrap(), options());
    let placement = Placement::on_processor(&options);
    let mut setting = Setting::new(&model, placement, new_pool(2).unwrap()).unwrap();
    setting.shapes = Shapes::Few;
    let crate::model::HostParts::Pair(parts) = model.host_parts().unwrap() else {
        panic!("two networks");
    };
    let runtime = runtime::load(None, None).unwrap();
    let mut engine = PairEngine::load(&model, &parts, runtime, placement, &setting).unwrap();
    engine.warm_up(&setting).unwrap();
    let opened = Opened {
        setting,
        network: Network::Pair(Box::new(engine)),
        passed_over: Vec::new(),
    };
    Detector::with_network(&model, options, opened).unwrap()
}

#[test]
fn the_faces_of_a_frame_are_the_same_bit_for_bit_in_any_company() {
    let mut detector = detector(options());
    let pictures: Vec<Vec<u8>> = (0..9).map(picture).collect();
    let expected: Vec<Vec<Face>> = pictures
        .iter()
        .map(|pixels| alone(&mut detector, pixels))
        .collect();
    let seen: usize = expected.iter().map(Vec::len).sum();
    assert!(
        seen > 30 && expected.iter().all(|faces| !faces.is_empty()),
        "{seen}"
    );
    assert!(expected[0] != expected[1]);
    let mut state = 5_usize;
    for count in [9, 2, 1, 5, 9, 3] {
        let members: Vec<usize> = (0..count)
            .map(|_| {
                state = (state * 31 + 7) % 9973;
                state % pictures.len()
            })
            .collect();
        let frames: Vec<Frame<'_>> = members.iter().map(|&index| frame(&pictures[index])).collect();
        let found = detector.detect(&frames).unwrap();
        for (&index, found) in members.iter().zip(&found) {
            assert_eq!(*found, expected[index], "frame {index} of {members:?}");
        }
    }
}

#[test]
fn blank_frames_and_crops_of_a_device_change_nothing() {
    let (mut free, mut few) = (detector(options()), detector_of_few_shapes());
    let pictures: Vec<Vec<u8>> = (0..4).map(picture).collect();
    // Full batches between the partial ones, so that a partial one could show what an old frame left behind.
    for count in [4, 1, 4, 3, 2] {
        let mut batch = few.new_batch(FrameLayout::rgb(WIDTH, HEIGHT), 4).unwrap();
        for pixels in &pictures[..count] {
            batch.push(&frame(pixels)).unwrap();
        }
        let [expected, found] = [&mut free, &mut few].map(|detector| detector.detect_batch(&batch).unwrap());
        assert_eq!(found, expected);
    }
}

/// More crops than a run takes: they are those of the frames alone.
#[test]
fn many_crops_take_several_runs() {
    let mut detector = detector(options());
    let pixels = picture(3);
    let expected = alone(&mut detector, &pixels);
    let frames = vec![frame(&pixels); 2 * MOST_CROPS / expected.len() + 2];
    for found in detector.detect(&frames).unwrap() {
        assert_eq!(found, expected);
    }
}

#[test]
fn scores_fall_boxes_lie_in_the_frame_and_the_selection_is_kept() {
    let mut detector = detector(options());
    let pixels = picture(0);
    let faces = alone(&mut detector, &pixels);
    assert!(faces.len() > 3);
    for (face, next) in faces.iter().zip(&faces[1..]) {
        assert!(face.confidence >= next.confidence);
    }
    for face in &faces {
        let [x_min, y_min, x_max, y_max] = face.bbox;
        assert!(
            0.0 <= x_min && x_min <= x_max && x_max <= WIDTH as f32,
            "{face:?}"
        );
        assert!(
            0.0 <= y_min && y_min <= y_max && y_max <= HEIGHT as f32,
            "{face:?}"
        );
        assert!(face.pose.iter().all(|number| number.is_finite()) && face.pose[5] > 0.0);
        assert!(face.confidence >= 0.3 && face.confidence <= 1.0);
    }
    let mut select = |selection: Selection| {
        detector.set_selection(selection).unwrap();
        alone(&mut detector, &pixels)
    };
    let selection = options().selection;
    assert_eq!(select(selection.with_max_faces(2)), faces[..2]);
    // What is left out suppresses nothing that scores more.
    let middle = faces[faces.len() / 2].confidence;
    let few = select(selection.with_score_threshold(middle));
    assert_eq!(few, faces[..few.len()]);
    assert!(few.len() > faces.len() / 2 && few.len() <= faces.len());
    let wide = select(selection.with_bbox_x_factor(2.0).with_max_faces(1));
    assert!(wide[0].bbox[2] - wide[0].bbox[0] > faces[0].bbox[2] - faces[0].bbox[0]);
    assert_eq!(wide[0].pose, faces[0].pose);
}

/// The same picture in pixels that lie otherwise: the same faces, moved.
#[test]
fn turned_frames_have_the_faces_of_the_upright_picture() {
    let mut detector = detector(options());
    let pixels = picture(1);
    let upright = alone(&mut detector, &pixels);
    assert!(upright.len() > 3);
    for orientation in Orientation::ALL {
        let back = orientation.inverse();
        let (width, height) = match back.swaps_sides() {
            true => (HEIGHT, WIDTH),
            false => (WIDTH, HEIGHT),
        };
        let mut turned = vec![0; pixels.len()];
        for (index, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
            let (x, y) = (
                (index as u32 % WIDTH) as f32 + 0.5,
                (index as u32 / WIDTH) as f32 + 0.5,
            );
            let [x, y] = back.turn_point([x, y], WIDTH as f32, HEIGHT as f32);
            let at = 3 * (y as usize * width as usize + x as usize);
            turned[at..at + 3].copy_from_slice(pixel);
        }
        let mut layout = FrameLayout::rgb(width, height);
        layout.view.orientation = orientation;
        let frame = Frame {
            layout,
            ..Frame::rgb(&turned, width, height)
        };
        let found = detector.detect(&[frame]).unwrap().remove(0);
        // Coarse crops are of means of blocks, which begin at another corner.
        let near = upright.iter().filter(|upright| {
            let expected = back.turn_box(upright.bbox, WIDTH as f32, HEIGHT as f32);
            found.iter().any(|found| {
                let far = found.bbox.iter().zip(expected).map(|(a, b)| (a - b).abs());
                let is_there = far.fold(0.0, f32::max) < 1.0;
                let pose = turn_pose(found.pose.map(f64::from), orientation).map(|number| number as f32);
                is_there && angle_between(&pose, &upright.pose) < 12.0
            })
        });
        let (near, count) = (near.count(), upright.len());
        assert!(
            10 * near >= 8 * count && found.len().abs_diff(count) <= 1,
            "{orientation:?}: {near} of {count} among {}",
            found.len()
        );
    }
}

/// Pixels that are twice as wide, half as many of them: the faces lie in the same places of the picture.
#[test]
fn pixels_that_are_not_square_are_seen_as_what_they_show() {
    let mut detector = detector(options());
    let pixels = picture(2);
    let narrow: Vec<u8> = pixels
        .chunks_exact(6)
        .flat_map(|two| [0, 1, 2].map(|at| (u16::from(two[at]) + u16::from(two[at + 3])).div_ceil(2) as u8))
        .collect();
    let mut layout = FrameLayout::rgb(WIDTH / 2, HEIGHT);
    layout.view.pixel_aspect_ratio = PixelAspectRatio::new(2, 1).unwrap();
    let frame = Frame {
        layout,
        ..Frame::rgb(&narrow, WIDTH / 2, HEIGHT)
    };
    let square = alone(&mut detector, &pixels);
    let found = detector.detect(&[frame]).unwrap().remove(0);
    let mut near = 0;
    for face in &square {
        let [x_min, y_min, x_max, y_max] = face.bbox;
        let expected = [x_min / 2.0, y_min, x_max / 2.0, y_max];
        near += usize::from(found.iter().any(|found| {
            let far = found.bbox.iter().zip(expected).map(|(a, b)| (a - b).abs());
            far.fold(0.0, f32::max) < 3.0
        }));
    }
    assert!(
        2 * near > square.len(),
        "{near} of {}: {square:?} {found:?}",
        square.len()
    );
}

/// Every format goes the same way: grey frames in any of them have the same faces.
#[test]
fn all_formats_have_the_faces_of_what_they_show() {
    let mut detector = detector(options());
    let luma: Vec<u8> = picture(4).iter().step_by(3).copied().collect();
    let stride = WIDTH as usize * 4 + 20;
    let neutral = vec![128; stride * HEIGHT as usize];
    let mut expected: Option<Vec<Face>> = None;
    for format in PixelFormat::ALL {
        let step = match format {
            PixelFormat::Rgb | PixelFormat::Bgr => 3,
            PixelFormat::Rgbx | PixelFormat::Bgrx => 4,
            PixelFormat::Gray8 | PixelFormat::Nv12 | PixelFormat::I420 => 1,
        };
        let mut main = vec![255; stride * HEIGHT as usize];
        for (row, luma) in main
            .chunks_exact_mut(stride)
            .zip(luma.chunks_exact(WIDTH as usize))
        {
            for (pixel, luma) in row.chunks_exact_mut(step).zip(luma) {
                pixel.fill(*luma);
            }
        }
        let plane = |data| Plane { data, stride };
        let frame = Frame {
            layout: FrameLayout {
                format,
                matrix: ColorMatrix::Bt709,
                range: ColorRange::Full,
                view: View::PLAIN,
                ..FrameLayout::rgb(WIDTH, HEIGHT)
            },
            planes: [plane(&main), plane(&neutral), plane(&neutral)],
        };
        let found = detector.detect(&[frame]).unwrap().remove(0);
        assert!(found.len() > 3, "{format:?}");
        let expected = expected.get_or_insert_with(|| found.clone());
        assert_eq!(found.len(), expected.len(), "{format:?}");
        for (found, expected) in found.iter().zip(&*expected) {
            let far = found.bbox.iter().zip(expected.bbox).map(|(a, b)| (a - b).abs());
            assert!(far.fold(0.0, f32::max) < 0.05, "{format:?}");
        }
    }
}

#[test]
fn providers_and_precisions_that_it_is_not_run_in_are_refused_in_words() {
    use ExecutionProvider::{Cuda, TensorRt, WebGpu};
    let model = Model::open(small_pair_model()).unwrap();
    let crate::model::HostParts::Pair(parts) = model.host_parts().unwrap() else {
        panic!("two networks");
    };
    let runtime = runtime::load(None, None).unwrap();
    for (provider, precision, said) in [
        (TensorRt, Precision::Auto, "'tensorrt'"),
        (WebGpu, Precision::Auto, "'webgpu'"),
        (Cuda, Precision::Fp16, "fp16"),
    ] {
        let options = options().with_precision(precision);
        let placement = Placement::at(provider, &options);
        let setting = Setting::new(&model, placement, new_pool(1).unwrap()).unwrap();
        let loaded = PairEngine::load(&model, &parts, runtime, placement, &setting);
        let error = loaded.err().expect("it is refused").to_string();
        assert!(error.contains(said) && error.contains("find and look"), "{error}");
    }
}

#[test]
fn what_is_not_run_is_refused_in_words() {
    let model = Model::open(small_pair_model()).unwrap();
    assert!(model.contract().is_none() && model.channels().is_none());
    let refusal = |options: DetectorOptions| Detector::load(&model, options).unwrap_err().to_string();
    let whole = refusal(options().with_whole(true));
    assert!(
        whole.contains("find-and-look") && whole.contains("in parts"),
        "{whole}"
    );
    let int8 = refusal(options().with_precision(Precision::Int8));
    assert!(int8.contains("not quantized"), "{int8}");
    let whole = crate::whole::WholeModel::load(&model, &options(), &[])
        .unwrap_err()
        .to_string();
    assert!(whole.contains("img2pose network"), "{whole}");

    let mut detector = detector(options());
    let pixels = picture(0);
    let mut regions = detector.new_region_batch(64, 1).unwrap();
    let region = crate::frame::Region::whole(&frame(&pixels).layout);
    regions.push(&frame(&pixels), &[region]).unwrap();
    let error = detector
        .detect_regions_into(&regions, &mut Vec::new())
        .unwrap_err();
    assert!(error.to_string().contains("whole frames"), "{error}");

    // A batch without frames: of a detector of the other architecture.
    let contract = crate::contract::Contract::reference("test", [0.0; 6], [1.0; 6]);
    let maker = crate::BatchMaker::new(&contract.images(), Some(64), None, crate::batch::Intake::Images);
    let mut batch: Batch = maker.new_batch(FrameLayout::rgb(WIDTH, HEIGHT), 1).unwrap();
    batch.push(&frame(&pixels)).unwrap();
    let error = detector.detect_batch(&batch).unwrap_err();
    assert!(error.to_string().contains("batch_maker"), "{error}");
}

/// A network that answers in another shape is no fault of the first frame.
#[test]
fn answers_of_another_shape_are_told_when_the_model_is_loaded() {
    for (name, wrong) in [("cells", "answers"), ("answers", "cells")] {
        let mut model = small_pair();
        let graph = model.graph.as_mut().unwrap();
        // An axis more.
        let node = graph.node.iter_mut().find(|node| node.output[0] == name).unwrap();
        node.output[0] = "before".to_owned();
        let axes =
            img2pose_onnx::TensorProto::new("three", img2pose_onnx::data_type::INT64, vec![1], vec![0; 8]);
        graph.initializer.push(axes);
        let wider = img2pose_onnx::NodeProto::new(
            "wider",
            "Concat",
            &["before", "before"],
            &[name],
            vec![img2pose_onnx::attribute::int("axis", 1)],
        );
        graph.node.push(wider);
        let bytes = img2pose_onnx::encode(&model).unwrap();
        let model = Model::parse("/some/pair.onnx".as_ref(), bytes).unwrap();
        let error = Detector::load(&model, options()).unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("expected") && !error.contains(wrong),
            "{error}"
        );
    }
}

#[test]
fn a_run_can_be_cancelled_and_a_frame_that_fails_has_no_faces() {
    let mut detector = detector(options());
    let pixels = picture(0);
    let expected = alone(&mut detector, &pixels);
    detector.canceller().cancel();
    assert!(matches!(
        detector.detect(&[frame(&pixels)]),
        Err(Error::Cancelled)
    ));
    detector.canceller().reset();
    let mut batch = detector.new_batch(FrameLayout::rgb(WIDTH, HEIGHT), 3).unwrap();
    for round in 0..2 {
        batch.clear();
        let slots = [batch.reserve().unwrap(), batch.reserve().unwrap()];
        let [bad, good] = slots;
        assert!(bad.convert(&frame(&pixels[..100])).is_err());
        good.convert(&frame(&pixels)).unwrap();
        let found = detector.detect_batch(&batch).unwrap();
        assert!(found[0].is_empty(), "round {round}");
        assert_eq!(found[1], expected);
        // Taken over by another batch, it is the same frame.
        let mut other = detector.new_batch(FrameLayout::rgb(WIDTH, HEIGHT), 3).unwrap();
        other.push_from(&batch, 1).unwrap();
        other.push_from(&batch, 0).unwrap();
        let found = detector.detect_batch(&other).unwrap();
        assert_eq!(found[0], expected);
        assert!(found[1].is_empty());
        // What an earlier batch has left is not taken for the frame that fails.
        batch.clear();
        batch.push(&frame(&pixels)).unwrap();
    }
}
