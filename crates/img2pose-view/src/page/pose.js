// Poses as the JSON lines have them: rotation vectors in radians, translations in head units, in a camera whose x points to the
// right, y down, z into the scene.

/** The 3x3 matrix, in rows, of a rotation vector (Rodrigues' formula). */
export function rotation([x, y, z]) {
  const angle = Math.hypot(x, y, z);
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const [a, b, d] = angle > 1e-9 ? [x / angle, y / angle, z / angle] : [0, 0, 0];
  const k = 1 - c;
  return [
    [c + a * a * k, a * b * k - d * s, a * d * k + b * s],
    [a * b * k + d * s, c + b * b * k, b * d * k - a * s],
    [a * d * k - b * s, b * d * k + a * s, c + d * d * k],
  ];
}

/** Degrees: R = Rx(-pitch) Ry(yaw) Rz(roll). */
export function angles(r) {
  const degrees = 180 / Math.PI;
  const yaw = Math.asin(Math.max(-1, Math.min(1, r[0][2])));
  // Looking straight to the side, pitch and roll turn about the same axis.
  if (Math.abs(r[0][2]) > 1 - 1e-9) {
    return [yaw * degrees, Math.atan2(r[2][1], r[1][1]) * -degrees, 0];
  }
  return [yaw * degrees, Math.atan2(r[1][2], r[2][2]) * degrees, Math.atan2(-r[0][1], r[0][0]) * degrees];
}

/** R p + t. */
export function place(r, t, p) {
  return r.map((row, i) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + t[i]);
}

// Where directions in the pixels, x and y, point to in the picture that players show.
const TURNS = {
  "90r": [[0, -1], [1, 0]],
  "180": [[-1, 0], [0, -1]],
  "90l": [[0, 1], [-1, 0]],
  "horiz": [[-1, 0], [0, 1]],
  "vert": [[1, 0], [0, -1]],
  "ul-lr": [[0, 1], [1, 0]],
  "ur-ll": [[0, -1], [-1, 0]],
};

/**
 * The pose of a face of `line` as whoever sees the picture upright sees it: rotation matrix, translation, and yaw, pitch, roll in
 * degrees, which are those of the line where the picture was not turned.
 */
export function seen(line, face) {
  const r = rotation(face.pose.slice(0, 3));
  const t = face.pose.slice(3);
  const m = TURNS[line.orientation];
  if (!m) return { r, t, angles: face.yaw_pitch_roll_deg };
  const turned = (v) => [m[0][0] * v[0] + m[0][1] * v[1], m[1][0] * v[0] + m[1][1] * v[1], v[2]];
  const columns = [0, 1, 2].map((i) => turned([r[0][i], r[1][i], r[2][i]]));
  // No turn of a head makes its mirror image; the mirror image of a head is that of one that is mirrored itself.
  const mirrored = m[0][0] * m[1][1] - m[0][1] * m[1][0] < 0;
  if (mirrored) columns[0] = columns[0].map((value) => -value);
  const upright = [0, 1, 2].map((i) => columns.map((column) => column[i]));
  return { r: upright, t: turned(t), angles: angles(upright) };
}

/** Half the width and height of what the camera sees at a distance of 1, as it is shown. */
export function field(line) {
  const [n, d] = line.pixel_aspect_ratio ?? [1, 1];
  const width = line.width * n / d;
  const f = width + line.height;
  const half = [width / 2 / f, line.height / 2 / f];
  const m = TURNS[line.orientation];
  return m && m[0][0] === 0 ? [half[1], half[0]] : half;
}
