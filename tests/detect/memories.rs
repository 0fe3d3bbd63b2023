//! Frames in other memory than the system's: they are read, and go on as they are.

use std::io::Write;
use std::os::fd::IntoRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::support::*;
use gst::prelude::*;
use gst_allocators::prelude::*;
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

/// What leaves a detector and an `img2posejson` behind it.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The features of the caps that each frame leaves the detector with.
    pub memories: Vec<String>,
    pub lines: Vec<String>,
    /// Frames that were copied to the network where they were.
    pub device_copies: u64,
}

impl Left {
    /// Asserts that all frames were in `memory`, and that their lines are those of frames in ordinary memory.
    pub fn assert_like(&self, host: &Self, memory: &str) {
        assert!(
            host.memories
                .iter()
                .all(|features| features == "memory:SystemMemory"),
            "{host:?}"
        );
        assert!(
            host.lines.iter().any(|line| line.contains("\"box\"")),
            "a video without faces proves nothing"
        );
        assert!(
            self.memories.iter().all(|features| features == memory),
            "{self:?}"
        );
        assert_eq!(self.memories.len(), host.memories.len());
        assert_eq!(self.lines, host.lines);
    }
}

/// What leaves a detector, a reader and `after` behind a test picture that moves and `before`. `change` is given each frame that comes to
/// the detector.
pub(super) fn behind(
    caps: &str,
    before: &str,
    after: &str,
    change: impl Fn(&mut gst::Buffer) + Send + Sync + 'static,
) -> Left {
    behind_detector(&detector(), caps, before, after, change)
}

/// The same with a detector of the caller's.
pub(super) fn behind_detector(
    element: &gst::Element,
    caps: &str,
    before: &str,
    after: &str,
    change: impl Fn(&mut gst::Buffer) + Send + Sync + 'static,
) -> Left {
    let source = format!(
        "videotestsrc num-buffers=8 pattern=ball ! video/x-raw,{caps},framerate=25/1 {before} ! identity"
    );
    let source = gst::parse::bin_from_description(&source, true).unwrap();
    source
        .static_pad("src")
        .unwrap()
        .add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            change(info.buffer_mut().unwrap());
            gst::PadProbeReturn::Ok
        })
        .unwrap();
    let lines =
        format!("tee name=t ! queue {after} ! fakesink t. ! queue ! img2posejson name=lines ! fakesink");
    let sink = gst::parse::bin_from_description(&lines, false).unwrap();
    let reader = sink.by_name("lines").unwrap();
    let entry = sink.by_name("t").unwrap().static_pad("sink").unwrap();
    sink.add_pad(&gst::GhostPad::with_target(&entry).unwrap())
        .unwrap();
    let pipeline = gst::Pipeline::new();
    pipeline
        .add_many([source.upcast_ref(), element, sink.upcast_ref()])
        .unwrap();
    gst::Element::link_many([source.upcast_ref(), element, sink.upcast_ref()]).unwrap();
    let left = Arc::new(Mutex::new(Left::default()));
    let seen = left.clone();
    let pad = element.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        let caps = pad.current_caps().unwrap();
        let memory = caps.features(0).unwrap().to_string();
        let stats = pad.parent_element().unwrap().property::<gst::Structure>("stats");
        let mut left = seen.lock().unwrap();
        left.memories.push(memory);
        left.device_copies = stats.get("device-copies").unwrap();
        gst::PadProbeReturn::Ok
    })
    .unwrap();
    let seen = left.clone();
    let pad = reader.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let map = info.buffer().unwrap().map_readable().unwrap();
        let line = String::from_utf8(map.to_vec()).unwrap();
        seen.lock().unwrap().lines.push(line);
        gst::PadProbeReturn::Ok
    })
    .unwrap();
    run_to_eos(&pipeline);
    std::mem::take(&mut left.lock().unwrap())
}

/// The size of the frames of the other tests, as caps.
fn caps_of(format: &str) -> String {
    format!("format={format},width={WIDTH},height={HEIGHT}")
}

#[test]
fn frames_in_dmabufs_give_the_lines_of_host_frames() {
    init();
    for format in ["NV12", "RGBA"] {
        let host = behind(&caps_of(format), "", "", |_| ());
        let number = AtomicUsize::new(0);
        let device = behind(&caps_of(format), "", "", move |buffer| {
            let index = number.fetch_add(1, Ordering::Relaxed);
            let pixels = buffer.map_readable().unwrap().to_vec();
            let inner = buffer.make_mut();
            inner.remove_all_memory();
            inner.append_memory(in_dmabuf(&pixels, &format!("line-{index}")));
        });
        device.assert_like(&host, "memory:SystemMemory");
    }
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
    let caps = caps_of("RGBA");
    let host = behind(&caps, "", "", |_| ());
    let device = behind(
        &caps,
        "! glupload ! video/x-raw(memory:GLMemory),format=RGBA",
        "",
        |_| (),
    );
    device.assert_like(&host, "memory:GLMemory");
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
