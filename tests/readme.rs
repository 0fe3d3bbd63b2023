//! The README says what the elements do: every pipeline in it can be built, and the table of properties is theirs.

use std::collections::BTreeMap;

use gst::glib;
use gst::prelude::*;

const README: &str = include_str!("../README.md");

fn init() {
    gst::init().unwrap();
    gstimg2pose::plugin_register_static().unwrap();
}

/// The commands of the README that start with `program`, continued lines joined.
fn commands(program: &str) -> Vec<String> {
    let joined = README.replace("\\\n", " ");
    joined
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(program))
        .map(|rest| rest.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn every_pipeline_can_be_built() {
    init();
    let pipelines = commands("gst-launch-1.0 ");
    assert!(pipelines.len() >= 4, "found only {pipelines:?}");
    for pipeline in pipelines {
        // What a shell or gst-launch itself would take off.
        let pipeline = pipeline.replace(['\'', '"'], "");
        let pipeline = pipeline.strip_prefix("-q ").unwrap_or(&pipeline);
        if let Err(error) = gst::parse::launch_full(pipeline, None, gst::ParseFlags::FATAL_ERRORS) {
            panic!("{pipeline}: {error}");
        }
    }
}

/// `name` -> `(default, range)` of the rows of a table whose first cell is a name in backquotes.
fn table(heading: &str) -> BTreeMap<String, (String, String)> {
    let section = README
        .split(heading)
        .nth(1)
        .unwrap_or_else(|| panic!("no section {heading}"));
    section
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .filter_map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            let name = cells[0].strip_prefix('`')?.strip_suffix('`')?;
            Some((name.to_owned(), (cells[1].to_owned(), cells[2].to_owned())))
        })
        .collect()
}

/// Default and range as the README writes them.
fn described(spec: &glib::ParamSpec) -> (String, String) {
    if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
        return ("-".to_owned(), "read-only".to_owned());
    }
    let default = spec.default_value();
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
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
        assert_eq!(spec.minimum(), 0, "{}", spec.name());
        return match spec.default_value() {
            // As gst-launch-1.0 takes it.
            u64::MAX => ("-1".to_owned(), "ns, or -1".to_owned()),
            default => (default.to_string(), "ns".to_owned()),
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
    assert!(spec.is::<glib::ParamSpecString>(), "no rule for {}", spec.name());
    let what = match spec.name() {
        "model" | "onnxruntime-library" => "file",
        _ => "name",
    };
    ("unset".to_owned(), what.to_owned())
}

fn range(minimum: impl ToString, maximum: impl ToString) -> String {
    format!("{} to {}", minimum.to_string(), maximum.to_string())
}

fn compare(element: &str, heading: &str) {
    init();
    let written = table(heading);
    let factory = gst::ElementFactory::find(element).unwrap();
    let class = glib::Class::<gst::Element>::from_type(factory.load().unwrap().element_type()).unwrap();
    let real: BTreeMap<_, _> = class
        .list_properties()
        .iter()
        .filter(|spec| !["name", "parent"].contains(&spec.name()))
        .map(|spec| (spec.name().to_owned(), described(spec)))
        .collect();
    assert_eq!(
        written, real,
        "README under '{heading}' (left), the element (right)"
    );
}

#[test]
fn the_properties_of_img2posedetect_are_those_of_the_readme() {
    compare("img2posedetect", "## Properties of `img2posedetect`");
}

#[test]
fn the_properties_of_img2posejson_are_those_of_the_readme() {
    compare("img2posejson", "## Properties of `img2posejson`");
}
