//! Which way up the frames are: the property, and the tags that it follows.

use gst::glib;
use gst_video::VideoOrientationMethod;
use img2pose::frame::Orientation as Turn;

/// How frames are turned before they are looked at. Names and numbers are those of `GstVideoOrientationMethod`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PoseOrientation")]
#[non_exhaustive]
pub enum Orientation {
    /// Not at all.
    #[enum_value(name = "Not turned", nick = "identity")]
    Identity,
    /// By 90 degrees clockwise.
    #[enum_value(name = "Turned clockwise by 90 degrees", nick = "90r")]
    Clockwise,
    /// By 180 degrees.
    #[enum_value(name = "Turned by 180 degrees", nick = "180")]
    HalfTurn,
    /// By 90 degrees counter-clockwise.
    #[enum_value(name = "Turned counter-clockwise by 90 degrees", nick = "90l")]
    CounterClockwise,
    /// Left and right change places.
    #[enum_value(name = "Mirrored, left and right change places", nick = "horiz")]
    MirrorHorizontal,
    /// Top and bottom change places.
    #[enum_value(name = "Mirrored, top and bottom change places", nick = "vert")]
    MirrorVertical,
    /// Mirrored at the diagonal from the upper left to the lower right.
    #[enum_value(
        name = "Mirrored at the diagonal from the upper left to the lower right",
        nick = "ul-lr"
    )]
    MirrorMainDiagonal,
    /// Mirrored at the diagonal from the upper right to the lower left.
    #[enum_value(
        name = "Mirrored at the diagonal from the upper right to the lower left",
        nick = "ur-ll"
    )]
    MirrorAntiDiagonal,
    /// As the stream's `image-orientation` tag says.
    #[default]
    #[enum_value(name = "As the stream's image-orientation tag says", nick = "auto")]
    Auto,
}

impl Orientation {
    /// How frames are turned now.
    pub fn resolve(self, tags: OrientationTags) -> Turn {
        match self {
            Self::Identity => Turn::Identity,
            Self::Clockwise => Turn::Clockwise,
            Self::HalfTurn => Turn::HalfTurn,
            Self::CounterClockwise => Turn::CounterClockwise,
            Self::MirrorHorizontal => Turn::MirrorHorizontal,
            Self::MirrorVertical => Turn::MirrorVertical,
            Self::MirrorMainDiagonal => Turn::MirrorMainDiagonal,
            Self::MirrorAntiDiagonal => Turn::MirrorAntiDiagonal,
            Self::Auto => tags.turn(),
        }
    }
}

/// What the `image-orientation` tags of a stream have said so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrientationTags {
    /// Of the stream itself.
    stream: Option<Turn>,
    /// Of the file or whatever holds it.
    global: Option<Turn>,
}

impl OrientationTags {
    /// Takes over what a tag list says of the orientation, if anything.
    pub fn read(&mut self, tags: &gst::TagListRef) {
        let Some(method) = VideoOrientationMethod::from_tag(tags) else {
            return;
        };
        let turn = match method {
            VideoOrientationMethod::_90r => Turn::Clockwise,
            VideoOrientationMethod::_180 => Turn::HalfTurn,
            VideoOrientationMethod::_90l => Turn::CounterClockwise,
            VideoOrientationMethod::Horiz => Turn::MirrorHorizontal,
            VideoOrientationMethod::Vert => Turn::MirrorVertical,
            VideoOrientationMethod::UlLr => Turn::MirrorMainDiagonal,
            VideoOrientationMethod::UrLl => Turn::MirrorAntiDiagonal,
            _ => Turn::Identity,
        };
        match tags.scope() {
            gst::TagScope::Stream => self.stream = Some(turn),
            _ => self.global = Some(turn),
        }
    }

    /// What holds: the stream knows better than the file.
    fn turn(self) -> Turn {
        self.stream.or(self.global).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use gst::glib::prelude::*;

    use super::*;

    fn tags(value: &str, scope: gst::TagScope) -> gst::TagList {
        gst::init().unwrap();
        let mut tags = gst::TagList::new();
        let tags_mut = tags.make_mut();
        tags_mut.add::<gst::tags::ImageOrientation>(&value, gst::TagMergeMode::Append);
        tags_mut.set_scope(scope);
        tags
    }

    #[test]
    fn every_value_of_the_tag_is_known() {
        for (value, turn) in [
            ("rotate-0", Turn::Identity),
            ("rotate-90", Turn::Clockwise),
            ("rotate-180", Turn::HalfTurn),
            ("rotate-270", Turn::CounterClockwise),
            ("flip-rotate-0", Turn::MirrorHorizontal),
            ("flip-rotate-90", Turn::MirrorAntiDiagonal),
            ("flip-rotate-180", Turn::MirrorVertical),
            ("flip-rotate-270", Turn::MirrorMainDiagonal),
            ("upside-down", Turn::Identity),
        ] {
            let mut found = OrientationTags::default();
            found.read(&tags(value, gst::TagScope::Stream));
            assert_eq!(Orientation::Auto.resolve(found), turn, "{value}");
        }
    }

    #[test]
    fn the_tag_of_the_stream_counts_more_than_that_of_the_file() {
        use gst::TagScope::{Global, Stream};
        let mut found = OrientationTags::default();
        found.read(&tags("rotate-90", Global));
        assert_eq!(Orientation::Auto.resolve(found), Turn::Clockwise);
        found.read(&tags("rotate-180", Stream));
        found.read(&tags("rotate-270", Global));
        assert_eq!(Orientation::Auto.resolve(found), Turn::HalfTurn);
        // A list that says nothing of it changes nothing.
        found.read(&gst::TagList::new());
        assert_eq!(Orientation::Auto.resolve(found), Turn::HalfTurn);
        assert_eq!(
            Orientation::CounterClockwise.resolve(found),
            Turn::CounterClockwise
        );
        found.read(&tags("rotate-0", Stream));
        assert_eq!(Orientation::Auto.resolve(found), Turn::Identity);
    }

    #[test]
    fn names_and_numbers_are_gstreamers() {
        gst::init().unwrap();
        let ours = glib::EnumClass::new::<Orientation>();
        let theirs = glib::EnumClass::with_type(VideoOrientationMethod::static_type()).unwrap();
        assert_eq!(ours.values().len(), 9);
        for value in ours.values() {
            assert_eq!(theirs.value(value.value()).unwrap().nick(), value.nick());
            if let Ok(index) = usize::try_from(value.value())
                && index < 8
            {
                let fixed: Orientation = value.to_value(&ours).get().unwrap();
                assert_eq!(fixed.resolve(OrientationTags::default()), Turn::ALL[index]);
                assert_eq!(Turn::ALL[index].name(), value.nick());
            }
        }
    }
}
