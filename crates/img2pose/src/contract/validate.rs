//! Refusing metadata whose numbers no detector can work with.

use super::{Contract, PROPOSAL_LEVELS, REFERENCE_POINTS_68};

/// Largest network image side in pixels that is believed; larger numbers are damage, not intent.
const LARGEST_SIDE: u32 = 16_384;

impl Contract {
    /// Checks that every number can be used; the error says which cannot, in words.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let check = |good: bool, what: &str, found: &dyn std::fmt::Debug| {
            good.then_some(())
                .ok_or_else(|| format!("its metadata says {what} = {found:?}, which cannot be"))
        };
        let sizes = 1..=LARGEST_SIDE;
        check(sizes.contains(&self.min_size), "min_size", &self.min_size)?;
        check(
            sizes.contains(&self.max_size) && self.max_size >= self.min_size,
            "max_size",
            &self.max_size,
        )?;
        check(
            (1..=1024).contains(&self.size_divisor),
            "size_divisor",
            &self.size_divisor,
        )?;
        check(
            self.image_mean.iter().all(|v| v.is_finite()),
            "image_mean",
            &self.image_mean,
        )?;
        check(
            self.image_std.iter().all(|v| v.is_finite() && *v > 0.0),
            "image_std",
            &self.image_std,
        )?;

        let proposals = &self.proposals;
        let anchors: [f32; PROPOSAL_LEVELS] = proposals.anchor_sizes;
        check(
            anchors.iter().all(|v| v.is_finite() && *v > 0.0),
            "anchor_sizes",
            &anchors,
        )?;
        let ratios = &proposals.aspect_ratios;
        check(
            ratios.iter().all(|v| v.is_finite() && *v > 0.0),
            "aspect_ratios",
            ratios,
        )?;
        let top_n = 1..=100_000;
        check(
            top_n.contains(&proposals.pre_nms_top_n),
            "pre_nms_top_n",
            &proposals.pre_nms_top_n,
        )?;
        check(
            top_n.contains(&proposals.post_nms_top_n),
            "post_nms_top_n",
            &proposals.post_nms_top_n,
        )?;
        for (what, value) in [
            ("proposals.nms_threshold", proposals.nms_threshold),
            ("proposals.min_box_side", proposals.min_box_side),
            ("score_floor", self.score_floor),
            ("min_box_side", self.min_box_side),
            ("nms_threshold", self.nms_threshold),
            ("expand_forehead", self.expand_forehead),
        ] {
            check((0.0..=1.0).contains(&value), what, &value)?;
        }
        check(
            self.bbox_x_factor.is_finite() && self.bbox_x_factor > 0.0,
            "bbox_x_factor",
            &self.bbox_x_factor,
        )?;
        check(
            self.bbox_y_factor.is_finite() && self.bbox_y_factor > 0.0,
            "bbox_y_factor",
            &self.bbox_y_factor,
        )?;

        let roi = &self.roi;
        check(
            (1..=64).contains(&roi.output_size),
            "roi.output_size",
            &roi.output_size,
        )?;
        check(
            (1..=16).contains(&roi.sampling_ratio),
            "roi.sampling_ratio",
            &roi.sampling_ratio,
        )?;
        check(
            roi.canonical_size.is_finite() && roi.canonical_size > 0.0,
            "canonical_size",
            &roi.canonical_size,
        )?;
        check(
            (0..=16).contains(&roi.canonical_level),
            "canonical_level",
            &roi.canonical_level,
        )?;

        check(
            self.pose_mean.iter().all(|v| v.is_finite()),
            "pose_mean",
            &self.pose_mean,
        )?;
        check(
            self.pose_stddev.iter().all(|v| v.is_finite() && *v > 0.0),
            "pose_stddev",
            &self.pose_stddev,
        )?;
        let points = &self.reference_points;
        check(
            points.len() == REFERENCE_POINTS_68.len(),
            "number of reference_points",
            &points.len(),
        )?;
        check(
            points.iter().flatten().all(|v| v.is_finite()),
            "reference_points",
            points,
        )
    }
}
