//! Elements and properties as the reference writes them.

use std::fmt::Write;
use std::path::Path;

use gst::glib;
use gst::prelude::*;

use crate::describe;

/// Compares what elements say with a file in `docs/`, which `IMG2POSE_WRITE_DOCS=1` and `command` write anew.
pub fn compare(text: &str, file: &str, command: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os("IMG2POSE_WRITE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = text.lines().zip(written.lines()).find(|(now, then)| now != then);
    assert!(
        written == text,
        "docs/{file} is out of date: run IMG2POSE_WRITE_DOCS=1 {command}\n{differs:#?}"
    );
}

/// Writes what an element says of itself, without what cargo features add.
pub fn write_element(text: &mut String, name: &str) {
    let factory = gst::ElementFactory::find(name).unwrap();
    let about = |key: &str| factory.metadata(key).unwrap();
    writeln!(
        text,
        "\n## {name}\n\n{}. {}.\n",
        about("long-name"),
        about("description")
    )
    .unwrap();
    writeln!(text, "Class `{}`.\n", about("klass")).unwrap();
    writeln!(text, "| pad | presence | caps |\n|---|---|---|").unwrap();
    for template in factory.static_pad_templates() {
        let presence = match template.presence() {
            gst::PadPresence::Always => "always",
            gst::PadPresence::Sometimes => "sometimes",
            _ => "on request",
        };
        writeln!(
            text,
            "| `{}` | {presence} | {} |",
            template.name_template(),
            caps(&template.caps())
        )
        .unwrap();
    }
    let properties: Vec<_> = describe::properties(name)
        .into_iter()
        .filter(|spec| !of_features(spec.name()))
        .collect();
    write_properties(text, &properties);
}

/// Whether a property of `img2posedetect` comes with the cargo feature `remote`.
pub fn of_features(property: &str) -> bool {
    property.starts_with("server-") || property == "on-outage"
}

/// Writes a table of properties.
pub fn write_properties(text: &mut String, properties: &[glib::ParamSpec]) {
    if properties.is_empty() {
        return;
    }
    writeln!(
        text,
        "\n| property | type | default | range | may change | what |\n|---|---|---|---|---|---|"
    )
    .unwrap();
    for spec in properties {
        let (default, range) = describe::described(spec);
        writeln!(
            text,
            "| `{}` | {} | {default} | {range} | {} | {} |",
            spec.name(),
            kind(spec),
            when(spec),
            spec.blurb().unwrap_or_default().replace('|', "\\|")
        )
        .unwrap();
    }
}

fn caps(caps: &gst::CapsRef) -> String {
    caps.iter_with_features()
        .map(|(structure, features)| {
            let mut text = structure.name().to_string();
            if features.is_any() {
                text.push_str(" in any memory");
            } else if features.iter().any(|feature| feature.contains("Overlay")) {
                text.push_str(" with overlay compositions");
            } else if let Some(memory) = features.iter().find(|feature| *feature != "memory:SystemMemory") {
                write!(text, " in {memory}").unwrap();
            }
            if let Ok(format) = structure.value("format") {
                let format = format.serialize().unwrap().replace("(string)", "");
                write!(text, ", {}", format.trim_matches(['{', '}', ' ']).trim()).unwrap();
            }
            for side in ["width", "height"] {
                if let Ok(range) = structure.get::<gst::IntRange<i32>>(side)
                    && range.max() < i32::MAX
                {
                    write!(text, ", {side} {} to {}", range.min(), range.max()).unwrap();
                }
            }
            text
        })
        .collect::<Vec<_>>()
        .join("; ")
}

fn kind(spec: &glib::ParamSpec) -> &'static str {
    let known = [
        (glib::Type::BOOL, "boolean"),
        (glib::Type::U32, "uint"),
        (glib::Type::I32, "int"),
        (glib::Type::U64, "uint64"),
        (glib::Type::F32, "float"),
        (glib::Type::F64, "double"),
        (glib::Type::STRING, "string"),
    ];
    let of = spec.value_type();
    match known.iter().find(|(type_, _)| *type_ == of) {
        Some((_, name)) => name,
        None if of.is_a(glib::Type::ENUM) => "enum",
        None if of.is_a(glib::Type::FLAGS) => "flags",
        None => "structure",
    }
}

fn when(spec: &glib::ParamSpec) -> &'static str {
    let flags = spec.flags();
    if !flags.contains(glib::ParamFlags::WRITABLE) {
        "read-only"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        "always"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_PAUSED) {
        "up to PAUSED"
    } else {
        "in NULL and READY"
    }
}
