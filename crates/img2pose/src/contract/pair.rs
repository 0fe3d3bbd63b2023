//! The contract of two small networks in one file: one finds faces, the other looks at each of them.

use std::collections::BTreeMap;

use nalgebra::{Matrix3, Vector3};
use serde::{Deserialize, Serialize};

use super::images::ImageFacts;
use super::validate::{ContractError, all_within, demand, validate_points, within};

/// The version of the contract of two networks that find and look.
pub const PAIR_CONTRACT_VERSION: u32 = 2;

/// The architecture that version 2 has.
pub const FIND_AND_LOOK: &str = "find-and-look";

/// The facts about a model of two networks, which a detector needs beside their weights; they stand in the file's metadata as
/// JSON. [`validate`](Self::validate) knows their ranges.
///
/// The finder takes network images `[batch, 3, height, width]` and gives cells `[batch, 7, cells]`: for each stride s in turn,
/// row by row, height / s x width / s of them. The seven numbers of a cell are the logit of its score; the middle of the face
/// relative to the cell's in strides, across and down; the logarithm of the width and height of the face's upright box in
/// `unit` strides; and cosine and sine, not normalised, of the head's turn in the plane, positive clockwise.
///
/// The close look takes crops `[n, 3, crop_side, crop_side]`, each with a face that was turned upright, and gives answers
/// `[n, 144]`: 68 landmarks (x, y) in parts of the crop's side from its middle; two columns of a rotation, which this detector
/// does not use; the logit of the presence of a face; and the logarithm of how far, in radians, the rotation is off in the
/// mean that follows from the landmarks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairContract {
    /// Version of the contract, [`PAIR_CONTRACT_VERSION`].
    pub contract_version: u32,
    /// [`FIND_AND_LOOK`].
    pub architecture: String,
    /// Default size in pixels of the short side of the resized frame.
    pub min_size: u32,
    /// Upper bound in pixels of the long side of the resized frame.
    pub max_size: u32,
    /// The network image is padded to a multiple of this, in pixels.
    pub size_divisor: u32,
    /// Mean of R, G, B in 0..1, taken off before either network.
    pub image_mean: [f32; 3],
    /// Standard deviation of R, G, B in 0..1.
    pub image_std: [f32; 3],
    /// The tensors between which the networks lie.
    pub parts: PairNetworks,
    /// Strides in pixels of the finder's levels.
    pub strides: Vec<u32>,
    /// Strides that a box of logarithm 0 is wide.
    pub unit: f64,
    /// Width and height in pixels of a crop.
    pub crop_side: u32,
    /// Side of a crop as a multiple of the longer side of the face's upright box.
    pub crop_margin: f64,
    /// What the answered spread means.
    pub sigma: SigmaFacts,
    /// How faces are looked at again; `None`: they are looked at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_look: Option<SecondLook>,
    /// Lowest score of the finder at which a place is looked at.
    pub score_floor: f32,
    /// Two faces whose boxes overlap by more than this IoU are one face.
    pub nms_threshold: f32,
    /// Face box: width of the projected landmarks times this.
    pub bbox_x_factor: f64,
    /// Face box: height of the projected landmarks times this.
    pub bbox_y_factor: f64,
    /// Face box: share of the landmarks' height that is added on the forehead's side.
    pub expand_forehead: f64,
    /// Head model: 68 landmarks, as in [`REFERENCE_POINTS_68`](super::REFERENCE_POINTS_68). The pose is a fit of these.
    pub reference_points: Vec<[f32; 3]>,
    /// SHA-256 of the files with the weights, lower-case hex.
    pub source_sha256: BTreeMap<String, String>,
    /// Licence of the weights, in words.
    pub licence: String,
}

/// The tensors between which the two networks lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairNetworks {
    /// Network images to cells.
    pub find: Ends,
    /// Crops to answers.
    pub look: Ends,
}

/// Input and output of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ends {
    /// Name of the tensor that it takes.
    pub input: String,
    /// Name of the tensor that it gives.
    pub output: String,
}

/// From the answered spread to degrees: exp(a + b log(spread in degrees)).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SigmaFacts {
    /// The constant.
    pub a: f64,
    /// The slope.
    pub b: f64,
    /// The rotation is off by no more than sigma in this share of the cases.
    pub share: f64,
}

/// A second look, at the square of the face that the first one has seen. Landmarks and spread are those of the second look, the
/// logit of the presence is the mean over all crops of both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecondLook {
    /// It is at the crop and at its mirror image, and the mean of both is what it says.
    pub mirrored: bool,
}

/// Numbers of an answer that are landmarks: 68 times x and y.
pub(crate) const ANSWER_POINTS: usize = 136;
/// Place of the presence in an answer.
pub(crate) const ANSWER_PRESENCE: usize = 142;
/// Place of the spread in an answer.
pub(crate) const ANSWER_SPREAD: usize = 143;
/// Numbers of an answer.
pub(crate) const ANSWER: usize = 144;
/// Numbers of a cell.
pub(crate) const CELL: usize = 7;

impl PairContract {
    /// How frames become network images.
    pub fn images(&self) -> ImageFacts {
        ImageFacts {
            min_size: self.min_size,
            max_size: self.max_size,
            size_divisor: self.size_divisor,
            image_mean: self.image_mean,
            image_std: self.image_std,
            is_smoothed: true,
        }
    }

    /// Checks that a detector can work with every number.
    ///
    /// # Errors
    /// [`ContractError`] for the first field that cannot be: one that is not finite, is out of its range, or contradicts
    /// another one.
    pub fn validate(&self) -> Result<(), ContractError> {
        let version = self.contract_version;
        within(
            "contract_version",
            version,
            PAIR_CONTRACT_VERSION..=PAIR_CONTRACT_VERSION,
        )?;
        self.images().validate()?;
        let divisor = self.size_divisor;
        let fits = |stride: &u32| *stride > 0 && divisor.is_multiple_of(*stride);
        demand(
            (1..=8).contains(&self.strides.len()) && self.strides.iter().all(fits),
            "strides",
            &self.strides,
            "1 to 8 divisors of size_divisor",
        )?;
        within("unit", self.unit, 0.01..=1000.0)?;
        within("crop_side", self.crop_side, 16..=1024)?;
        within("crop_margin", self.crop_margin, 0.5..=10.0)?;
        within("sigma.a", self.sigma.a, -20.0..=20.0)?;
        within("sigma.b", self.sigma.b, -10.0..=10.0)?;
        within("sigma.share", self.sigma.share, 0.0..=1.0)?;
        // Every cell of an image would be looked at.
        within("score_floor", self.score_floor, 0.01..=1.0)?;
        within("nms_threshold", self.nms_threshold, 0.0..=1.0)?;
        let factors = [self.bbox_x_factor, self.bbox_y_factor];
        all_within("bbox_x_factor", &factors[..1], 0.01..=100.0)?;
        all_within("bbox_y_factor", &factors[1..], 0.01..=100.0)?;
        within("expand_forehead", self.expand_forehead, 0.0..=100.0)?;
        validate_points(&self.reference_points)?;
        let flatness = relative_volume(&self.reference_points);
        demand(
            flatness > 1e-6,
            "reference_points",
            &format_args!("points of relative volume {flatness:e}"),
            "points in space, not in a plane",
        )
    }

    /// Cells of a network image of `height` x `width` pixels.
    pub(crate) fn cells(&self, [height, width]: [usize; 2]) -> usize {
        self.strides
            .iter()
            .map(|&stride| (height / stride as usize) * (width / stride as usize))
            .sum()
    }
}

/// The volume of a cloud of points relative to a ball of its size: 0 when they lie in a plane, so that no pose follows from them.
fn relative_volume(points: &[[f32; 3]]) -> f64 {
    let count = points.len() as f64;
    let points = points.iter().map(|point| Vector3::from(point.map(f64::from)));
    let mean = points.clone().sum::<Vector3<f64>>() / count;
    let spread = points
        .map(|point| (point - mean) * (point - mean).transpose())
        .sum::<Matrix3<f64>>();
    spread.determinant() / (spread.trace() / 3.0).powi(3)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::contract::REFERENCE_POINTS_68;

    /// The facts of the files that `training/` makes.
    pub(crate) fn contract() -> PairContract {
        let ends = |input: &str, output: &str| Ends {
            input: input.to_owned(),
            output: output.to_owned(),
        };
        PairContract {
            contract_version: PAIR_CONTRACT_VERSION,
            architecture: FIND_AND_LOOK.to_owned(),
            min_size: 360,
            max_size: 1400,
            size_divisor: 32,
            image_mean: [0.5; 3],
            image_std: [64.0 / 255.0; 3],
            parts: PairNetworks {
                find: ends("images", "cells"),
                look: ends("crops", "answers"),
            },
            strides: vec![8, 16, 32],
            unit: 4.0,
            crop_side: 112,
            crop_margin: 1.3,
            sigma: SigmaFacts {
                a: 0.5,
                b: 1.0,
                share: 0.683,
            },
            second_look: None,
            score_floor: 0.2,
            nms_threshold: 0.5,
            bbox_x_factor: 1.1,
            bbox_y_factor: 1.1,
            expand_forehead: 0.3,
            reference_points: REFERENCE_POINTS_68.to_vec(),
            source_sha256: BTreeMap::new(),
            licence: String::new(),
        }
    }

    #[test]
    fn facts_that_cannot_be_are_refused_by_name() {
        type Change = fn(&mut PairContract);
        assert_eq!(contract().validate(), Ok(()));
        let changes: &[(&str, Change)] = &[
            ("contract_version", |c| c.contract_version = 1),
            ("min_size", |c| c.min_size = 0),
            ("image_std", |c| c.image_std[1] = 0.0),
            ("size_divisor", |c| c.size_divisor = 31),
            ("strides", |c| c.strides.clear()),
            ("strides", |c| c.strides[0] = 0),
            ("strides", |c| c.strides[2] = 64),
            ("unit", |c| c.unit = f64::NAN),
            ("crop_side", |c| c.crop_side = 0),
            ("crop_side", |c| c.crop_side = 1 << 20),
            ("crop_margin", |c| c.crop_margin = 0.0),
            ("sigma.a", |c| c.sigma.a = f64::INFINITY),
            ("sigma.b", |c| c.sigma.b = f64::NAN),
            ("sigma.share", |c| c.sigma.share = 2.0),
            ("score_floor", |c| c.score_floor = 0.0),
            ("nms_threshold", |c| c.nms_threshold = -1.0),
            ("bbox_x_factor", |c| c.bbox_x_factor = 0.0),
            ("bbox_y_factor", |c| c.bbox_y_factor = f64::NAN),
            ("expand_forehead", |c| c.expand_forehead = -1.0),
            ("reference_points", |c| c.reference_points.truncate(5)),
            ("reference_points", |c| c.reference_points[3][0] = f32::NAN),
            ("reference_points", |c| {
                c.reference_points.iter_mut().for_each(|point| point[2] = 0.0);
            }),
        ];
        for (number, (field, change)) in changes.iter().enumerate() {
            let mut contract = contract();
            change(&mut contract);
            let error = contract
                .validate()
                .expect_err(&format!("{field}, number {number}"));
            assert_eq!(error.field, *field, "number {number}: {error}");
        }
    }

    #[test]
    fn a_file_that_says_nothing_of_a_second_look_has_none() {
        let mut facts = serde_json::to_value(contract()).unwrap();
        assert!(facts.get("second_look").is_none());
        let read = |facts: &serde_json::Value| serde_json::from_value::<PairContract>(facts.clone());
        assert_eq!(read(&facts).unwrap(), contract());
        facts["second_look"] = serde_json::json!({ "mirrored": true });
        let second = read(&facts).unwrap().second_look;
        assert_eq!(second, Some(SecondLook { mirrored: true }));
        facts["second_look"] = serde_json::json!({});
        assert!(read(&facts).is_err());
    }

    #[test]
    fn the_cells_of_an_image_are_those_of_all_its_strides() {
        assert_eq!(contract().cells([32, 64]), 4 * 8 + 2 * 4 + 2);
    }
}
