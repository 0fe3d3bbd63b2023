//! Photos with faces, where there are some, and what becomes of them on their way through the overlay and JPEG.

use std::path::{Path, PathBuf};

use gst::prelude::*;
use gst_video::{VideoFormat, VideoInfo};
use gstimg2pose::meta::{self, FrameFaces};
use img2pose::Face;

use crate::faces;

/// RGB without gaps.
pub struct Picture {
    pub name: String,
    pub width: u32,
    pub height: u32,
    pub pixels: Vec<u8>,
}

impl Picture {
    fn from_sample(name: &str, sample: &gst::Sample) -> Self {
        let info = VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let (width, height) = (info.width(), info.height());
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let rows = map.chunks(info.stride()[0] as usize).take(height as usize);
        Self {
            name: name.to_owned(),
            width,
            height,
            pixels: rows.flat_map(|row| &row[..width as usize * 3]).copied().collect(),
        }
    }

    fn info(&self) -> VideoInfo {
        faces::info(VideoFormat::Rgb, self.width, self.height)
    }

    fn buffer(&self) -> gst::Buffer {
        let info = self.info();
        let stride = info.stride()[0] as usize;
        let mut bytes = Vec::with_capacity(info.size());
        for row in self.pixels.chunks(self.width as usize * 3) {
            bytes.extend_from_slice(row);
            bytes.resize(bytes.len().next_multiple_of(stride), 0);
        }
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        buffer
    }
}

/// Where the photos lie that the scripts fetch; `IMG2POSE_MEDIA` names another folder.
fn media() -> Option<PathBuf> {
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/media");
    let folder = std::env::var_os("IMG2POSE_MEDIA").map_or(usual, PathBuf::from);
    folder.join("multi_face.jpg").exists().then_some(folder)
}

/// All of them; says which are missing.
pub fn pictures() -> Vec<Picture> {
    faces::init();
    let mut pictures = Vec::new();
    let media = media();
    if media.is_none() {
        test_support::skip(
            "hidden faces in photos",
            "there is no .cache/media/multi_face.jpg (scripts/demo.sh fetches it, IMG2POSE_MEDIA names another folder)",
        );
    }
    if let Some(media) = media {
        for name in [
            "multi_face.jpg",
            "single_face.jpg",
            "0-f15-hao-ph.jpg",
            "45-m7-di-ph.jpg",
        ] {
            let pipeline = format!(
                "filesrc location={} ! jpegdec ! videoconvert ! video/x-raw,format=RGB ! appsink name=sink sync=false",
                media.join(name).display()
            );
            let pipeline = faces::launch(&pipeline);
            let sink = faces::named::<gst_app::AppSink>(&pipeline, "sink");
            pipeline.set_state(gst::State::Playing).unwrap();
            pictures.push(Picture::from_sample(name, &sink.pull_sample().unwrap()));
            pipeline.set_state(gst::State::Null).unwrap();
        }
    }
    if let Some(golden) = test_support::golden("hidden faces in the golden pictures") {
        let names = [
            "classroom",
            "faker_0",
            "headpose_2p_a",
            "headpose_2p_b",
            "walking_pause",
        ]
        .map(str::to_owned);
        let collages = [1000, 1001, 1003, 1007, 1009, 1012]
            .iter()
            .map(|number| format!("collages/c{number}"));
        for name in names.into_iter().chain(collages) {
            let image = test_support::read_png(&golden.join(format!("{name}.png")));
            pictures.push(Picture {
                name,
                width: image.width,
                height: image.height,
                pixels: image.pixels,
            });
        }
    }
    pictures
}

/// The picture with the faces hidden, after JPEG.
pub fn hide(picture: &Picture, found: &[Face], properties: &str, quality: u32) -> Picture {
    let info = picture.info();
    let mut buffer = picture.buffer();
    meta::attach(buffer.make_mut(), &FrameFaces::new(&info, found.to_vec())).unwrap();
    let elements = format!(
        "videoconvert ! video/x-raw,format=I420 ! img2poseoverlay draw-box=false draw-axes=false draw-points=none label=0 {properties} \
         ! jpegenc quality={quality} ! jpegdec ! videoconvert ! video/x-raw,format=RGB"
    );
    let arrived = faces::run(&elements, &info, vec![buffer]);
    assert_eq!(arrived.error, None);
    assert_eq!(arrived.warnings, [] as [String; 0]);
    Picture::from_sample(&picture.name, &arrived.samples[0])
}
