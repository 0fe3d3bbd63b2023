//! Refusing facts that no detector can work with.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use super::images::ImageFacts;
use super::{CONTRACT_VERSION, Contract, REFERENCE_POINTS_68};

/// Largest side of a network image or of an anchor that is believed, in pixels.
const LARGEST_SIDE: u32 = 16_384;
/// The coarsest features have this stride, and the pyramid doubles on its way down: sides that are no multiple of it do not
/// meet there.
const COARSEST_STRIDE: u32 = 32;
/// Most anchors of a level that are sorted, and most regions that are pooled and scored, for each frame. The reference has
/// 6000 and 1000; time and memory of a frame grow with the second, and its square.
const MOST_CANDIDATES: usize = 20_000;
const MOST_PROPOSALS: usize = 5_000;
/// Values of a standard deviation of numbers in 0..1. Smaller ones would multiply rounding errors, and leave what 16 bits hold.
const IMAGE_STD: RangeInclusive<f32> = 0.001..=10.0;

/// A fact of a [`Contract`] that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} = {found}, expected {expected}")]
#[non_exhaustive]
pub struct ContractError {
    /// Name of the field, with that of the part it is in: `roi.output_size`.
    pub field: &'static str,
    /// Its value.
    pub found: String,
    /// What it can be, in words.
    pub expected: String,
}

impl Contract {
    /// Checks that a detector can work with every number. Everything that reads or writes a model asks this.
    ///
    /// # Errors
    /// [`ContractError`] for the first field that cannot be: one that is not finite, is out of its range, or contradicts
    /// another one.
    pub fn validate(&self) -> Result<(), ContractError> {
        let version = self.contract_version;
        within("contract_version", version, CONTRACT_VERSION..=CONTRACT_VERSION)?;
        self.validate_images()?;
        self.validate_proposals()?;
        self.validate_regions()?;
        self.validate_faces()
    }

    fn validate_images(&self) -> Result<(), ContractError> {
        self.images().validate()
    }

    fn validate_proposals(&self) -> Result<(), ContractError> {
        let proposals = &self.proposals;
        let sizes = 1.0..=LARGEST_SIDE as f32;
        all_within("proposals.anchor_sizes", &proposals.anchor_sizes, sizes)?;
        all_within("proposals.aspect_ratios", &proposals.aspect_ratios, 0.01..=100.0)?;
        // Half sides are rounded to whole pixels; an anchor without a side proposes nothing.
        let has_sides = |size: f32, ratio: f32| (size * ratio.sqrt().min(1.0 / ratio.sqrt()) / 2.0) > 0.5;
        let sizes = proposals.anchor_sizes.iter();
        let mut anchors = sizes.flat_map(|size| proposals.aspect_ratios.map(|ratio| (*size, ratio)));
        demand(
            anchors.all(|(size, ratio)| has_sides(size, ratio)),
            "proposals.anchor_sizes",
            &proposals.anchor_sizes,
            "anchors of more than one pixel at every aspect ratio",
        )?;
        let (candidates, kept) = (proposals.pre_nms_top_n, proposals.post_nms_top_n);
        within("proposals.pre_nms_top_n", candidates, 1..=MOST_CANDIDATES)?;
        within("proposals.post_nms_top_n", kept, 1..=MOST_PROPOSALS)?;
        within("proposals.nms_threshold", proposals.nms_threshold, 0.0..=1.0)?;
        within("proposals.min_box_side", proposals.min_box_side, 0.0..=1.0)
    }

    fn validate_regions(&self) -> Result<(), ContractError> {
        let roi = &self.roi;
        within("roi.output_size", roi.output_size, 1..=64)?;
        within("roi.sampling_ratio", roi.sampling_ratio, 1..=16)?;
        within(
            "roi.canonical_size",
            roi.canonical_size,
            1.0..=LARGEST_SIDE as f32,
        )?;
        within("roi.canonical_level", roi.canonical_level, 0..=16)
    }

    fn validate_faces(&self) -> Result<(), ContractError> {
        within("score_floor", self.score_floor, 0.0..=1.0)?;
        within("min_box_side", self.min_box_side, 0.0..=1.0)?;
        within("nms_threshold", self.nms_threshold, 0.0..=1.0)?;
        within("bbox_x_factor", self.bbox_x_factor, 0.01..=100.0)?;
        within("bbox_y_factor", self.bbox_y_factor, 0.01..=100.0)?;
        within("expand_forehead", self.expand_forehead, 0.0..=100.0)?;
        all_within("pose_mean", &self.pose_mean, -1e3..=1e3)?;
        all_within("pose_stddev", &self.pose_stddev, 1e-6..=1e3)?;
        within("batch_norm_epsilon", self.batch_norm_epsilon, 0.0..=1.0)?;

        validate_points(&self.reference_points)
    }
}

impl ImageFacts {
    /// Checks that frames can be brought to these network images.
    ///
    /// # Errors
    /// As [`Contract::validate`].
    pub(super) fn validate(&self) -> Result<(), ContractError> {
        within("min_size", self.min_size, 1..=LARGEST_SIDE)?;
        within("max_size", self.max_size, 1..=LARGEST_SIDE)?;
        demand(
            self.max_size >= self.min_size,
            "max_size",
            &self.max_size,
            "at least min_size",
        )?;
        demand(
            (COARSEST_STRIDE..=1024).contains(&self.size_divisor)
                && self.size_divisor.is_multiple_of(COARSEST_STRIDE),
            "size_divisor",
            &self.size_divisor,
            "a multiple of 32, up to 1024",
        )?;
        all_within("image_mean", &self.image_mean, 0.0..=1.0)?;
        all_within("image_std", &self.image_std, IMAGE_STD)
    }
}

/// Checks that points are a head of 68 landmarks.
///
/// # Errors
/// As [`Contract::validate`].
pub(super) fn validate_points(points: &[[f32; 3]]) -> Result<(), ContractError> {
    let count = REFERENCE_POINTS_68.len();
    demand(
        points.len() == count,
        "reference_points",
        &format_args!("{} points", points.len()),
        "68 points",
    )?;
    all_within("reference_points", points.as_flattened(), -100.0..=100.0)?;
    // A face box is as wide and high as they are.
    let extent = |axis: usize| {
        let values = || points.iter().map(|point| point[axis]);
        values().fold(f32::MIN, f32::max) - values().fold(f32::MAX, f32::min)
    };
    demand(
        extent(0) > 1e-3 && extent(1) > 1e-3,
        "reference_points",
        &format_args!("points {} wide and {} high", extent(0), extent(1)),
        "a head",
    )
}

/// Not-a-number is in no range.
pub(super) fn within<T: PartialOrd + Debug>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), ContractError> {
    demand(range.contains(&value), field, &value, words(&range))
}

pub(super) fn all_within<T: PartialOrd + Copy + Debug>(
    field: &'static str,
    values: &[T],
    range: RangeInclusive<T>,
) -> Result<(), ContractError> {
    match values.iter().find(|value| !range.contains(value)) {
        Some(value) => demand(false, field, value, words(&range) + " each"),
        None => Ok(()),
    }
}

fn words<T: PartialEq + Debug>(range: &RangeInclusive<T>) -> String {
    if range.start() == range.end() {
        return format!("{:?}", range.start());
    }
    format!("{:?} to {:?}", range.start(), range.end())
}

pub(super) fn demand(
    good: bool,
    field: &'static str,
    found: &dyn Debug,
    expected: impl Into<String>,
) -> Result<(), ContractError> {
    if good {
        return Ok(());
    }
    Err(ContractError {
        field,
        found: format!("{found:?}"),
        expected: expected.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Contract);

    fn reference() -> Contract {
        Contract::reference("test", [0.0; 6], [1.0; 6])
    }

    #[test]
    fn what_the_reference_says_can_be() {
        assert_eq!(reference().validate(), Ok(()));
        // No normalisation, and pictures in 0 to 255.
        for std in [1.0, 1.0 / 255.0] {
            let contract = Contract {
                image_mean: [0.0; 3],
                image_std: [std; 3],
                ..reference()
            };
            assert_eq!(contract.validate(), Ok(()));
        }
    }

    /// The first three were blamed on the first frame, `pre_nms_top_n` and `post_nms_top_n` of 100,000 took 17 seconds and
    /// 1.2 GB for each frame, and the rest gave no faces, or faces of nonsense.
    #[test]
    fn facts_that_cannot_be_are_refused_by_name() {
        let changes: &[(&str, Change)] = &[
            ("image_std", |c| c.image_std = [0.2, f32::MIN_POSITIVE / 2.0, 0.2]),
            ("image_std", |c| c.image_std[2] = 1e30),
            ("size_divisor", |c| c.size_divisor = 1),
            ("image_std", |c| c.image_std[0] = 0.0),
            ("image_std", |c| c.image_std[0] = f32::NAN),
            ("image_std", |c| c.image_std[0] = -0.2),
            ("image_mean", |c| c.image_mean[1] = f32::INFINITY),
            ("image_mean", |c| c.image_mean[1] = f32::NAN),
            ("image_mean", |c| c.image_mean[1] = -1e20),
            ("contract_version", |c| c.contract_version = 2),
            ("min_size", |c| c.min_size = 0),
            ("max_size", |c| c.max_size = u32::MAX),
            ("max_size", |c| c.max_size = c.min_size - 1),
            ("size_divisor", |c| c.size_divisor = 0),
            ("size_divisor", |c| c.size_divisor = 48),
            ("size_divisor", |c| c.size_divisor = 1 << 20),
            ("proposals.anchor_sizes", |c| {
                c.proposals.anchor_sizes[4] = f32::NAN
            }),
            ("proposals.anchor_sizes", |c| c.proposals.anchor_sizes[0] = 0.0),
            ("proposals.anchor_sizes", |c| c.proposals.anchor_sizes[0] = 1.2),
            ("proposals.anchor_sizes", |c| c.proposals.anchor_sizes[3] = 1e30),
            ("proposals.aspect_ratios", |c| c.proposals.aspect_ratios[1] = 0.0),
            ("proposals.aspect_ratios", |c| {
                c.proposals.aspect_ratios[1] = f32::NAN
            }),
            ("proposals.pre_nms_top_n", |c| c.proposals.pre_nms_top_n = 100_000),
            ("proposals.pre_nms_top_n", |c| c.proposals.pre_nms_top_n = 0),
            ("proposals.post_nms_top_n", |c| {
                c.proposals.post_nms_top_n = 100_000
            }),
            ("proposals.post_nms_top_n", |c| c.proposals.post_nms_top_n = 0),
            ("proposals.nms_threshold", |c| {
                c.proposals.nms_threshold = f32::NAN
            }),
            ("proposals.min_box_side", |c| c.proposals.min_box_side = 1e9),
            ("roi.output_size", |c| c.roi.output_size = 0),
            ("roi.output_size", |c| c.roi.output_size = usize::MAX),
            ("roi.sampling_ratio", |c| c.roi.sampling_ratio = 0),
            ("roi.canonical_size", |c| c.roi.canonical_size = f32::NAN),
            ("roi.canonical_level", |c| c.roi.canonical_level = i32::MIN),
            ("score_floor", |c| c.score_floor = f32::NAN),
            ("score_floor", |c| c.score_floor = 1.1),
            ("min_box_side", |c| c.min_box_side = f32::INFINITY),
            ("nms_threshold", |c| c.nms_threshold = -0.1),
            ("bbox_x_factor", |c| c.bbox_x_factor = 0.0),
            ("bbox_y_factor", |c| c.bbox_y_factor = f32::NAN),
            ("expand_forehead", |c| c.expand_forehead = -1.0),
            ("pose_mean", |c| c.pose_mean[5] = f64::NAN),
            ("pose_mean", |c| c.pose_mean[0] = f64::MAX),
            ("pose_stddev", |c| c.pose_stddev[5] = 0.0),
            ("pose_stddev", |c| c.pose_stddev[5] = f64::INFINITY),
            ("pose_stddev", |c| c.pose_stddev[5] = f64::NAN),
            ("batch_norm_epsilon", |c| c.batch_norm_epsilon = f64::NAN),
            ("reference_points", |c| c.reference_points.truncate(67)),
            ("reference_points", |c| c.reference_points[9][2] = f32::NAN),
            ("reference_points", |c| c.reference_points[9][2] = 1e30),
            ("reference_points", |c| c.reference_points.fill([0.0; 3])),
        ];
        for (number, (field, change)) in changes.iter().enumerate() {
            let mut contract = reference();
            change(&mut contract);
            let error = contract
                .validate()
                .expect_err(&format!("{field}, number {number}"));
            assert_eq!(error.field, *field, "number {number}: {error}");
        }
        let mut contract = reference();
        contract.proposals.pre_nms_top_n = 100_000;
        assert_eq!(
            contract.validate().unwrap_err().to_string(),
            "proposals.pre_nms_top_n = 100000, expected 1 to 20000"
        );
    }
}
