//! The streaming thread: makes the calls into the sink pad one after the other.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};

use gst::prelude::*;

use crate::expect::Outcome;

/// A call into the sink pad.
pub enum Call {
    Chain(gst::Buffer),
    ChainList(gst::BufferList),
    Event(gst::Event),
    Drain(u64),
    Allocation(gst::Caps),
}

/// The streaming thread.
pub struct Streamer {
    calls: Option<Sender<Call>>,
    made: usize,
    outcomes: Arc<(Mutex<Vec<Outcome>>, Condvar)>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Streamer {
    /// Starts it; its calls go to `pad`.
    pub fn start(pad: gst::Pad) -> Self {
        let (calls, receiver) = channel();
        let outcomes = Arc::<(Mutex<Vec<Outcome>>, Condvar)>::default();
        let thread = std::thread::spawn({
            let outcomes = outcomes.clone();
            move || stream(&pad, &receiver, &outcomes)
        });
        Self {
            calls: Some(calls),
            made: 0,
            outcomes,
            thread: Some(thread),
        }
    }

    /// Gives it a call to make, after those before.
    pub fn call(&mut self, call: Call) {
        self.made += 1;
        self.calls.as_ref().unwrap().send(call).unwrap();
    }

    /// Waits until all calls have returned; returns what the last one returned.
    pub fn rest(&self) -> Outcome {
        let outcomes = self.outcomes.0.lock().unwrap();
        let outcomes = self
            .outcomes
            .1
            .wait_while(outcomes, |outcomes| outcomes.len() < self.made)
            .unwrap();
        outcomes.last().copied().unwrap_or(Outcome::Nothing)
    }
}

impl Streamer {
    /// What the calls have returned.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.outcomes.0.lock().unwrap().clone()
    }
}

impl Drop for Streamer {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn stream(pad: &gst::Pad, calls: &Receiver<Call>, outcomes: &(Mutex<Vec<Outcome>>, Condvar)) {
    for call in calls {
        let outcome = match call {
            Call::Chain(buffer) => Outcome::Flow(pad.chain(buffer)),
            Call::ChainList(list) => Outcome::Flow(pad.chain_list(list)),
            Call::Event(event) => Outcome::Done(pad.send_event(event)),
            Call::Drain(id) => {
                let mut query = gst::query::Drain::new();
                query.structure_mut().set("id", id);
                Outcome::Done(pad.query(&mut query))
            }
            Call::Allocation(caps) => {
                Outcome::Done(pad.query(&mut gst::query::Allocation::new(Some(&caps), false)))
            }
        };
        outcomes.0.lock().unwrap().push(outcome);
        outcomes.1.notify_all();
    }
}
