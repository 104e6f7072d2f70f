//! Who may use whom: the table of `src/lib.rs`, held against the paths that the sources name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The levels, lowest first: its modules, and whether they may use one another.
const LEVELS: &[(&[&str], bool)] = &[
    (&["model", "clock", "random"], true),
    (&["link", "seal", "mail", "smtp", "queue"], false),
    (&["config", "store", "keys", "maillog"], false),
    (&["service"], false),
    (&["net"], false),
    (&["inbound", "outbound", "web", "api", "control"], false),
    (&["daemon"], false),
    (&["cli"], false),
    (&["main"], false),
];

/// What a module may use where that is not "everything on a lower level".
const NARROWER: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("clock", &["model"]),
    ("random", &["model"]),
    ("link", &["model"]),
    ("seal", &["model"]),
    ("mail", &["model"]),
    ("smtp", &["model"]),
    ("queue", &["model"]),
    ("config", &["model", "clock", "random", "queue", "mail"]),
    ("store", &["model", "clock", "random", "queue"]),
    ("keys", &["model", "clock", "random", "queue"]),
    ("maillog", &["model", "clock", "random", "queue", "store"]),
    ("service", &["model", "clock", "random", "link", "seal", "mail", "queue", "store", "maillog", "keys"]),
    ("net", &["model", "clock", "random", "queue", "config", "store", "keys", "maillog"]),
];

/// Paths below a module that are all its user may touch: `config` uses of `mail` only the templates.
const PARTS: &[(&str, &str, &str)] = &[("config", "mail", "template")];

fn allowed(module: &str) -> BTreeSet<&'static str> {
    if let Some((_, uses)) = NARROWER.iter().find(|(name, _)| *name == module) {
        return uses.iter().copied().collect();
    }
    let level = LEVELS.iter().position(|(modules, _)| modules.contains(&module));
    let level =
        level.unwrap_or_else(|| panic!("module {module} stands in no level: add it to the table and to src/lib.rs"));
    LEVELS[..level].iter().flat_map(|(modules, _)| modules.iter().copied()).collect()
}

/// Blanks out comments, texts and the tests at the end of a file, so that only paths of the code remain.
fn code_of(source: &str) -> String {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                for skipped in chars.by_ref() {
                    if skipped == '\n' {
                        out.push('\n');
                        break;
                    }
                }
            }
            '"' => {
                while let Some(inner) = chars.next() {
                    match inner {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            other => out.push(other),
        }
    }
    out
}

/// Finds the paths behind `crate::` (or `karamail::` in the binary): one level of braces opened, two names deep.
fn paths_of(code: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for root in ["crate::", "karamail::"] {
        for (at, _) in code.match_indices(root) {
            let rest = &code[at + root.len()..];
            if let Some(group) = rest.strip_prefix('{') {
                for item in split_group(group) {
                    found.insert(two_names(item.trim()));
                }
            } else {
                found.insert(two_names(rest));
            }
        }
    }
    found
}

fn split_group(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&group[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&group[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

fn two_names(path: &str) -> (String, String) {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let first = name(path);
    let second = path[first.len()..].strip_prefix("::").map(name).unwrap_or_default();
    (first, second)
}

/// What is wrong with the paths of one file.
fn complaints(module: &str, source: &str) -> Vec<String> {
    let may = allowed(module);
    paths_of(&code_of(source))
        .into_iter()
        .filter(|(first, _)| !first.is_empty() && first != module)
        .filter_map(|(first, second)| {
            let part = PARTS.iter().find(|(user, used, _)| *user == module && *used == first);
            let fits = may.contains(first.as_str()) && part.is_none_or(|(_, _, only)| *only == second);
            (!fits).then(|| format!("{module} may not use {first}::{second}"))
        })
        .collect()
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
            into.push(path);
        }
    }
}

fn module_of(path: &Path) -> String {
    let relative = path.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn no_module_reaches_up_the_map() {
    let mut files = Vec::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut files);
    let mut wrong = BTreeMap::new();
    for file in files.into_iter().filter(|file| !file.ends_with("src/lib.rs")) {
        let found = complaints(&module_of(&file), &std::fs::read_to_string(&file).unwrap());
        if !found.is_empty() {
            wrong.insert(file, found);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn pure_code_waits_for_nothing_and_touches_nothing() {
    let mut files = Vec::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut files);
    let pure = LEVELS[1].0;
    for file in files.into_iter().filter(|file| pure.contains(&module_of(file).as_str())) {
        let code = code_of(&std::fs::read_to_string(&file).unwrap());
        for word in ["async ", ".await", "std::fs", "std::net::Tcp", "tokio", "getrandom", "rusqlite"] {
            assert!(!names(&code, word), "{} names {word}", file.display());
        }
    }
}

/// Whether the code has the word, not counting methods whose names only begin like it.
fn names(code: &str, word: &str) -> bool {
    let is_method = |at: usize| code[at + word.len()..].starts_with("s_");
    code.match_indices(word).any(|(at, _)| !is_method(at))
}

#[test]
fn a_planted_wait_is_found_and_a_name_like_it_is_not() {
    assert!(names("let x = self.read().await;", ".await") && names("f.await?", ".await"));
    assert!(!names("if mail.awaits_body() {", ".await"));
}

#[test]
fn a_planted_forbidden_path_is_found() {
    for (module, source) in [
        ("queue", "use crate::store::Tx;"),
        ("smtp", "fn f() { crate::mail::read(); }"),
        ("service", "use crate::{model::Span, net::Resolver};"),
        ("web", "use crate::{\n    model::{Span, Domain},\n    inbound::route,\n};"),
        ("config", "use crate::mail::read::Reading;"),
        ("model", "use crate::clock::Clock;"),
    ] {
        assert_eq!(complaints(module, source).len(), 1, "{module}: {source}");
    }
    for (module, source) in [
        ("config", "use crate::mail::template::Templates;"),
        ("service", "// use crate::net::Resolver;\nuse crate::{model::{Span, Domain}, store::Tx};"),
        ("queue", "const X: &str = \"crate::store\";\n#[cfg(test)]\nmod tests { use crate::store::Tx; }"),
    ] {
        assert_eq!(complaints(module, source), Vec::<String>::new(), "{module}: {source}");
    }
}
