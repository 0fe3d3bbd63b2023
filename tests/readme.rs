//! The README's tables of properties are those of the elements. Its commands are run by `commands.rs`.

use std::collections::BTreeMap;

mod describe;

const README: &str = include_str!("../README.md");

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
