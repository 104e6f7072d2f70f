//! `/outbox`: the mails that were captured instead of sent, for demonstrations and trials.
//!
//! Knows nothing of how they got there. What always holds: it only reads, and it is there only where mails are captured.

use super::Web;
use super::reply::{Answer, Reply, Trouble};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use mail_parser::{Address, MessageParser};
use serde::Serialize;
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

/// How many mails are shown.
const SHOWN: usize = 50;
/// How much of a mail is read, in bytes.
const LONGEST: u64 = 64 * 1024;

#[derive(Serialize)]
struct OutboxPage {
    mails: Vec<Mail>,
}

#[derive(Serialize)]
struct Mail {
    subject: Option<String>,
    from: String,
    to: String,
    body: Vec<Piece>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Piece {
    text: String,
    link: bool,
}

/// The pages of this file.
pub(super) fn routes() -> Router<Web> {
    Router::new().route("/outbox", get(list))
}

/// GET `/outbox`.
async fn list(State(web): State<Web>) -> Answer {
    let Some(folder) = web.outbox().map(Path::to_owned) else {
        return Ok(Reply::missing(StatusCode::NOT_FOUND));
    };
    let read = tokio::task::spawn_blocking(move || newest(&folder)).await;
    let mails =
        read.unwrap_or_else(|panic| Err(std::io::Error::other(panic))).map_err(|cause| Trouble::file(&cause))?;
    Ok(Reply::page("outbox.html", &OutboxPage { mails }))
}

fn newest(folder: &Path) -> std::io::Result<Vec<Mail>> {
    let mut files: Vec<(SystemTime, OsString)> = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if Path::new(&entry.file_name()).extension().is_some_and(|ending| ending == "eml") {
            files.push((entry.metadata()?.modified()?, entry.file_name()));
        }
    }
    files.sort_unstable_by(|one, other| other.cmp(one));
    files.into_iter().take(SHOWN).map(|(_, name)| read(&folder.join(name))).collect()
}

fn read(file: &Path) -> std::io::Result<Mail> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(LONGEST).read_to_end(&mut bytes)?;
    let Some(mail) = MessageParser::default().parse(&bytes) else {
        return Ok(Mail { subject: None, from: String::new(), to: String::new(), body: Vec::new() });
    };
    Ok(Mail {
        subject: mail.subject().map(str::to_owned),
        from: people(mail.from()),
        to: people(mail.to()),
        body: mail.body_text(0).map_or_else(Vec::new, |text| pieces(&text)),
    })
}

fn people(addresses: Option<&Address<'_>>) -> String {
    let all = addresses.into_iter().flat_map(Address::iter);
    let shown = all.map(|person| match (person.name(), person.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// Cuts a text into links and what stands between them.
fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut plain = |text: &str, link: bool| {
        if !text.is_empty() {
            found.push(Piece { text: text.to_owned(), link });
        }
    };
    while let Some(at) = [rest.find("https://"), rest.find("http://")].into_iter().flatten().min() {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| !c.is_ascii_graphic() || "<>\"".contains(c)).unwrap_or(from.len());
        let (link, behind) = from.split_at(end);
        plain(before, false);
        plain(link, true);
        rest = behind;
    }
    plain(rest, false);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_a_text_are_found_and_nothing_is_lost() {
        let piece = |text: &str, link| Piece { text: text.to_owned(), link };
        assert_eq!(
            pieces("次へ\nhttp://127.0.0.1:8080/r/abc-_\nおわり<https://x.example/?a=b>。"),
            [
                piece("次へ\n", false),
                piece("http://127.0.0.1:8080/r/abc-_", true),
                piece("\nおわり<", false),
                piece("https://x.example/?a=b", true),
                piece(">。", false),
            ]
        );
        assert_eq!(pieces(""), []);
        assert_eq!(pieces("javascript:alert(1)"), [piece("javascript:alert(1)", false)]);
    }
}
