//! The properties as a user sees them.

use gst::glib;
use gst::prelude::*;

use crate::faces;

fn own_properties() -> Vec<glib::ParamSpec> {
    faces::init();
    let element = gst::ElementFactory::make("img2poseoverlay").build().unwrap();
    let specs = element.list_properties();
    specs
        .iter()
        .filter(|spec| spec.owner_type() == element.type_())
        .cloned()
        .collect()
}

#[test]
fn every_property_says_what_it_does_and_can_change_at_any_time() {
    let specs = own_properties();
    assert_eq!(specs.len(), 20);
    for spec in specs {
        let blurb = spec.blurb().unwrap_or_default();
        assert!(
            blurb.len() > 20 && blurb != spec.nick(),
            "{}: {blurb}",
            spec.name()
        );
        let flags = spec.flags();
        assert!(flags.contains(glib::ParamFlags::READWRITE), "{}", spec.name());
        assert!(flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING), "{}", spec.name());
    }
}

#[test]
fn values_as_gst_launch_writes_them() {
    faces::init();
    let element = gst::parse::launch(
        "img2poseoverlay label=number+angles draw-points=landmarks blur-faces=pixelate box-color=0x80112233",
    )
    .unwrap();
    assert_eq!(element.property::<u32>("box-color"), 0x8011_2233);
    use gstimg2pose::overlay::{Blur, Label, Points};
    assert_eq!(element.property::<Label>("label"), Label::NUMBER | Label::ANGLES);
    assert_eq!(element.property::<Points>("draw-points"), Points::Landmarks);
    assert_eq!(element.property::<Blur>("blur-faces"), Blur::Pixelate);
    element.set_property_from_str("label", "0");
    assert!(element.property::<Label>("label").is_empty());
}

#[test]
fn the_element_says_what_it_is() {
    faces::init();
    let factory = gst::ElementFactory::find("img2poseoverlay").unwrap();
    assert_eq!(factory.metadata("klass"), Some("Filter/Editor/Video"));
    for key in ["long-name", "description", "author"] {
        assert!(factory.metadata(key).is_some_and(|text| text.len() > 10), "{key}");
    }
}
