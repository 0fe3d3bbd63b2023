//! The properties of the element: what is drawn, and how.

use std::ops::RangeInclusive;
use std::sync::LazyLock;

use gst::glib::{self, prelude::*};
use gst::prelude::*;

use super::color::Color;
use crate::properties::value_of;

/// Which points of a face are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PoseOverlayPoints")]
#[non_exhaustive]
pub enum Points {
    /// None.
    #[enum_value(name = "None", nick = "none")]
    None,
    /// Eyes, nose, mouth corners.
    #[default]
    #[enum_value(name = "Five: eyes, tip of the nose, mouth corners", nick = "keypoints")]
    Keypoints,
    /// The landmarks of the head model.
    #[enum_value(name = "All 68 landmarks of the head model", nick = "landmarks")]
    Landmarks,
}

/// How faces are made unrecognisable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PoseOverlayBlur")]
#[non_exhaustive]
pub enum Blur {
    /// Not at all.
    #[default]
    #[enum_value(name = "Faces are left as they are", nick = "none")]
    None,
    /// Blocks of one colour.
    #[enum_value(name = "A few blocks, each of one colour", nick = "pixelate")]
    Pixelate,
    /// The same blocks, with smooth transitions.
    #[enum_value(name = "The same blocks, blended into each other", nick = "blur")]
    Blur,
    /// Nothing is left.
    #[enum_value(name = "Black", nick = "solid")]
    Solid,
}

pub use flags::Label;

// The macro drops documentation.
#[allow(missing_docs)]
mod flags {
    use super::glib;

    /// What is written at a face.
    #[glib::flags(name = "GstImg2PoseOverlayLabel")]
    pub enum Label {
        /// Number of the face.
        #[flags_value(name = "Number of the face, 0 for the highest score", nick = "number")]
        NUMBER = 0b0001,
        /// Confidence.
        #[flags_value(name = "Score, 0 to 1", nick = "score")]
        SCORE = 0b0010,
        /// Yaw, pitch and roll.
        #[flags_value(name = "Yaw, pitch and roll in degrees", nick = "angles")]
        ANGLES = 0b0100,
        /// Translation.
        #[flags_value(name = "Position x, y, z in head units", nick = "position")]
        POSITION = 0b1000,
        /// Id of the face through time.
        #[flags_value(name = "Id of the face that img2posetrack follows", nick = "track")]
        TRACK = 0b1_0000,
    }
}

/// The values of all properties.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The face box.
    pub draw_box: bool,
    /// The three head axes.
    pub draw_axes: bool,
    /// Points of the face.
    pub draw_points: Points,
    /// Contours through the 68 landmarks.
    pub draw_outline: bool,
    /// Whether boxes of faces that are followed have a colour for each id.
    pub track_colors: bool,
    /// What is written.
    pub label: Label,
    /// How faces are made unrecognisable.
    pub blur_faces: Blur,
    /// What is hidden around the box, on each side, as a share of the box's long side.
    pub blur_margin: f64,
    /// Side of a block or of what blurs into one, as a share of the box's long side.
    pub blur_strength: f64,
    /// Whether frames that no detector looked at are made unrecognisable as a whole, too.
    pub blur_unseen: bool,
    /// Width of lines in pixels; 0: by the size of the frame.
    pub thickness: u32,
    /// Height of a line of text in pixels; 0: by the size of the frame.
    pub text_size: u32,
    /// Colours.
    pub colors: Colors,
}

/// The colours of everything that is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Colors {
    /// The box.
    pub face_box: Color,
    /// The points.
    pub points: Color,
    /// The contours.
    pub outline: Color,
    /// The axes x, y and z.
    pub axes: [Color; 3],
    /// The text.
    pub text: Color,
    /// What the text stands on.
    pub background: Color,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            draw_box: true,
            draw_axes: true,
            draw_points: Points::default(),
            draw_outline: false,
            track_colors: true,
            label: Label::SCORE,
            blur_faces: Blur::default(),
            blur_margin: 0.4,
            blur_strength: 0.5,
            blur_unseen: true,
            thickness: 0,
            text_size: 0,
            colors: Colors {
                face_box: Color(0xffff_d633),
                points: Color(0xffff_ffff),
                outline: Color(0xffff_ffff),
                axes: [Color(0xffff_3030), Color(0xff20_d040), Color(0xff30_80ff)],
                text: Color(0xffff_ffff),
                background: Color(0xa000_0000),
            },
        }
    }
}

impl Settings {
    /// Whether anything is drawn, blurring aside.
    pub fn draws(&self) -> bool {
        self.draw_box
            || self.draw_axes
            || self.draw_points != Points::None
            || self.draw_outline
            || !self.label.is_empty()
    }

    /// Takes the value of a property over. GObject has checked name, type and range.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "draw-box" => self.draw_box = value_of(value),
            "draw-axes" => self.draw_axes = value_of(value),
            "draw-points" => self.draw_points = value_of(value),
            "draw-outline" => self.draw_outline = value_of(value),
            "track-colors" => self.track_colors = value_of(value),
            "label" => self.label = value_of(value),
            "blur-faces" => self.blur_faces = value_of(value),
            "blur-margin" => self.blur_margin = value_of(value),
            "blur-strength" => self.blur_strength = value_of(value),
            "blur-unseen" => self.blur_unseen = value_of(value),
            "thickness" => self.thickness = value_of(value),
            "text-size" => self.text_size = value_of(value),
            name => match self.color(name) {
                Some(color) => *color = Color(value_of(value)),
                None => unreachable!("no property '{name}'"),
            },
        }
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "draw-box" => self.draw_box.to_value(),
            "draw-axes" => self.draw_axes.to_value(),
            "draw-points" => self.draw_points.to_value(),
            "draw-outline" => self.draw_outline.to_value(),
            "track-colors" => self.track_colors.to_value(),
            "label" => self.label.to_value(),
            "blur-faces" => self.blur_faces.to_value(),
            "blur-margin" => self.blur_margin.to_value(),
            "blur-strength" => self.blur_strength.to_value(),
            "blur-unseen" => self.blur_unseen.to_value(),
            "thickness" => self.thickness.to_value(),
            "text-size" => self.text_size.to_value(),
            name => match { *self }.color(name) {
                Some(color) => color.0.to_value(),
                None => unreachable!("no property '{name}'"),
            },
        }
    }

    /// The colour that is the property `name`.
    fn color(&mut self, name: &str) -> Option<&mut Color> {
        let colors = &mut self.colors;
        Some(match name {
            "box-color" => &mut colors.face_box,
            "points-color" => &mut colors.points,
            "outline-color" => &mut colors.outline,
            "x-axis-color" => &mut colors.axes[0],
            "y-axis-color" => &mut colors.axes[1],
            "z-axis-color" => &mut colors.axes[2],
            "label-color" => &mut colors.text,
            "label-background-color" => &mut colors.background,
            _ => return None,
        })
    }

    /// The properties of the element, as `gst-inspect-1.0` shows them.
    pub fn param_specs() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(param_specs);
        &SPECS
    }
}

fn param_specs() -> Vec<glib::ParamSpec> {
    let mut defaults = Settings::default();
    let switch = |name, nick, blurb, default| {
        glib::ParamSpecBoolean::builder(name)
            .nick(nick)
            .blurb(blurb)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    let pixels = |name, nick, blurb, maximum| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .maximum(maximum)
            .default_value(0)
            .mutable_playing()
            .build()
    };
    let share = |name, nick, blurb, range: RangeInclusive<f64>, default| {
        glib::ParamSpecDouble::builder(name)
            .nick(nick)
            .blurb(blurb)
            .minimum(*range.start())
            .maximum(*range.end())
            .default_value(default)
            .mutable_playing()
            .build()
    };
    let mut specs = vec![
        switch(
            "draw-box",
            "Draw the box",
            "Draw the box of each face",
            defaults.draw_box,
        ),
        switch(
            "draw-axes",
            "Draw the axes",
            "Draw the axes of each head from the tip of its nose: x to the right of an upright face as seen in the picture, \
             y down to the chin, z out of the face to where the nose points; their length grows with the head",
            defaults.draw_axes,
        ),
        glib::ParamSpecEnum::builder_with_default("draw-points", defaults.draw_points)
            .nick("Draw points")
            .blurb("Which points of each face to draw")
            .mutable_playing()
            .build(),
        switch(
            "draw-outline",
            "Draw the outline",
            "Draw the contours of jaw, brows, nose, eyes and lips, through the landmarks of the head model",
            defaults.draw_outline,
        ),
        switch(
            "track-colors",
            "Colours of tracks",
            "Draw the box of a face that img2posetrack follows in the colour of its id, instead of box-color",
            defaults.track_colors,
        ),
        glib::ParamSpecFlags::builder::<Label>("label")
            .nick("Label")
            .blurb("What to write at each face, such as track+score; 0: nothing")
            .default_value(defaults.label)
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder_with_default("blur-faces", defaults.blur_faces)
            .nick("Blur faces")
            .blurb(
                "Make faces unrecognisable in the pixels of the frame: the box of each face, and blur-margin \
                 around it. A frame is hidden as a whole if it was cropped or flipped after its faces were found, \
                 or if no detector looked at it (see blur-unseen), whatever img2posetrack expects there. Only \
                 solid leaves nothing of a face. Faces that the detector misses stay visible",
            )
            .mutable_playing()
            .build(),
        share(
            "blur-margin",
            "Blur margin",
            "How far around the box of a face blur-faces hides, on each side, as a share of the long side of the \
             box; the default covers chin, ears and most of the hair",
            0.0..=2.0,
            defaults.blur_margin,
        ),
        share(
            "blur-strength",
            "Blur strength",
            "How coarse pixelate and blur are: the side of the blocks that get one colour each, as a share of the \
             long side of the face's box. The higher, the less is left of a face. No effect on solid",
            0.05..=1.0,
            defaults.blur_strength,
        ),
        switch(
            "blur-unseen",
            "Blur unseen frames",
            "With blur-faces, hide each frame as a whole that no detector looked at. Otherwise only the faces \
             that img2posetrack expects in it are hidden",
            defaults.blur_unseen,
        ),
        pixels(
            "thickness",
            "Thickness",
            "Width of lines in pixels; 0: 1/360 of the frame's short side, at least 2",
            100,
        ),
        pixels(
            "text-size",
            "Text size",
            "Height of a line of text in pixels. 0: 1/40 of the frame's short side, at least 12; less, down to 8, \
             for a label that is wider than its face; and labels that would cover other faces are left out",
            500,
        ),
    ];
    for (name, nick, blurb) in [
        ("box-color", "Box colour", "Colour of the box as 0xAARRGGBB"),
        (
            "points-color",
            "Points colour",
            "Colour of the points as 0xAARRGGBB",
        ),
        (
            "outline-color",
            "Outline colour",
            "Colour of the outline as 0xAARRGGBB",
        ),
        (
            "x-axis-color",
            "X axis colour",
            "Colour of the x axis as 0xAARRGGBB",
        ),
        (
            "y-axis-color",
            "Y axis colour",
            "Colour of the y axis as 0xAARRGGBB",
        ),
        (
            "z-axis-color",
            "Z axis colour",
            "Colour of the z axis as 0xAARRGGBB",
        ),
        ("label-color", "Label colour", "Colour of the text as 0xAARRGGBB"),
        (
            "label-background-color",
            "Label background colour",
            "Colour of the field under the text as 0xAARRGGBB",
        ),
    ] {
        let default = defaults.color(name).map_or(0, |color| color.0);
        specs.push(
            glib::ParamSpecUInt::builder(name)
                .nick(nick)
                .blurb(blurb)
                .default_value(default)
                .mutable_playing()
                .build(),
        );
    }
    specs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_reads_its_default_and_what_was_set() {
        let defaults = Settings::default();
        for spec in Settings::param_specs() {
            let mut settings = defaults;
            settings.set(spec.name(), spec.default_value());
            assert_eq!(settings, defaults, "{}", spec.name());
            settings.set(spec.name(), &defaults.get(spec.name()));
            assert_eq!(settings, defaults, "{}", spec.name());
        }
        let mut settings = defaults;
        settings.set("z-axis-color", &0x8001_0203_u32.to_value());
        assert_eq!(settings.get("z-axis-color").get::<u32>().unwrap(), 0x8001_0203);
        assert_eq!(settings.colors.axes[2], Color(0x8001_0203));
    }

    #[test]
    fn nothing_to_draw() {
        let nothing = Settings {
            draw_box: false,
            draw_axes: false,
            draw_points: Points::None,
            label: Label::empty(),
            ..Settings::default()
        };
        assert!(!nothing.draws());
        assert!(
            Settings {
                draw_outline: true,
                ..nothing
            }
            .draws()
        );
        assert!(
            Settings {
                label: Label::ANGLES,
                ..nothing
            }
            .draws()
        );
    }
}
