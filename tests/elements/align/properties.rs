//! The properties and the element as a user sees them.

use gst::glib;
use gst::prelude::*;

use crate::faces;

#[test]
fn every_property_says_what_it_does_and_can_change_at_any_time() {
    faces::init();
    let element = gst::ElementFactory::make("img2posealign").build().unwrap();
    let mut names = Vec::new();
    for spec in element.list_properties().iter() {
        if spec.owner_type() != element.type_() {
            continue;
        }
        names.push(spec.name().to_owned());
        let blurb = spec.blurb().unwrap_or_default();
        assert!(
            blurb.len() > 20 && blurb != spec.nick(),
            "{}: {blurb}",
            spec.name()
        );
        assert!(spec.flags().contains(glib::ParamFlags::READWRITE));
        assert!(spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING));
    }
    names.sort();
    assert_eq!(
        names,
        [
            "max-faces",
            "max-yaw",
            "min-face-size",
            "per-track-interval",
            "size"
        ]
    );
}

#[test]
fn the_element_says_what_it_is() {
    faces::init();
    let factory = gst::ElementFactory::find("img2posealign").unwrap();
    assert_eq!(factory.metadata("klass"), Some("Filter/Converter/Video"));
    for key in ["long-name", "description", "author"] {
        assert!(factory.metadata(key).is_some_and(|text| text.len() > 10), "{key}");
    }
}
