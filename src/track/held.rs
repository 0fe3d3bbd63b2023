//! Frames that wait for a later look, and what has to keep its place between them.

use std::collections::VecDeque;
use std::time::Duration;

use img2pose_track::{Followed, between};

use super::follow::Known;

/// A frame on its way.
#[derive(Debug)]
pub struct HeldFrame<B> {
    /// Its buffer.
    pub buffer: B,
    /// Its time, as the tracker counts.
    pub time: Duration,
    /// Its faces.
    pub known: Known,
}

/// What waits.
#[derive(Debug)]
pub enum Item<B, E> {
    /// A frame.
    Frame(HeldFrame<B>),
    /// An event between frames.
    Event(E),
}

/// Frames that wait, in order, with buffers `B` and events `E`.
#[derive(Debug)]
pub struct Held<B, E> {
    items: VecDeque<Item<B, E>>,
    frames: usize,
    /// Each face as it was seen last, and when.
    seen: Vec<(Followed, Duration)>,
}

impl<B, E> Default for Held<B, E> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
            frames: 0,
            seen: Vec::new(),
        }
    }
}

impl<B, E> Held<B, E> {
    /// Forgets how faces were seen: what comes is another picture.
    pub fn reset(&mut self) {
        self.seen.clear();
    }

    /// How many frames wait.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Takes a frame. Frames that wait learn from it where faces were that are seen in it again.
    pub fn push(&mut self, frame: HeldFrame<B>, max_lost: Duration) {
        for after in frame.known.followed.iter().filter(|face| face.state.is_seen()) {
            let before = self.seen.iter_mut().find(|(before, _)| before.id == after.id);
            match before {
                Some((before, since)) => {
                    for item in &mut self.items {
                        if let Item::Frame(waiting) = item {
                            interpolate(waiting, (before, *since), (after, frame.time));
                        }
                    }
                    (*before, *since) = (*after, frame.time);
                }
                None => self.seen.push((*after, frame.time)),
            }
        }
        // Those that the tracker has forgotten do not come back.
        self.seen
            .retain(|(_, since)| frame.time.saturating_sub(*since) <= max_lost);
        self.items.push_back(Item::Frame(frame));
        self.frames += 1;
    }

    /// Takes an event, to go on behind the frames that came before it.
    pub fn push_event(&mut self, event: E) {
        self.items.push_back(Item::Event(event));
    }

    /// What goes on next, when at most `limit` frames may wait.
    pub fn pop(&mut self, limit: usize) -> Option<Item<B, E>> {
        let waits = match self.items.front()? {
            Item::Frame(frame) => frame.known.is_open() && self.frames <= limit,
            Item::Event(_) => false,
        };
        if waits {
            return None;
        }
        let item = self.items.pop_front();
        if let Some(Item::Frame(_)) = item {
            self.frames -= 1;
        }
        item
    }
}

/// Places a face in a frame between two looks at it.
fn interpolate<B>(
    frame: &mut HeldFrame<B>,
    (before, since): (&Followed, Duration),
    (after, until): (&Followed, Duration),
) {
    if frame.time <= since || frame.time >= until {
        return;
    }
    let fraction = (frame.time - since).as_secs_f64() / (until - since).as_secs_f64();
    let face = between(before, after, fraction);
    let followed = &mut frame.known.followed;
    match followed.iter_mut().find(|other| other.id == face.id) {
        Some(expected) => *expected = face,
        // It was missed for so long that it was no longer expected.
        None => followed.push(face),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use img2pose_track::State;

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn face(id: u64, time: u64, x: f32, state: State) -> Followed {
        Followed {
            id,
            age: ms(time),
            unseen: Duration::ZERO,
            state,
            sighting: state.is_seen().then_some(0),
            bbox: [x, 10.0, x + 40.0, 60.0],
            confidence: 0.9,
            pose: [0.0, 0.1, 0.0, 0.0, 0.0, 8.0],
        }
    }

    fn frame(number: u64, faces: &[Followed]) -> HeldFrame<u64> {
        HeldFrame {
            buffer: number,
            time: ms(40 * number),
            known: Known {
                followed: faces.to_vec(),
                ..Known::default()
            },
        }
    }

    fn seen(number: u64, x: f32) -> HeldFrame<u64> {
        frame(number, &[face(1, 40 * number, x, State::Seen)])
    }

    fn expected(number: u64) -> HeldFrame<u64> {
        frame(number, &[face(1, 40 * number, 500.0, State::Predicted)])
    }

    /// What can go on: number of the frame and the left sides of its boxes.
    fn out(held: &mut Held<u64, &'static str>, limit: usize) -> Vec<(u64, Vec<f32>)> {
        std::iter::from_fn(|| held.pop(limit))
            .filter_map(|item| match item {
                Item::Frame(frame) => {
                    let lefts = frame.known.followed.iter().map(|face| face.bbox[0]);
                    Some((frame.buffer, lefts.collect()))
                }
                Item::Event(_) => None,
            })
            .collect()
    }

    const LONG: Duration = Duration::from_secs(2);

    #[test]
    fn frames_wait_for_the_next_look_and_lie_between_the_two() {
        let mut held = Held::default();
        held.push(seen(0, 100.0), LONG);
        assert_eq!(out(&mut held, 4), [(0, vec![100.0])]);
        for number in 1..4 {
            held.push(expected(number), LONG);
            assert_eq!(out(&mut held, 4), []);
        }
        held.push(seen(4, 140.0), LONG);
        assert_eq!(
            out(&mut held, 4),
            [
                (1, vec![110.0]),
                (2, vec![120.0]),
                (3, vec![130.0]),
                (4, vec![140.0])
            ]
        );
        assert!(held.is_empty());
    }

    #[test]
    fn no_more_frames_wait_than_may() {
        let mut held = Held::default();
        held.push(seen(0, 100.0), LONG);
        out(&mut held, 2);
        for (number, leaves) in [(1, None), (2, None), (3, Some(1)), (4, Some(2))] {
            held.push(expected(number), LONG);
            let left: Vec<u64> = out(&mut held, 2).into_iter().map(|(number, _)| number).collect();
            assert_eq!(left, leaves.into_iter().collect::<Vec<_>>(), "{number}");
        }
        held.push(seen(5, 150.0), LONG);
        let left = out(&mut held, 2);
        assert_eq!(left[0], (3, vec![130.0]));
        assert_eq!(left.len(), 3);
    }

    #[test]
    fn a_frame_in_which_nobody_is_expected_does_not_wait() {
        let mut held = Held::default();
        held.push(frame(0, &[]), LONG);
        assert_eq!(out(&mut held, 8), [(0, vec![])]);
    }

    #[test]
    fn events_keep_their_places() {
        let mut held: Held<u64, &str> = Held::default();
        held.push(seen(0, 100.0), LONG);
        assert_eq!(out(&mut held, 8).len(), 1);
        held.push(expected(1), LONG);
        held.push_event("tag");
        held.push(expected(2), LONG);
        assert!(held.pop(8).is_none());
        held.push(seen(3, 100.0), LONG);
        let kinds: Vec<bool> = std::iter::from_fn(|| held.pop(8))
            .map(|item| matches!(item, Item::Event(_)))
            .collect();
        assert_eq!(kinds, [false, true, false, false]);
    }

    #[test]
    fn a_face_that_was_missed_for_long_is_placed_too() {
        let mut held = Held::default();
        let other = face(2, 0, 300.0, State::Predicted);
        held.push(seen(0, 100.0), LONG);
        out(&mut held, 8);
        held.push(frame(1, &[other]), LONG);
        held.push(seen(2, 120.0), LONG);
        assert_eq!(out(&mut held, 0), [(1, vec![300.0, 110.0]), (2, vec![120.0])]);
    }

    #[test]
    fn another_picture_has_no_faces_between() {
        let mut held = Held::default();
        held.push(seen(0, 100.0), LONG);
        out(&mut held, 8);
        held.push(expected(1), LONG);
        held.reset();
        held.push(seen(2, 120.0), LONG);
        assert_eq!(out(&mut held, 0)[0], (1, vec![500.0]));
    }
}
