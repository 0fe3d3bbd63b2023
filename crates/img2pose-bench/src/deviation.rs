//! How far the faces at one place are from those at another.

use img2pose::pose::angle_between;
use serde::Serialize;

use crate::report::FoundFace;

/// Two boxes that overlap by less than this IoU are not of the same face.
const SAME_FACE: f32 = 0.5;

/// Faces of one place against those of the reference place, on the same frames.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Deviation {
    /// Faces of the reference place.
    pub expected: usize,
    /// How many of them the other place found too: greatest overlap, at least 0.5.
    pub matched: usize,
    /// Faces that only the other place found.
    pub extra: usize,
    /// Largest difference of a side, in pixels.
    pub bbox: Spread,
    /// Difference of the confidence.
    pub confidence: Spread,
    /// Angle between the two orientations, in degrees.
    pub angle: Spread,
    /// Distance of the two positions, as a share of the distance from the camera.
    pub translation: Spread,
}

/// Median, 95th percentile and largest value over the matched faces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub p95: f64,
    pub max: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = ((values.len() as f64 - 1.0) * share).round() as usize;
            values.get(index).copied().unwrap_or_default()
        };
        Self {
            median: at(0.5),
            p95: at(0.95),
            max: at(1.0),
        }
    }
}

/// Compares frame by frame.
pub fn compare(expected: &[Vec<FoundFace>], found: &[Vec<FoundFace>]) -> Deviation {
    let mut result = Deviation::default();
    let [mut boxes, mut confidences, mut angles, mut translations] = [const { Vec::new() }; 4];
    for (expected, found) in expected.iter().zip(found) {
        let mut left: Vec<&FoundFace> = found.iter().collect();
        for face in expected {
            result.expected += 1;
            let best = left
                .iter()
                .enumerate()
                .map(|(index, other)| (overlap(&face.bbox, &other.bbox), index))
                .max_by(|a, b| a.0.total_cmp(&b.0))
                .filter(|(overlap, _)| *overlap >= SAME_FACE);
            let Some((_, index)) = best else { continue };
            let other = left.swap_remove(index);
            result.matched += 1;
            let sides = face.bbox.iter().zip(&other.bbox);
            boxes.push(sides.map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max));
            confidences.push(f64::from((face.confidence - other.confidence).abs()));
            angles.push(angle_between(&face.pose, &other.pose));
            let length = |t: &[f64]| t.iter().map(|t| t * t).sum::<f64>().sqrt();
            let position = |face: &FoundFace| [3, 4, 5].map(|axis| f64::from(face.pose[axis]));
            let (a, b) = (position(face), position(other));
            let apart = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
            translations.push(length(&apart) / length(&a));
        }
        result.extra += left.len();
    }
    result.bbox = Spread::of(boxes);
    result.confidence = Spread::of(confidences);
    result.angle = Spread::of(angles);
    result.translation = Spread::of(translations);
    result
}

/// Intersection over union.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |b: &[f32; 4]| (b[2] - b[0]) * (b[3] - b[1]);
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let both = width * height;
    both / (area(a) + area(b) - both).max(f32::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(left: f32, confidence: f32, turn: f32) -> FoundFace {
        FoundFace {
            bbox: [left, 0.0, left + 10.0, 10.0],
            confidence,
            pose: [0.0, turn, 0.0, 0.0, 0.0, 5.0],
        }
    }

    #[test]
    fn faces_are_matched_by_overlap_and_the_rest_is_counted() {
        let expected = [vec![face(0.0, 0.9, 0.0), face(50.0, 0.8, 0.0)], vec![]];
        let turn = 1.0_f32.to_radians();
        let found = [
            vec![face(1.0, 0.7, turn), face(90.0, 0.6, 0.0)],
            vec![face(0.0, 0.5, 0.0)],
        ];
        let deviation = compare(&expected, &found);
        assert_eq!(
            (deviation.expected, deviation.matched, deviation.extra),
            (2, 1, 2)
        );
        assert_eq!(deviation.bbox.max, 1.0);
        assert!((deviation.confidence.max - 0.2).abs() < 1e-6);
        assert!((deviation.angle.median - 1.0).abs() < 1e-4);
        assert_eq!(deviation.translation.max, 0.0);
    }

    #[test]
    fn a_spread_of_nothing_is_zero() {
        assert_eq!(Spread::of(Vec::new()), Spread::default());
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]).median, 2.0);
    }
}
