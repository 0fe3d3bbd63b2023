//! Readers of raw bytes behind an element get what they get without it: decoders send padded frames to those who say that
//! they take them, and files and applications do not.

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};

use super::init;
use crate::{detector, faces};

/// A way to make a stream and to decode it, and whether the format has frames of odd sizes.
struct Codec {
    encoder: &'static str,
    decoder: &'static str,
    odd: bool,
}

const CODECS: [Codec; 8] = [
    Codec {
        encoder: "vp8enc deadline=1",
        decoder: "vp8dec",
        odd: true,
    },
    Codec {
        encoder: "vp8enc deadline=1",
        decoder: "avdec_vp8",
        odd: true,
    },
    Codec {
        encoder: "vp9enc deadline=1",
        decoder: "vp9dec",
        odd: true,
    },
    Codec {
        encoder: "theoraenc",
        decoder: "theoradec",
        odd: true,
    },
    Codec {
        encoder: "jpegenc",
        decoder: "jpegdec",
        odd: true,
    },
    Codec {
        encoder: "jpegenc",
        decoder: "jpegparse ! avdec_mjpeg",
        odd: true,
    },
    Codec {
        encoder: "avenc_mpeg4",
        decoder: "avdec_mpeg4",
        odd: true,
    },
    Codec {
        encoder: "x265enc",
        decoder: "h265parse ! avdec_h265",
        odd: false,
    },
];

const SIZES: [(u32, u32); 4] = [(130, 98), (322, 182), (321, 241), (97, 51)];
const FRAMES: usize = 5;

/// The elements of a part of a pipeline that are not installed.
fn missing(description: &str) -> Vec<&str> {
    description
        .split('!')
        .filter_map(|element| element.split_whitespace().next())
        .filter(|name| gst::ElementFactory::find(name).is_none())
        .collect()
}

/// A moving picture of the size, encoded.
fn encode(codec: &Codec, width: u32, height: u32) -> (gst::Caps, Vec<gst::Buffer>) {
    let pipeline = format!(
        "videotestsrc num-buffers={FRAMES} pattern=ball ! video/x-raw,format=I420,width={width},height={height},framerate=25/1 \
         ! {} ! appsink name=sink sync=false",
        codec.encoder
    );
    let pipeline = faces::launch(&pipeline);
    let sink = faces::named::<gst_app::AppSink>(&pipeline, "sink");
    pipeline.set_state(gst::State::Playing).unwrap();
    let samples: Vec<gst::Sample> = std::iter::from_fn(|| sink.pull_sample().ok()).collect();
    pipeline.set_state(gst::State::Null).unwrap();
    let caps = samples.first().expect("a stream").caps_owned().unwrap();
    let buffers = samples
        .iter()
        .map(|sample| sample.buffer_owned().unwrap())
        .collect();
    (caps, buffers)
}

/// Runs `appsrc ! DECODER ! videoconvert ! ELEMENTS ! SINK` over the stream.
fn decode(
    codec: &Codec,
    stream: &(gst::Caps, Vec<gst::Buffer>),
    elements: &str,
    sink: &str,
) -> gst::Pipeline {
    let text = format!(
        "appsrc name=src format=time ! {} ! videoconvert ! video/x-raw,format=I420 ! {elements} ! {sink}",
        codec.decoder
    );
    let pipeline = faces::launch(&text);
    let src = faces::named::<gst_app::AppSrc>(&pipeline, "src");
    src.set_caps(Some(&stream.0));
    pipeline.set_state(gst::State::Playing).unwrap();
    for buffer in &stream.1 {
        src.push_buffer(buffer.copy()).unwrap();
    }
    src.end_of_stream().unwrap();
    pipeline
}

fn wait(pipeline: &gst::Pipeline) {
    let message = detector::message(pipeline, &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}

/// The bytes that end in a file.
fn file(codec: &Codec, stream: &(gst::Caps, Vec<gst::Buffer>), elements: &str, info: &VideoInfo) -> Vec<u8> {
    let path = detector::scratch().join("out.raw");
    let pipeline = decode(
        codec,
        stream,
        elements,
        &format!("filesink location={}", path.display()),
    );
    wait(&pipeline);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(bytes.len(), FRAMES * info.size(), "{} {elements}", codec.decoder);
    bytes
        .chunks(info.size())
        .flat_map(|frame| pixels(frame, info))
        .collect()
}

/// The pixels of a frame that lies as its caps say; what is between its rows is anything.
fn pixels(frame: &[u8], info: &VideoInfo) -> Vec<u8> {
    let plane = |plane: u8| {
        let rows = frame[info.offset()[plane as usize]..].chunks(info.stride()[plane as usize] as usize);
        rows.take(info.comp_height(plane) as usize)
            .flat_map(move |row| &row[..info.comp_width(plane) as usize])
    };
    (0..3).flat_map(plane).copied().collect()
}

/// The bytes that an application gets that knows of caps and nothing else.
fn application(codec: &Codec, stream: &(gst::Caps, Vec<gst::Buffer>), elements: &str) -> Vec<u8> {
    let pipeline = decode(codec, stream, elements, "appsink name=sink sync=false");
    let sink = faces::named::<gst_app::AppSink>(&pipeline, "sink");
    let mut bytes = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let map = sample.buffer().unwrap().map_readable().unwrap();
        assert_eq!(map.len(), info.size(), "{elements}");
        bytes.extend(pixels(&map, &info));
    }
    wait(&pipeline);
    bytes
}

#[test]
fn as_many_bytes_as_behind_identity_for_every_decoder_size_and_element() {
    init();
    let model = detector::model();
    let detect = format!(
        "img2posedetect model={} min-size=64 batch-size=2",
        model.display()
    );
    let elements = [
        detect.clone(),
        "img2poseoverlay blur-faces=solid blur-unseen=false".to_owned(),
        format!("{detect} ! img2posetrack look-ahead=1"),
        format!("{detect} ! img2poseoverlay draw-box=false draw-axes=false draw-points=none label=0"),
        "tee name=t ! queue ! img2posejson ! fakesink async=false t. ! queue ! img2poseoverlay ! tee name=u ! queue \
         ! img2posealign ! fakesink async=false u. ! queue"
            .to_owned(),
    ];
    let mut tried = 0;
    for codec in &CODECS {
        let missing = [missing(codec.encoder), missing(codec.decoder)].concat();
        if !missing.is_empty() {
            test_support::skip("raw bytes", &format!("there is no {}", missing.join(", ")));
            continue;
        }
        for (width, height) in SIZES {
            if !codec.odd && (width % 2 > 0 || height % 2 > 0) {
                continue;
            }
            let stream = encode(codec, width, height);
            let info = VideoInfo::builder(VideoFormat::I420, width, height)
                .build()
                .unwrap();
            let expected = file(codec, &stream, "identity", &info);
            for elements in &elements {
                let what = format!("{} {width}x{height} {elements}", codec.decoder);
                assert!(file(codec, &stream, elements, &info) == expected, "{what}");
                assert!(application(codec, &stream, elements) == expected, "{what}");
            }
            tried += 1;
        }
    }
    assert!(tried >= SIZES.len(), "there is no decoder to test with");
}
