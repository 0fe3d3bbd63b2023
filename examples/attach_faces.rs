//! A detector of your own: a plugin with an element that puts faces on frames, as `img2posedetect` does.
//!
//! Here the "detector" always sees the same two faces. The element is a stand-in where no model is at hand; the tests
//! of the C and Python examples use it.
//!
//! ```sh
//! cargo build --example attach_faces
//! gst-launch-1.0 --gst-plugin-load=target/debug/examples/libattach_faces.so \
//!     videotestsrc num-buffers=3 ! attachfaces ! fakesink
//! ```

#![allow(missing_docs)] // The items of plugin_define! carry none.

use gst::glib;
use gst::prelude::*;

mod imp {
    use std::sync::{LazyLock, Mutex};

    use gst::glib;
    use gst::subclass::prelude::*;
    use gst_base::subclass::prelude::*;
    use gstimg2pose::meta::{self, FrameFaces};
    use img2pose::Face;

    #[derive(Default)]
    pub struct AttachFaces {
        info: Mutex<Option<gst_video::VideoInfo>>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for AttachFaces {
        const NAME: &'static str = "GstAttachFaces";
        type Type = super::AttachFaces;
        type ParentType = gst_base::BaseTransform;
    }

    impl ObjectImpl for AttachFaces {}
    impl GstObjectImpl for AttachFaces {}

    impl ElementImpl for AttachFaces {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Attach faces",
                    "Filter/Analyzer/Video",
                    "Puts the same two faces on every frame but the first",
                    env!("CARGO_PKG_NAME"),
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                use gst::{PadDirection, PadPresence, PadTemplate};
                let caps = gst_video::VideoCapsBuilder::new().build();
                [("sink", PadDirection::Sink), ("src", PadDirection::Src)]
                    .map(|(name, direction)| {
                        PadTemplate::new(name, direction, PadPresence::Always, &caps).expect("valid template")
                    })
                    .to_vec()
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for AttachFaces {
        const MODE: gst_base::subclass::BaseTransformMode =
            gst_base::subclass::BaseTransformMode::AlwaysInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn set_caps(&self, incaps: &gst::Caps, _outcaps: &gst::Caps) -> Result<(), gst::LoggableError> {
            let info = gst_video::VideoInfo::from_caps(incaps)?;
            *self.info.lock().unwrap() = Some(info);
            Ok(())
        }

        fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
            let info = self
                .info
                .lock()
                .unwrap()
                .clone()
                .ok_or(gst::FlowError::NotNegotiated)?;
            // The first frame counts as looked at, with nothing found.
            let faces = if buffer.offset() == 0 {
                vec![]
            } else {
                look_at(&info)
            };
            meta::attach(buffer, &FrameFaces::new(&info, faces)).map_err(|error| {
                gst::element_imp_error!(self, gst::StreamError::Failed, ("{error}"));
                gst::FlowError::Error
            })?;
            Ok(gst::FlowSuccess::Ok)
        }
    }

    /// Where a detector would do its work.
    fn look_at(info: &gst_video::VideoInfo) -> Vec<Face> {
        let (width, height) = (info.width() as f32, info.height() as f32);
        let face = |x: f32, y: f32, confidence| Face {
            bbox: [x * width, y * height, (x + 0.25) * width, (y + 0.5) * height],
            confidence,
            pose: [0.15, -0.4, 0.05, -3.0, 0.5, 20.0],
            keypoints: [
                [0.08, 0.18],
                [0.17, 0.18],
                [0.12, 0.27],
                [0.09, 0.36],
                [0.16, 0.36],
            ]
            .map(|[dx, dy]| [(x + dx) * width, (y + dy) * height]),
            sigma: None,
        };
        vec![face(0.125, 0.25, 0.9375), face(0.5, 0.125, 0.8125)]
    }
}

glib::wrapper! {
    /// The element `attachfaces`.
    pub struct AttachFaces(ObjectSubclass<imp::AttachFaces>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "attachfaces",
        gst::Rank::NONE,
        AttachFaces::static_type(),
    )
}

gst::plugin_define!(
    attach_faces,
    "An element that puts faces on frames",
    plugin_init,
    env!("CARGO_PKG_VERSION"),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME")
);
