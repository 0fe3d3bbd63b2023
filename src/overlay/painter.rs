//! From the faces of a frame to the composition that is laid over it.

use gst::glib;
use gst_video::{VideoOverlayComposition, VideoOverlayRectangle};
use img2pose::frame::Orientation;

use super::area::Area;
use super::color::Color;
use super::figure::{Figure, PARTS};
use super::label;
use super::lines::Shapes;
use super::pixels::{PIXEL, PixelStore};
use super::settings::Settings;
use super::style::{Style, TextSize};
use super::text::Glyphs;
use crate::meta::CurrentFaces;

/// Length of a dash, and of the gap behind it, in widths of the line.
const DASH: u32 = 4;

/// Sizes of text that are kept: more than automatic sizes have steps.
const MOST_SIZES: usize = 32;

/// Draws, and keeps what the next frame can use again.
#[derive(Default)]
pub struct Painter {
    pixels: PixelStore,
    shapes: Shapes,
    /// One for each size that was needed.
    glyphs: Vec<Glyphs>,
    /// The boxes of the faces, and the labels that have their places, as the viewer of the turned picture sees them.
    boxes: Vec<Option<Area>>,
    labels: Vec<Area>,
    text: String,
    /// Pixels of a label before it is turned.
    upright: Vec<u8>,
    rectangles: Vec<VideoOverlayRectangle>,
    last: Option<Drawing>,
}

/// What was drawn last, and of what.
struct Drawing {
    faces: CurrentFaces,
    settings: Settings,
    composition: Option<VideoOverlayComposition>,
}

impl Painter {
    /// What to lay over a frame with the given faces; `None` if nothing of it lies inside the frame.
    ///
    /// A face is several rectangles: the four sides of its box, the parts of the figure, the label. Blending takes time for
    /// every pixel of a rectangle, and most of a box is empty.
    ///
    /// # Errors
    /// Memory cannot be mapped.
    pub fn compose(
        &mut self,
        faces: CurrentFaces,
        settings: &Settings,
    ) -> Result<Option<VideoOverlayComposition>, glib::BoolError> {
        if let Some(last) = &self.last
            && last.settings == *settings
            && last.faces == faces
        {
            return Ok(last.composition.clone());
        }
        // Gives the pixels back before new ones are needed.
        self.last = None;
        self.draw(&faces, settings)?;
        let composition = if self.rectangles.is_empty() {
            None
        } else {
            Some(VideoOverlayComposition::new(&self.rectangles)?)
        };
        // The composition holds them.
        self.rectangles.clear();
        self.last = Some(Drawing {
            faces,
            settings: *settings,
            composition: composition.clone(),
        });
        Ok(composition)
    }

    /// Lets go of everything that was kept.
    pub fn clear(&mut self) {
        self.last = None;
        self.pixels.clear();
        self.glyphs.clear();
    }

    fn draw(&mut self, current: &CurrentFaces, settings: &Settings) -> Result<(), glib::BoolError> {
        self.rectangles.clear();
        let (width, height) = (current.width, current.height);
        let style = Style::new(settings, width, height);
        for (number, face) in current.recorded.faces.iter().enumerate() {
            let bbox = current.scaled_box(face.bbox);
            let color = match current.recorded.track(number) {
                Some(track) if settings.track_colors => Color::of_track(track.id),
                _ => settings.colors.face_box,
            };
            if settings.draw_box
                && let Some(area) = Area::around(bbox, width, height)
            {
                for side in area.sides(style.thickness) {
                    match current.recorded.is_seen(number) {
                        true => self.fill(side, color)?,
                        false => self.dash(side, color, style.thickness)?,
                    }
                }
            }
            let figure = Figure::new(face, current, settings);
            for part in PARTS {
                if let Some(area) = figure.area(part, style, width, height) {
                    let rectangle = self.pixels.rectangle(area, |pixels| {
                        figure.draw(part, settings, style, area, pixels, &mut self.shapes);
                    })?;
                    self.rectangles.push(rectangle);
                }
            }
        }
        if settings.label.is_empty() {
            return Ok(());
        }
        // As the viewer of the turned picture reads them.
        let orientation = current.recorded.orientation;
        let (upright_width, upright_height) = match orientation.swaps_sides() {
            true => (height, width),
            false => (width, height),
        };
        // After all figures, so that none lies over a label.
        self.boxes.clear();
        let boxes = current.recorded.faces.iter().map(|face| {
            let bbox = current.scaled_box(face.bbox);
            let bbox = orientation.turn_box(bbox, width as f32, height as f32);
            Area::around(bbox, upright_width, upright_height)
        });
        self.boxes.extend(boxes);
        self.labels.clear();
        for (number, face) in current.recorded.faces.iter().enumerate() {
            label::write(&mut self.text, settings.label, number, &current.recorded);
            let bbox = current.scaled_box(face.bbox);
            let bbox = orientation.turn_box(bbox, width as f32, height as f32);
            let placed = self.place_label(number, bbox, style.text_size, upright_width, upright_height);
            let Some((size, upright)) = placed else {
                continue;
            };
            self.labels.push(upright);
            let area = upright.turned(orientation.inverse(), upright_width, upright_height);
            let glyphs = glyphs_of(&mut self.glyphs, size);
            let (text, memory) = (&self.text, &mut self.upright);
            let rectangle = self.pixels.rectangle(area, |pixels| {
                let draw = |pixels: &mut [u8]| {
                    label::draw(text, glyphs, &settings.colors, upright, pixels);
                };
                match orientation {
                    Orientation::Identity => draw(pixels),
                    _ => {
                        memory.resize(pixels.len(), 0);
                        draw(memory);
                        turn_pixels(memory, upright, orientation.inverse(), pixels);
                    }
                }
            })?;
            self.rectangles.push(rectangle);
        }
        Ok(())
    }

    /// The size of the text and where it goes: where it covers no other face and no other label, if there
    /// is such a place. Otherwise a text whose size was set goes to its usual place; one of automatic size goes into
    /// its own box, or is left out where it would reach over that.
    fn place_label(
        &mut self,
        number: usize,
        bbox: [f32; 4],
        size: TextSize,
        width: u32,
        height: u32,
    ) -> Option<(u32, Area)> {
        let own = self.boxes[number];
        let columns = label::columns(&self.text);
        let is_set = matches!(size, TextSize::Set(_));
        let mut otherwise = None;
        for size in size.sizes(columns, bbox[2] - bbox[0]) {
            let glyphs = glyphs_of(&mut self.glyphs, size);
            for area in label::places(&self.text, glyphs, bbox, width, height) {
                let others = self
                    .boxes
                    .iter()
                    .enumerate()
                    .filter(|(other, _)| *other != number);
                let mut taken = others.filter_map(|(_, area)| area.as_ref()).chain(&self.labels);
                if !taken.any(|other| other.overlaps(area)) {
                    return Some((size, area));
                }
                if otherwise.is_none() && (is_set || own.is_some_and(|own| own.holds(area))) {
                    otherwise = Some((size, area));
                }
            }
        }
        otherwise
    }

    fn fill(&mut self, area: Area, color: Color) -> Result<(), glib::BoolError> {
        let color = color.premultiplied();
        let rectangle = self.pixels.rectangle(area, |pixels| {
            pixels
                .chunks_exact_mut(PIXEL)
                .for_each(|pixel| pixel.copy_from_slice(&color));
        })?;
        self.rectangles.push(rectangle);
        Ok(())
    }

    /// A side of the box of a face that was not seen in this frame: dashes along it.
    fn dash(&mut self, area: Area, color: Color, thickness: u32) -> Result<(), glib::BoolError> {
        let color = color.premultiplied();
        let is_row = area.width > area.height;
        let dash = (thickness * DASH) as usize;
        let rectangle = self.pixels.rectangle(area, |pixels| {
            for (index, pixel) in pixels.chunks_exact_mut(PIXEL).enumerate() {
                let (column, row) = (index % area.width as usize, index / area.width as usize);
                let along = if is_row { column } else { row };
                if (along / dash).is_multiple_of(2) {
                    pixel.copy_from_slice(&color);
                }
            }
        })?;
        self.rectangles.push(rectangle);
        Ok(())
    }
}

/// The glyphs of a size, made if they are not there.
fn glyphs_of(known: &mut Vec<Glyphs>, size: u32) -> &Glyphs {
    let index = known.iter().position(|glyphs| glyphs.size == size);
    let index = index.unwrap_or_else(|| {
        if known.len() == MOST_SIZES {
            // Somebody sweeps the size of the text.
            known.clear();
        }
        known.push(Glyphs::new(size));
        known.len() - 1
    });
    &known[index]
}

/// Writes the pixels of a picture of the size of `area` turned by `orientation`.
fn turn_pixels(pixels: &[u8], area: Area, orientation: Orientation, turned: &mut [u8]) {
    let (width, height) = (area.width as f32, area.height as f32);
    let turned_width = match orientation.swaps_sides() {
        true => area.height,
        false => area.width,
    };
    for (index, pixel) in (0..area.width * area.height).zip(pixels.chunks_exact(PIXEL)) {
        // The middle of the pixel.
        let middle = [index % area.width, index / area.width].map(|side| side as f32 + 0.5);
        let [x, y] = orientation
            .turn_point(middle, width, height)
            .map(|side| side as u32);
        let at = (y * turned_width + x) as usize * PIXEL;
        turned[at..at + PIXEL].copy_from_slice(pixel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_turn_as_their_area_does() {
        let area = Area {
            x: 10,
            y: 20,
            width: 3,
            height: 2,
        };
        let pixels: Vec<u8> = (0..6).flat_map(|index| [index; PIXEL]).collect();
        let turned = |orientation| {
            let mut turned = vec![99; pixels.len()];
            turn_pixels(&pixels, area, orientation, &mut turned);
            let values: Vec<u8> = turned.chunks_exact(PIXEL).map(|pixel| pixel[0]).collect();
            let Area { x, y, width, height } = area.turned(orientation, 100, 50);
            (values, [x, y, width, height])
        };
        assert_eq!(
            turned(Orientation::Identity),
            (vec![0, 1, 2, 3, 4, 5], [10, 20, 3, 2])
        );
        assert_eq!(
            turned(Orientation::Clockwise),
            (vec![3, 0, 4, 1, 5, 2], [28, 10, 2, 3])
        );
        assert_eq!(
            turned(Orientation::HalfTurn),
            (vec![5, 4, 3, 2, 1, 0], [87, 28, 3, 2])
        );
        assert_eq!(
            turned(Orientation::MirrorHorizontal),
            (vec![2, 1, 0, 5, 4, 3], [87, 20, 3, 2])
        );
    }
}
