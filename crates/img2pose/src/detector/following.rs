//! Frames of streams: the whole frame now and then, the surroundings of known faces in between.

use super::Detector;
use crate::batch::{BatchMaker, RegionBatch};
use crate::error::Error;
use crate::face::Face;
use crate::follow::{FollowOptions, Follower, Outlook};
use crate::frame::{Frame, Region};
use crate::times::StageTimes;

/// Regions in a run, when frames do not have more of them.
const REGIONS: usize = 32;

/// A frame of one of several streams.
#[derive(Clone, Copy, Debug)]
pub struct StreamFrame<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Index of its stream's [`Follower`].
    pub stream: usize,
}

/// Memory that is used again for every batch.
#[derive(Default)]
pub(super) struct Work {
    looks: Vec<Look>,
    outlook: Outlook,
    regions: Vec<Region>,
    /// Of each region, the box that it was made for.
    boxes: Vec<[f32; 4]>,
    batch: Option<RegionBatch>,
    /// The frames that are in a batch.
    members: Vec<usize>,
    found: Vec<Vec<Face>>,
}

/// How far one frame has come.
#[derive(Clone, Debug, Default)]
struct Look {
    /// Whether the whole frame is to be looked at.
    is_whole: bool,
    /// Whether it was.
    has_whole: bool,
    /// Its follower has seen its faces.
    is_done: bool,
    /// Its regions among those of all frames.
    regions: std::ops::Range<usize>,
}

impl Detector {
    /// Finds the faces in `frames`, which belong to one or several streams: in every
    /// [`whole_frame_interval`](FollowOptions::whole_frame_interval)-th frame of a stream everywhere, in those between them
    /// only around the faces that its [`Follower`] knows. The frames of a stream come in their order, in this and in later
    /// calls; between them those of others may come. `faces` has one entry a frame afterwards, and its memory is used
    /// again.
    ///
    /// Whole frames, if there are any, share one run of the network for each layout. The regions of all other frames share
    /// one, whatever their layouts are (up to 32 regions; more take more runs). Where a face is not found again in its
    /// region, that frame is looked at whole, and the frames after it follow what was found there; this takes further runs. A
    /// face that comes into the picture is seen with the next whole frame, or earlier where it gets into a region. Where the
    /// regions of a frame would have more pixels together than its network image has, it is looked at whole, too.
    ///
    /// The faces of whole frames are those of [`detect`](Self::detect), bit for bit. In regions faces are seen at another
    /// scale, so scores, boxes and poses differ a little.
    ///
    /// # Errors
    /// When an option is out of range, a stream has no follower, a frame's planes are too small, or inference fails or is
    /// cancelled. The followers begin anew then, and what `faces` holds means nothing.
    pub fn detect_following(
        &mut self,
        frames: &[StreamFrame<'_>],
        followers: &mut [Follower],
        options: &FollowOptions,
        faces: &mut Vec<Vec<Face>>,
    ) -> Result<(), Error> {
        options.validate()?;
        if let Some(frame) = frames.iter().find(|frame| frame.stream >= followers.len()) {
            return Err(Error::Option {
                option: "stream",
                found: frame.stream.to_string(),
                expected: "the index of a follower",
            });
        }
        let mut work = std::mem::take(&mut self.following);
        let done = self.follow(frames, followers, options, faces, &mut work);
        self.following = work;
        if done.is_err() {
            followers.iter_mut().for_each(Follower::begin_anew);
        }
        done
    }

    fn follow(
        &mut self,
        frames: &[StreamFrame<'_>],
        followers: &mut [Follower],
        options: &FollowOptions,
        faces: &mut Vec<Vec<Face>>,
        work: &mut Work,
    ) -> Result<(), Error> {
        faces.resize_with(frames.len(), Vec::new);
        work.looks.clear();
        work.looks.resize(frames.len(), Look::default());
        let mut times = StageTimes::default();
        // Each round ends with all frames done, or with one more that is to be looked at whole.
        while work.looks.iter().any(|look| !look.is_done) {
            work.choose_whole(frames, followers, options);
            self.look_at_whole(frames, faces, work, &mut times)?;
            work.plan_regions(frames, followers, options, faces, &self.batch_maker());
            self.look_at_regions(frames, options, faces, work, &mut times)?;
            work.tell(frames, followers, faces);
        }
        self.times = times;
        Ok(())
    }

    /// Looks at the frames that are to be looked at whole and were not yet: those of one layout in one run.
    fn look_at_whole(
        &mut self,
        frames: &[StreamFrame<'_>],
        faces: &mut [Vec<Face>],
        work: &mut Work,
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        let is_open = |look: &Look| look.is_whole && !look.has_whole;
        while let Some(first) = work.looks.iter().position(is_open) {
            let layout = frames[first].frame.layout;
            work.members.clear();
            let members = (first..frames.len())
                .filter(|&index| is_open(&work.looks[index]) && frames[index].frame.layout == layout);
            work.members.extend(members);
            let mut batch = self.take_batch(layout, work.members.len())?;
            for &index in &work.members {
                batch.push(&frames[index].frame)?;
                work.looks[index].has_whole = true;
            }
            let done = self.find_in_batch(&batch, entries(&mut work.found, work.members.len()));
            self.batch = Some(batch);
            done?;
            times.add(&self.times);
            for (&index, found) in work.members.iter().zip(&mut work.found) {
                std::mem::swap(&mut faces[index], found);
            }
        }
        Ok(())
    }

    /// Looks at the planned regions of the frames that are not done.
    fn look_at_regions(
        &mut self,
        frames: &[StreamFrame<'_>],
        options: &FollowOptions,
        faces: &mut [Vec<Face>],
        work: &mut Work,
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        let most = work.looks.iter().map(|look| look.regions.len()).max();
        let mut batch = self.take_region_batch(work.batch.take(), options, most.unwrap_or(0))?;
        work.members.clear();
        for (index, frame) in frames.iter().enumerate() {
            let look = &work.looks[index];
            if look.is_done || look.is_whole {
                continue;
            }
            if batch.len() + look.regions.len() > batch.capacity() {
                self.run_regions(&mut batch, &mut work.members, &mut work.found, faces, times)?;
            }
            batch.push(&frame.frame, &work.regions[look.regions.clone()])?;
            work.members.push(index);
        }
        self.run_regions(&mut batch, &mut work.members, &mut work.found, faces, times)?;
        work.batch = Some(batch);
        Ok(())
    }

    /// Finds the faces of `members`, whose regions `batch` holds, and clears both.
    fn run_regions(
        &mut self,
        batch: &mut RegionBatch,
        members: &mut Vec<usize>,
        found: &mut Vec<Vec<Face>>,
        faces: &mut [Vec<Face>],
        times: &mut StageTimes,
    ) -> Result<(), Error> {
        self.times = StageTimes::default();
        self.find_in_regions(batch, entries(found, members.len()))?;
        times.add(&self.times);
        for (index, found) in members.drain(..).zip(found) {
            std::mem::swap(&mut faces[index], found);
        }
        batch.clear();
        Ok(())
    }

    /// An empty batch for regions, `last` if it fits.
    fn take_region_batch(
        &self,
        last: Option<RegionBatch>,
        options: &FollowOptions,
        most: usize,
    ) -> Result<RegionBatch, Error> {
        let is_right = |batch: &RegionBatch| batch.asked() == options.region_size && batch.capacity() >= most;
        match last.filter(is_right) {
            Some(mut batch) => {
                batch.clear();
                Ok(batch)
            }
            None => self.new_region_batch(options.region_size, most.max(REGIONS)),
        }
    }
}

/// The first `len` entries, of which there may be more: their memory is used again.
fn entries(found: &mut Vec<Vec<Face>>, len: usize) -> &mut [Vec<Face>] {
    if found.len() < len {
        found.resize_with(len, Vec::new);
    }
    &mut found[..len]
}

impl Work {
    /// Says which of the frames that are not done are to be looked at whole.
    fn choose_whole(&mut self, frames: &[StreamFrame<'_>], followers: &[Follower], options: &FollowOptions) {
        for (stream, follower) in followers.iter().enumerate() {
            let mut since_whole = None;
            let mut layout = None;
            for (frame, look) in frames.iter().zip(&mut self.looks) {
                if frame.stream != stream || look.is_done {
                    continue;
                }
                let next = Some(frame.frame.layout);
                if layout != next {
                    since_whole = match layout {
                        None => follower.since_whole(&frame.frame.layout),
                        Some(_) => None,
                    };
                    layout = next;
                }
                let is_due = since_whole.is_none_or(|frames: u32| frames + 1 >= options.whole_frame_interval);
                // What was looked at for another reason counts, too.
                look.is_whole |= is_due || look.has_whole;
                since_whole = match look.is_whole {
                    true => Some(0),
                    false => since_whole.map(|frames| frames + 1),
                };
            }
        }
    }

    /// Plans regions for the frames that are neither done nor looked at whole. A frame with so many faces that their regions
    /// would take longer than itself is to be looked at whole instead.
    fn plan_regions(
        &mut self,
        frames: &[StreamFrame<'_>],
        followers: &[Follower],
        options: &FollowOptions,
        faces: &[Vec<Face>],
        maker: &BatchMaker,
    ) {
        self.regions.clear();
        self.boxes.clear();
        for (stream, follower) in followers.iter().enumerate() {
            follower.look_ahead(&mut self.outlook);
            let looks = self.looks.iter_mut().zip(frames).zip(faces);
            for ((look, frame), faces) in looks {
                if look.is_done || frame.stream != stream {
                    continue;
                }
                let first = self.regions.len();
                match look.has_whole {
                    true => self.outlook.saw_whole(faces),
                    false => {
                        let layout = &frame.frame.layout;
                        let (regions, boxes) = (&mut self.regions, &mut self.boxes);
                        self.outlook.plan(layout, options, regions, boxes);
                        if regions.len() - first > maker.regions_in_whole(layout, options.region_size) {
                            regions.truncate(first);
                            boxes.truncate(first);
                            look.is_whole = true;
                        }
                    }
                }
                look.regions = first..self.regions.len();
            }
        }
    }

    /// Tells the followers what was found, each up to the first frame that is yet to be looked at whole, such as
    /// one with a loss.
    fn tell(&mut self, frames: &[StreamFrame<'_>], followers: &mut [Follower], faces: &[Vec<Face>]) {
        for (stream, follower) in followers.iter_mut().enumerate() {
            let looks = self.looks.iter_mut().zip(frames).zip(faces);
            for ((look, frame), faces) in looks {
                if look.is_done || frame.stream != stream {
                    continue;
                }
                if look.has_whole {
                    follower.saw_whole(&frame.frame.layout, faces);
                } else if look.is_whole {
                    break;
                } else if follower
                    .saw_regions(&self.boxes[look.regions.clone()], faces)
                    .is_err()
                {
                    look.is_whole = true;
                    break;
                }
                look.is_done = true;
            }
        }
    }
}
