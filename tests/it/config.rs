//! Broken configurations, each beside what is said about it.

use karamail::config::Config;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const BAD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config/bad");

fn files(ending: &str) -> BTreeSet<PathBuf> {
    let paths = std::fs::read_dir(BAD).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

/// What is said about a file, as it would lie in a folder that is the same on every machine.
fn said_about(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    match Config::read(&text, Path::new("/etc/karamail")) {
        Ok(config) => panic!("{} is believed: {config:#?}", file.display()),
        Err(problems) => format!("{problems}\n"),
    }
}

#[test]
fn every_fault_of_a_broken_configuration_is_said_at_once() {
    let mut wrong = Vec::new();
    for file in files("toml") {
        let expected = std::fs::read_to_string(file.with_extension("expected")).unwrap_or_default();
        let said = said_about(&file);
        if said != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- said\n{said}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_broken_configuration_has_at_least_two_faults_and_names_their_keys() {
    let files = files("toml");
    assert!(files.len() >= 25, "{}", files.len());
    for file in files {
        let said = said_about(&file);
        assert!(said.lines().count() >= 2, "{}", file.display());
        assert!(said.lines().all(|line| line.starts_with("line ") || line.contains("is missing")), "{said}");
    }
}

#[test]
fn no_expected_complaint_is_left_without_its_configuration() {
    for file in files("expected") {
        assert!(file.with_extension("toml").exists(), "{}", file.display());
    }
}

#[test]
fn no_complaint_repeats_a_secret() {
    assert!(files("toml").iter().all(|file| !said_about(file).contains("hunter2")));
}
