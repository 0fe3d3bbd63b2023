//! The drawing inside a face: axes, points and contours, projected from the head model.

use img2pose::Face;
use img2pose::contract::REFERENCE_POINTS_68;
use img2pose::pose::{Camera, rotation_matrix};

use super::area::Area;
use super::color::Color;
use super::lines::{Point, Shapes};
use super::settings::{Points, Settings};
use super::style::Style;
use crate::meta::CurrentFaces;

/// Where the axes start: the tip of the nose.
const NOSE_TIP: [f32; 3] = REFERENCE_POINTS_68[30];
/// Length of an axis in head units: from the nose a little beyond the edge of the face, so that the third is seen
/// even when the face is turned only a little.
const AXIS_LENGTH: f32 = 0.9;
/// Directions of the drawn axes in the head frame. The third is that frame's -z: out of the face.
const AXES: [[f32; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1.0]];
/// Nearer to the camera than this, in head units, a point has no place in the picture.
const NEAREST: f64 = 0.05;
/// Contours of the 68 landmarks as first, last, closed.
const CONTOURS: [(usize, usize, bool); 9] = [
    (0, 16, false),  // jaw
    (17, 21, false), // brows
    (22, 26, false),
    (27, 30, false), // nose
    (31, 35, false),
    (36, 41, true), // eyes
    (42, 47, true),
    (48, 59, true), // lips
    (60, 67, true),
];
/// What lines lie on, so that they are seen on any picture.
const SHADE: Color = Color(0x6000_0000);
/// How far it reaches out from under a line on each side, in pixels.
const SHADE_WIDTH: f32 = 0.75;

/// What is drawn of one face, in pixels of the frame.
pub struct Figure {
    /// End points of the axes, those that are farther away first.
    axes: Option<(Point, [(usize, Point); 3])>,
    landmarks: Option<[Point; 68]>,
    points: Option<[Point; 5]>,
    outline: bool,
}

/// What gets a rectangle of its own: blending takes time for every pixel of it, drawn or not.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// Contours and landmarks.
    Landmarks,
    /// One of the five keypoints.
    Keypoint(usize),
    /// One of the axes, by its place in the order of distance.
    Axis(usize),
}

/// In the order in which they lie over each other.
pub const PARTS: [Part; 9] = [
    Part::Landmarks,
    Part::Keypoint(0),
    Part::Keypoint(1),
    Part::Keypoint(2),
    Part::Keypoint(3),
    Part::Keypoint(4),
    Part::Axis(0),
    Part::Axis(1),
    Part::Axis(2),
];

impl Figure {
    /// The figure of a face as the settings want it.
    pub fn new(face: &Face, current: &CurrentFaces, settings: &Settings) -> Self {
        let head = Head::new(face, current);
        let wants_landmarks = settings.draw_outline || settings.draw_points == Points::Landmarks;
        Self {
            axes: settings.draw_axes.then(|| head.axes()).flatten(),
            landmarks: wants_landmarks.then(|| head.landmarks()).flatten(),
            points: (settings.draw_points == Points::Keypoints).then(|| {
                face.keypoints
                    .map(|[x, y]| head.scaled(f64::from(x), f64::from(y)))
            }),
            outline: settings.draw_outline,
        }
    }

    /// What a part covers of a frame of `width` x `height`; `None` if it is not drawn.
    pub fn area(&self, part: Part, style: Style, width: u32, height: u32) -> Option<Area> {
        let of = |points: &[Point]| {
            points.iter().fold(None, |bounds, Point { x, y }| {
                let [left, top, right, bottom] = bounds.unwrap_or([*x, *y, *x, *y]);
                Some([left.min(*x), top.min(*y), right.max(*x), bottom.max(*y)])
            })
        };
        let [left, top, right, bottom] = match part {
            Part::Landmarks => of(self.landmarks.as_ref()?)?,
            Part::Keypoint(index) => of(&[self.points.as_ref()?[index]])?,
            Part::Axis(index) => {
                let (start, ends) = self.axes.as_ref()?;
                of(&[*start, ends[index].1])?
            }
        };
        // Half of a shaded line, or the radius of a point, and a pixel for the soft edge.
        let margin = style.thickness as f32 * 1.5 + 1.0;
        Area::around(
            [left - margin, top - margin, right + margin, bottom + margin],
            width,
            height,
        )
    }

    /// Draws a part into the pixels of its area. `shapes` is memory.
    pub fn draw(
        &self,
        part: Part,
        settings: &Settings,
        style: Style,
        area: Area,
        pixels: &mut [u8],
        shapes: &mut Shapes,
    ) {
        let place = |Point { x, y }| Point {
            x: x - area.x as f32,
            y: y - area.y as f32,
        };
        let thickness = style.thickness as f32;
        let colors = &settings.colors;
        shapes.clear(area.width, area.height);
        match (part, &self.landmarks, &self.points, &self.axes) {
            (Part::Landmarks, Some(landmarks), ..) => {
                let landmarks = landmarks.map(place);
                if self.outline {
                    add_contours(shapes, &landmarks, thickness * 0.375 + SHADE_WIDTH);
                    paint_lines(shapes, pixels, colors.outline);
                    shapes.clear(area.width, area.height);
                }
                if settings.draw_points == Points::Landmarks {
                    for point in landmarks {
                        shapes.add_line(point, point, thickness * 0.75);
                    }
                    shapes.paint(pixels, &[(colors.points, 0.0)]);
                }
            }
            (Part::Keypoint(index), _, Some(points), _) => {
                let point = place(points[index]);
                shapes.add_line(point, point, thickness * 1.25);
                shapes.paint(pixels, &[(colors.points, 0.0)]);
            }
            (Part::Axis(index), .., Some((start, ends))) => {
                let (axis, end) = ends[index];
                shapes.add_line(place(*start), place(end), thickness * 0.75 + SHADE_WIDTH);
                paint_lines(shapes, pixels, colors.axes[axis]);
            }
            _ => {}
        }
    }
}

/// A head in the camera of the frame that was looked at, and the way from there to the frame as it is now.
struct Head {
    camera: Camera,
    rotation: [[f64; 3]; 3],
    translation: [f64; 3],
    scale: [f64; 2],
}

impl Head {
    fn new(face: &Face, current: &CurrentFaces) -> Self {
        let [rx, ry, rz, tx, ty, tz] = face.pose.map(f64::from);
        Self {
            camera: current.recorded.camera(),
            rotation: rotation_matrix([rx, ry, rz]),
            translation: [tx, ty, tz],
            scale: current.scale(),
        }
    }

    /// From pixels of the frame that was looked at to pixels of this one.
    fn scaled(&self, x: f64, y: f64) -> Point {
        Point {
            x: (x * self.scale[0]) as f32,
            y: (y * self.scale[1]) as f32,
        }
    }

    /// Distance from the camera along its axis, in head units.
    fn depth(&self, point: [f32; 3]) -> f64 {
        let along: f64 = self.rotation[2]
            .iter()
            .zip(point)
            .map(|(r, p)| r * f64::from(p))
            .sum();
        along + self.translation[2]
    }

    /// `None` for a point beside or behind the camera.
    fn project(&self, point: [f32; 3]) -> Option<Point> {
        if self.depth(point) < NEAREST {
            return None;
        }
        let [x, y] = self
            .camera
            .project(&self.rotation, self.translation, point.map(f64::from));
        Some(self.scaled(x, y))
    }

    fn landmarks(&self) -> Option<[Point; 68]> {
        let mut landmarks = [Point::default(); 68];
        for (landmark, point) in landmarks.iter_mut().zip(REFERENCE_POINTS_68) {
            *landmark = self.project(point)?;
        }
        Some(landmarks)
    }

    fn axes(&self) -> Option<(Point, [(usize, Point); 3])> {
        let tip =
            |axis: usize| -> [f32; 3] { std::array::from_fn(|c| NOSE_TIP[c] + AXIS_LENGTH * AXES[axis][c]) };
        let mut order = [0, 1, 2];
        order.sort_by(|a, b| self.depth(tip(*b)).total_cmp(&self.depth(tip(*a))));
        let mut ends = [(0, Point::default()); 3];
        for (end, axis) in ends.iter_mut().zip(order) {
            *end = (axis, self.project(tip(axis))?);
        }
        Some((self.project(NOSE_TIP)?, ends))
    }
}

fn add_contours(shapes: &mut Shapes, landmarks: &[Point; 68], radius: f32) {
    for (first, last, closed) in CONTOURS {
        for pair in landmarks[first..=last].windows(2) {
            shapes.add_line(pair[0], pair[1], radius);
        }
        if closed {
            shapes.add_line(landmarks[last], landmarks[first], radius);
        }
    }
}

/// Lines with the shade that they lie on; their radius includes it.
fn paint_lines(shapes: &Shapes, pixels: &mut [u8], color: Color) {
    shapes.paint(pixels, &[(SHADE, 0.0), (color, SHADE_WIDTH)]);
}
