//! The element: pads, properties and state changes. What the pads do is in `sink` and `src`.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::instance::Instance;
use super::latency::Patience;
use super::model::{self, LoadErrorKind, LoadedModel};
use super::queue::Item;
use super::settings::{Effect, Settings};
use super::stream::{Pending, Remains, Stream, Waiting};
use super::watcher::Watcher;
use super::worker::Client;
use crate::video::mappable_caps;

/// The element's own data.
pub struct Img2PoseDetect {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    pub(super) stream: Arc<Stream>,
    settings: Mutex<Settings>,
    model: Mutex<Option<LoadedModel>>,
    /// Held while one thread decides how long batches wait.
    patience: Mutex<()>,
}

#[glib::object_subclass]
impl ObjectSubclass for Img2PoseDetect {
    const NAME: &'static str = "GstImg2PoseDetect";
    type Type = super::Img2PoseDetect;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("the class has both templates");
        let flags = gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_SCHEDULING;
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .activatemode_function(|pad, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "activating the sink pad panicked")),
                    |imp| imp.sink_activate_mode(pad, mode, active),
                )
            })
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.sink_chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .flags(flags)
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .activatemode_function(|pad, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "activating the source pad panicked")),
                    |imp| imp.src_activate_mode(pad, mode, active),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_query(pad, query))
            })
            .flags(flags)
            .build();
        Self {
            sinkpad,
            srcpad,
            stream: Arc::default(),
            settings: Mutex::default(),
            model: Mutex::default(),
            patience: Mutex::default(),
        }
    }
}

impl ObjectImpl for Img2PoseDetect {
    fn properties() -> &'static [glib::ParamSpec] {
        Settings::param_specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let name = pspec.name();
        let effect = Settings::effect(name);
        // Also the state that it is on the way to: the model is loaded before the state is reached.
        let state = self.obj().current_state().max(self.obj().pending_state());
        if effect == Effect::Start && state > gst::State::Ready {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("property '{name}' can only be changed in the states NULL and READY; it keeps its value")
            );
            return;
        }
        if effect == Effect::Selection && self.shares_model() {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("property '{name}' can only be changed in NULL while the model is shared; it keeps its value")
            );
            return;
        }
        let settings = {
            let mut settings = self.settings();
            settings.set(name, value);
            settings.clone()
        };
        gst::debug!(CAT, imp = self, "{name} is now {value:?}");
        match effect {
            Effect::Start | Effect::Frames => {}
            Effect::Selection => {
                if let Some(client) = self.client() {
                    client.worker().select(settings.selection());
                }
            }
            Effect::Timing => {
                // The running timer has the old length.
                let timer = self.stream.lock().filling.take_timer();
                drop(timer);
                self.apply_patience();
                self.post_latency();
            }
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "active-provider" => {
                let model = self.model();
                model
                    .as_ref()
                    .map(|model| model.instance.active_provider.clone())
                    .to_value()
            }
            "stats" => self.stream.lock().stats_structure().to_value(),
            name => self.settings().get(name),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let element = self.obj();
        for pad in [&self.sinkpad, &self.srcpad] {
            element.add_pad(pad).expect("a new element has no pads");
        }
    }
}

impl GstObjectImpl for Img2PoseDetect {}

impl ElementImpl for Img2PoseDetect {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "img2pose face and head pose detector",
                "Filter/Analyzer/Video",
                "Finds faces, and how each head is turned and where it is in space (6DoF pose); runs the network \
                 on batches of frames",
                env!("CARGO_PKG_NAME"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = mappable_caps();
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .into_iter()
                .map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps)
                        .expect("the caps are valid")
                })
                .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        gst::debug!(CAT, imp = self, "{transition:?}");
        match transition {
            gst::StateChange::NullToReady => self.load_model()?,
            gst::StateChange::ReadyToPaused => {
                self.load_model()?;
                self.stream.lock().begin_record();
            }
            gst::StateChange::PlayingToPaused => self.set_playing(false),
            gst::StateChange::PausedToReady => drop(self.set_flushing()),
            _ => {}
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToPlaying => self.set_playing(true),
            gst::StateChange::ReadyToNull => {
                // Waits for the worker's thread, without the lock.
                let model = self.model().take();
                drop(model);
            }
            _ => {}
        }
        Ok(success)
    }
}

impl Img2PoseDetect {
    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn model(&self) -> MutexGuard<'_, Option<LoadedModel>> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This element's place at the worker; `None` in NULL.
    pub(super) fn client(&self) -> Option<Arc<Client<Watcher>>> {
        self.model().as_ref().map(|model| model.client.clone())
    }

    /// The loaded model; `None` in NULL.
    pub(super) fn model_instance(&self) -> Option<Arc<Instance>> {
        self.model().as_ref().map(|model| model.instance.clone())
    }

    /// Whether the loaded model may serve other elements too.
    pub(super) fn shares_model(&self) -> bool {
        self.model()
            .as_ref()
            .is_some_and(|model| model.settings.model_instance_id.is_some())
    }

    /// Loads the model, unless it is loaded as the settings say.
    fn load_model(&self) -> Result<(), gst::StateChangeError> {
        let settings = self.settings().clone();
        let old = {
            let mut model = self.model();
            if model
                .as_ref()
                .is_some_and(|model| model.settings == settings.load)
            {
                return Ok(());
            }
            model.take()
        };
        drop(old);
        let plugin_file = model::plugin_file(self.obj().upcast_ref());
        let stream = self.stream.clone();
        let waker = Arc::new(move || stream.notify_of_outside_change());
        match model::load(
            &settings,
            &self.obj().path_string(),
            plugin_file.as_deref(),
            waker,
        ) {
            Ok(model) => {
                gst::info!(
                    CAT,
                    imp = self,
                    "model loaded, provider {}",
                    model.instance.active_provider
                );
                *self.model() = Some(model);
                if let Some(warning) = settings.region_size_warning() {
                    gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{warning}"));
                }
                self.select_what_was_set_meanwhile(&settings);
                self.apply_patience();
                self.obj().notify("active-provider");
                Ok(())
            }
            Err(error) => {
                gst::error!(CAT, imp = self, "{}", error.message);
                let message = &error.message;
                match error.kind {
                    LoadErrorKind::NotFound => {
                        gst::element_imp_error!(self, gst::ResourceError::NotFound, ("{message}"));
                    }
                    LoadErrorKind::WrongFormat => {
                        gst::element_imp_error!(self, gst::StreamError::Format, ("{message}"));
                    }
                    LoadErrorKind::Library => {
                        gst::element_imp_error!(self, gst::LibraryError::Init, ("{message}"));
                    }
                    LoadErrorKind::Settings => {
                        gst::element_imp_error!(self, gst::LibraryError::Settings, ("{message}"));
                    }
                }
                Err(gst::StateChangeError)
            }
        }
    }

    /// Loading takes long, and properties that were set meanwhile found no model. `settings`: what it was loaded with.
    fn select_what_was_set_meanwhile(&self, settings: &Settings) {
        let now = self.settings().clone();
        if now.selection() == settings.selection() {
            return;
        }
        if self.shares_model() {
            gst::element_imp_warning!(
                self,
                gst::LibraryError::Settings,
                ("which faces are reported was changed while the shared model was loaded; the change has no \
                     effect")
            );
            self.settings().set_selection(settings);
        } else if let Some(client) = self.client() {
            client.worker().select(now.selection());
        }
    }

    fn set_playing(&self, playing: bool) {
        let timer = self.stream.lock().set_playing(playing);
        drop(timer);
        self.apply_patience();
    }

    /// Makes every thread of the stream stop what it does, and takes everything out of the queue.
    pub(super) fn set_flushing(&self) -> VecDeque<Item<Pending>> {
        gst::debug!(CAT, imp = self, "flushing");
        let Remains { items, open } = self.stream.lock().flush();
        self.stream.notify();
        // Stops a run that nobody else waits for.
        if let Some(client) = self.client() {
            client.abandon();
        }
        drop(open);
        items
    }

    /// Works out how long open batches wait now, tells the worker, and starts a timer if the open batch needs one.
    pub(super) fn apply_patience(&self) {
        // From the decision to the worker in one piece: of two threads the later decision has to come last.
        let deciding = self.patience.lock().unwrap_or_else(PoisonError::into_inner);
        let settings = self.settings().clone();
        let Waiting {
            patience,
            changed,
            untimed,
        } = self.stream.lock().update_patience(&settings);
        if changed {
            gst::debug!(CAT, imp = self, "from now on a batch runs {patience}");
        }
        // Told every time: a worker that was loaded anew knows nothing.
        if let Some(client) = self.client() {
            client.set_eager(patience.eager_after());
        }
        drop(deciding);
        if let (Patience::For(time), Some(batch)) = (patience, untimed) {
            self.start_timer(batch, time);
        }
    }

    /// Closes `batch` when `time` has passed on the pipeline's clock since this element's first frame got into it.
    pub(super) fn start_timer(&self, batch: super::batcher::BatchId, time: gst::ClockTime) {
        let Some(client) = self.client() else { return };
        // A pipeline may have none; frames then wait on the system's.
        let clock = self.obj().clock();
        let clock = clock.unwrap_or_else(|| gst::SystemClock::obtain().upcast());
        let now = clock.time();
        let set = self.stream.lock().set_timer(batch, |opened_at| {
            clock.new_single_shot_id(opened_at.unwrap_or(now).saturating_add(time))
        });
        let Some((id, old)) = set else { return };
        drop(old);
        gst::trace!(CAT, imp = self, "{batch:?} closes at {}", id.time());
        let close = client.closer(batch);
        let element = self.obj().downgrade();
        let waits = id.wait_async(move |_, _, _| {
            if let Some(element) = element.upgrade() {
                let imp = element.imp();
                gst::debug!(CAT, imp = imp, "batch-timeout closes {batch:?}");
                imp.stream.lock().filling.give_up(batch);
            }
            close();
        });
        if let Err(error) = waits {
            gst::debug!(CAT, imp = self, "no timer for {batch:?}: {error:?}");
        }
    }

    /// Closes the batch that takes this element's frames.
    pub(super) fn close_batch(&self, why: &str) {
        let closed = self.stream.lock().filling.close_open();
        let Some(open) = closed else { return };
        gst::debug!(CAT, imp = self, "{why} closes {:?}", open.id());
        drop(open);
        if let Some(client) = self.client() {
            client.close();
        }
    }

    /// Tells the pipeline that the latency has changed.
    pub(super) fn post_latency(&self) {
        if !self.stream.lock().pace.is_live() {
            return;
        }
        gst::debug!(CAT, imp = self, "latency has changed");
        let message = gst::message::Latency::builder().src(&*self.obj()).build();
        // Without a bus nobody listens.
        let _ = self.obj().post_message(message);
    }

    /// Posts an error, unless one was posted for this stream.
    pub(super) fn post_error(&self, message: &gst::ErrorMessage) {
        let first = self.stream.lock().flow.report();
        if first {
            self.post_error_message(message.clone());
        }
    }
}
