//! Faces without ids where ids are to be written: nobody should look for what cannot appear.

use super::settings::Label;
use crate::meta::FrameFaces;

/// So many frames with faces may have no id: `img2posetrack` does not follow a face that it is not sure of.
const FRAMES: u32 = 30;

/// What there is to be said then.
pub const MISSING: &str =
    "label has track, but no face has an id. Put img2posetrack between img2posedetect and img2poseoverlay.";

/// What was seen of ids since the stream began.
#[derive(Default)]
pub struct Untracked {
    frames: u32,
    is_over: bool,
}

impl Untracked {
    /// Takes the faces of a frame, of which there are some, or `None` when the stream ends. Whether it is to be said now, once, that `label`
    /// asks for ids that are missing.
    pub fn is_to_say(&mut self, faces: Option<&FrameFaces>, label: Label) -> bool {
        label.contains(Label::TRACK)
            && match faces {
                Some(faces) => self.frame(faces),
                None => self.end(),
            }
    }

    fn frame(&mut self, faces: &FrameFaces) -> bool {
        self.is_over |= !faces.tracks.is_empty();
        self.frames = self.frames.saturating_add(1);
        self.frames >= FRAMES && self.end()
    }

    fn end(&mut self) -> bool {
        self.frames > 0 && !std::mem::replace(&mut self.is_over, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::Track;

    fn info() -> gst_video::VideoInfo {
        gst::init().unwrap();
        gst_video::VideoInfo::builder(gst_video::VideoFormat::Rgb, 640, 480)
            .build()
            .unwrap()
    }

    fn faces(tracks: Vec<Option<Track>>) -> FrameFaces {
        FrameFaces {
            tracks,
            ..FrameFaces::new(&info(), Vec::new())
        }
    }

    #[test]
    fn it_is_said_once() {
        let mut untracked = Untracked::default();
        assert!(!untracked.end(), "without faces there is nothing to say");
        let mut untracked = Untracked::default();
        for _ in 1..FRAMES {
            assert!(!untracked.frame(&faces(Vec::new())));
        }
        assert!(untracked.frame(&faces(Vec::new())));
        assert!(!untracked.frame(&faces(Vec::new())) && !untracked.end());
    }

    #[test]
    fn one_id_is_enough() {
        let mut untracked = Untracked::default();
        assert!(!untracked.frame(&faces(Vec::new())));
        assert!(!untracked.frame(&faces(vec![None])));
        for _ in 0..2 * FRAMES {
            assert!(!untracked.frame(&faces(Vec::new())));
        }
        assert!(!untracked.end());
    }
}
