//! Where a face is looked at again, and what both looks say of it together.

use super::{Fitter, Sight, Square};
use crate::contract::{ANSWER, ANSWER_POINTS, ANSWER_PRESENCE, ANSWER_SPREAD, PairContract};

/// Largest ratio between the sides of the squares of both looks.
const LARGEST_CHANGE: f64 = 4.0;

/// Which of the 68 landmarks stands at the place of each in the mirror image (iBUG order).
const MIRRORED: [usize; 68] = [
    16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 27, 28,
    29, 30, 35, 34, 33, 32, 31, 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51, 50, 49, 48,
    59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
];

/// Where the face that `sight` shows is looked at again; `None`: it shows none, or one that is nowhere near its square.
pub(crate) fn second_square(sight: &Sight, fitter: &Fitter, contract: &PairContract) -> Option<Square> {
    let square = fitter.square(&fitter.fit(&sight.landmarks(contract))?);
    let first = &sight.square;
    let away = (square.centre[0] - first.centre[0]).hypot(square.centre[1] - first.centre[1]);
    let ratio = square.side / first.side;
    // Written so that what is not a number is refused, too.
    let is_near = away <= first.side && (1.0 / LARGEST_CHANGE..=LARGEST_CHANGE).contains(&ratio);
    (is_near && square.angle.is_finite()).then_some(square)
}

impl Sight {
    /// What both looks say: `answers` are those to the crop of `square` and, if there is a second one, to its mirror image.
    pub fn looked_at_again(&self, square: Square, answers: &[[f32; ANSWER]]) -> Self {
        let Some((straight, mirrored)) = answers.split_first() else {
            return *self;
        };
        let mut sight = Self {
            square,
            answer: *straight,
            ..*self
        };
        let answer = &mut sight.answer;
        let mut presence = self.answer[ANSWER_PRESENCE] + straight[ANSWER_PRESENCE];
        if let [mirrored] = mirrored {
            let points = mirrored[..ANSWER_POINTS].as_chunks::<2>().0;
            let mine = answer[..ANSWER_POINTS].as_chunks_mut::<2>().0;
            for ([x, y], at) in mine.iter_mut().zip(MIRRORED) {
                *x = (*x - points[at][0]) / 2.0;
                *y = (*y + points[at][1]) / 2.0;
            }
            answer[ANSWER_SPREAD] = (answer[ANSWER_SPREAD] + mirrored[ANSWER_SPREAD]) / 2.0;
            presence += mirrored[ANSWER_PRESENCE];
        }
        answer[ANSWER_PRESENCE] = presence / (1 + answers.len()) as f32;
        sight
    }
}

/// Puts the mirror image of a crop `[3, side, side]` beside it.
pub(crate) fn mirror(crop: &[f32], side: usize, into: &mut [f32]) {
    for (row, into) in crop.chunks_exact(side).zip(into.chunks_exact_mut(side)) {
        for (from, into) in row.iter().rev().zip(into) {
            *into = *from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::pair_tests::contract;

    const SQUARE: Square = Square {
        centre: [200.0, 150.0],
        side: 80.0,
        angle: 0.3,
    };

    fn sight(answer: [f32; ANSWER]) -> Sight {
        Sight {
            rank: 3,
            square: SQUARE,
            found: 0.8,
            answer,
        }
    }

    /// The reference points seen from the front, as large as a square shows them.
    fn frontal() -> [f32; ANSWER] {
        let mut answer = [0.0; ANSWER];
        let points = &contract().reference_points;
        for (at, point) in answer[..ANSWER_POINTS]
            .as_chunks_mut::<2>()
            .0
            .iter_mut()
            .zip(points)
        {
            *at = [0.3 * point[0], 0.3 * point[1]];
        }
        answer
    }

    #[test]
    fn the_second_square_is_that_of_the_face_and_stands_upright_with_it() {
        let contract = contract();
        let fitter = Fitter::new(&contract);
        let first = sight(frontal());
        let square = second_square(&first, &fitter, &contract).unwrap();
        // The face stood upright in the first square, so the second one is turned alike.
        assert!((square.angle - SQUARE.angle).abs() < 0.05, "{square:?}");
        let shown = 1.3 * SQUARE.side;
        let [low, high] = [f32::min, f32::max].map(|pick| {
            let of = |axis: usize| first.answer[axis..ANSWER_POINTS].iter().step_by(2).copied();
            [0, 1].map(|axis| f64::from(of(axis).reduce(pick).unwrap()))
        });
        // The points' extent with a tenth, and the forehead above them.
        let expected = (1.4 * (high[1] - low[1])).max(1.1 * (high[0] - low[0])) * shown;
        assert!(
            (square.side / expected - 1.0).abs() < 0.05,
            "{square:?} {expected}"
        );
        // Seen again from there it is the same square: the face has not moved.
        let mut again = first;
        again.square = square;
        let landmarks = first.landmarks(&contract);
        let (sine, cosine) = square.angle.sin_cos();
        for (number, [x, y]) in landmarks.into_iter().enumerate() {
            let [x, y] = [x - square.centre[0], y - square.centre[1]];
            let scale = contract.crop_margin * square.side;
            again.answer[2 * number] = ((cosine * x + sine * y) / scale) as f32;
            again.answer[2 * number + 1] = ((cosine * y - sine * x) / scale) as f32;
        }
        let next = second_square(&again, &fitter, &contract).unwrap();
        assert!((next.side - square.side).abs() < 1e-2 && (next.centre[0] - square.centre[0]).abs() < 1e-2);
    }

    #[test]
    fn what_is_no_face_or_far_away_is_not_looked_at_again() {
        let contract = contract();
        let fitter = Fitter::new(&contract);
        let none = |change: fn(&mut [f32])| {
            let mut answer = frontal();
            change(&mut answer[..ANSWER_POINTS]);
            second_square(&sight(answer), &fitter, &contract).is_none()
        };
        assert!(!none(|_| ()));
        assert!(none(|points| points.fill(0.1)));
        assert!(none(|points| points.iter_mut().for_each(|number| *number *= 9.0)));
        assert!(none(|points| points.iter_mut().for_each(|number| *number /= 9.0)));
        assert!(none(|points| points.iter_mut().for_each(|number| *number += 2.0)));
    }

    #[test]
    fn both_looks_together_are_their_mean_and_a_mirror_image_is_read_from_the_other_side() {
        let mut first = frontal();
        first[ANSWER_PRESENCE] = 3.0;
        let second: [f32; ANSWER] = std::array::from_fn(|number| number as f32);
        let square = Square { side: 90.0, ..SQUARE };
        let once = sight(first).looked_at_again(square, &[second]);
        assert_eq!((once.square, once.rank, once.found), (square, 3, 0.8));
        let mut expected = second;
        expected[ANSWER_PRESENCE] = (3.0 + 142.0) / 2.0;
        assert_eq!(once.answer, expected);
        // What the mirror image of a face shows is the face again.
        let mut image = second;
        for (number, at) in MIRRORED.into_iter().enumerate() {
            assert_eq!(MIRRORED[at], number);
            image[2 * number] = -second[2 * at];
            image[2 * number + 1] = second[2 * at + 1];
        }
        (image[ANSWER_PRESENCE], image[ANSWER_SPREAD]) = (0.5, 145.0);
        let both = sight(first).looked_at_again(square, &[second, image]);
        assert_eq!(both.answer[..ANSWER_PRESENCE], second[..ANSWER_PRESENCE]);
        assert_eq!(both.answer[ANSWER_PRESENCE], (3.0 + 142.0 + 0.5) / 3.0);
        assert_eq!(both.answer[ANSWER_SPREAD], 144.0);
        // Without any answer the first look stands.
        assert_eq!(sight(first).looked_at_again(square, &[]).answer, first);
    }

    #[test]
    fn the_mirrored_landmarks_are_on_the_other_side_of_the_head() {
        let points = &contract().reference_points;
        for (number, at) in MIRRORED.into_iter().enumerate() {
            let [[x, y, z], [u, v, w]] = [points[number], points[at]];
            let far = (x + u).hypot(y - v).hypot(z - w);
            // The points were measured, so they are not quite symmetric.
            assert!(far < 0.15, "{number} and {at}: {far}");
        }
    }

    #[test]
    fn mirrored_twice_a_crop_is_itself() {
        let crop: Vec<f32> = (0..3 * 4 * 4).map(|number| number as f32).collect();
        let (mut once, mut twice) = (vec![0.0; 48], vec![0.0; 48]);
        mirror(&crop, 4, &mut once);
        assert_eq!(once[..4], [3.0, 2.0, 1.0, 0.0]);
        mirror(&once, 4, &mut twice);
        assert_eq!(twice, crop);
    }
}
