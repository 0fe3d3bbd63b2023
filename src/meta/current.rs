//! Where faces are now, after the elements between the detector and the reader.

use img2pose::Face;

use super::shape::{Shape, TOLERANCE};
use super::trace::Trace;
use super::{FrameFaces, MetaError, Track, likeness, read, record, roi, trace};

/// What has happened to the picture since it was looked at, as far as that is sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameChange {
    /// Nothing: every face is where it was.
    None,
    /// Scaled as a whole: every face is where scaling alone puts it.
    Scaled,
    /// Cropped, padded, flipped or rotated: an ROI is elsewhere.
    Reframed,
    /// ROIs are gone and faces are not seen where they were, or the picture was either stretched or given borders: nothing
    /// says where faces are.
    Unknown,
}

impl FrameChange {
    /// What to tell a user of a picture that was changed between detector and reader.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Reframed => "was cropped, padded or flipped",
            _ => "may have been cropped, padded, stretched or flipped",
        }
    }

    /// A short name, as `img2posejson` writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Scaled => "scaled",
            Self::Reframed => "moved",
            Self::Unknown => "unknown",
        }
    }

    /// Whether it is known where the faces are now.
    pub fn is_known(self) -> bool {
        matches!(self, Self::None | Self::Scaled)
    }
}

/// The faces of a frame, and what is known of where they are now.
#[derive(Clone, Debug, PartialEq)]
pub struct CurrentFaces {
    /// The faces in pixels of the frame that was looked at.
    pub recorded: FrameFaces,
    /// What has happened to the picture since.
    pub change: FrameChange,
    /// For each face the box of its ROI now, as `x, y, width, height` in pixels; `None` where it is gone.
    ///
    /// Not to be trusted on its own: some elements move ROIs with the picture, some leave them where they were.
    pub rois: Vec<Option<[u32; 4]>>,
    /// Width in pixels of the frame now.
    pub width: u32,
    /// Height in pixels of the frame now.
    pub height: u32,
    /// Width over height of a pixel of the frame now.
    pub pixel_aspect_ratio: gst::Fraction,
}

impl CurrentFaces {
    /// The faces in pixels of the frame as it is now, or `None` if the change is [`FrameChange::Reframed`] or
    /// [`FrameChange::Unknown`].
    ///
    /// Boxes and keypoints are scaled. Poses are not: they hold in the camera of the frame that was looked at and in that of
    /// the scaled one ([`FrameFaces::camera`]), whose pixels make up for what was scaled unevenly.
    pub fn located(&self) -> Option<FrameFaces> {
        match self.change {
            FrameChange::None => Some(self.recorded.clone()),
            FrameChange::Scaled => Some(self.scaled()),
            FrameChange::Reframed | FrameChange::Unknown => None,
        }
    }

    /// Pixels of the frame now to a pixel of the frame that was looked at, across and down. It means something only where
    /// the change is known.
    pub(crate) fn scale(&self) -> [f64; 2] {
        scale(&self.recorded, self.width, self.height)
    }

    /// A box of the frame that was looked at, scaled to the frame now.
    pub(crate) fn scaled_box(&self, [x_min, y_min, x_max, y_max]: [f32; 4]) -> [f32; 4] {
        let [low, high] = [[x_min, y_min], [x_max, y_max]].map(|point| self.scaled_point(point));
        [low[0], low[1], high[0], high[1]]
    }

    fn scaled_point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [x_scale, y_scale] = self.scale();
        [(f64::from(x) * x_scale) as f32, (f64::from(y) * y_scale) as f32]
    }

    fn scaled(&self) -> FrameFaces {
        let scale = |face: &Face| Face {
            bbox: self.scaled_box(face.bbox),
            keypoints: face.keypoints.map(|point| self.scaled_point(point)),
            ..face.clone()
        };
        let scale_track = |track: &Track| Track {
            seen: track.seen.as_ref().map(scale),
            ..track.clone()
        };
        FrameFaces {
            frame_width: self.width,
            frame_height: self.height,
            pixel_aspect_ratio: self.pixel_aspect_ratio,
            reused: self.recorded.reused,
            orientation: self.recorded.orientation,
            faces: self.recorded.faces.iter().map(scale).collect(),
            tracks: (self.recorded.tracks.iter())
                .map(|track| track.as_ref().map(scale_track))
                .collect(),
        }
    }
}

/// The faces on the buffer, and where they are in the frame as it is now, whose format is `info`; `None` if nobody
/// has looked at this frame.
///
/// The answer rests on what the elements in between did to the size, to the ROIs, and to a meta that scalers keep as they
/// keep ROIs. `videocrop`, `videobox` and `videoflip` take both away or move them, as the version of GStreamer has it; so do
/// filters such as `gaussianblur`, which leave the picture in its place. Where they are gone, the faces themselves are looked for,
/// by the small pictures of them that `img2posedetect` leaves in the record: faces that look the same in the same place were not
/// moved. Whatever is not sure is [`FrameChange::Unknown`]. An application that moves the picture, and neither the ROIs nor
/// the size, cannot be told from one that does nothing.
///
/// # Errors
/// As [`read`].
pub fn read_current(
    buffer: &gst::BufferRef,
    info: &gst_video::VideoInfo,
) -> Result<Option<CurrentFaces>, MetaError> {
    let Some(recorded) = read(buffer)? else {
        return Ok(None);
    };
    let rois = roi::rects(buffer, recorded.faces.len());
    let trace = trace::read(buffer, info);
    let mut change = change(&recorded, &rois, trace, info);
    if change == FrameChange::Unknown && trace.is_none() && is_recognised(buffer, info, &recorded) {
        change = match is_same_size(&recorded, info) {
            true => FrameChange::None,
            false => FrameChange::Scaled,
        };
    }
    Ok(Some(CurrentFaces {
        change,
        recorded,
        rois,
        width: info.width(),
        height: info.height(),
        pixel_aspect_ratio: info.par(),
    }))
}

/// Whether the faces look the same in the places where scaling alone puts them.
fn is_recognised(buffer: &gst::BufferRef, info: &gst_video::VideoInfo, recorded: &FrameFaces) -> bool {
    let could_be = is_same_size(recorded, info) || Shape::of_frame(recorded).is_like(Shape::of_info(info));
    could_be
        && record::likeness(buffer).is_some_and(|taken| likeness::is_in_place(buffer, info, recorded, &taken))
}

fn is_same_size(recorded: &FrameFaces, info: &gst_video::VideoInfo) -> bool {
    (info.width(), info.height()) == (recorded.frame_width, recorded.frame_height)
}

fn change(
    recorded: &FrameFaces,
    rois: &[Option<[u32; 4]>],
    trace: Option<Trace>,
    info: &gst_video::VideoInfo,
) -> FrameChange {
    let same_size = is_same_size(recorded, info);
    let [x_scale, y_scale] = scale(recorded, info.width(), info.height());
    if trace.is_some_and(|trace| !trace.whole) {
        return FrameChange::Unknown;
    }
    let slack = trace.map_or([0.0; 2], |trace| trace.slack);
    let (mut lost, mut shifted) = (false, false);
    for (face, found) in recorded.faces.iter().zip(rois) {
        let put = roi::rect_of(recorded, face);
        match found {
            None => lost = true,
            Some(found) if !near(put, *found, [x_scale, y_scale], slack) => return FrameChange::Reframed,
            Some(found) => shifted |= *found != put,
        }
    }
    let unscaled = match trace {
        // Only scalers have seen it, whatever became of the ROIs.
        Some(trace) => !trace.scaled && !shifted,
        None if lost || !(same_size || Shape::of_frame(recorded).is_like(Shape::of_info(info))) => {
            return FrameChange::Unknown;
        }
        None => same_size && !shifted,
    };
    match unscaled {
        true => FrameChange::None,
        false => FrameChange::Scaled,
    }
}

fn scale(recorded: &FrameFaces, width: u32, height: u32) -> [f64; 2] {
    [
        f64::from(width) / f64::from(recorded.frame_width),
        f64::from(height) / f64::from(recorded.frame_height),
    ]
}

/// Whether scaling brings the sides of the box `put` to those of the box `found`, give or take `slack` pixels across and down.
fn near(put: [u32; 4], found: [u32; 4], [x_scale, y_scale]: [f64; 2], slack: [f64; 2]) -> bool {
    let [x_slack, y_slack] = slack.map(|slack| slack.max(TOLERANCE));
    let sides = |[x, y, width, height]: [u32; 4]| {
        [
            (x, x_scale, x_slack),
            (y, y_scale, y_slack),
            (x.saturating_add(width), x_scale, x_slack),
            (y.saturating_add(height), y_scale, y_slack),
        ]
    };
    sides(put)
        .into_iter()
        .zip(sides(found))
        .all(|((put, scale, slack), (found, ..))| (f64::from(put) * scale - f64::from(found)).abs() <= slack)
}

/// Takes the crop meta out of the answer to an allocation query.
///
/// With it upstream leaves cropping to downstream: frames then hold more picture than their caps say, and faces lie
/// elsewhere in it. `videocrop` does so before `xvimagesink`, for one.
pub(crate) fn refuse_crop(query: &mut gst::query::Allocation) {
    while let Some(index) = query.find_allocation_meta::<gst_video::VideoCropMeta>() {
        query.remove_nth_allocation_meta(index);
    }
}

/// Takes all metas out of an allocation query that downstream has not answered: what is not promised is not supported.
pub(crate) fn refuse_all(query: &mut gst::query::Allocation) {
    while query.allocation_metas().next().is_some() {
        query.remove_nth_allocation_meta(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(width: u32, height: u32, par: (i32, i32)) -> gst_video::VideoInfo {
        gst::init().unwrap();
        gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, width, height)
            .par(gst::Fraction::new(par.0, par.1))
            .build()
            .unwrap()
    }

    fn frame(width: u32, height: u32, par: (i32, i32)) -> FrameFaces {
        let face = |x: f32, y: f32| Face {
            bbox: [x, y, x + 40.5, y + 60.0],
            confidence: 0.9,
            pose: [0.1, 0.2, 0.3, 1.0, 2.0, 30.0],
            keypoints: [[x + 10.0, y + 20.0]; 5],
            sigma: None,
        };
        FrameFaces::new(
            &info(width, height, par),
            vec![face(30.0, 20.0), face(200.25, 90.0)],
        )
    }

    fn change_for(
        recorded: &FrameFaces,
        now: &gst_video::VideoInfo,
        moved: impl Fn([u32; 4]) -> Option<[u32; 4]>,
    ) -> FrameChange {
        let rois: Vec<_> = recorded
            .faces
            .iter()
            .map(|face| moved(roi::rect_of(recorded, face)))
            .collect();
        change(recorded, &rois, None, now)
    }

    #[test]
    fn same_frame() {
        let recorded = frame(640, 480, (1, 1));
        assert_eq!(
            change_for(&recorded, &info(640, 480, (1, 1)), Some),
            FrameChange::None
        );
        // A wrong pixel aspect ratio set right in between moves no pixel.
        assert_eq!(
            change_for(&recorded, &info(640, 480, (4, 3)), Some),
            FrameChange::None
        );
    }

    #[test]
    fn scaled_with_cut_fractions() {
        let recorded = frame(640, 480, (1, 1));
        let third = |b: [u32; 4]| Some(b.map(|n| n / 3));
        assert_eq!(
            change_for(&recorded, &info(213, 160, (1, 1)), third),
            FrameChange::Scaled
        );
        let up = |b: [u32; 4]| Some(b.map(|n| n * 2));
        assert_eq!(
            change_for(&recorded, &info(1280, 960, (1, 1)), up),
            FrameChange::Scaled
        );
        // Down and up again: the size is the same, the fractions are gone.
        let coarse = |b: [u32; 4]| Some(b.map(|n| n / 2 * 2));
        assert_eq!(
            change_for(&recorded, &info(640, 480, (1, 1)), coarse),
            FrameChange::Scaled
        );
    }

    #[test]
    fn scaled_unevenly_with_the_pixel_aspect_ratio_that_makes_up_for_it() {
        let recorded = frame(720, 576, (16, 15));
        let narrow = |[x, y, w, h]: [u32; 4]| Some([x * 768 / 720, y, w * 768 / 720, h]);
        assert_eq!(
            change_for(&recorded, &info(768, 576, (1, 1)), narrow),
            FrameChange::Scaled
        );
    }

    #[test]
    fn borders_and_stretching_look_the_same() {
        let recorded = frame(640, 360, (1, 1));
        let stretched = |[x, y, w, h]: [u32; 4]| Some([x, y * 480 / 360, w, h * 480 / 360]);
        assert_eq!(
            change_for(&recorded, &info(640, 480, (1, 1)), stretched),
            FrameChange::Unknown
        );
    }

    #[test]
    fn moved_rois_and_lost_ones() {
        let recorded = frame(640, 480, (1, 1));
        let cropped = |[x, y, w, h]: [u32; 4]| Some([x - 10, y, w, h]);
        assert_eq!(
            change_for(&recorded, &info(620, 480, (1, 1)), cropped),
            FrameChange::Reframed
        );
        // Left where they were although the frame was cut.
        assert_eq!(
            change_for(&recorded, &info(480, 480, (1, 1)), Some),
            FrameChange::Reframed
        );
        let mirrored = |[x, y, w, h]: [u32; 4]| Some([640 - x - w, y, w, h]);
        assert_eq!(
            change_for(&recorded, &info(640, 480, (1, 1)), mirrored),
            FrameChange::Reframed
        );
        assert_eq!(
            change_for(&recorded, &info(640, 480, (1, 1)), |_| None),
            FrameChange::Unknown
        );
        let second_lost = |b: [u32; 4]| (b[0] < 100).then_some(b);
        assert_eq!(
            change_for(&recorded, &info(640, 480, (1, 1)), second_lost),
            FrameChange::Unknown
        );
    }

    #[test]
    fn no_faces_need_no_rois() {
        let recorded = FrameFaces {
            faces: vec![],
            ..frame(640, 480, (1, 1))
        };
        assert_eq!(
            change(&recorded, &[], None, &info(640, 480, (1, 1))),
            FrameChange::None
        );
        assert_eq!(
            change(&recorded, &[], None, &info(320, 240, (1, 1))),
            FrameChange::Scaled
        );
        assert_eq!(
            change(&recorded, &[], None, &info(320, 480, (1, 1))),
            FrameChange::Unknown
        );
    }

    #[test]
    fn located_scales_boxes_and_keypoints() {
        let recorded = frame(640, 480, (1, 1));
        let mut current = CurrentFaces {
            rois: vec![None; 2],
            change: FrameChange::Scaled,
            width: 1280,
            height: 960,
            pixel_aspect_ratio: gst::Fraction::new(1, 1),
            recorded,
        };
        let located = current.located().unwrap();
        assert_eq!((located.frame_width, located.frame_height), (1280, 960));
        assert_eq!(located.faces[0].bbox, [60.0, 40.0, 141.0, 160.0]);
        assert_eq!(located.faces[1].keypoints[4], [420.5, 220.0]);
        assert_eq!(located.faces[1].pose, current.recorded.faces[1].pose);
        current.change = FrameChange::Reframed;
        assert_eq!(current.located(), None);
    }
}
