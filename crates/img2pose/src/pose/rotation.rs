//! Rotation vectors and matrices.

/// A 3x3 matrix, row by row.
pub type Matrix = [[f64; 3]; 3];

/// Matrix of a rotation vector (direction: axis, length: angle in radians), by Rodrigues' formula.
pub fn rotation_matrix(vector: [f64; 3]) -> Matrix {
    let angle = norm(vector);
    let [x, y, z] = vector;
    // sin(a)/a and (1-cos(a))/a^2, by their series where the quotients lose digits.
    let (s, c) = if angle < 1e-4 {
        let square = angle * angle;
        (1.0 - square / 6.0, 0.5 - square / 24.0)
    } else {
        (angle.sin() / angle, (1.0 - angle.cos()) / (angle * angle))
    };
    [
        [1.0 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y],
        [c * x * y + s * z, 1.0 - c * (x * x + z * z), c * y * z - s * x],
        [c * x * z - s * y, c * y * z + s * x, 1.0 - c * (x * x + y * y)],
    ]
}

/// Rotation vector of a rotation matrix, with an angle of 0 to pi.
///
/// Goes through the quaternion whose largest component is computed from the diagonal (Shepperd's method), which
/// keeps full precision at every angle.
pub fn matrix_to_rotation_vector(m: &Matrix) -> [f64; 3] {
    let trace = m[0][0] + m[1][1] + m[2][2];
    let choices = [m[0][0], m[1][1], m[2][2], trace];
    let largest = (0..4)
        .max_by(|&a, &b| choices[a].total_cmp(&choices[b]))
        .unwrap_or(3);
    let (mut q, mut w);
    if largest == 3 {
        q = [m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1]];
        w = 1.0 + trace;
    } else {
        let (i, j, k) = (largest, (largest + 1) % 3, (largest + 2) % 3);
        q = [0.0; 3];
        q[i] = 1.0 - trace + 2.0 * m[i][i];
        q[j] = m[j][i] + m[i][j];
        q[k] = m[k][i] + m[i][k];
        w = m[k][j] - m[j][k];
    }
    if w < 0.0 {
        // q and -q are the same rotation; this one turns by at most pi.
        q = q.map(|side| -side);
        w = -w;
    }
    let sine = norm(q);
    let angle = 2.0 * sine.atan2(w);
    // Near zero the vector is 2 q / w, without dividing by a vanishing sine.
    let scale = if sine < 1e-12 * w { 2.0 / w } else { angle / sine };
    q.map(|side| side * scale)
}

/// `a` times `b`.
pub(crate) fn multiply(a: &Matrix, b: &Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| a[i][k] * b[k][j]).sum()))
}

pub(super) fn apply(m: &Matrix, v: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|i| m[i][0] * v[0] + m[i][1] * v[1] + m[i][2] * v[2])
}

fn norm(v: [f64; 3]) -> f64 {
    (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{FRAC_PI_2, PI};

    #[test]
    fn quarter_turn_about_each_axis() {
        let close = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-15);
        assert!(close(
            apply(&rotation_matrix([FRAC_PI_2, 0.0, 0.0]), [0.0, 1.0, 0.0]),
            [0.0, 0.0, 1.0]
        ));
        assert!(close(
            apply(&rotation_matrix([0.0, FRAC_PI_2, 0.0]), [0.0, 0.0, 1.0]),
            [1.0, 0.0, 0.0]
        ));
        assert!(close(
            apply(&rotation_matrix([0.0, 0.0, FRAC_PI_2]), [1.0, 0.0, 0.0]),
            [0.0, 1.0, 0.0]
        ));
    }

    #[test]
    fn vector_survives_the_matrix_at_every_angle() {
        for angle in [0.0, 1e-9, 1e-5, 1e-3, 0.5, 2.0, 3.0, 3.1, PI - 1e-7] {
            for axis in [
                [1.0, 0.0, 0.0],
                [0.0, -1.0, 0.0],
                [0.6, 0.0, -0.8],
                [-0.48, 0.6, 0.64],
            ] {
                let vector = axis.map(|side| side * angle);
                let back = matrix_to_rotation_vector(&rotation_matrix(vector));
                for (a, b) in vector.iter().zip(back) {
                    assert!((a - b).abs() < 1e-8, "{vector:?} came back as {back:?}");
                }
            }
        }
    }
}
