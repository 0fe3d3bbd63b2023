//! Scenes for comparing trackers: who is where, and what a detector sees of it.

use img2pose_track::Sighting;

use super::{Chance, face, noisy};

/// A scene, frame by frame.
pub struct Scene {
    /// Its kind.
    pub name: &'static str,
    /// Which of its kind.
    pub seed: u64,
    /// Its frames.
    pub frames: Vec<SceneFrame>,
}

/// A frame of a scene.
pub struct SceneFrame {
    /// In seconds.
    pub time: f64,
    /// Who can be seen, and where.
    pub truth: Vec<(usize, Sighting)>,
    /// What a detector found, in order of falling confidence.
    pub found: Vec<Sighting>,
}

/// A person: where they are at a time; `None` while they are away.
type Person = Box<dyn Fn(f64) -> Option<Sighting>>;

/// Of faces that can be seen: those that a detector misses.
const MISSED: f64 = 0.07;
/// False alarms in a frame.
const FALSE_ALARMS: f64 = 0.05;
/// Whose face is covered by more than this is not there for a detector, and for those who count.
const COVERED: f64 = 0.6;

/// Scenes of all kinds, `seeds` of each.
pub fn scenes(seeds: u64) -> impl Iterator<Item = Scene> {
    (0..seeds).flat_map(|seed| {
        let even = |rate: f64| move |frame: u32| f64::from(frame) / rate;
        let varied =
            |frame: u32| f64::from(frame) / 25.0 + 0.013 * f64::from(frame % 3) + f64::from(frame / 40) * 0.2;
        [
            scene("crossing", seed, 300, even(30.0), crossing()),
            scene("occlusion", seed, 300, even(30.0), occlusion()),
            scene("leaving", seed, 360, even(30.0), leaving()),
            scene("cut", seed, 240, even(30.0), cut()),
            scene("varying framerate", seed, 300, varied, crossing()),
            scene("ten frames a second", seed, 150, even(10.0), crossing()),
            scene("twenty", seed, 300, even(30.0), twenty()),
            scene("passers-by", seed, 600, even(30.0), passers_by(seed)),
        ]
    })
}

fn scene(
    name: &'static str,
    seed: u64,
    frames: u32,
    time: impl Fn(u32) -> f64,
    people: Vec<Person>,
) -> Scene {
    let mut chance = Chance(name.len() as u64 * 77 + 1000 * seed + 5);
    // Each seed sees another part of what goes on for ever; cuts and passers-by have their own time.
    let shift = match name {
        "cut" | "passers-by" => 0.0,
        _ => 13.7 * seed as f64,
    };
    let frames = (0..frames)
        .map(|frame| {
            let time = time(frame);
            let mut looked = look(time + shift, &people, &mut chance);
            looked.time = time;
            looked
        })
        .collect();
    Scene { name, seed, frames }
}

fn look(time: f64, people: &[Person], chance: &mut Chance) -> SceneFrame {
    let there: Vec<(usize, Sighting)> = people
        .iter()
        .enumerate()
        .filter_map(|(person, at)| Some((person, at(time)?)))
        .collect();
    let (mut truth, mut found) = (Vec::new(), Vec::new());
    for (person, sighting) in &there {
        // Larger faces are nearer.
        let covered = there
            .iter()
            .filter(|(other, front)| other != person && front.pose[5] < sighting.pose[5])
            .map(|(_, front)| share_under(sighting, front))
            .fold(0.0, f64::max);
        if covered > COVERED {
            continue;
        }
        truth.push((*person, *sighting));
        if chance.next() < MISSED + 0.5 * covered {
            continue;
        }
        let mut seen = noisy(*sighting, chance);
        seen.confidence = (0.97 - 0.7 * covered - 0.12 * chance.normal().abs()).clamp(0.3, 1.0) as f32;
        found.push(seen);
    }
    if chance.next() < FALSE_ALARMS {
        let [x, y] = [1280.0, 720.0].map(|side| side * (0.1 + 0.8 * chance.next()));
        let mut nothing = face(x, y, 40.0 + 80.0 * chance.next(), chance.normal() * 0.5);
        nothing.confidence = (0.35 + 0.5 * chance.next()) as f32;
        found.push(nothing);
    }
    found.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    SceneFrame { time, truth, found }
}

/// The share of a face that lies under another.
fn share_under(face: &Sighting, front: &Sighting) -> f64 {
    let side = |low: usize| {
        f64::from(face.bbox[low + 2].min(front.bbox[low + 2]) - face.bbox[low].max(front.bbox[low])).max(0.0)
    };
    let area = f64::from((face.bbox[2] - face.bbox[0]) * (face.bbox[3] - face.bbox[1]));
    side(0) * side(1) / area
}

/// Three walk past each other, again and again, each looking where they go.
fn crossing() -> Vec<Person> {
    let walker = |y: f64, size: f64, period: f64, phase: f64| -> Person {
        Box::new(move |time| {
            let (velocity, place) = (std::f64::consts::TAU * (time / period + phase)).sin_cos();
            let (x, y) = (640.0 + 520.0 * place, y + 6.0 * (time * 9.0).sin());
            Some(face(x, y, size, 0.8 * velocity))
        })
    };
    vec![
        walker(350.0, 110.0, 9.0, 0.0),
        walker(365.0, 125.0, 11.0, 0.55),
        walker(340.0, 95.0, 7.0, 0.3),
    ]
}

/// One stays, and again and again somebody else passes close in front and hides them for about a second.
fn occlusion() -> Vec<Person> {
    let mut people: Vec<Person> = vec![
        Box::new(|time| Some(face(640.0 + 10.0 * time.sin(), 360.0, 100.0, 0.2 * time.sin()))),
        Box::new(|time| Some(face(900.0, 300.0 + 20.0 * (time * 0.7).cos(), 110.0, -0.4))),
    ];
    people.extend((0..100).map(|pass| -> Person {
        Box::new(move |time| {
            let along = time / 5.0 - f64::from(pass);
            (0.0..1.0)
                .contains(&along)
                .then(|| face(60.0 + 1160.0 * along, 370.0, 170.0, 0.8))
        })
    }));
    people
}

/// People who turn away or duck for some time, and are back where they were.
fn leaving() -> Vec<Person> {
    let sitter = |x: f64, away: f64, phase: f64| -> Person {
        Box::new(move |time| {
            let along = (time / 4.0 + phase).fract() * 4.0;
            (along > away).then(|| {
                face(
                    x + 8.0 * (time + phase).sin(),
                    330.0,
                    110.0,
                    0.4 * (time * 0.8 + phase).sin(),
                )
            })
        })
    };
    vec![
        sitter(250.0, 0.5, 0.0),
        sitter(640.0, 1.0, 0.4),
        sitter(1000.0, 1.5, 0.7),
    ]
}

/// Two scenes in turn, with other people in other places.
fn cut() -> Vec<Person> {
    let there = |first: bool, x: f64, y: f64, size: f64| -> Person {
        Box::new(move |time| {
            ((time < 4.0) == first).then(|| face(x + 15.0 * (time * 1.1).sin(), y, size, 0.3 * time.sin()))
        })
    };
    vec![
        there(true, 300.0, 300.0, 120.0),
        there(true, 800.0, 340.0, 130.0),
        there(false, 420.0, 380.0, 210.0),
        there(false, 950.0, 250.0, 90.0),
    ]
}

/// Twenty who sway in rows.
fn twenty() -> Vec<Person> {
    (0..20)
        .map(|person| -> Person {
            let (column, row) = (f64::from(person % 5), f64::from(person / 5));
            let person = f64::from(person);
            Box::new(move |time| {
                let sway = (time * (0.7 + 0.05 * person) + person).sin();
                let x = 140.0 + 250.0 * column + 60.0 * sway;
                let y = 110.0 + 165.0 * row + 20.0 * (time * 1.3 + person).cos();
                Some(face(x, y, 90.0, 0.5 * (time + person).sin()))
            })
        })
        .collect()
}

/// A street: people come in at one side and go out at the other, at different speeds and distances.
fn passers_by(seed: u64) -> Vec<Person> {
    let mut chance = Chance(11 + seed);
    (0..16)
        .map(|_| -> Person {
            let begin = 17.0 * chance.next();
            let speed = (90.0 + 160.0 * chance.next()) * if chance.next() < 0.5 { -1.0 } else { 1.0 };
            let size = 60.0 + 70.0 * chance.next();
            let y = 250.0 + 1.2 * size + 40.0 * chance.next();
            let pace = 8.0 + 3.0 * chance.next();
            Box::new(move |time| {
                let x = if speed > 0.0 { 0.0 } else { 1280.0 } + speed * (time - begin);
                let inside = time >= begin && (30.0..1250.0).contains(&x);
                inside.then(|| face(x, y + 4.0 * (time * pace).sin(), size, 0.9 * speed.signum()))
            })
        })
        .collect()
}
