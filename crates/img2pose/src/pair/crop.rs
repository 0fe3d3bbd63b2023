//! From squares of the picture to crops of the frame.

use super::Square;
use crate::contract::PairContract;
use crate::frame::FrameLayout;
use crate::pose::Affine;

/// A crop is cut from blocks of at most so many pixels a side: the largest faces fill the largest frames.
const LARGEST_BLOCK: f64 = 4096.0;

/// Where a crop comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CropPlan {
    /// From pixels of the crop to pixels of the frame, as its pixels lie.
    pub to_frame: Affine,
    /// Pixels of the frame, across and down, of which means are taken first.
    pub block: [u32; 2],
}

impl CropPlan {
    /// The crop of `square` in a frame of `layout`.
    pub fn new(square: &Square, layout: &FrameLayout, contract: &PairContract) -> Self {
        let to_pixels = picture_to_frame(layout);
        let shown = contract.crop_margin * square.side;
        let side = f64::from(contract.crop_side);
        // Picture pixels that a pixel of the crop is wide.
        let step = shown / side;
        let (sine, cosine) = square.angle.sin_cos();
        let middle = (side - 1.0) / 2.0;
        let [x, y] = square.centre;
        let to_picture = Affine([
            [step * cosine, -step * sine, x - step * (cosine - sine) * middle],
            [step * sine, step * cosine, y - step * (sine + cosine) * middle],
        ]);
        let [first, second] = to_pixels.0;
        // Along each axis of the frame as many pixels as one of the crop is wide.
        let block = [first, second].map(|row| {
            let pixels = row[0].abs() + row[1].abs();
            (step * pixels).floor().clamp(1.0, LARGEST_BLOCK) as u32
        });
        Self {
            to_frame: to_picture.then(&to_pixels),
            block: match block.iter().all(|&side| side < 2) {
                true => [1, 1],
                false => block,
            },
        }
    }
}

/// From pixels of the picture, which is upright and has square pixels, to pixels of the frame as they lie. Whole numbers are
/// the middles of pixels in both.
fn picture_to_frame(layout: &FrameLayout) -> Affine {
    let orientation = layout.view.orientation.inverse();
    let (width, height) = layout.upright_size();
    let picture = layout.square_size();
    let ratio = [f64::from(width) / picture[0], f64::from(height) / picture[1]];
    let (width, height) = (f64::from(width), f64::from(height));
    // Distances from the upper left corner: those of middles are half a pixel more.
    let corner = |x: f64, y: f64| {
        let x = if orientation.reverses_columns() {
            width - x
        } else {
            x
        };
        let y = if orientation.reverses_rows() {
            height - y
        } else {
            y
        };
        match orientation.swaps_sides() {
            true => [y, x],
            false => [x, y],
        }
    };
    let at = |x: f64, y: f64| {
        let [x, y] = corner((x + 0.5) * ratio[0], (y + 0.5) * ratio[1]);
        [x - 0.5, y - 0.5]
    };
    // An affine map is known by three places.
    let ([x0, y0], [x1, y1], [x2, y2]) = (at(0.0, 0.0), at(1.0, 0.0), at(0.0, 1.0));
    Affine([[x1 - x0, x2 - x0, x0], [y1 - y0, y2 - y0, y0]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::pair_tests::contract;
    use crate::frame::{Orientation, PixelAspectRatio, View};

    fn layout(orientation: Orientation, ratio: (u32, u32)) -> FrameLayout {
        FrameLayout {
            view: View {
                pixel_aspect_ratio: PixelAspectRatio::new(ratio.0, ratio.1).unwrap(),
                orientation,
            },
            ..FrameLayout::rgb(640, 360)
        }
    }

    #[test]
    fn the_middle_of_a_crop_is_the_square_s_and_its_edge_half_a_margin_away() {
        let square = Square {
            centre: [200.0, 100.0],
            side: 90.0,
            angle: 0.4,
        };
        let plan = CropPlan::new(&square, &layout(Orientation::Identity, (1, 1)), &contract());
        let middle = plan.to_frame.apply([55.5, 55.5]);
        assert!((middle[0] - 200.0).abs() < 1e-9 && (middle[1] - 100.0).abs() < 1e-9);
        // Downwards in the crop is where the head's downward axis points: for a positive angle to the left.
        let below = plan.to_frame.apply([55.5, 111.5]);
        let half = 1.3 * 45.0;
        let expected = [200.0 - half * 0.4_f64.sin(), 100.0 + half * 0.4_f64.cos()];
        assert!((below[0] - expected[0]).abs() < 1e-9 && (below[1] - expected[1]).abs() < 1e-9);
        assert_eq!(plan.block, [1, 1]);
        let large = Square {
            side: 180.0,
            ..square
        };
        let plan = CropPlan::new(&large, &layout(Orientation::Identity, (1, 1)), &contract());
        assert_eq!(plan.block, [2, 2]);
    }

    #[test]
    fn crops_of_turned_and_stretched_frames_show_the_same_of_the_scene() {
        // The corners of the frame are those of the picture, wherever they lie.
        for orientation in Orientation::ALL {
            for ratio in [(1, 1), (2, 1), (1, 2)] {
                let layout = layout(orientation, ratio);
                let map = picture_to_frame(&layout);
                let [width, height] = layout.square_size();
                let found = [[-0.5, -0.5], [width - 0.5, height - 0.5]].map(|corner| map.apply(corner));
                let (upright_width, upright_height) = layout.upright_size();
                for (found, corner) in found.iter().zip([[0.0, 0.0], [1.0, 1.0]]) {
                    let corner = [
                        corner[0] * upright_width as f32,
                        corner[1] * upright_height as f32,
                    ];
                    let expected =
                        orientation
                            .inverse()
                            .turn_point(corner, upright_width as f32, upright_height as f32);
                    for axis in 0..2 {
                        let far = found[axis] + 0.5 - f64::from(expected[axis]);
                        assert!(
                            far.abs() < 1e-9,
                            "{orientation:?} {ratio:?}: {found:?} {expected:?}"
                        );
                    }
                }
                let square = Square {
                    centre: [100.0, 100.0],
                    side: 180.0,
                    angle: 0.0,
                };
                let plan = CropPlan::new(&square, &layout, &contract());
                assert!(plan.to_frame.inverse().is_some(), "{orientation:?} {ratio:?}");
                let expected = match (ratio, orientation.swaps_sides()) {
                    ((1, 1), _) => [2, 2],
                    // Half as many pixels along the axis that is stretched.
                    ((2, 1), _) => [1, 2],
                    _ => [2, 1],
                };
                assert_eq!(plan.block, expected, "{orientation:?} {ratio:?}");
            }
        }
    }
}
