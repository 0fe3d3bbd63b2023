//! The elements in words, for the tests that compare documents with them.

use std::sync::Once;

use gst::glib;
use gst::prelude::*;

pub const ELEMENTS: [&str; 5] = [
    "img2posedetect",
    "img2posetrack",
    "img2posejson",
    "img2poseoverlay",
    "img2posealign",
];

pub fn init() {
    // Once: registering again would take the factories away from elements that are alive.
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstimg2pose::plugin_register_static().unwrap();
    });
}

/// The properties of an element but those that every element and every sink has, in the order in which it declares them.
pub fn properties(element: &str) -> Vec<glib::ParamSpec> {
    let factory = gst::ElementFactory::find(element).unwrap();
    let class = glib::Class::<gst::Element>::from_type(factory.load().unwrap().element_type()).unwrap();
    class
        .list_properties()
        .iter()
        .filter(|spec| {
            !["name", "parent"].contains(&spec.name()) && spec.owner_type().name() != "GstBaseSink"
        })
        .cloned()
        .collect()
}

/// Default and range as the documents write them.
pub fn described(spec: &glib::ParamSpec) -> (String, String) {
    if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
        return ("-".to_owned(), "read-only".to_owned());
    }
    let default = spec.default_value();
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        if spec.name().ends_with("-color") {
            return (format!("0x{:08x}", spec.default_value()), "0xAARRGGBB".to_owned());
        }
        return (
            spec.default_value().to_string(),
            range(spec.minimum(), spec.maximum()),
        );
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
        let range = match spec.maximum() {
            i32::MAX => format!("{} or more", spec.minimum()),
            maximum => range(spec.minimum(), maximum),
        };
        return (spec.default_value().to_string(), range);
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt64>() {
        return match (spec.default_value(), spec.minimum()) {
            // As gst-launch-1.0 takes it.
            (u64::MAX, 0) => ("-1".to_owned(), "ns, or -1".to_owned()),
            (default, 0) => (default.to_string(), "ns".to_owned()),
            (default, least) => (default.to_string(), format!("ns, {least} or more")),
        };
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecFloat>() {
        return (
            spec.default_value().to_string(),
            range(spec.minimum(), spec.maximum()),
        );
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecDouble>() {
        return (
            spec.default_value().to_string(),
            range(spec.minimum(), spec.maximum()),
        );
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecBoolean>() {
        return (spec.default_value().to_string(), "true, false".to_owned());
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecEnum>() {
        let nicks: Vec<_> = spec
            .enum_class()
            .values()
            .iter()
            .map(|value| value.nick())
            .collect();
        let default = glib::EnumValue::from_value(default).map(|(_, value)| value.nick().to_owned());
        return (default.unwrap_or_default(), nicks.join(", "));
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecFlags>() {
        let class = spec.flags_class();
        let set = |value: &&glib::FlagsValue| spec.default_value_as_u32() & value.value() != 0;
        let nicks = |values: Vec<&glib::FlagsValue>| {
            values
                .iter()
                .map(|value| value.nick().to_owned())
                .collect::<Vec<_>>()
        };
        let default = nicks(class.values().iter().filter(set).collect());
        let all = nicks(class.values().iter().collect());
        return (default.join("+"), format!("any of {}", all.join(", ")));
    }
    assert!(spec.is::<glib::ParamSpecString>(), "no rule for {}", spec.name());
    let what = match spec.name() {
        "model" | "onnxruntime-library" => "file",
        "uri" | "server-url" => "address",
        "server-headers" => "NAME=VALUE",
        name if ["-file", "-certificate", "-key"]
            .iter()
            .any(|end| name.ends_with(end)) =>
        {
            "file"
        }
        _ => "name",
    };
    ("unset".to_owned(), what.to_owned())
}

fn range(minimum: impl ToString, maximum: impl ToString) -> String {
    format!("{} to {}", minimum.to_string(), maximum.to_string())
}
