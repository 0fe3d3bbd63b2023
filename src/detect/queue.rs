//! What has arrived and not yet left, in order: frames and the serialized events between them.
//!
//! Serialized queries keep their place without being stored: the thread that brings one waits until everything
//! before it has left, and since it is the thread that fills the queue, nothing can come after it meanwhile.

use std::collections::VecDeque;

/// One thing that leaves in its turn.
#[derive(Debug)]
pub enum Item<F> {
    /// A video frame.
    Frame(F),
    /// A serialized event.
    Event(gst::Event),
}

/// The items in order of arrival.
#[derive(Debug)]
pub struct ItemQueue<F> {
    items: VecDeque<Item<F>>,
    frames: usize,
}

impl<F> Default for ItemQueue<F> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            frames: 0,
        }
    }
}

impl<F> ItemQueue<F> {
    /// Puts a frame at the end.
    pub fn push_frame(&mut self, frame: F) {
        self.frames += 1;
        self.items.push_back(Item::Frame(frame));
    }

    /// Puts an event at the end.
    pub fn push_event(&mut self, event: gst::Event) {
        self.items.push_back(Item::Event(event));
    }

    /// The item that leaves next.
    pub fn front(&self) -> Option<&Item<F>> {
        self.items.front()
    }

    /// Takes the item that leaves next.
    pub fn pop(&mut self) -> Option<Item<F>> {
        let item = self.items.pop_front();
        if let Some(Item::Frame(_)) = item {
            self.frames -= 1;
        }
        item
    }

    /// All items in order.
    pub fn iter(&self) -> impl Iterator<Item = &Item<F>> {
        self.items.iter()
    }

    /// All frames in order.
    pub fn frames_mut(&mut self) -> impl Iterator<Item = &mut F> {
        self.items.iter_mut().filter_map(|item| match item {
            Item::Frame(frame) => Some(frame),
            Item::Event(_) => None,
        })
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes everything out. The caller drops it, without its locks: freeing a buffer may call into its pool.
    pub fn clear(&mut self) -> VecDeque<Item<F>> {
        self.frames = 0;
        std::mem::take(&mut self.items)
    }

    /// Takes out the frames that downstream does not want any more after it has returned `EOS`: those before the
    /// next event that starts something new. Returns them, and whether there is such an event.
    pub fn take_unwanted(&mut self) -> (Vec<F>, bool) {
        let restart = self
            .items
            .iter()
            .position(|item| matches!(item, Item::Event(event) if starts_anew(event)));
        let end = restart.unwrap_or(self.items.len());
        let mut unwanted = Vec::new();
        let mut kept = VecDeque::with_capacity(self.items.len());
        for (index, item) in self.items.drain(..).enumerate() {
            match item {
                Item::Frame(frame) if index < end => unwanted.push(frame),
                item => kept.push_back(item),
            }
        }
        self.items = kept;
        self.frames -= unwanted.len();
        (unwanted, restart.is_some())
    }
}

/// Whether no batch may hold frames from both sides of this event, or none may wait for frames after it.
///
/// CAPS and STREAM_START change what frames are; SEGMENT changes their timing; after EOS, SEGMENT_DONE,
/// STREAM_GROUP_DONE and GAP there may be no frame for long. Others, tags and custom events among them, only keep
/// their place.
pub fn ends_batch(event: &gst::EventRef) -> bool {
    matches!(
        event.type_(),
        gst::EventType::Caps
            | gst::EventType::StreamStart
            | gst::EventType::Segment
            | gst::EventType::SegmentDone
            | gst::EventType::Eos
            | gst::EventType::Gap
            | gst::EventType::StreamGroupDone
    )
}

/// Whether the picture may be another one after this event, so that faces from before it say nothing.
pub fn begins_anew(event: &gst::EventRef) -> bool {
    matches!(
        event.type_(),
        gst::EventType::StreamStart | gst::EventType::Segment | gst::EventType::Gap
    )
}

/// Whether downstream takes frames again after this event although it has returned `EOS`.
pub fn starts_anew(event: &gst::EventRef) -> bool {
    matches!(
        event.type_(),
        gst::EventType::Segment | gst::EventType::StreamStart
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> gst::Event {
        gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new())
    }

    fn names(queue: &mut ItemQueue<u32>) -> Vec<String> {
        std::iter::from_fn(|| queue.pop())
            .map(|item| match item {
                Item::Frame(frame) => frame.to_string(),
                Item::Event(event) => event.type_().name().to_string(),
            })
            .collect()
    }

    #[test]
    fn items_leave_in_order_of_arrival() {
        gst::init().unwrap();
        let mut queue = ItemQueue::default();
        queue.push_event(segment());
        queue.push_frame(1);
        queue.push_event(gst::event::Eos::new());
        assert_eq!(queue.frames(), 1);
        assert!(matches!(queue.front(), Some(Item::Event(_))));
        assert_eq!(names(&mut queue), ["segment", "1", "eos"]);
        assert_eq!(queue.frames(), 0);
        assert!(queue.is_empty());
    }

    #[test]
    fn clearing_forgets_everything() {
        gst::init().unwrap();
        let mut queue = ItemQueue::default();
        queue.push_frame(1);
        queue.push_event(gst::event::Eos::new());
        assert_eq!(queue.clear().len(), 2);
        assert_eq!(queue.frames(), 0);
        assert!(queue.is_empty());
    }

    #[test]
    fn after_eos_from_downstream_only_frames_of_a_new_segment_stay() {
        gst::init().unwrap();
        let mut queue = ItemQueue::default();
        queue.push_frame(1);
        queue.push_event(gst::event::Gap::new(gst::ClockTime::ZERO, gst::ClockTime::SECOND));
        queue.push_frame(2);
        queue.push_event(segment());
        queue.push_frame(3);
        assert_eq!(queue.take_unwanted(), (vec![1, 2], true));
        assert_eq!(queue.frames(), 1);
        assert_eq!(names(&mut queue), ["gap", "segment", "3"]);
    }

    #[test]
    fn after_eos_from_downstream_events_stay() {
        gst::init().unwrap();
        let mut queue = ItemQueue::default();
        queue.push_frame(1);
        queue.push_event(gst::event::Eos::new());
        assert_eq!(queue.take_unwanted(), (vec![1], false));
        assert_eq!(names(&mut queue), ["eos"]);
    }

    #[test]
    fn tags_and_custom_events_do_not_end_a_batch() {
        gst::init().unwrap();
        let custom = gst::event::CustomDownstream::new(gst::Structure::new_empty("x"));
        assert!(!ends_batch(&custom));
        assert!(!ends_batch(&gst::event::Tag::new(gst::TagList::new())));
        assert!(ends_batch(&gst::event::Eos::new()));
        assert!(ends_batch(&segment()));
    }
}
