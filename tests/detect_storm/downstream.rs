//! What is linked to the source pad: records everything, answers as told, blocks on demand.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use gst::prelude::*;
use img2pose::Face;

use crate::expect::EventKind;

/// Something that was seen downstream of the element.
#[derive(Debug)]
pub enum Seen {
    Buffer(Box<SeenBuffer>),
    Event {
        seqnum: gst::Seqnum,
        kind: EventKind,
    },
    Query(u64),
    FlushStop,
    /// The element was stopped. Written by the test.
    Stopped,
}

/// A buffer that has arrived.
#[derive(Debug)]
pub struct SeenBuffer {
    /// Held, so that its address is not used again.
    pub buffer: gst::Buffer,
    /// Caps of the pad at that time.
    pub caps: Option<gst::Caps>,
    /// The faces on it; `None`: not looked at.
    pub faces: Option<Vec<Face>>,
    /// How often a setting had changed by then.
    pub settings: usize,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    oob: Vec<gst::Seqnum>,
    answers: HashMap<u64, gst::FlowError>,
    held: bool,
    flushing: bool,
    settings: usize,
}

/// The recorder behind the pad.
#[derive(Clone, Default)]
pub struct Downstream(Arc<(Mutex<State>, Condvar)>);

impl Downstream {
    /// A recorder and its sink pad.
    pub fn new() -> (Self, gst::Pad) {
        let this = Self::default();
        let (chain, event, query) = (this.clone(), this.clone(), this.clone());
        // Without a template GStreamer would accept no caps but the first.
        let (direction, presence) = (gst::PadDirection::Sink, gst::PadPresence::Always);
        let template =
            gst::PadTemplate::new("downstream", direction, presence, &gst::Caps::new_any()).unwrap();
        let pad = gst::Pad::builder_from_template(&template)
            .chain_function(move |pad, _, buffer| chain.chain(pad, buffer))
            .event_function(move |_, _, received| event.event(&received))
            .query_function(move |pad, parent, asked| query.query(pad, parent, asked))
            .build();
        pad.set_active(true).unwrap();
        (this, pad)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    fn chain(&self, pad: &gst::Pad, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let caps = pad.current_caps();
        let faces = gstimg2pose::meta::read(&buffer).unwrap().map(|faces| faces.faces);
        let mut state = self.lock();
        while state.held && !state.flushing {
            state = self.0.1.wait(state).unwrap();
        }
        if state.flushing {
            return Err(gst::FlowError::Flushing);
        }
        let answer = state.answers.get(&buffer.offset()).copied();
        let settings = state.settings;
        state.seen.push(Seen::Buffer(Box::new(SeenBuffer {
            buffer,
            caps,
            faces,
            settings,
        })));
        self.0.1.notify_all();
        answer.map_or(Ok(gst::FlowSuccess::Ok), Err)
    }

    fn event(&self, event: &gst::Event) -> bool {
        let mut state = self.lock();
        match event.type_() {
            gst::EventType::FlushStart => state.flushing = true,
            gst::EventType::FlushStop => {
                state.flushing = false;
                state.seen.push(Seen::FlushStop);
            }
            _ if event.is_serialized() => state.seen.push(Seen::Event {
                seqnum: event.seqnum(),
                kind: EventKind::of(event),
            }),
            _ => state.oob.push(event.seqnum()),
        }
        self.0.1.notify_all();
        true
    }

    fn query(&self, pad: &gst::Pad, parent: Option<&gst::Object>, query: &mut gst::QueryRef) -> bool {
        if !query.is_serialized() {
            return gst::Pad::query_default(pad, parent, query);
        }
        // ALLOCATION, the other one, has no room for a number.
        let id = query
            .structure()
            .and_then(|structure| structure.get("id").ok())
            .unwrap_or(0);
        self.lock().seen.push(Seen::Query(id));
        true
    }

    /// Blocks frames, or lets them go on.
    pub fn hold(&self, held: bool) {
        self.lock().held = held;
        self.0.1.notify_all();
    }

    /// What to return for the frame of this offset.
    pub fn answer(&self, id: u64, error: gst::FlowError) {
        self.lock().answers.insert(id, error);
    }

    /// Takes note that a setting changes.
    pub fn next_setting(&self) {
        self.lock().settings += 1;
    }

    /// Takes note that the element was stopped.
    pub fn stopped(&self) {
        self.lock().seen.push(Seen::Stopped);
    }

    /// Calls `check` with what was seen, until it succeeds or nothing new has come for `limit`.
    pub fn check_until(
        &self,
        limit: Duration,
        check: impl Fn(&[Seen]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut state = self.lock();
        loop {
            let Err(error) = check(&state.seen) else {
                return Ok(());
            };
            let before = state.seen.len();
            let (next, _) = self
                .0
                .1
                .wait_timeout_while(state, limit, |state| state.seen.len() == before)
                .unwrap();
            state = next;
            if state.seen.len() == before {
                return Err(error);
            }
        }
    }

    /// The events that are not serialized.
    pub fn oob(&self) -> Vec<gst::Seqnum> {
        self.lock().oob.clone()
    }

    /// Drops the buffers.
    pub fn clear(&self) {
        let seen = std::mem::take(&mut self.lock().seen);
        drop(seen);
    }
}
