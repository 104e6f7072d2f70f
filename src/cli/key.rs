//! `key`: the keys of links, of sealed values, of return paths and of DKIM, and how one takes the place of another.

use super::ask::{ask_one, unexpected};
use super::failure::Failure;
use super::org::Form;
use super::print::{Out, moment};
use crate::control::{KeyDoneFacts, KeyFacts, RecordFacts, Request, Response};
use crate::keys::{DkimAlgorithm, KeyId, Kind};
use clap::{Args, Subcommand};
use std::io;
use std::path::PathBuf;

/// The width that every terminal has.
const COLUMNS: usize = 80;
/// How much of a record stands in one string: a line has room for it.
const STRING: usize = 64;

const LIST_EXAMPLES: &str = "\
Examples:
  karamail key list
  karamail key list --json | jq -r '.[] | select(.kind == \"dkim\") | .records[].name'

States: in-use (makes new things), verifies (what it made is believed), waiting (not used yet), retired.
VALUES: how many values are sealed with the key; it can be retired when there are none.
DKIM: the algorithm, and the name of the record that publishes the key.";

const NEW_EXAMPLES: &str = "\
Examples:
  karamail key new link                             signs the next link; older links still open
  karamail key new seal                             what is sealed goes over to it in the background
  karamail key new dkim rsa --selector k2           prints the record to publish; then: karamail key use k2
  karamail key new link --wait                      where several nodes share the keys: see below

Where several nodes or a backup site share the keys, each has to know a new one before any uses it:
  1. karamail key new link --wait                   on one node; makes keys/link-2.new
  2. copy that file into keys/ of every other one, and send each daemon a SIGHUP
  3. karamail key use link-2                        on every one
  4. karamail key retire link-1                     on every one, when it is not needed any more";

const LINK_EXAMPLE: &str = "\
Example:
  karamail key new link                             --wait, where other nodes have to learn it first";

const SEAL_EXAMPLE: &str = "\
Example:
  karamail key new seal                             then karamail key list, until nothing hangs on the old one";

const VERP_EXAMPLE: &str = "\
Example:
  karamail key new verp                             bounces to older return paths are still believed";

const DKIM_EXAMPLE: &str = "\
Example:
  karamail key new dkim rsa --selector k2           prints the record to publish; then: karamail key use k2";

const USE_EXAMPLES: &str = "\
Examples:
  karamail key use k2                               once its record is published everywhere
  karamail key use link-2                           one that was made with --wait

A DKIM key takes the place of those of the same algorithm, unless [[dkim]] in the settings names the keys that sign.";

const RETIRE_EXAMPLES: &str = "\
Examples:
  karamail key retire seal-1                        when key list shows no values on it any more
  karamail key retire link-1 --yes                  at once, though its links would be good for another while

What was made with a retired key is not believed any more. Its file stays, with .retired behind its name: taking that away
and sending the daemon a SIGHUP brings it back.";

/// The keys, and how new ones take their place
#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Lists the keys, the retired ones too
    #[command(after_help = LIST_EXAMPLES)]
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Makes a key
    #[command(subcommand, after_help = NEW_EXAMPLES)]
    New(New),
    /// Has a key that waits make new things
    #[command(after_help = USE_EXAMPLES)]
    Use {
        /// link-2, seal-2, verp-2 or the selector of a DKIM key
        id: KeyId,
        #[command(flatten)]
        form: Form,
    },
    /// Has a key believed no more
    #[command(after_help = RETIRE_EXAMPLES)]
    Retire {
        /// link-1, seal-1, verp-1 or the selector of a DKIM key
        id: KeyId,
        /// Even if something that was made with it is still under way
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        form: Form,
    },
}

/// What the new key is for
#[derive(Debug, Subcommand)]
pub(super) enum New {
    /// Signs links
    #[command(after_help = LINK_EXAMPLE)]
    Link(Numbered),
    /// Seals what must be readable again but never seen
    #[command(after_help = SEAL_EXAMPLE)]
    Seal(Numbered),
    /// Signs return paths
    #[command(after_help = VERP_EXAMPLE)]
    Verp(Numbered),
    /// Signs mail; it waits until its record is published
    #[command(after_help = DKIM_EXAMPLE)]
    Dkim {
        /// rsa or ed25519; both may sign beside each other
        algorithm: DkimAlgorithm,
        /// The name of the key in the DNS: letters, digits and hyphens
        #[arg(long, value_name = "S")]
        selector: String,
        #[command(flatten)]
        form: Form,
    },
}

/// How a key of 32 bytes is made.
#[derive(Debug, Args)]
pub(super) struct Numbered {
    /// Has it wait for `key use`, so that other nodes can learn it first
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    form: Form,
}

impl Key {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let (request, form) = match self {
            Self::List { form } => (Request::ListKeys, form),
            Self::New(new) => new.request(),
            Self::Use { id, form } => (Request::UseKey { id }, form),
            Self::Retire { id, yes, form } => (Request::RetireKey { id, now: yes }, form),
        };
        match ask_one(config, &request)? {
            Response::Keys(keys) if form.json => Ok(out.json(&keys)?),
            Response::Keys(keys) => Ok(list(out, keys)?),
            Response::KeyDone(done) if form.json => Ok(out.json(&done)?),
            Response::KeyDone(done) => Ok(show(out, done)?),
            _ => Err(unexpected()),
        }
    }
}

impl New {
    fn request(self) -> (Request, Form) {
        let numbered = |kind, Numbered { wait, form }| (Request::NewKey { kind, wait }, form);
        match self {
            Self::Link(how) => numbered(Kind::Link, how),
            Self::Seal(how) => numbered(Kind::Seal, how),
            Self::Verp(how) => numbered(Kind::Verp, how),
            Self::Dkim { algorithm, selector, form } => (Request::NewDkimKey { algorithm, selector }, form),
        }
    }
}

fn list(out: &mut Out, keys: Vec<KeyFacts>) -> io::Result<()> {
    let row = |key: KeyFacts| {
        let names: Vec<String> = key.records.into_iter().map(|record| record.name).collect();
        let values = key.values.map(|values| values.to_string()).unwrap_or_default();
        let about = key.algorithm.into_iter().chain(names).collect::<Vec<_>>().join(" ");
        [key.id.to_string(), key.state, moment(&key.made_at), values, about]
    };
    let rows = keys.into_iter().map(row).collect();
    out.table(["ID", "STATE", "MADE", "VALUES", "DKIM"], rows, "no keys")
}

fn show(out: &mut Out, KeyDoneFacts { key, notes }: KeyDoneFacts) -> io::Result<()> {
    out.line(&format!("{}: {}", key.id, key.state))?;
    if key.state == "waiting" {
        key.records.iter().flat_map(zone_lines).try_for_each(|line| out.line(&line))?;
    }
    notes.iter().flat_map(|note| filled(note)).try_for_each(|line| out.line(&line))
}

/// Breaks a sentence into lines that a terminal has room for.
fn filled(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut().filter(|line| line.len() + 1 + word.len() <= COLUMNS) {
            Some(line) => *line = format!("{line} {word}"),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Writes a record as it stands in a zone: strings that fit a line, which receivers join without anything between.
fn zone_lines(record: &RecordFacts) -> Vec<String> {
    let Some(text) = &record.text else { return Vec::new() };
    let strings = text.as_bytes().chunks(STRING).map(|part| format!("  \"{}\"", String::from_utf8_lossy(part)));
    let (first, last) = (format!("{}. IN TXT (", record.name), ")".to_owned());
    std::iter::once(first).chain(strings).chain([last]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_record_is_split_as_a_zone_wants_it() {
        let record = |text: Option<String>| RecordFacts { name: "k2._domainkey.example.jp".into(), text };
        let lines = zone_lines(&record(Some("p".repeat(STRING + 1))));
        let whole = format!("  \"{}\"", "p".repeat(STRING));
        assert_eq!(lines, ["k2._domainkey.example.jp. IN TXT (", whole.as_str(), "  \"p\"", ")"]);
        assert_eq!(zone_lines(&record(None)), Vec::<String>::new());
    }

    #[test]
    fn a_sentence_fits_the_width_and_loses_no_word() {
        let text = "leave its record for a week ".repeat(9);
        let lines = filled(&text);
        assert!(lines.len() > 2 && lines.iter().all(|line| line.len() <= COLUMNS), "{lines:?}");
        assert_eq!(lines.join(" "), text.trim());
    }
}
