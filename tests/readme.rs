//! The README says what the elements do: every pipeline in it can be built, and the table of properties is theirs.

use std::collections::BTreeMap;

mod describe;

const README: &str = include_str!("../README.md");

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
    describe::init();
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

#[test]
fn the_properties_of_all_elements_are_those_of_the_readme() {
    describe::init();
    for element in describe::ELEMENTS {
        let heading = format!("## Properties of `{element}`");
        let written = table(&heading);
        let real: BTreeMap<_, _> = describe::properties(element)
            .iter()
            .map(|spec| (spec.name().to_owned(), describe::described(spec)))
            .collect();
        assert_eq!(
            written, real,
            "README under '{heading}' (left), the element (right)"
        );
    }
}
