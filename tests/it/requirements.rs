//! `tests/requirements.md` says of each requirement which tests prove it; here it is held to that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const LIST: &str = include_str!("../requirements.md");
const NUMBERS: std::ops::RangeInclusive<u16> = 1..=149;

/// The rows of the list: the number, and what stands behind it.
fn rows() -> Vec<(u16, &'static str)> {
    LIST.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| R")?.splitn(2, '|');
            Some((cells.next()?.trim().parse().ok()?, cells.next()?))
        })
        .collect()
}

/// The names in backquotes of a row that begin with its number.
fn named(row: &str) -> impl Iterator<Item = &str> {
    row.split('`').skip(1).step_by(2)
}

/// Every test of the tree whose name begins with a number, by number.
fn tests_of_the_tree() -> BTreeMap<u16, BTreeSet<String>> {
    let mut found: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("tests/it")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                for name in names(&std::fs::read_to_string(&path).unwrap()) {
                    for number in numbers(&name) {
                        found.entry(number).or_default().insert(name.clone());
                    }
                }
            }
        }
    }
    found
}

/// The functions of a source whose names begin with a number.
fn names(source: &str) -> Vec<String> {
    source
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "))
        .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>())
        .filter(|name| numbers(name).next().is_some())
        .collect()
}

/// The numbers a name begins with: `r117_r118_…` proves two requirements, `r113_to_r116_…` four.
fn numbers(name: &str) -> impl Iterator<Item = u16> {
    let number = |word: &str| word.strip_prefix('r').filter(|digits| digits.len() == 3)?.parse::<u16>().ok();
    let mut found = Vec::new();
    let mut words = name.split('_').peekable();
    while let Some(word) = words.next() {
        match (number(word), found.last().copied()) {
            (Some(next), _) => found.push(next),
            (None, Some(first)) if word == "to" => {
                let last = words.peek().and_then(|word| number(word)).unwrap_or(first);
                found.extend(first + 1..last);
            }
            (None, _) => break,
        }
    }
    found.into_iter()
}

#[test]
fn every_requirement_stands_in_the_list_once() {
    let numbers: Vec<u16> = rows().iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, NUMBERS.collect::<Vec<_>>());
}

#[test]
fn every_test_the_list_names_is_there_and_every_numbered_test_is_named() {
    let pairs = |(number, names): (u16, BTreeSet<String>)| names.into_iter().map(move |name| (number, name));
    let tree: BTreeSet<(u16, String)> = tests_of_the_tree().into_iter().flat_map(pairs).collect();
    let named = |(number, row)| named(row).map(move |name| (number, name.to_owned())).collect::<Vec<_>>();
    let listed: BTreeSet<(u16, String)> = rows().into_iter().flat_map(named).collect();
    let (without, unlisted) = (listed.difference(&tree), tree.difference(&listed));
    let (without, unlisted): (Vec<_>, Vec<_>) = (without.collect(), unlisted.collect());
    assert!(without.is_empty() && unlisted.is_empty(), "listed, but no test: {without:?}; not listed: {unlisted:?}");
}

#[test]
fn a_row_without_a_test_says_what_is_missing() {
    for (number, row) in rows().into_iter().filter(|(_, row)| named(row).next().is_none()) {
        assert!(row.trim_matches([' ', '|']).len() >= 10, "R{number:03} says nothing");
    }
}
