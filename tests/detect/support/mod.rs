//! A model, frames, and ways to see what leaves the element.

mod frames;
mod model;

use std::path::Path;
use std::sync::{Arc, Condvar, LazyLock, Mutex, Once};
use std::time::{Duration, Instant};

use gst::prelude::*;
use img2pose::{Detector, DetectorOptions, Face, Selection};

pub use frames::*;
pub use model::*;

/// Long enough for a loaded machine; tests end much earlier.
pub const TIME_LIMIT: Duration = Duration::from_secs(60);
/// How long to look for something that must not happen.
pub const QUIET: Duration = Duration::from_millis(60);

pub const WIDTH: u32 = 64;
pub const HEIGHT: u32 = 48;
pub const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=48,framerate=25/1";

/// Initialises GStreamer and registers the elements. Once: again would take the factories away from elements that are alive.
pub fn register() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        gst::init().unwrap();
        gstimg2pose::plugin_register_static().unwrap();
    });
}

/// The same, and loads ONNX Runtime.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        register();
        if let Err(error) = img2pose::runtime::load(None, None) {
            // A process that ends does not load it any more, or fails while it does: the children of `process_end`. It learns
            // of its end a moment later.
            let ends = (0..100).any(|_| {
                std::thread::sleep(Duration::from_millis(10));
                img2pose::process_is_ending()
            });
            assert!(
                ends,
                "these tests need ONNX Runtime, run scripts/setup.sh: {error}"
            );
        }
    });
}

/// The element with the small model, batches of 4 and fast settings.
pub fn detector() -> gst::Element {
    init();
    gst::ElementFactory::make("img2posedetect")
        .property("model", model().to_str().unwrap())
        .property("min-size", 64u32)
        .property("max-faces", 4i32)
        .property("score-threshold", 0.05f32)
        .property("num-threads", 1u32)
        .property("batch-size", 4u32)
        .build()
        .unwrap()
}

/// A detector with the settings of [`detector`], without GStreamer around it.
pub fn bare_detector() -> Detector {
    let options = DetectorOptions::default()
        .with_selection(Selection::default().with_score_threshold(0.05).with_max_faces(4))
        .with_min_size(64)
        .with_num_threads(1);
    Detector::open(model(), options).unwrap()
}

/// The faces that frame `index` has alone.
pub fn faces_alone(index: u64) -> Vec<Face> {
    static DETECTOR: LazyLock<Mutex<Detector>> = LazyLock::new(|| Mutex::new(bare_detector()));
    faces_of(&mut DETECTOR.lock().unwrap(), WIDTH, HEIGHT, index)
}

/// Frame `index` of a stream of [`CAPS`].
pub fn frame(index: u64) -> gst::Buffer {
    frame_of(WIDTH, HEIGHT, index)
}

/// The faces on a buffer; `None`: not looked at.
pub fn faces_on(buffer: &gst::BufferRef) -> Option<Vec<Face>> {
    gstimg2pose::meta::read(buffer).unwrap().map(|faces| faces.faces)
}

/// Asserts that the buffer is frame `index` and carries that frame's own faces.
pub fn assert_frame(buffer: &gst::BufferRef, index: u64) {
    assert_eq!(buffer.offset(), index);
    let expected = faces_alone(index);
    assert!(!expected.is_empty(), "a frame without faces proves nothing");
    assert_eq!(faces_on(buffer), Some(expected), "frame {index}");
}

/// A harness around `element`: upstream is live or not, the clock stands still.
pub fn harness(element: &gst::Element, live: bool) -> gst_check::Harness {
    let mut harness = gst_check::Harness::with_element(element, Some("sink"), Some("src"));
    harness.set_live(live);
    harness.set_src_caps_str(CAPS);
    harness
}

/// The segment that begins a stream.
pub fn segment() -> gst::Event {
    gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())
}

/// A flush from upstream, and the segment that follows it.
pub fn flush(harness: &mut gst_check::Harness) {
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    assert!(harness.push_event(segment()));
}

/// The bus of an element without a pipeline. At the end its messages go, which hold the element that holds the bus.
pub struct Listener(gst::Bus);

/// Listens to the messages of `element`.
pub fn listen(element: &gst::Element) -> Listener {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    Listener(bus)
}

impl std::ops::Deref for Listener {
    type Target = gst::Bus;

    fn deref(&self) -> &gst::Bus {
        &self.0
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.set_flushing(true);
    }
}

/// A number in the element's statistics.
pub fn stat(element: &gst::Element, name: &str) -> u64 {
    element
        .property::<gst::Structure>("stats")
        .get::<u64>(name)
        .unwrap()
}

/// What leaves a pad, in order.
#[derive(Clone, Default)]
pub struct Recorder(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Recorder {
    /// Records buffers by their offset and events by their type, custom ones and tags by their content.
    pub fn on(pad: &gst::Pad) -> Self {
        let this = Self::default();
        let recorder = this.clone();
        let mask = gst::PadProbeType::BUFFER
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_FLUSH
            | gst::PadProbeType::QUERY_DOWNSTREAM;
        pad.add_probe(mask, move |_, info| {
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => recorder.add(buffer.offset().to_string()),
                Some(gst::PadProbeData::Event(event)) => recorder.add(match event.view() {
                    gst::EventView::CustomDownstream(_) => event.structure().unwrap().name().to_string(),
                    _ => event.type_().name().to_string(),
                }),
                Some(gst::PadProbeData::Query(query))
                    if query.is_serialized() && info.mask.contains(gst::PadProbeType::PUSH) =>
                {
                    recorder.add(format!("{:?}", query.type_()));
                }
                _ => {}
            }
            gst::PadProbeReturn::Ok
        })
        .unwrap();
        this
    }

    fn add(&self, what: String) {
        self.0.0.lock().unwrap().push(what);
        self.0.1.notify_all();
    }

    /// Everything so far.
    pub fn list(&self) -> Vec<String> {
        self.0.0.lock().unwrap().clone()
    }

    /// Everything so far without the events that begin a stream.
    pub fn after_start(&self) -> Vec<String> {
        let start = ["stream-start", "caps", "segment"];
        let mut list = self.list();
        let first = list.iter().position(|what| !start.contains(&what.as_str()));
        list.drain(..first.unwrap_or(list.len()));
        list
    }

    /// Waits until `count` entries equal `what`.
    pub fn wait_for(&self, what: &str, count: usize) {
        let deadline = Instant::now() + TIME_LIMIT;
        let mut list = self.0.0.lock().unwrap();
        while list.iter().filter(|entry| *entry == what).count() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waiting for {count} times '{what}', have {list:?}"
            );
            list = self.0.1.wait_timeout(list, left).unwrap().0;
        }
    }
}

/// Waits until `condition` is true.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + TIME_LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "waiting until {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The next message of one of these types on the pipeline's bus.
pub fn message(pipeline: &impl IsA<gst::Element>, types: &[gst::MessageType]) -> gst::Message {
    pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::try_from(TIME_LIMIT).unwrap(), types)
        .expect("a message in time")
}

/// Runs a pipeline to its EOS.
pub fn run_to_eos(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).unwrap();
    let message = message(pipeline, &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}

/// The text of an error message and of its debug part.
pub fn error_text(message: &gst::Message) -> String {
    match message.view() {
        gst::MessageView::Error(error) => format!("{} {}", error.error(), error.debug().unwrap_or_default()),
        _ => panic!("not an error: {message:?}"),
    }
}

/// Writes a file into the folder of this test run.
pub fn write_file(name: &str, content: &[u8]) -> std::path::PathBuf {
    let path = scratch().join(name);
    std::fs::write(&path, content).unwrap();
    path
}

/// For messages about paths.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
