//! The shell of the elements that have one sink pad and one source pad: pads whose functions no panic leaves, and state changes.
//!
//! An element implements [`Shell`]; what is its own stays in its `imp.rs`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst::{FlowError, FlowSuccess, PadFlags};

/// The two pads of an element.
pub struct Pads {
    /// Where frames come in.
    pub sink: gst::Pad,
    /// Where what is made of them leaves.
    pub src: gst::Pad,
}

/// What is an element's own of what its pads do. Queries that it does not answer itself go the usual way.
pub trait Shell: ElementImpl {
    /// Flags of the sink pad.
    const SINK_FLAGS: PadFlags = PadFlags::empty();
    /// Flags of the source pad.
    const SRC_FLAGS: PadFlags = PadFlags::empty();

    /// The pads.
    fn pads(&self) -> &Pads;

    /// Takes a buffer.
    ///
    /// # Errors
    /// What upstream is told; unless it comes from downstream, an error has been posted.
    fn chain(&self, pad: &gst::Pad, buffer: gst::Buffer) -> Result<FlowSuccess, FlowError>;

    /// Takes an event from upstream. Returns whether it was taken.
    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool;

    /// Answers a query of upstream. Returns whether there is an answer.
    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    /// Answers a query of downstream. Returns whether there is an answer.
    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    /// Forgets the stream: the element has left PAUSED, and no pad function runs.
    fn forget_stream(&self);
}

impl Pads {
    /// Pads for an element, made from its [templates](templates). A panic in their functions becomes an element error; it must not
    /// cross into C.
    pub fn new<E: Shell>() -> Self {
        let [sink, src] = E::pad_templates() else {
            unreachable!("an element with this shell has two pads");
        };
        let sink = gst::Pad::builder_from_template(sink)
            .chain_function(|pad, parent, buffer| {
                E::catch_panic_pad_function(
                    parent,
                    || Err(FlowError::Error),
                    |element| element.chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                E::catch_panic_pad_function(parent, || false, |element| element.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                E::catch_panic_pad_function(parent, || false, |element| element.sink_query(pad, query))
            })
            .flags(E::SINK_FLAGS)
            .build();
        let src = gst::Pad::builder_from_template(src)
            .query_function(|pad, parent, query| {
                E::catch_panic_pad_function(parent, || false, |element| element.src_query(pad, query))
            })
            .flags(E::SRC_FLAGS)
            .build();
        Self { sink, src }
    }

    /// Gives the pads to their element, which is new.
    pub fn add_to(&self, element: &impl IsA<gst::Element>) {
        for pad in [&self.sink, &self.src] {
            element.add_pad(pad).expect("a new element has no pads");
        }
    }
}

/// The templates of the two pads, in the order of [`Pads`].
pub fn templates(sink: &gst::Caps, src: &gst::Caps) -> Vec<gst::PadTemplate> {
    let template = |name, direction, caps| {
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps).expect("the caps are valid")
    };
    vec![
        template("sink", gst::PadDirection::Sink, sink),
        template("src", gst::PadDirection::Src, src),
    ]
}

/// Changes the state, and forgets the stream when it has ended.
///
/// # Errors
/// When the state cannot be changed.
pub fn change_state(
    element: &impl Shell,
    transition: gst::StateChange,
) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
    let success = element.parent_change_state(transition)?;
    if transition == gst::StateChange::PausedToReady {
        element.forget_stream();
    }
    Ok(success)
}

/// Locks what no panic leaves half changed: a panic ends the stream, and a new one begins with new values.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
