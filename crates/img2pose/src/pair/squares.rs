//! From the finder's cells to the squares that are looked at.

use crate::contract::{CELL, PairContract};
use crate::frame::NetworkSize;
use crate::rcnn::Kept;

/// Best cells of a frame that go through suppression.
const MOST_CELLS: usize = 1000;
/// Best squares of a frame that are looked at.
const MOST_PLACES: usize = 300;
/// Largest logarithm of a box's side in units, and its negative.
const LARGEST_LOG: f32 = 4.0;

/// The square around a face, turned with the head so that the head stands upright in it; in pixels of the picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Square {
    pub centre: [f64; 2],
    /// Width and height.
    pub side: f64,
    /// Where the head's downward axis points: 0 is down, pi / 2 to the left of the picture.
    pub angle: f64,
}

/// Where a face may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub square: Square,
    /// The finder's score, 0 to 1.
    pub found: f32,
}

/// A cell that passed the threshold, in pixels of the network image.
#[derive(Clone, Copy)]
struct Candidate {
    score: f32,
    /// Its number: decides between equal scores.
    index: usize,
    centre: [f32; 2],
    /// Width and height of the upright box.
    extent: [f32; 2],
    angle: f32,
}

impl Candidate {
    /// The box along the axes of the picture around the turned one.
    fn surroundings(&self) -> [f32; 4] {
        let (sine, cosine) = self.angle.sin_cos();
        let ([width, height], [x, y]) = (self.extent, self.centre);
        let across = (cosine.abs() * width + sine.abs() * height) / 2.0;
        let down = (sine.abs() * width + cosine.abs() * height) / 2.0;
        [x - across, y - down, x + across, y + down]
    }
}

/// Chooses among the cells of a frame. Its memory is used again for every frame.
#[derive(Default)]
pub(crate) struct Places {
    candidates: Vec<Candidate>,
    kept: Kept,
}

impl Places {
    /// Puts the places of one frame into `places`, best first: those of a score above `least` that are no double of a better
    /// one.
    ///
    /// `cells` is `[7, cells]` of a network image of `size`, `picture` width and height of the picture in its pixels.
    pub fn choose(
        &mut self,
        cells: &[f32],
        size: &NetworkSize,
        picture: [f64; 2],
        contract: &PairContract,
        least: f32,
        places: &mut Vec<Place>,
    ) {
        self.read(cells, size, contract, least);
        // A stable sort would allocate.
        self.candidates
            .sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.index.cmp(&b.index)));
        self.candidates.truncate(MOST_CELLS);
        self.kept.clear();
        places.clear();
        let ratios = [
            picture[0] / f64::from(size.width),
            picture[1] / f64::from(size.height),
        ];
        for candidate in &self.candidates {
            if places.len() == MOST_PLACES {
                break;
            }
            if !self.kept.keep(candidate.surroundings(), contract.nms_threshold) {
                continue;
            }
            let [width, height] = candidate.extent.map(f64::from);
            let centre = [0, 1].map(|axis| (f64::from(candidate.centre[axis]) + 0.5) * ratios[axis] - 0.5);
            places.push(Place {
                square: Square {
                    centre,
                    side: width.max(height) * (ratios[0] + ratios[1]) / 2.0,
                    angle: f64::from(candidate.angle),
                },
                found: candidate.score,
            });
        }
    }

    /// Puts the cells of a score above `least` into `candidates`.
    fn read(&mut self, cells: &[f32], size: &NetworkSize, contract: &PairContract, least: f32) {
        self.candidates.clear();
        let (padded_width, padded_height) = (size.padded_width as usize, size.padded_height as usize);
        let count = cells.len() / CELL;
        let mut first = 0;
        for &stride in &contract.strides {
            let (columns, rows) = (padded_width / stride as usize, padded_height / stride as usize);
            let stride = stride as f32;
            let unit = contract.unit as f32 * stride;
            for index in first..first + columns * rows {
                let score = sigmoid(cells[index]);
                if score <= least {
                    continue;
                }
                let value = |number: usize| cells[number * count + index];
                let cell = index - first;
                let middle =
                    [cell % columns, cell / columns].map(|place| (place as f32 + 0.5) * stride - 0.5);
                let side = |number| unit * value(number).clamp(-LARGEST_LOG, LARGEST_LOG).exp();
                self.candidates.push(Candidate {
                    score,
                    index,
                    centre: [middle[0] + stride * value(1), middle[1] + stride * value(2)],
                    extent: [side(3), side(4)],
                    angle: value(6).atan2(value(5)),
                });
            }
            first += columns * rows;
        }
    }
}

/// The chance of a logit.
pub(super) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::pair_tests::contract;

    /// A network image of 64 x 32 that shows a picture of twice the size, and its cells, all of them sure that there is nothing.
    fn blank() -> (NetworkSize, Vec<f32>) {
        let size = NetworkSize::new(128, 64, 32, 64, 32);
        let count = contract().cells([32, 64]);
        let mut cells = vec![0.0; CELL * count];
        cells[..count].fill(-9.0);
        (size, cells)
    }

    /// A face at a cell: score's logit, then the other six numbers.
    fn put(cells: &mut [f32], cell: usize, values: [f32; 7]) {
        let count = cells.len() / CELL;
        for (number, value) in values.into_iter().enumerate() {
            cells[number * count + cell] = value;
        }
    }

    fn choose(cells: &[f32], size: &NetworkSize, least: f32) -> Vec<Place> {
        let mut places = Vec::new();
        Places::default().choose(cells, size, [128.0, 64.0], &contract(), least, &mut places);
        places
    }

    #[test]
    fn a_cell_says_where_how_large_and_how_turned() {
        let (size, mut cells) = blank();
        assert!(choose(&cells, &size, 0.2).is_empty());
        // Stride 16: 8 x 4 cells of stride 8 come before; column 1, row 1.
        put(&mut cells, 32 + 5, [0.0, 0.25, -0.5, 0.0, 2.0_f32.ln(), 0.0, 3.0]);
        let found = choose(&cells, &size, 0.2);
        let [place] = &found[..] else {
            panic!("one place: {found:?}")
        };
        assert_eq!(place.found, 0.5);
        let Square { centre, side, angle } = place.square;
        // Middle of the cell (23.5, 23.5), moved by 4 and -8; then twice as large with half-pixel centres.
        assert_eq!(centre, [(27.5 + 0.5) * 2.0 - 0.5, (15.5 + 0.5) * 2.0 - 0.5]);
        assert!((side - 2.0 * 128.0).abs() < 1e-4, "{side}");
        assert!((angle - std::f64::consts::FRAC_PI_2).abs() < 1e-6, "{angle}");
        assert!(
            choose(&cells, &size, 0.5).is_empty(),
            "it must be above the threshold"
        );
    }

    #[test]
    fn the_best_comes_first_and_its_doubles_go() {
        let (size, mut cells) = blank();
        let upright = |logit: f32| [logit, 0.0, 0.0, -1.0, -1.0, 1.0, 0.0];
        put(&mut cells, 9, upright(1.0));
        put(&mut cells, 10, upright(2.0));
        put(&mut cells, 15, upright(1.0));
        // As sure as the one before, and of a higher number.
        put(&mut cells, 31, upright(1.0));
        let found = choose(&cells, &size, 0.2);
        let places: Vec<[f64; 2]> = found.iter().map(|place| place.square.centre).collect();
        // 8 pixels apart, 11.8 wide: an IoU of .19; two of them are not one.
        assert_eq!(places.len(), 4);
        assert_eq!(places[0], [2.0 * 20.0 - 0.5, 2.0 * 12.0 - 0.5]);
        assert_eq!(places[1][0], 2.0 * 12.0 - 0.5);
        assert!(places[2][1] < places[3][1]);
        // Larger, they overlap by more than half.
        for cell in [9, 10, 15, 31] {
            let logit = if cell == 10 { 2.0 } else { 1.0 };
            put(&mut cells, cell, [logit, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
        }
        let found = choose(&cells, &size, 0.2);
        assert!(
            found.len() < 4 && found[0].square.centre == places[0],
            "{found:?}"
        );
    }

    #[test]
    fn sides_are_bounded_whatever_the_network_says() {
        let (size, mut cells) = blank();
        put(&mut cells, 0, [9.0, 0.0, 0.0, 1e30, -1e30, 1.0, 0.0]);
        let side = choose(&cells, &size, 0.2)[0].square.side;
        assert!((side - 2.0 * 32.0 * 4.0_f64.exp()).abs() < 0.01, "{side}");
    }
}
