//! One face that is followed.

use glam::{DQuat, DVec2, DVec3};

use crate::motion::{Moving, faded};
use crate::one_euro::{SmoothRotation, SmoothVector};
use crate::options::{OneEuro, Smoothing};
use crate::pose::Place;
use crate::sighting::Sighting;

/// Standard deviations in sides of the face (the root of the box's area): of a box's place, of speeds per second, of
/// accelerations per second squared. Those of detectors and of people who walk and nod; what they are exactly hardly matters.
const NOISE: f64 = 0.04;
const SPEED: f64 = 1.5;
const ACCELERATION: f64 = 6.0;
/// The same for the logarithm of the box's sides.
const SIDE_NOISE: f64 = 0.05;
const SIDE_SPEED: f64 = 0.5;
const SIDE_ACCELERATION: f64 = 1.0;

/// With this filter everything passes: a cut-off far above any framerate.
const OPEN: OneEuro = OneEuro {
    min_cutoff: 1e9,
    beta: 0.0,
    speed_cutoff: 1.5,
};

/// Time in seconds since a tracker began.
pub type Seconds = f64;

/// A face that is followed.
#[derive(Clone, Debug)]
pub struct Track {
    pub id: u64,
    /// When it was first and last seen.
    pub born: Seconds,
    pub seen: Seconds,
    /// How often it was seen.
    pub sightings: u64,
    /// Since when it has been looked for in vain, if it has.
    pub missed: Option<Seconds>,
    pub confidence: f32,
    /// Middle of the box in pixels, and logarithms of its sides.
    middle: [Moving; 2],
    sides: [Moving; 2],
    box_middle: SmoothVector,
    box_sides: SmoothVector,
    rotation: SmoothRotation,
    direction: SmoothVector,
    /// As it was seen last.
    raw: Place,
}

/// A box as middle and sides.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    pub middle: [f64; 2],
    pub sides: [f64; 2],
}

impl Outline {
    pub fn of(bbox: &[f32; 4]) -> Self {
        let [x_min, y_min, x_max, y_max] = bbox.map(f64::from);
        Self {
            middle: [(x_min + x_max) / 2.0, (y_min + y_max) / 2.0],
            sides: [x_max - x_min, y_max - y_min],
        }
    }

    /// The root of the area.
    pub fn size(&self) -> f64 {
        (self.sides[0] * self.sides[1]).sqrt()
    }

    fn to_box(self) -> [f64; 4] {
        let [x, y] = self.middle;
        let [width, height] = self.sides.map(|side| side / 2.0);
        [x - width, y - height, x + width, y + height]
    }

    /// Share of the union that two boxes have in common.
    pub fn overlap(&self, other: &Self) -> f64 {
        let (a, b) = (self.to_box(), other.to_box());
        let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
        let common = side(0) * side(1);
        common / (self.size().powi(2) + other.size().powi(2) - common)
    }
}

/// Where a face should be.
#[derive(Clone, Copy, Debug)]
pub struct Expectation {
    /// If it has come to rest.
    pub outline: Outline,
    /// Its middle, in pixels, if it has gone on as fast as it was.
    pub onward: [f64; 2],
    /// Standard deviation of the middle in pixels.
    pub doubt: f64,
    pub rotation: DQuat,
}

impl Expectation {
    /// How far a point lies from the way between coming to rest and going on, and how long that way is; in pixels.
    pub fn off_the_way(&self, point: [f64; 2]) -> (f64, f64) {
        let rest = DVec2::from(self.outline.middle);
        let (way, there) = (DVec2::from(self.onward) - rest, DVec2::from(point) - rest);
        let along = (there.dot(way) / way.length_squared().max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        (there.distance(along * way), way.length())
    }
}

impl Track {
    pub fn new(id: u64, time: Seconds, sighting: &Sighting) -> Self {
        let outline = Outline::of(&sighting.bbox);
        let size = outline.size();
        let place = Place::of(&sighting.pose);
        Self {
            id,
            born: time,
            seen: time,
            sightings: 1,
            missed: None,
            confidence: sighting.confidence,
            middle: outline
                .middle
                .map(|value| Moving::new(value, NOISE * size, SPEED * size)),
            sides: outline
                .sides
                .map(|side| Moving::new(side.ln(), SIDE_NOISE, SIDE_SPEED)),
            box_middle: SmoothVector::new(middle_of(&outline)),
            box_sides: SmoothVector::new(sides_of(&outline)),
            rotation: SmoothRotation::new(place.rotation),
            direction: SmoothVector::new(place.direction),
            raw: place,
        }
    }

    /// The sighting of this face in the frame of this time.
    pub fn see(&mut self, time: Seconds, sighting: &Sighting, smoothing: &Smoothing) {
        let seconds = time - self.seen;
        let outline = Outline::of(&sighting.bbox);
        let size = outline.size();
        for (moving, measured) in self.middle.iter_mut().zip(outline.middle) {
            moving.measure(seconds, measured, NOISE * size, ACCELERATION * size);
        }
        for (moving, measured) in self.sides.iter_mut().zip(outline.sides) {
            moving.measure(seconds, measured.ln(), SIDE_NOISE, SIDE_ACCELERATION);
        }
        let place = Place::of(&sighting.pose);
        let filter = match smoothing {
            Smoothing::None => &OPEN,
            Smoothing::OneEuro(filter) => filter,
        };
        // In sides of the face, so that near and far ones are as calm.
        self.box_middle
            .see(&scaled(filter, 1.0 / size), seconds, middle_of(&outline));
        self.box_sides.see(filter, seconds, sides_of(&outline));
        self.rotation.see(filter, seconds, place.rotation);
        self.direction.see(filter, seconds, place.direction);
        self.raw = place;
        self.seen = time;
        self.sightings += 1;
        self.missed = None;
        self.confidence = sighting.confidence;
    }

    /// Where it should be at this time.
    pub fn expect(&self, time: Seconds) -> Expectation {
        let seconds = time - self.seen;
        let middle = self.middle.map(|moving| moving.after(seconds));
        Expectation {
            outline: Outline {
                middle: middle.map(|expected| expected.value),
                sides: self.sides.map(|moving| moving.after(seconds).value.exp()),
            },
            onward: middle.map(|expected| expected.onward),
            doubt: middle
                .map(|expected| expected.variance)
                .iter()
                .sum::<f64>()
                .max(0.0)
                .sqrt(),
            rotation: self.raw.rotation,
        }
    }

    /// Whether it should be outside a frame of this width and height by now. Who comes in there later is somebody else.
    pub fn has_left(&self, time: Seconds, frame: [u32; 2]) -> bool {
        let middle = self.expect(time).outline.middle;
        (middle.iter().zip(frame)).any(|(middle, side)| !(0.0..=f64::from(side)).contains(middle))
    }

    /// Box and pose to report at this time: smoothed, and where it was going if that is later than it was seen.
    pub fn report(&self, time: Seconds) -> ([f64; 4], [f32; 6]) {
        let seconds = faded(time - self.seen);
        // The motion model knows the speed sooner than a smoothing does.
        let ahead = |smooth: f64, moving: &Moving| smooth + moving.velocity() * seconds;
        let (middle, sides) = (self.box_middle.value(), self.box_sides.value());
        let outline = Outline {
            middle: [ahead(middle.x, &self.middle[0]), ahead(middle.y, &self.middle[1])],
            sides: [ahead(sides.x, &self.sides[0]), ahead(sides.y, &self.sides[1])].map(f64::exp),
        };
        let turn = DQuat::from_scaled_axis(self.rotation.speed() * seconds);
        let place = Place {
            rotation: (turn * self.rotation.value()).normalize(),
            direction: self.direction.value() + self.direction.speed() * seconds,
        };
        (outline.to_box(), place.to_pose())
    }

    /// In a frame of another size, by these factors of width and height.
    pub fn scale(&mut self, factors: [f64; 2]) {
        for (moving, factor) in self.middle.iter_mut().zip(factors) {
            moving.scale(factor);
        }
        self.sides = std::array::from_fn(|side| self.sides[side].shifted(factors[side].ln()));
        let middle = DVec3::new(factors[0], factors[1], 1.0);
        self.box_middle = self.box_middle.scaled(middle);
        self.box_sides = self
            .box_sides
            .shifted(DVec3::new(factors[0].ln(), factors[1].ln(), 0.0));
    }
}

fn middle_of(outline: &Outline) -> DVec3 {
    DVec3::new(outline.middle[0], outline.middle[1], 0.0)
}

fn sides_of(outline: &Outline) -> DVec3 {
    DVec3::new(outline.sides[0].ln(), outline.sides[1].ln(), 0.0)
}

/// The filter for a quantity in units of which `scale` make one.
fn scaled(filter: &OneEuro, scale: f64) -> OneEuro {
    OneEuro {
        beta: filter.beta * scale,
        ..*filter
    }
}
