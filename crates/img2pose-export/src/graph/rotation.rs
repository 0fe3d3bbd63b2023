//! Rotations as quaternions, in ONNX nodes.

use img2pose_onnx::data_type::{DOUBLE, FLOAT};
use img2pose_onnx::{Builder, Value};

/// Keeps a quotient by the length of a vector finite when that is 0.
const TINY: f64 = 1e-30;

/// A rotation as a unit quaternion: columns `[q, 1]`, f64.
pub(super) struct Quaternion {
    pub w: Value,
    pub x: Value,
    pub y: Value,
    pub z: Value,
}

/// The rotation nearest to the shear `[[1, 0, u], [0, 1, v], [0, 0, 1]]`: by `atan(s / 2)` about `(-v, u, 0) / s`
/// with `s = |(u, v)|`, written with half angles so that nothing is divided by `s`.
pub(super) fn shear_rotation(g: &mut Builder, [u, v]: &[Value; 2]) -> Quaternion {
    let squares = [u, v].map(|a| g.binary("Mul", a, a));
    let square = g.binary("Add", &squares[0], &squares[1]);
    let (four, two, one, half) = (g.f64(4.0), g.f64(2.0), g.f64(1.0), g.f64(0.5));
    let hypotenuse = g.binary("Add", &square, &four);
    let hypotenuse = g.op("Sqrt", &[&hypotenuse], vec![]);
    let cosine = g.binary("Div", &two, &hypotenuse);
    let w = g.binary("Add", &cosine, &one);
    let w = g.binary("Mul", &w, &half);
    let w = g.op("Sqrt", &[&w], vec![]);
    let divisor = g.binary("Mul", &w, &hypotenuse);
    let divisor = g.binary("Mul", &divisor, &two);
    let x = g.binary("Div", v, &divisor);
    let x = g.op("Neg", &[&x], vec![]);
    let y = g.binary("Div", u, &divisor);
    let z = g.binary("Sub", u, u);
    Quaternion { w, x, y, z }
}

/// Exponential map.
pub(super) fn from_rotation_vector(g: &mut Builder, vector: [&Value; 3]) -> Quaternion {
    let angle = length(g, vector);
    let half = g.f64(0.5);
    let half_angle = g.binary("Mul", &angle, &half);
    let (sine, w) = sine_and_cosine(g, &half_angle);
    let scale = g.binary("Div", &sine, &angle);
    let [x, y, z] = vector.map(|v| g.binary("Mul", v, &scale));
    Quaternion { w, x, y, z }
}

/// Logarithmic map, angle in 0..pi.
///
/// ONNX Runtime has an arc tangent for f32 only, whose last bit depends on where in the tensor a value stands. So it
/// is the first guess `g` of the half angle `a`, and `a = g + sin(a - g)` makes it exact to f64 (the error is cubed).
pub(super) fn to_rotation_vector(g: &mut Builder, q: &Quaternion) -> [Value; 3] {
    // q and -q are the same rotation; the one with w >= 0 has the shorter vector.
    let (zero, one, minus_one, two) = (g.f64(0.0), g.f64(1.0), g.f64(-1.0), g.f64(2.0));
    let positive = g.binary("GreaterOrEqual", &q.w, &zero);
    let sign = g.op("Where", &[&positive, &one, &minus_one], vec![]);
    let sine = length(g, [&q.x, &q.y, &q.z]);
    let cosine = g.binary("Mul", &q.w, &sign);
    let tangent = g.binary("Div", &sine, &cosine);
    let tangent = g.cast(&tangent, FLOAT);
    let guess = g.op("Atan", &[&tangent], vec![]);
    let guess = g.cast(&guess, DOUBLE);
    let (guess_sine, guess_cosine) = sine_and_cosine(g, &guess);
    let ahead = g.binary("Mul", &sine, &guess_cosine);
    let behind = g.binary("Mul", &cosine, &guess_sine);
    let missing = g.binary("Sub", &ahead, &behind);
    let half_angle = g.binary("Add", &guess, &missing);
    let angle = g.binary("Mul", &half_angle, &two);
    let scale = g.binary("Div", &angle, &sine);
    let scale = g.binary("Mul", &scale, &sign);
    [&q.x, &q.y, &q.z].map(|v| g.binary("Mul", v, &scale))
}

/// ONNX Runtime 1.20 has no f64 cosine on the CPU: `cos(a) = 1 - 2 sin(a / 2)^2`.
fn sine_and_cosine(g: &mut Builder, angle: &str) -> (Value, Value) {
    let (half, one, two) = (g.f64(0.5), g.f64(1.0), g.f64(2.0));
    let sine = g.op("Sin", &[angle], vec![]);
    let half_angle = g.binary("Mul", angle, &half);
    let half_sine = g.op("Sin", &[&half_angle], vec![]);
    let square = g.binary("Mul", &half_sine, &half_sine);
    let double = g.binary("Mul", &square, &two);
    (sine, g.binary("Sub", &one, &double))
}

/// Length of a vector, at least [`TINY`].
fn length(g: &mut Builder, vector: [&Value; 3]) -> Value {
    let [x, y, z] = vector.map(|v| g.binary("Mul", v, v));
    let sum = g.binary("Add", &x, &y);
    let sum = g.binary("Add", &sum, &z);
    let length = g.op("Sqrt", &[&sum], vec![]);
    let tiny = g.f64(TINY);
    g.binary("Max", &length, &tiny)
}

/// Hamilton product: the rotation `b`, then `a`.
pub(super) fn multiply(g: &mut Builder, a: &Quaternion, b: &Quaternion) -> Quaternion {
    let mut sum = |terms: [(&str, &Value, &Value); 4]| {
        let mut total: Option<Value> = None;
        for (op, p, q) in terms {
            let product = g.binary("Mul", p, q);
            total = Some(match total {
                Some(total) => g.binary(op, &total, &product),
                None => product,
            });
        }
        total.unwrap_or_else(|| unreachable!("there are four terms"))
    };
    Quaternion {
        w: sum([
            ("Add", &a.w, &b.w),
            ("Sub", &a.x, &b.x),
            ("Sub", &a.y, &b.y),
            ("Sub", &a.z, &b.z),
        ]),
        x: sum([
            ("Add", &a.w, &b.x),
            ("Add", &a.x, &b.w),
            ("Add", &a.y, &b.z),
            ("Sub", &a.z, &b.y),
        ]),
        y: sum([
            ("Add", &a.w, &b.y),
            ("Sub", &a.x, &b.z),
            ("Add", &a.y, &b.w),
            ("Add", &a.z, &b.x),
        ]),
        z: sum([
            ("Add", &a.w, &b.z),
            ("Add", &a.x, &b.y),
            ("Sub", &a.y, &b.x),
            ("Add", &a.z, &b.w),
        ]),
    }
}

/// The rotation matrix: three rows `[q, 3]`.
pub(super) fn matrix_rows(g: &mut Builder, q: &Quaternion) -> [Value; 3] {
    let (one, two) = (g.f64(1.0), g.f64(2.0));
    let mut twice = |a: &Value, b: &Value| {
        let product = g.binary("Mul", a, b);
        g.binary("Mul", &product, &two)
    };
    let (xx, yy, zz) = (twice(&q.x, &q.x), twice(&q.y, &q.y), twice(&q.z, &q.z));
    let (xy, xz, yz) = (twice(&q.x, &q.y), twice(&q.x, &q.z), twice(&q.y, &q.z));
    let (wx, wy, wz) = (twice(&q.w, &q.x), twice(&q.w, &q.y), twice(&q.w, &q.z));
    let mut diagonal = |a: &Value, b: &Value| {
        let rest = g.binary("Sub", &one, a);
        g.binary("Sub", &rest, b)
    };
    let (m00, m11, m22) = (diagonal(&yy, &zz), diagonal(&xx, &zz), diagonal(&xx, &yy));
    let (m01, m10) = (g.binary("Sub", &xy, &wz), g.binary("Add", &xy, &wz));
    let (m02, m20) = (g.binary("Add", &xz, &wy), g.binary("Sub", &xz, &wy));
    let (m12, m21) = (g.binary("Sub", &yz, &wx), g.binary("Add", &yz, &wx));
    [[&m00, &m01, &m02], [&m10, &m11, &m12], [&m20, &m21, &m22]].map(|row| g.concat(&row, 1))
}
