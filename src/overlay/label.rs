//! What is written at a face, and where.

use std::fmt::Write;

use img2pose::pose::yaw_pitch_roll;

use super::area::Area;
use super::pixels::{PIXEL, over};
use super::settings::{Colors, Label};
use super::text::Glyphs;
use crate::meta::FrameFaces;

/// Writes the lines of the label of face `number` into `text`, in place of what it holds. That the face was not seen in this frame, a
/// `~` in front says.
pub fn write(text: &mut String, label: Label, number: usize, frame: &FrameFaces) {
    text.clear();
    let face = &frame.faces[number];
    // Writing into a string does not fail.
    if label.contains(Label::TRACK)
        && let Some(track) = frame.track(number)
    {
        let _ = write!(text, "id {}", track.id);
    }
    if label.contains(Label::NUMBER) {
        let space = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{space}#{number}");
    }
    if label.contains(Label::SCORE) {
        let space = if text.is_empty() { "" } else { " " };
        let _ = write!(text, "{space}{:.2}", face.confidence);
    }
    if label.contains(Label::ANGLES) {
        let [yaw, pitch, roll] = yaw_pitch_roll(&face.pose).map(whole);
        // Below each other, because beside each other they reach over the next face.
        new_line(text);
        let _ = write!(text, "yaw   {yaw:+4}\npitch {pitch:+4}\nroll  {roll:+4}");
    }
    if label.contains(Label::POSITION) {
        let [.., x, y, z] = face.pose;
        new_line(text);
        let _ = write!(text, "x {x:+8.1}\ny {y:+8.1}\nz {z:+8.1}");
    }
    if !frame.is_seen(number) && !text.is_empty() {
        text.insert(0, '~');
    }
}

fn new_line(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}

/// An integer, so that small negative angles read `+0`.
fn whole(degrees: f32) -> i32 {
    degrees.round() as i32
}

/// Space between the text and the border of its field, in pixels.
fn padding(glyphs: &Glyphs) -> u32 {
    (glyphs.size / 6).max(1)
}

/// Characters in the longest line.
pub fn columns(text: &str) -> u32 {
    text.lines()
        .map(|line| line.chars().count())
        .max()
        .unwrap_or_default() as u32
}

/// Where a label of the given text can go, the best place first: on the upper side of the face box, below the box, and inside
/// at its top; those that are inside the frame. None without text, or when the frame is too small for any.
pub fn places(
    text: &str,
    glyphs: &Glyphs,
    [x_min, y_min, _, y_max]: [f32; 4],
    width: u32,
    height: u32,
) -> impl Iterator<Item = Area> + use<> {
    let columns = columns(text);
    let field_width = (columns * glyphs.advance + 2 * padding(glyphs)).min(width);
    let field_height = text.lines().count() as u32 * glyphs.size + 2 * padding(glyphs);
    // The lowest row that it can begin in.
    let last = height.checked_sub(field_height).filter(|_| columns > 0);
    let x = (x_min.max(0.0).floor() as u32).min(width - field_width);
    let (top, bottom) = (y_min.max(0.0).floor() as u32, y_max.max(0.0).ceil() as u32);
    let above = top.min(height).checked_sub(field_height);
    last.into_iter().flat_map(move |last| {
        let below = Some(bottom).filter(|y| *y <= last);
        [above, below, Some(top.min(last))]
            .into_iter()
            .flatten()
            .map(move |y| Area {
                x,
                y,
                width: field_width,
                height: field_height,
            })
    })
}

/// Draws the text into the pixels of its area.
pub fn draw(text: &str, glyphs: &Glyphs, colors: &Colors, area: Area, pixels: &mut [u8]) {
    let background = colors.background.premultiplied();
    for pixel in pixels.chunks_exact_mut(PIXEL) {
        pixel.copy_from_slice(&background);
    }
    let color = colors.text.premultiplied();
    let padding = padding(glyphs) as i32;
    let mut top = padding;
    for line in text.lines() {
        glyphs.draw(line, padding, top, |x, y, coverage| {
            let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else {
                return;
            };
            if x >= area.width || y >= area.height {
                return;
            }
            let at = (y as usize * area.width as usize + x as usize) * PIXEL;
            over(&mut pixels[at..at + PIXEL], color, coverage);
        });
        top += glyphs.size as i32;
    }
}

#[cfg(test)]
mod tests {
    use img2pose::Face;
    use img2pose::frame::Orientation;

    use super::*;
    use crate::meta::{Track, TrackState};

    fn frame(reused: bool, id: Option<u64>) -> FrameFaces {
        let face = Face {
            bbox: [0.0; 4],
            confidence: 0.987,
            pose: [0.0, 0.5, 0.0, -13.109, 2.3118, 60.632],
            keypoints: [[0.0; 2]; 5],
            sigma: None,
        };
        let track = id.map(|id| Track {
            id,
            age: gst::ClockTime::ZERO,
            unseen: gst::ClockTime::ZERO,
            state: TrackState::Seen,
            seen: None,
        });
        FrameFaces {
            frame_width: 640,
            frame_height: 480,
            pixel_aspect_ratio: gst::Fraction::new(1, 1),
            reused,
            orientation: Orientation::Identity,
            faces: vec![face; 4],
            tracks: vec![track; 4],
        }
    }

    fn text(label: Label, frame: &FrameFaces) -> String {
        let mut text = "old".to_owned();
        write(&mut text, label, 3, frame);
        text
    }

    #[test]
    fn lines() {
        let text = |label| text(label, &frame(false, None));
        assert_eq!(text(Label::empty()), "");
        assert_eq!(text(Label::SCORE), "0.99");
        assert_eq!(text(Label::ANGLES), "yaw    +29\npitch   +0\nroll    +0");
        assert_eq!(
            text(Label::all()),
            "#3 0.99\nyaw    +29\npitch   +0\nroll    +0\nx    -13.1\ny     +2.3\nz    +60.6"
        );
    }

    #[test]
    fn a_face_of_an_earlier_frame() {
        assert_eq!(text(Label::SCORE, &frame(true, None)), "~0.99");
        assert_eq!(text(Label::empty(), &frame(true, None)), "");
    }

    #[test]
    fn a_face_that_is_followed() {
        let mut followed = frame(false, Some(12));
        let label = Label::TRACK | Label::SCORE;
        assert_eq!(text(label, &followed), "id 12 0.99");
        followed.tracks[3].as_mut().unwrap().state = TrackState::Predicted;
        assert_eq!(text(label, &followed), "~id 12 0.99");
        // Nobody follows it: the rest is written.
        assert_eq!(text(label, &frame(false, None)), "0.99");
    }

    #[test]
    fn above_below_and_inside() {
        let glyphs = Glyphs::new(12);
        let place = |b| places("0.99", &glyphs, b, 100, 100).next().unwrap();
        let height = 12 + 2 * padding(&glyphs);
        let above = place([10.5, 50.0, 30.0, 80.0]);
        assert_eq!((above.x, above.y, above.height), (10, 50 - height, height));
        assert_eq!(place([10.0, 5.0, 30.0, 60.0]).y, 60);
        assert_eq!(place([10.0, 5.0, 30.0, 98.0]).y, 5);
        let right = place([95.0, 50.0, 100.0, 80.0]);
        assert_eq!(right.x + right.width, 100);
        let outside = place([500.0, 500.0, 600.0, 600.0]);
        assert_eq!(
            (outside.x + outside.width, outside.y + outside.height),
            (100, 100)
        );
    }

    #[test]
    fn no_text_and_no_room() {
        let glyphs = Glyphs::new(12);
        let place = |text, width, height| places(text, &glyphs, [0.0; 4], width, height).next();
        assert_eq!(place("", 100, 100), None);
        assert_eq!(place("0.99", 100, 10), None);
        assert_eq!(place("0.99", 5, 100).unwrap().width, 5);
    }

    #[test]
    fn text_on_its_field() {
        let glyphs = Glyphs::new(24);
        let colors = super::super::settings::Settings::default().colors;
        let mut places = places("8", &glyphs, [0.0, 60.0, 20.0, 80.0], 100, 100);
        let area = places.next().unwrap();
        let mut pixels = vec![0; (area.width * area.height) as usize * PIXEL];
        draw("8", &glyphs, &colors, area, &mut pixels);
        assert_eq!(pixels[..PIXEL], colors.background.premultiplied());
        assert!(pixels.chunks_exact(PIXEL).any(|pixel| pixel == [255; 4]));
        assert!(pixels.chunks_exact(PIXEL).all(|p| p[3] >= 0xa0 && p[0] <= p[3]));
    }
}
