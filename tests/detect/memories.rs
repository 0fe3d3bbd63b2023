//! Frames in other memory than the system's: they are read, and go on as they are.

use std::io::Write;
use std::os::fd::IntoRawFd;
use std::sync::{Arc, Mutex};

use super::support::*;
use gst::prelude::*;
use gst_allocators::prelude::*;
use img2pose::Face;
use test_support::skip;

/// The pixels in a DMABuf as far as GStreamer can tell: memory behind a file descriptor.
fn in_dmabuf(pixels: &[u8], name: &str) -> gst::Memory {
    let path = scratch().join(name);
    let mut file = std::fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .unwrap();
    file.write_all(pixels).unwrap();
    std::fs::remove_file(&path).unwrap();
    let allocator = gst_allocators::DmaBufAllocator::new();
    // SAFETY: the descriptor is given away, and nobody else has it.
    unsafe { allocator.alloc_dmabuf(file.into_raw_fd(), pixels.len()) }.unwrap()
}

#[test]
fn frames_in_dmabufs_are_read_and_go_on_as_they_are() {
    for features in ["", "(memory:DMABuf)"] {
        let element = detector();
        let mut harness = gst_check::Harness::with_element(&element, Some("sink"), Some("src"));
        harness.set_live(true);
        harness.set_src_caps_str(&CAPS.replacen("video/x-raw", &format!("video/x-raw{features}"), 1));
        let mut memories = Vec::new();
        for index in 0..4 {
            let memory = in_dmabuf(&pixels(WIDTH, HEIGHT, index), &format!("frame-{index}"));
            memories.push(memory.as_ptr());
            let mut buffer = gst::Buffer::new();
            let inner = buffer.get_mut().unwrap();
            inner.append_memory(memory);
            inner.set_pts(FRAME * index);
            inner.set_offset(index);
            harness.push(buffer).unwrap();
        }
        for (index, memory) in (0..).zip(memories) {
            let buffer = harness.pull().unwrap();
            assert_frame(&buffer, index);
            assert_eq!(buffer.peek_memory(0).as_ptr(), memory, "the same memory goes on");
        }
        let caps = element.static_pad("src").unwrap().current_caps().unwrap();
        assert_eq!(
            caps.to_string().contains("memory:DMABuf"),
            !features.is_empty(),
            "{caps}"
        );
    }
}

/// What memory a frame leaves in, and its faces.
type Left = (String, Option<Vec<Face>>);

/// What leaves the detector behind a test picture that moves and `elements`.
fn behind(elements: &str) -> Vec<Left> {
    let element = detector();
    let source = format!(
        "videotestsrc num-buffers=8 pattern=ball ! video/x-raw,format=RGBA,width={WIDTH},height={HEIGHT},framerate=25/1 {elements} ! identity"
    );
    let source = gst::parse::bin_from_description(&source, true).unwrap();
    let sink = gst::ElementFactory::make("fakesink").build().unwrap();
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([source.upcast_ref(), &element, &sink]).unwrap();
    gst::Element::link_many([source.upcast_ref(), &element, &sink]).unwrap();
    let left = Arc::new(Mutex::new(Vec::new()));
    let seen = left.clone();
    let pad = element.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let caps = pad.current_caps().unwrap();
        let memory = caps.features(0).unwrap().to_string();
        seen.lock()
            .unwrap()
            .push((memory, faces_on(info.buffer().unwrap())));
        gst::PadProbeReturn::Ok
    })
    .unwrap();
    run_to_eos(&pipeline);
    std::mem::take(&mut left.lock().unwrap())
}

/// Where GL has no display, `GST_GL_PLATFORM=egl GST_GL_WINDOW=egl-device` does without, as `scripts/test.sh` has it.
#[test]
fn frames_in_gl_memory_are_read_and_go_on_as_they_are() {
    const NAME: &str = "frames_in_gl_memory_are_read_and_go_on_as_they_are";
    init();
    if gst::ElementFactory::find("glupload").is_none() {
        return skip(NAME, "there is no glupload (Debian: gstreamer1.0-gl)");
    }
    if std::env::var_os("GST_GL_WINDOW").is_none() && std::env::var_os("DISPLAY").is_none() {
        return skip(
            NAME,
            "GL has no display: GST_GL_PLATFORM=egl GST_GL_WINDOW=egl-device does without",
        );
    }
    let host = behind("");
    assert!(host.iter().all(|(memory, _)| !memory.contains("GLMemory")));
    assert!(
        host.iter()
            .any(|(_, faces)| faces.as_ref().is_some_and(|faces| !faces.is_empty()))
    );
    let device = behind("! glupload ! video/x-raw(memory:GLMemory),format=RGBA");
    assert!(
        device
            .iter()
            .all(|(memory, _)| memory.contains("memory:GLMemory")),
        "{device:?}"
    );
    let faces = |left: &[Left]| left.iter().map(|(_, faces)| faces.clone()).collect::<Vec<_>>();
    assert_eq!(faces(&device), faces(&host));
}

/// What GStreamer cannot map is not taken, and the log says what to do.
#[test]
fn other_memory_is_refused_when_it_is_offered() {
    let element = detector();
    let sink = element.static_pad("sink").unwrap();
    let takes = |memory: &str| {
        let caps = format!("video/x-raw({memory}),format=NV12,width=64,height=48,framerate=25/1");
        sink.query_accept_caps(&caps.parse::<gst::Caps>().unwrap())
    };
    for memory in [
        "memory:SystemMemory",
        "memory:GLMemory",
        "memory:CUDAMemory",
        "memory:DMABuf",
    ] {
        assert!(takes(memory), "{memory}");
    }
    for memory in ["memory:NVMM", "memory:VAMemory", "memory:VulkanImage"] {
        assert!(!takes(memory), "{memory}");
    }
}
