//! Frames that a tag or the property says how to turn, and frames whose pixels are not square.

use super::support::*;
use gst::prelude::*;
use gstimg2pose::meta::FrameFaces;
use img2pose::frame::{
    ColorMatrix, ColorRange, Converter, Frame, FrameLayout, NetworkSize, Orientation, PixelAspectRatio,
    PixelFormat, Plane, View,
};

/// What the tag says for each orientation, in the order of [`Orientation::ALL`].
const TAGS: [&str; 8] = [
    "rotate-0",
    "rotate-90",
    "rotate-180",
    "rotate-270",
    "flip-rotate-0",
    "flip-rotate-180",
    "flip-rotate-270",
    "flip-rotate-90",
];

fn tag(value: &str, scope: gst::TagScope) -> gst::Event {
    let mut tags = gst::TagList::new();
    let inner = tags.make_mut();
    inner.add::<gst::tags::ImageOrientation>(&value, gst::TagMergeMode::Append);
    inner.set_scope(scope);
    gst::event::Tag::new(tags)
}

fn stream_tag(value: &str) -> gst::Event {
    tag(value, gst::TagScope::Stream)
}

fn turned(orientation: Orientation) -> View {
    View {
        orientation,
        ..View::PLAIN
    }
}

fn record(buffer: &gst::BufferRef) -> FrameFaces {
    gstimg2pose::meta::read(buffer).unwrap().unwrap()
}

/// Asserts that the next frames were looked at in these ways, in order, with the faces that each has alone then.
fn assert_seen(harness: &mut gst_check::Harness, expected: &[(u64, Orientation)]) {
    let mut alone = bare_detector();
    for (index, orientation) in expected {
        let buffer = harness.pull().unwrap();
        assert_eq!(buffer.offset(), *index);
        let record = record(&buffer);
        assert_eq!(record.orientation, *orientation, "frame {index}");
        let faces = faces_seen(&mut alone, WIDTH, HEIGHT, *index, turned(*orientation));
        assert!(!faces.is_empty());
        assert_eq!(record.faces, faces, "frame {index}");
    }
}

#[test]
fn every_value_of_the_tag_is_followed() {
    for (orientation, value) in Orientation::ALL.into_iter().zip(TAGS) {
        let element = detector();
        let mut harness = harness(&element, true);
        harness.push_event(stream_tag(value));
        harness.push(frame(3)).unwrap();
        harness.push_event(gst::event::Eos::new());
        assert_seen(&mut harness, &[(3, orientation)]);
    }
}

/// A frame that is read turned gives the network's image of the frame that `videoflip` has turned.
#[test]
fn frames_are_turned_as_videoflip_turns_them() {
    init();
    if gst::ElementFactory::find("videoflip").is_none() {
        test_support::skip(
            "frames_are_turned_as_videoflip_turns_them",
            "videoflip is missing",
        );
        return;
    }
    for orientation in Orientation::ALL {
        let (width, height) = match orientation.swaps_sides() {
            true => (HEIGHT, WIDTH),
            false => (WIDTH, HEIGHT),
        };
        let line = format!("videoflip video-direction={}", orientation.name());
        let mut flip = gst_check::Harness::new_parse(&line);
        flip.set_src_caps_str(CAPS);
        flip.play();
        let turned = flip.push_and_pull(frame(3)).unwrap();
        let turned = turned.map_readable().unwrap();
        let expected = network_image(&turned, width, height, View::PLAIN);
        let found = network_image(
            &pixels(WIDTH, HEIGHT, 3),
            WIDTH,
            HEIGHT,
            self::turned(orientation),
        );
        assert_eq!(expected.len(), found.len());
        for (expected, found) in expected.iter().zip(&found) {
            assert!((expected - found).abs() < 1e-5, "{orientation:?}");
        }
    }
}

/// What the network is given of gray pixels whose rows are multiples of four bytes.
fn network_image(pixels: &[u8], width: u32, height: u32, view: View) -> Vec<f32> {
    let layout = FrameLayout {
        format: PixelFormat::Gray8,
        width,
        height,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Full,
        view,
    };
    let plane = Plane {
        data: pixels,
        stride: width.next_multiple_of(4) as usize,
    };
    let size = NetworkSize::of_layout(&layout, 80, 1400, 32);
    let mut image = vec![f32::NAN; size.tensor_len()];
    Converter::new(layout, size, [0.5; 3], [0.25; 3])
        .unwrap()
        .convert(
            &Frame {
                layout,
                planes: [plane; 3],
            },
            &mut image,
        )
        .unwrap();
    image
}

/// The frames of a batch are looked at in one way, so a change has to close it; and nothing else about tags may.
#[test]
fn a_tag_counts_from_its_place_between_the_frames() {
    let element = detector();
    let recorder = Recorder::on(&element.static_pad("src").unwrap());
    let mut harness = harness(&element, true);
    for index in 0..2 {
        harness.push(frame(index)).unwrap();
    }
    harness.push_event(stream_tag("rotate-90"));
    for index in 2..5 {
        harness.push(frame(index)).unwrap();
    }
    // What was said before, in other words.
    harness.push_event(stream_tag("rotate-90"));
    harness.push(frame(5)).unwrap();
    harness.push_event(stream_tag("rotate-0"));
    harness.push(frame(6)).unwrap();
    harness.push_event(gst::event::Eos::new());
    recorder.wait_for("eos", 1);
    assert_eq!(
        recorder.after_start(),
        ["0", "1", "tag", "2", "3", "4", "tag", "5", "tag", "6", "eos"]
    );
    let (upright, right) = (Orientation::Identity, Orientation::Clockwise);
    assert_seen(
        &mut harness,
        &[
            (0, upright),
            (1, upright),
            (2, right),
            (3, right),
            (4, right),
            (5, right),
            (6, upright),
        ],
    );
    assert_eq!(stat(&element, "batches"), 3);
}

#[test]
fn the_tag_goes_on_as_it_came() {
    let element = detector();
    let mut harness = harness(&element, true);
    harness.push_event(stream_tag("rotate-270"));
    harness.push(frame(0)).unwrap();
    harness.push_event(gst::event::Eos::new());
    harness.pull().unwrap();
    let pad = element.static_pad("src").unwrap();
    let event = pad.sticky_event::<gst::event::Tag>(0).unwrap();
    let value = event.tag().get::<gst::tags::ImageOrientation>().unwrap();
    assert_eq!(value.get(), "rotate-270");
}

#[test]
fn the_stream_knows_better_than_the_file() {
    let element = detector();
    let mut harness = harness(&element, true);
    harness.push_event(tag("rotate-180", gst::TagScope::Global));
    harness.push(frame(0)).unwrap();
    harness.push_event(stream_tag("rotate-90"));
    harness.push(frame(1)).unwrap();
    harness.push_event(tag("rotate-270", gst::TagScope::Global));
    harness.push(frame(2)).unwrap();
    let mut title = gst::TagList::new();
    title
        .make_mut()
        .add::<gst::tags::Title>(&"no word of it", gst::TagMergeMode::Append);
    harness.push_event(gst::event::Tag::new(title));
    harness.push(frame(3)).unwrap();
    harness.push_event(gst::event::Eos::new());
    let right = Orientation::Clockwise;
    assert_seen(
        &mut harness,
        &[(0, Orientation::HalfTurn), (1, right), (2, right), (3, right)],
    );
}

#[test]
fn a_new_stream_begins_upright_and_a_flush_does_not() {
    let element = detector();
    let mut harness = harness(&element, true);
    harness.push_event(stream_tag("rotate-90"));
    harness.push_event(tag("rotate-180", gst::TagScope::Global));
    flush(&mut harness);
    harness.push(frame(0)).unwrap();
    harness.push_event(gst::event::StreamStart::new("next"));
    harness.push_event(segment());
    harness.push(frame(1)).unwrap();
    harness.push_event(gst::event::Eos::new());
    assert_seen(
        &mut harness,
        &[(0, Orientation::Clockwise), (1, Orientation::Identity)],
    );
}

#[test]
fn the_property_overrules_the_tag_and_can_change_while_playing() {
    let element = detector();
    let mut harness = harness(&element, true);
    harness.push_event(stream_tag("rotate-180"));
    let names = ["90l", "identity", "auto", "ur-ll"];
    for (index, name) in names.into_iter().enumerate() {
        element.set_property_from_str("orientation", name);
        harness.push(frame(index as u64)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    assert_seen(
        &mut harness,
        &[
            (0, Orientation::CounterClockwise),
            (1, Orientation::Identity),
            (2, Orientation::HalfTurn),
            (3, Orientation::MirrorAntiDiagonal),
        ],
    );
}

#[test]
fn cameras_that_hang_differently_share_a_model() {
    let make = |orientation: &str| {
        let element = detector();
        element.set_property("model-instance-id", "cameras of two orientations");
        element.set_property_from_str("orientation", orientation);
        element
    };
    let (first, second) = (make("90r"), make("180"));
    let (mut one, mut two) = (harness(&first, true), harness(&second, true));
    for index in 0..4 {
        one.push(frame(index)).unwrap();
        two.push(frame(index + 7)).unwrap();
    }
    for harness in [&mut one, &mut two] {
        harness.push_event(gst::event::Eos::new());
    }
    let of = |first: u64, orientation| [0, 1, 2, 3].map(|index| (first + index, orientation));
    assert_seen(&mut one, &of(0, Orientation::Clockwise));
    assert_seen(&mut two, &of(7, Orientation::HalfTurn));
}

/// They used to be taken as square, without a word.
#[test]
fn the_shape_of_the_pixels_counts_and_can_change_in_mid_stream() {
    let element = detector();
    let mut harness = harness(&element, true);
    let caps = |ratio: &str| {
        let caps = format!("{CAPS},pixel-aspect-ratio={ratio}");
        gst::event::Caps::new(&caps.parse::<gst::Caps>().unwrap())
    };
    let ratios = [(1, 1), (16, 11), (12, 11), (1, 2), (1, 1)];
    for (index, (wide, high)) in ratios.into_iter().enumerate() {
        harness.push_event(caps(&format!("{wide}/{high}")));
        harness.push(frame(index as u64)).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    let mut alone = bare_detector();
    for (index, (wide, high)) in ratios.into_iter().enumerate() {
        let buffer = harness.pull().unwrap();
        let record = record(&buffer);
        assert_eq!(record.pixel_aspect_ratio, gst::Fraction::new(wide, high));
        let view = View {
            pixel_aspect_ratio: PixelAspectRatio::new(wide as u32, high as u32).unwrap(),
            ..View::PLAIN
        };
        let index = index as u64;
        let faces = faces_seen(&mut alone, WIDTH, HEIGHT, index, view);
        assert_eq!(record.faces, faces, "{wide}/{high}");
        // Keypoints are where the camera of the record sees them.
        for face in &record.faces {
            let nose = img2pose::contract::REFERENCE_POINTS_68[30];
            assert_eq!(
                record.camera().project_points(&[nose], &face.pose)[0],
                face.keypoints[2]
            );
        }
        if (wide, high) != (1, 1) {
            assert_ne!(record.faces, faces_of(&mut alone, WIDTH, HEIGHT, index));
        }
    }
}

#[test]
fn both_at_once() {
    let element = detector();
    element.set_property_from_str("orientation", "90r");
    let mut harness = harness(&element, true);
    harness.set_src_caps_str(&format!("{CAPS},pixel-aspect-ratio=4/3"));
    harness.push(frame(5)).unwrap();
    harness.push_event(gst::event::Eos::new());
    let view = View {
        pixel_aspect_ratio: PixelAspectRatio::new(4, 3).unwrap(),
        orientation: Orientation::Clockwise,
    };
    let record = record(&harness.pull().unwrap());
    assert_eq!(record.view(), view);
    assert_eq!(
        record.faces,
        faces_seen(&mut bare_detector(), WIDTH, HEIGHT, 5, view)
    );
}

/// A photo as phones write it: the pixels as the sensor had them, and in the EXIF data how to hold it.
#[test]
fn the_exif_data_of_a_photo_is_followed() {
    init();
    if ["jpegenc", "jpegparse", "jpegdec"]
        .iter()
        .any(|name| gst::ElementFactory::find(name).is_none())
    {
        test_support::skip(
            "the_exif_data_of_a_photo_is_followed",
            "jpegenc, jpegparse or jpegdec is missing",
        );
        return;
    }
    let jpeg = scratch().join("plain.jpg");
    let line = format!(
        "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=64,height=48 ! jpegenc ! filesink location={}",
        text(&jpeg)
    );
    run_to_eos(&gst::parse::launch(&line).unwrap().downcast().unwrap());
    let plain = std::fs::read(&jpeg).unwrap();
    // The values of the EXIF tag 0x0112, in the order of the orientations.
    let values = [1, 6, 3, 8, 2, 4, 5, 7];
    for (orientation, value) in Orientation::ALL.into_iter().zip(values) {
        let photo = write_file(&format!("exif-{value}.jpg"), &with_exif(&plain, value));
        let line = format!(
            "filesrc location={} ! jpegparse ! jpegdec ! videoconvert ! img2posedetect name=detect model={} min-size=64 \
             ! fakesink name=sink enable-last-sample=true",
            text(&photo),
            text(model())
        );
        let pipeline: gst::Pipeline = gst::parse::launch(&line).unwrap().downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let message = message(&pipeline, &[gst::MessageType::Eos, gst::MessageType::Error]);
        assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
        let sink = pipeline.by_name("sink").unwrap();
        let sample = sink.property::<gst::Sample>("last-sample");
        assert_eq!(
            record(sample.buffer().unwrap()).orientation,
            orientation,
            "EXIF {value}"
        );
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// The JPEG with an EXIF segment that holds the orientation and nothing else.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08".to_vec();
    // One entry: tag, type SHORT, one value, the value; no further directory.
    exif.extend([
        0,
        1,
        0x01,
        0x12,
        0,
        3,
        0,
        0,
        0,
        1,
        0,
        orientation,
        0,
        0,
        0,
        0,
        0,
        0,
    ]);
    let length = exif.len() as u16 + 2;
    let mut file = jpeg[..2].to_vec();
    file.extend([0xff, 0xe1]);
    file.extend(length.to_be_bytes());
    file.extend(exif);
    file.extend(&jpeg[2..]);
    file
}
