//! README is true: its commands run, and its session is what the demonstration prints.

use crate::daemon::PROGRAM;
use crate::place::Place;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// The text of the fenced blocks of a kind.
fn blocks(kind: &str) -> Vec<&'static str> {
    let opening = format!("```{kind}\n");
    README.split(&opening).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// Every command in README that begins with `karamail`, in a line of a block or between backquotes.
fn own_commands() -> Vec<Vec<&'static str>> {
    let lines = README.lines().map(|line| line.trim_start_matches("$ "));
    let quoted = README.split('`').skip(1).step_by(2);
    lines
        .chain(quoted)
        .filter(|text| text.starts_with("karamail ") && !text.contains('\n'))
        .map(|text| text.split_whitespace().skip(1).collect())
        .collect()
}

/// Blanks out what differs from one run to the next: ports, the link, the start password, the folder.
fn masked(line: &str) -> String {
    let mut places = line.split("127.0.0.1:");
    let head = places.next().unwrap_or_default().to_owned();
    let line = places.fold(head, |line, rest| line + "HERE" + rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let line = line.split("(password)").next().unwrap_or_default();
    let word = |word: &str| match word {
        link if link.contains("/r/") => "LINK".to_owned(),
        file if file.ends_with("karamail.toml") => "SETTINGS".to_owned(),
        other => other.to_owned(),
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_session_in_readme_is_what_the_demonstration_prints() {
    let shown = blocks("text").into_iter().find(|block| block.starts_with("$ cargo run --release -- demo")).unwrap();
    let place = Place::take();
    let kept = place.path("demo");
    let done = Command::new(PROGRAM).args(["demo", "--once", "--keep"]).arg(&kept).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let printed = String::from_utf8(done.stdout).unwrap();
    let expected: Vec<String> =
        shown.lines().skip(1).take_while(|line| !line.starts_with("Ctrl-C")).map(masked).collect();
    let got: Vec<String> = printed.lines().map(masked).collect();
    assert_eq!(expected.join("\n").trim(), got.join("\n").trim());
    // The mail log beside it tells the same story.
    let log = String::from_utf8(done.stderr).unwrap();
    let events =
        |text: &str| text.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect::<Vec<_>>();
    let story = blocks("text").into_iter().find(|block| block.starts_with("received")).unwrap();
    assert_eq!(events(&log), events(story));
    let trace = Command::new(PROGRAM)
        .args(["trace", "hanako@docomo.example", "-c"])
        .arg(kept.join("karamail.toml"))
        .output()
        .unwrap();
    let trace = String::from_utf8(trace.stdout).unwrap();
    for event in ["received", "queued", "attempted", "accepted"] {
        assert!(trace.contains(event), "{trace}");
    }
}

#[test]
fn every_command_that_readme_names_exists() {
    let commands = own_commands();
    assert!(commands.len() >= 8, "{commands:?}");
    for words in commands {
        // What is a place for something (CODE, ID, …) or an option's value is not the command's name.
        let is_name = |word: &str| !word.starts_with("--") && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        let names = words.iter().take_while(|word| is_name(word));
        let options = words.iter().filter(|word| word.starts_with("--"));
        let done = Command::new(PROGRAM).args(names.clone()).arg("--help").output().unwrap();
        assert!(done.status.success(), "karamail {words:?}");
        let help = String::from_utf8(done.stdout).unwrap();
        options.for_each(|option| assert!(help.contains(*option), "karamail {words:?} has no {option}"));
    }
}

/// What is printed by a command that gets the settings README shows, in a folder of its own.
fn told(place: &Place, program: &str, arguments: &[&str]) -> String {
    let settings = blocks("toml").into_iter().find(|block| block.contains("public_url")).unwrap();
    let file = place.path("karamail.toml");
    let data_dir = place.path("data");
    std::fs::create_dir_all(&data_dir).unwrap();
    std::fs::write(&file, format!("data_dir = {data_dir:?}\n{settings}")).unwrap();
    let found = std::path::Path::new(PROGRAM).parent().unwrap().display().to_string();
    let done = Command::new(program)
        .args(arguments)
        .current_dir(place.path("."))
        .env("PATH", format!("{found}:{}", std::env::var("PATH").unwrap()))
        .env("KARAMAIL_CONFIG", file)
        .output()
        .unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn the_members_of_readme_are_imported_under_the_settings_of_readme() {
    let steps = blocks("sh").into_iter().find(|block| block.contains("karamail member import")).unwrap();
    let place = Place::take();
    assert!(told(&place, "sh", &["-ec", steps]).contains("added 1"));
    assert!(told(&place, PROGRAM, &["member", "show", "ACME", "0001"]).contains("山田 花子"));
}

#[test]
fn the_records_that_readme_shows_are_among_those_that_are_printed() {
    let shown = blocks("text").into_iter().find(|block| block.contains("karamail dns")).unwrap();
    let printed = told(&Place::take(), PROGRAM, &["dns", "--address", "203.0.113.9"]);
    let lines: Vec<&str> = shown.lines().map(str::trim).filter(|line| !line.is_empty()).skip(2).collect();
    assert!(lines.iter().any(|line| line.contains(" IN MX ")), "{lines:?}");
    lines.iter().for_each(|line| assert!(printed.lines().any(|printed| printed == *line), "{line}: {printed}"));
}
