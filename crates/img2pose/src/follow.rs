//! Where the faces of a stream are looked for next: arithmetic on boxes, no network.

use crate::face::Face;
use crate::frame::{FrameLayout, Region};

/// How often the whole frame is looked at, and how the faces that are known are looked for in between.
///
/// The defaults find the faces of whole frames on talking and walking people at 25 to 30 frames a second, see
/// `docs/performance.md` of the project.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct FollowOptions {
    /// Every so many frames the whole frame is looked at, 1 or more. At 1 that is every frame.
    pub whole_frame_interval: u32,
    /// Width and height in pixels of the network image of a region, 32 to 1024; rounded up to a multiple of what the
    /// network needs (32).
    pub region_size: u32,
    /// Side of a region as a multiple of the longer side of the face's box, 1.2 to 8.
    pub region_margin: f64,
}

impl Default for FollowOptions {
    fn default() -> Self {
        Self {
            whole_frame_interval: 15,
            region_size: 128,
            region_margin: 2.0,
        }
    }
}

impl FollowOptions {
    /// Sets every how many frames the [whole frame](Self::whole_frame_interval) is looked at.
    #[must_use]
    pub fn with_whole_frame_interval(mut self, whole_frame_interval: u32) -> Self {
        self.whole_frame_interval = whole_frame_interval;
        self
    }

    /// Sets the [size of a region's network image](Self::region_size).
    #[must_use]
    pub fn with_region_size(mut self, region_size: u32) -> Self {
        self.region_size = region_size;
        self
    }

    /// Sets the [side of a region](Self::region_margin).
    #[must_use]
    pub fn with_region_margin(mut self, region_margin: f64) -> Self {
        self.region_margin = region_margin;
        self
    }

    /// Smallest and largest [`region_size`](Self::region_size).
    pub const REGION_SIZES: std::ops::RangeInclusive<u32> = 32..=1024;
    /// Smallest and largest [`region_margin`](Self::region_margin).
    pub const REGION_MARGINS: std::ops::RangeInclusive<f64> = 1.2..=8.0;

    pub(crate) fn validate(&self) -> Result<(), crate::Error> {
        // Called for every batch: nothing is written out unless it is wrong.
        let (option, found, expected): (_, &dyn std::fmt::Display, _) = if self.whole_frame_interval < 1 {
            ("whole_frame_interval", &self.whole_frame_interval, "1 or more")
        } else if !Self::REGION_SIZES.contains(&self.region_size) {
            ("region_size", &self.region_size, "32 to 1024")
        } else if !Self::REGION_MARGINS.contains(&self.region_margin) {
            ("region_margin", &self.region_margin, "1.2 to 8")
        } else {
            return Ok(());
        };
        Err(crate::Error::Option {
            option,
            found: found.to_string(),
            expected,
        })
    }
}

/// How the frames of a stream were looked at, from its first one on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowCounts {
    /// Frames that were looked at whole.
    pub whole_frames: u64,
    /// Regions that were looked at.
    pub regions: u64,
    /// Faces that were not found again in their region.
    pub losses: u64,
}

/// A pixel of a frame becomes at most so many of the network image across: more shows nothing more.
const MOST_ENLARGED: f64 = 6.0;

/// A face is the one that was expected when the middles of their boxes are no farther apart than this share of the longer side.
const NEAR: f32 = 0.75;

/// A share of the newest motion in what is taken for the motion of a face.
const NEWEST: f32 = 0.6;

/// What is known of the faces of one stream, to look for them where they were.
///
/// For [`Detector::detect_following`](crate::Detector::detect_following).
#[derive(Clone, Debug, Default)]
pub struct Follower {
    known: Vec<Known>,
    /// The layout of the frames that the faces were found in.
    layout: Option<FrameLayout>,
    /// Frames since the last one that was looked at whole; `None`: there is none.
    since_whole: Option<u32>,
    /// Frames since the stream began.
    position: u64,
    counts: FollowCounts,
    /// Working memory: which face each known one is.
    matches: Vec<Option<usize>>,
}

/// A face that was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    /// In pixels of the frame.
    bbox: [f32; 4],
    /// Motion of its middle, in pixels a frame.
    motion: [f32; 2],
    /// The frame in which it was found.
    seen: u64,
    /// Whether its region has shown it since it was lost there the last time. One that only whole frames show is not
    /// missed over and over.
    is_sure: bool,
}

impl Known {
    fn new(bbox: [f32; 4], seen: u64) -> Self {
        Self {
            bbox,
            motion: [0.0; 2],
            seen,
            is_sure: true,
        }
    }

    /// Its box in frame `position`, if it moves on as before.
    fn expected(&self, position: u64) -> [f32; 4] {
        let frames = position.saturating_sub(self.seen) as f32;
        [0, 1, 2, 3].map(|side| self.bbox[side] + frames * self.motion[side % 2])
    }

    /// It was found at `bbox`.
    fn move_to(&mut self, bbox: [f32; 4], position: u64) {
        let frames = position.saturating_sub(self.seen).max(1) as f32;
        let (old, new) = (middle(&self.bbox), middle(&bbox));
        self.motion = [0, 1].map(|axis| {
            let newest = (new[axis] - old[axis]) / frames;
            NEWEST * newest + (1.0 - NEWEST) * self.motion[axis]
        });
        self.bbox = bbox;
        self.seen = position;
    }
}

fn side(bbox: &[f32; 4]) -> f32 {
    (bbox[2] - bbox[0]).max(bbox[3] - bbox[1])
}

fn middle(bbox: &[f32; 4]) -> [f32; 2] {
    [(bbox[0] + bbox[2]) / 2.0, (bbox[1] + bbox[3]) / 2.0]
}

/// Distance of the middles in longer sides of the larger box.
fn distance(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let far = [0, 1].map(|axis| middle(a)[axis] - middle(b)[axis]);
    far[0].hypot(far[1]) / side(a).max(side(b)).max(1.0)
}

impl Follower {
    /// Forgets the faces: the next frame is looked at whole. For what does not follow the frame before: after a seek, in
    /// another recording. The counts stay.
    pub fn begin_anew(&mut self) {
        self.known.clear();
        self.layout = None;
        self.since_whole = None;
    }

    /// How its frames were looked at.
    #[must_use]
    pub fn counts(&self) -> FollowCounts {
        self.counts
    }

    /// Frames since the last whole one, when one of `layout` comes; `None`: there was none of that layout.
    pub(crate) fn since_whole(&self, layout: &FrameLayout) -> Option<u32> {
        self.since_whole.filter(|_| self.layout == Some(*layout))
    }

    /// Takes note of the faces of a frame that was looked at whole.
    pub(crate) fn saw_whole(&mut self, layout: &FrameLayout, faces: &[Face]) {
        if self.layout != Some(*layout) {
            self.begin_anew();
            self.layout = Some(*layout);
        }
        learn(&mut self.known, self.position, faces, &mut self.matches);
        self.since_whole = Some(0);
        self.counts.whole_frames += 1;
        self.position += 1;
    }

    /// Takes note of the faces that were found in regions of a frame, each made for one of the boxes `planned`. Or, when a
    /// face that is sure to be there was not found in its region, of nothing but that loss, and says so: the frame is to be
    /// looked at whole.
    pub(crate) fn saw_regions(&mut self, planned: &[[f32; 4]], faces: &[Face]) -> Result<(), Lost> {
        let Self {
            known,
            position,
            counts,
            matches,
            ..
        } = self;
        counts.regions += planned.len() as u64;
        match_faces(known, *position, faces, matches);
        let mut losses = 0;
        for (known, found) in known.iter_mut().zip(&*matches) {
            let expected = known.expected(*position);
            // What was found in passing in another one's region has had none of its own yet.
            let had_region = || planned.iter().any(|planned| distance(planned, &expected) <= NEAR);
            if found.is_none() && known.is_sure && had_region() {
                known.is_sure = false;
                losses += 1;
            }
        }
        counts.losses += losses;
        if losses > 0 {
            return Err(Lost);
        }
        for (known, found) in known.iter_mut().zip(&*matches) {
            if let Some(face) = found {
                known.move_to(faces[*face].bbox, *position);
                known.is_sure = true;
            }
        }
        add_new(known, *position, faces, matches);
        self.since_whole = self.since_whole.map(|frames| frames.saturating_add(1));
        self.position += 1;
        Ok(())
    }

    /// Prepares `outlook` for the frames that come next.
    pub(crate) fn look_ahead(&self, outlook: &mut Outlook) {
        outlook.known.clone_from(&self.known);
        outlook.position = self.position;
    }
}

/// A face was not found where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost;

/// What is known of the faces in frames to come, as far as they have been looked at.
#[derive(Debug, Default)]
pub(crate) struct Outlook {
    known: Vec<Known>,
    position: u64,
    matches: Vec<Option<usize>>,
}

impl Outlook {
    /// The next frame was looked at whole.
    pub fn saw_whole(&mut self, faces: &[Face]) {
        learn(&mut self.known, self.position, faces, &mut self.matches);
        self.position += 1;
    }

    /// The regions of the next frame, of `layout`, into `regions`: one for each known face, whose expected boxes go into
    /// `boxes`.
    pub fn plan(
        &mut self,
        layout: &FrameLayout,
        options: &FollowOptions,
        regions: &mut Vec<Region>,
        boxes: &mut Vec<[f32; 4]>,
    ) {
        let least = f64::from(options.region_size) / MOST_ENLARGED;
        for known in &self.known {
            let frames = self.position.saturating_sub(known.seen) as f32;
            let way = frames * known.motion[0].hypot(known.motion[1]);
            // What moves may stop or turn.
            let room = f64::from((way / side(&known.bbox).max(1.0)).min(1.0));
            let expected = known.expected(self.position);
            let margin = options.region_margin + room;
            regions.push(Region::around(expected, margin, least, layout));
            boxes.push(expected);
        }
        self.position += 1;
    }
}

/// Finds out which of `faces` each of `known` is in frame `position`: the nearest that is near enough, nearer pairs first.
fn match_faces(known: &[Known], position: u64, faces: &[Face], matches: &mut Vec<Option<usize>>) {
    matches.clear();
    matches.resize(known.len(), None);
    // Faces are few, so a round for each pair is as good as sorting them.
    loop {
        let mut nearest: Option<(f32, usize, usize)> = None;
        for (index, known) in known.iter().enumerate() {
            if matches[index].is_some() {
                continue;
            }
            let expected = known.expected(position);
            for (face, found) in faces.iter().enumerate() {
                let far = distance(&expected, &found.bbox);
                let is_nearer = nearest.is_none_or(|(best, ..)| far < best);
                if far <= NEAR && is_nearer && !matches.contains(&Some(face)) {
                    nearest = Some((far, index, face));
                }
            }
        }
        let Some((_, index, face)) = nearest else {
            return;
        };
        matches[index] = Some(face);
    }
}

/// Adds those of `faces` that are none of the known ones.
fn add_new(known: &mut Vec<Known>, position: u64, faces: &[Face], matches: &[Option<usize>]) {
    for (index, face) in faces.iter().enumerate() {
        if !matches.contains(&Some(index)) {
            known.push(Known::new(face.bbox, position));
        }
    }
}

/// What is known after a whole frame: its faces, with the motion of those that were known.
fn learn(known: &mut Vec<Known>, position: u64, faces: &[Face], matches: &mut Vec<Option<usize>>) {
    match_faces(known, position, faces, matches);
    for (known, found) in known.iter_mut().zip(&*matches) {
        if let Some(face) = found {
            known.move_to(faces[*face].bbox, position);
        }
    }
    let mut index = 0;
    known.retain(|_| {
        index += 1;
        matches[index - 1].is_some()
    });
    add_new(known, position, faces, matches);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, y: f32) -> Face {
        Face {
            bbox: [x, y, x + 40.0, y + 50.0],
            confidence: 0.9,
            pose: [0.0, 0.0, 0.0, 0.0, 0.0, 9.0],
            keypoints: [[0.0; 2]; 5],
            sigma: None,
        }
    }

    fn layout() -> FrameLayout {
        FrameLayout::rgb(640, 360)
    }

    /// The middles of the regions of the frame after the next `ahead`.
    fn planned(follower: &Follower, ahead: usize) -> Vec<[f64; 2]> {
        let mut outlook = Outlook::default();
        follower.look_ahead(&mut outlook);
        let (mut regions, mut boxes) = (Vec::new(), Vec::new());
        for _ in 0..=ahead {
            regions.clear();
            boxes.clear();
            outlook.plan(&layout(), &FollowOptions::default(), &mut regions, &mut boxes);
        }
        let middle = |region: &Region| [region.x + region.width / 2.0, region.y + region.height / 2.0];
        regions.iter().map(middle).collect()
    }

    /// Boxes that are planned for the next frame.
    fn boxes(follower: &Follower) -> Vec<[f32; 4]> {
        let mut outlook = Outlook::default();
        follower.look_ahead(&mut outlook);
        let (mut regions, mut boxes) = (Vec::new(), Vec::new());
        outlook.plan(&layout(), &FollowOptions::default(), &mut regions, &mut boxes);
        boxes
    }

    #[test]
    fn regions_go_where_faces_are_expected() {
        let mut follower = Follower::default();
        assert_eq!(follower.since_whole(&layout()), None);
        follower.saw_whole(&layout(), &[face(200.0, 100.0)]);
        assert_eq!(planned(&follower, 3), [[220.0, 125.0]], "it may stand still");
        for step in 1..10 {
            let planned = boxes(&follower);
            let found = [face(200.0 + 5.0 * step as f32, 100.0)];
            follower.saw_regions(&planned, &found).unwrap();
        }
        let [[x, y]] = planned(&follower, 3)[..] else {
            panic!("one region")
        };
        assert!((x - 285.0).abs() < 1.0 && (y - 125.0).abs() < 0.1, "{x} {y}");
        assert_eq!(follower.since_whole(&layout()), Some(9));
        assert_eq!(
            follower.since_whole(&FrameLayout::rgb(640, 480)),
            None,
            "another picture"
        );
        follower.begin_anew();
        assert!(planned(&follower, 0).is_empty());
        assert_eq!(follower.since_whole(&layout()), None);
        assert_eq!(follower.counts().regions, 9, "the counts stay");
    }

    #[test]
    fn two_that_cross_are_each_found_once() {
        let mut follower = Follower::default();
        let at = |step: i32| {
            let way = 6.0 * step as f32;
            [face(200.0 + way, 100.0), face(320.0 - way, 110.0)]
        };
        follower.saw_whole(&layout(), &at(0));
        for step in 1..20 {
            let planned = boxes(&follower);
            assert_eq!(planned.len(), 2);
            follower.saw_regions(&planned, &at(step)).unwrap();
        }
    }

    #[test]
    fn a_loss_is_told_once_until_a_region_shows_the_face_again() {
        let mut follower = Follower::default();
        follower.saw_whole(&layout(), &[face(200.0, 100.0), face(400.0, 100.0)]);
        let planned = boxes(&follower);
        let one = [face(200.0, 100.0)];
        assert_eq!(follower.saw_regions(&planned, &one), Err(Lost));
        // The whole frame shows it: it is looked for, and not missed again.
        follower.saw_whole(&layout(), &[face(200.0, 100.0), face(400.0, 100.0)]);
        assert_eq!(boxes(&follower).len(), 2);
        assert_eq!(follower.saw_regions(&boxes(&follower), &one), Ok(()));
        assert_eq!(boxes(&follower).len(), 2, "it is still looked for");
        let both = [face(200.0, 100.0), face(400.0, 100.0)];
        assert_eq!(follower.saw_regions(&boxes(&follower), &both), Ok(()));
        assert_eq!(follower.saw_regions(&boxes(&follower), &one), Err(Lost));
        // The whole frame does not show it either: it has left.
        follower.saw_whole(&layout(), &one);
        assert_eq!(boxes(&follower).len(), 1);
        assert_eq!(follower.saw_regions(&boxes(&follower), &one), Ok(()));
        let counts = follower.counts();
        assert_eq!((counts.whole_frames, counts.losses), (3, 2));
    }

    #[test]
    fn a_face_that_another_s_region_shows_is_followed_from_then_on() {
        let mut follower = Follower::default();
        follower.saw_whole(&layout(), &[face(200.0, 100.0)]);
        let planned = boxes(&follower);
        let both = [face(200.0, 100.0), face(250.0, 100.0)];
        follower.saw_regions(&planned, &both).unwrap();
        assert_eq!(boxes(&follower).len(), 2);
    }
}
