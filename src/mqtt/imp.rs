//! The element behind the wrapper.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use bytes::Bytes;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;

use super::publisher::Publisher;
use super::queue::{Counts, Queue, Report};
use super::settings::{Broker, Settings};
use super::topic::Topic;
use crate::shell;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "img2posemqtt",
        gst::DebugColorFlags::empty(),
        Some("Faces to an MQTT broker"),
    )
});

#[derive(Default)]
pub struct Img2PoseMqtt {
    settings: Mutex<Settings>,
    running: Mutex<Option<Running>>,
    /// What wakes a thread that waits at the end of the stream.
    queue: Mutex<Option<Arc<Queue>>>,
    is_unlocked: AtomicBool,
    /// Counts of a publisher that has ended.
    last: Mutex<Counts>,
}

struct Running {
    publisher: Publisher,
    topic: Topic,
}

#[glib::object_subclass]
impl ObjectSubclass for Img2PoseMqtt {
    const NAME: &'static str = "GstImg2PoseMqtt";
    type Type = super::Img2PoseMqtt;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for Img2PoseMqtt {
    fn properties() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb(
                    "Since the element started: lines, published (arrived, as far as qos says), dropped, queued, \
                     outages, connected",
                )
                .read_only()
                .build();
            Settings::param_specs().iter().cloned().chain([stats]).collect()
        });
        &SPECS
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        shell::lock(&self.settings).set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.stats().to_value(),
            name => shell::lock(&self.settings).get(name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        // A broker is no screen: lines go as soon as they come.
        self.obj().set_sync(false);
    }
}

impl GstObjectImpl for Img2PoseMqtt {}

impl ElementImpl for Img2PoseMqtt {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Faces to an MQTT broker",
                "Sink/Network",
                "Publishes the JSON lines of img2posejson to an MQTT broker, through outages, and never holds the \
                 pipeline up",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::new_empty_simple("application/x-ndjson");
            let template =
                gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &caps);
            vec![template.expect("the caps are valid")]
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for Img2PoseMqtt {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = shell::lock(&self.settings).clone();
        let broker = settings
            .broker(&self.obj().name())
            .map_err(|why| gst::error_msg!(gst::ResourceError::Settings, ("{why}")))?;
        let topic = broker.topic.clone();
        let publisher = self
            .publisher(broker, settings.max_queued_lines as usize)
            .map_err(|error| {
                gst::error_msg!(
                    gst::ResourceError::Failed,
                    ("the thread that publishes cannot be started: {error}")
                )
            })?;
        *shell::lock(&self.queue) = Some(publisher.queue().clone());
        *self.running() = Some(Running { publisher, topic });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *shell::lock(&self.queue) = None;
        let running = self.running().take();
        if let Some(Running { publisher, .. }) = running {
            let queue = publisher.queue().clone();
            drop(publisher);
            let mut counts = queue.counts();
            counts.dropped += std::mem::take(&mut counts.queued);
            counts.is_connected = false;
            if counts.dropped > 0 {
                gst::warning!(CAT, imp = self, "{} lines were dropped", counts.dropped);
            }
            *shell::lock(&self.last) = counts;
        }
        Ok(())
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.is_unlocked.store(true, Ordering::SeqCst);
        if let Some(queue) = &*shell::lock(&self.queue) {
            queue.wake_waiters();
        }
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.is_unlocked.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(
                self,
                gst::ResourceError::Read,
                ("A buffer of lines cannot be read")
            );
            gst::FlowError::Error
        })?;
        let name = self.obj().name();
        let running = self.running();
        let Some(Running { publisher, topic }) = &*running else {
            return Err(gst::FlowError::Flushing);
        };
        for line in map.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            publisher
                .queue()
                .publish(topic.of_line(line, &name), Bytes::copy_from_slice(line));
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Eos {
            self.wait_for_the_last_lines();
        }
        self.parent_event(event)
    }
}

impl Img2PoseMqtt {
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        shell::lock(&self.running)
    }

    fn publisher(&self, broker: Broker, most: usize) -> std::io::Result<Publisher> {
        let element = self.obj().downgrade();
        let address = broker.address.clone();
        Publisher::start(broker, most, move |report| {
            // Without the element nobody listens.
            let Some(element) = element.upgrade() else {
                return;
            };
            match report {
                Report::Outage(why) => gst::element_warning!(
                    element,
                    gst::ResourceError::NotFound,
                    ("No connection to the broker {address}: {why}. Lines wait in the queue; I keep trying")
                ),
                Report::Connected => gst::element_info!(
                    element,
                    gst::ResourceError::NotFound,
                    ("Connected to the broker {address} again")
                ),
            }
        })
    }

    fn wait_for_the_last_lines(&self) {
        let timeout = shell::lock(&self.settings).eos_timeout();
        let Some(queue) = shell::lock(&self.queue).clone() else {
            return;
        };
        let is_unlocked = || self.is_unlocked.load(Ordering::SeqCst);
        if !queue.drain(timeout, is_unlocked) && !is_unlocked() {
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Write,
                (
                    "The stream has ended and {} lines have not arrived at the broker within eos-timeout",
                    queue.counts().queued
                )
            );
        }
    }

    fn stats(&self) -> gst::Structure {
        let counts = match &*self.running() {
            Some(running) => running.publisher.queue().counts(),
            None => *shell::lock(&self.last),
        };
        gst::Structure::builder("stats")
            .field("lines", counts.lines)
            .field("published", counts.published)
            .field("dropped", counts.dropped)
            .field("queued", counts.queued)
            .field("outages", counts.outages)
            .field("connected", counts.is_connected)
            .build()
    }
}
