//! From scored proposals and raw poses in regions of a frame to the faces of that frame.

use super::faces::denormalised;
use super::{Kept, ScoredProposal};
use crate::contract::Contract;
use crate::face::Face;
use crate::frame::{Cut, FrameLayout};
use crate::options::Selection;
use crate::pose::{Camera, face_extent, keypoints_by, to_frame_camera, turn_pose};

/// A face box that reaches over the edge of its region by more than this share of its longer side shows a face that is cut
/// there, so that its pose and box are a guess.
const CUT: f64 = 0.08;

/// A face that is cut counts only when its middle lies within the region, this share of a side from its edges: the face
/// that the region was made for, and not one beside it.
const INSET: f64 = 0.125;

/// A face that is cut is one that is known if this share of the smaller box of the two lies in the other.
const SAME_WHEN_CUT: f32 = 0.4;

/// Memory that is used again for every frame.
#[derive(Default)]
pub(crate) struct RegionWork {
    candidates: Vec<Candidate>,
    kept: Kept,
}

/// What may become a face.
struct Candidate {
    is_cut: bool,
    score: f32,
    /// Number of the region, and place among its proposals.
    rank: (usize, usize),
    /// In the camera of the whole upright frame.
    pose: [f64; 6],
    /// In pixels of the upright picture.
    bbox: [f32; 4],
}

impl Candidate {
    fn new(
        proposal: &ScoredProposal,
        region: usize,
        cut: &Cut,
        camera: &Camera,
        selection: &Selection,
        contract: &Contract,
    ) -> Option<Self> {
        let pose = to_frame_camera(denormalised(&proposal.pose, contract), proposal.proposal, camera);
        // A region may be enlarged many times, so nothing is cut to whole pixels of its network image.
        let points = &contract.reference_points;
        let extent = face_extent(&pose, camera, points, &selection.face_box(), |number| number);
        let is_cut = is_cut(&extent, cut);
        if is_cut && !is_inside(&extent, cut) {
            return None;
        }
        let size = &cut.size;
        let bounds = [size.frame_width, size.frame_height].map(f64::from);
        let bbox = cut.to_picture(extent);
        let bbox = [0, 1, 2, 3].map(|side| bbox[side].clamp(0.0, bounds[side % 2]) as f32);
        Some(Self {
            is_cut,
            score: proposal.score,
            rank: (region, proposal.rank),
            pose,
            bbox,
        })
    }
}

/// Whether a box of the network image reaches over an edge of the region that is none of the picture's.
fn is_cut(extent: &[f64; 4], cut: &Cut) -> bool {
    let [x_min, y_min, x_max, y_max] = *extent;
    let most = CUT * (x_max - x_min).max(y_max - y_min);
    let (width, height) = (f64::from(cut.size.width), f64::from(cut.size.height));
    let over = [-x_min, -y_min, x_max - width, y_max - height];
    over.iter()
        .zip(cut.at_edge)
        .any(|(over, at_edge)| !at_edge && *over > most)
}

/// Whether the middle of a box lies well within the region.
fn is_inside(extent: &[f64; 4], cut: &Cut) -> bool {
    [cut.size.width, cut.size.height]
        .map(f64::from)
        .iter()
        .enumerate()
        .all(|(axis, side)| {
            let middle = (extent[axis] + extent[axis + 2]) / 2.0;
            (side * INSET..=side * (1.0 - INSET)).contains(&middle)
        })
}

/// Puts the faces of one frame into `faces`, most confident first: those that were found in its regions, each once.
///
/// `found` has the proposals of each region in any order, and `cuts` says where it lies. A face that several regions show
/// is kept as the most confident of them shows it, with the overlap that decides in a whole frame; a face that its region
/// cuts comes after all that are shown completely, and is kept only when it hardly overlaps any of them: two pieces of a
/// face need not overlap as two looks at it do.
pub(crate) fn process_regions(
    found: &[Vec<ScoredProposal>],
    cuts: &[Cut],
    layout: &FrameLayout,
    selection: &Selection,
    contract: &Contract,
    work: &mut RegionWork,
    faces: &mut Vec<Face>,
) {
    let RegionWork { candidates, kept } = work;
    candidates.clear();
    for (region, (found, cut)) in found.iter().zip(cuts).enumerate() {
        let camera = cut.camera();
        let candidate = |proposal| Candidate::new(proposal, region, cut, &camera, selection, contract);
        candidates.extend(found.iter().filter_map(candidate));
    }
    // A stable sort would allocate.
    candidates.sort_unstable_by(|a, b| {
        let by_score = b.score.total_cmp(&a.score).then(a.rank.cmp(&b.rank));
        a.is_cut.cmp(&b.is_cut).then(by_score)
    });
    let (upright_width, upright_height) = layout.upright_size();
    let (upright_width, upright_height) = (upright_width as f32, upright_height as f32);
    let frame_camera = Camera::with_pixels(layout.width, layout.height, layout.view.pixel_aspect_ratio);
    let back = layout.view.orientation.inverse();
    kept.clear();
    faces.clear();
    for candidate in candidates.iter() {
        if candidate.is_cut && kept.covers(candidate.bbox, SAME_WHEN_CUT) {
            continue;
        }
        if !kept.keep(candidate.bbox, contract.nms_threshold) {
            continue;
        }
        let pose = turn_pose(candidate.pose, back).map(|value| value as f32);
        faces.push(Face {
            bbox: back.turn_box(candidate.bbox, upright_width, upright_height),
            confidence: candidate.score,
            pose,
            keypoints: keypoints_by(&frame_camera, &pose),
            sigma: None,
        });
    }
    let order = |face: &Face| [face.bbox[0], face.bbox[1]].map(f32::to_bits);
    faces.sort_unstable_by(|a, b| {
        b.confidence
            .total_cmp(&a.confidence)
            .then_with(|| order(a).cmp(&order(b)))
    });
    faces.truncate(selection.max_faces.unwrap_or(usize::MAX));
}
