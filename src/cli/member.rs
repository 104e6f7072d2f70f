//! `member`: the members of an organisation.

use super::ask::{ask, ask_one, unexpected};
use super::failure::{Failure, complain};
use super::org::Form;
use super::print::{Out, moment};
use super::progress::{Bar, watched};
use crate::control::{
    AuditFacts, ImportFacts, MemberFacts, MemberRow, Request, Response, StartPasswordFacts, TwoFactor,
};
use crate::model::{LoginId, OrgCode};
use crate::service::members::Fault;
use crate::store::Progress;
use clap::Subcommand;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The largest file taken, in bytes.
const LARGEST: usize = 64 << 20;

const IMPORT_HELP: &str = "\
The first line of FILE names the columns:
  id,password,name,kana,department,language,mail1,mail2,mail3
id and name have to be there, and a password for each new member: a plain one, to be changed at
the first login, or an Argon2id string. language is ja or en. Nothing is written while anything
in the file is wrong. Importing again brings members up to date: passwords they have are kept,
and so are addresses for which the file has a blank.

Examples:
  karamail member import ACME members.csv --dry-run
  karamail member import ACME - < members.csv";

const RESET_2FA_HELP: &str = "\
Clears the app, the mail address for codes and the backup code, ends all sessions of the member and
lets codes be tried again. The member is told at every address, and sets a second factor up at the
next login, where the organisation asks for one.

Example:
  karamail member reset-2fa ACME 0001";

const RESET_PASSWORD_HELP: &str = "\
Prints a new start password, this once. It lets the member in for 14 days and must be changed at the
first login; until then the member has no other. All sessions of the member end, and the member is
told at every address.

Example:
  karamail member reset-password ACME 0001";

const HISTORY_HELP: &str = "\
Lists what the audit log says of the member, oldest first. The entries of all members make one
chain; where it is broken, the log was tampered with, and the command says so and exits with 1.

Example:
  karamail member history ACME 0001";

/// Members of an organisation
#[derive(Debug, Subcommand)]
pub(super) enum Member {
    /// Adds members from a CSV file (UTF-8 or Shift_JIS), or brings them up to date
    #[command(after_help = IMPORT_HELP)]
    Import {
        /// The organisation's code
        code: OrgCode,
        /// The file, or - for standard input
        file: PathBuf,
        /// Says what would be done, and writes nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        form: Form,
    },
    /// Lists the members of an organisation
    #[command(
        after_help = "Example:\n  karamail member list ACME --json | jq -r '.[] | select(.last_login == null) | .id'"
    )]
    List {
        /// The organisation's code
        code: OrgCode,
        #[command(flatten)]
        form: Form,
    },
    /// Shows one member
    #[command(after_help = "Example:\n  karamail member show ACME 0001")]
    Show {
        /// The organisation's code
        code: OrgCode,
        /// The member's ID
        id: LoginId,
        #[command(flatten)]
        form: Form,
    },
    /// Clears a member's second factors and backup code
    #[command(name = "reset-2fa", after_help = RESET_2FA_HELP)]
    ResetTwoFactor {
        /// The organisation's code
        code: OrgCode,
        /// The member's ID
        id: LoginId,
        #[command(flatten)]
        form: Form,
    },
    /// Gives a member another start password
    #[command(after_help = RESET_PASSWORD_HELP)]
    ResetPassword {
        /// The organisation's code
        code: OrgCode,
        /// The member's ID
        id: LoginId,
        #[command(flatten)]
        form: Form,
    },
    /// Shows what was done to a member's account, and by whom
    #[command(after_help = HISTORY_HELP)]
    History {
        /// The organisation's code
        code: OrgCode,
        /// The member's ID
        id: LoginId,
        #[command(flatten)]
        form: Form,
    },
}

impl Member {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::Import { code, file, dry_run, form } => {
                // Before we become the owner of the data folder: the file may be the administrator's own.
                let bytes = read(&file).map_err(|cause| Failure::Refused(format!("{}: {cause}", file.display())))?;
                let encoded = data_encoding::BASE64.encode(&bytes);
                let request = Request::ImportMembers { org: code, file: encoded, dry_run, watched: watched() };
                import(watch(config, &request)?, &file, form, out)
            }
            Self::List { code, form } => list(config, code, form, out),
            Self::Show { code, id, form } => match ask_one(config, &Request::ShowMember { org: code, id })? {
                Response::Member(member) if form.json => Ok(out.json(&member)?),
                Response::Member(member) => Ok(show(out, member)?),
                _ => Err(unexpected()),
            },
            Self::ResetTwoFactor { code, id, form } => {
                match ask_one(config, &Request::ResetTwoFactor { org: code, id })? {
                    Response::Member(member) if form.json => Ok(out.json(&member)?),
                    Response::Member(member) => Ok(
                        out.line(&format!("{} {}: second factors and backup code cleared", member.org, member.row.id))?
                    ),
                    _ => Err(unexpected()),
                }
            }
            Self::ResetPassword { code, id, form } => {
                match ask_one(config, &Request::ResetPassword { org: code, id })? {
                    Response::StartPassword(facts) if form.json => Ok(out.json(&facts)?),
                    Response::StartPassword(facts) => Ok(hand_out(out, &facts)?),
                    _ => Err(unexpected()),
                }
            }
            Self::History { code, id, form } => history(config, code, id, form, out),
        }
    }
}

fn hand_out(out: &mut Out, facts: &StartPasswordFacts) -> io::Result<()> {
    let StartPasswordFacts { org, id, password, expires } = facts;
    out.line(&format!("{org} {id}: start password {password}"))?;
    out.line(&format!("It is shown this once, and works until {}.", moment(expires)))?;
    out.line("It is to be changed at the first login.")
}

fn history(config: Option<PathBuf>, org: OrgCode, id: LoginId, form: Form, out: &mut Out) -> Result<(), Failure> {
    let (mut entries, mut chain): (Vec<AuditFacts>, _) = (Vec::new(), None);
    ask(config, &Request::MemberHistory { org: org.clone(), id: id.clone() }, |answer| match answer {
        Response::Audit(page) => {
            entries.extend(page);
            Ok(())
        }
        Response::Chain(facts) => {
            chain = Some(facts);
            Ok(())
        }
        _ => Err(unexpected()),
    })?;
    let broken_at = chain.ok_or_else(unexpected)?.broken_at;
    if form.json {
        out.json(&json!({"org": org, "id": id, "entries": entries, "broken_at": broken_at}))?;
    } else {
        let rows = entries.into_iter().map(told).collect();
        out.table(["WHEN", "WHAT", "BY", "DETAILS"], rows, "nothing yet")?;
    }
    let Some(broken_at) = broken_at else { return Ok(()) };
    out.flush()?;
    complain(&format!(
        "the audit log was tampered with: the entry of {} does not follow the one before it",
        moment(&broken_at)
    ));
    Err(Failure::Said)
}

fn told(entry: AuditFacts) -> [String; 4] {
    let details = entry.fields.iter().map(|(key, value)| match value {
        Value::String(text) => format!("{key}={text}"),
        other => format!("{key}={other}"),
    });
    [moment(&entry.at), entry.event, entry.by, details.collect::<Vec<_>>().join(" ")]
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let most = LARGEST as u64 + 1;
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    if bytes.len() > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "is larger than 64 MiB: split it"));
    }
    Ok(bytes)
}

/// Asks, and shows how far it has come.
fn watch(config: Option<PathBuf>, request: &Request) -> Result<Response, Failure> {
    let (mut found, bar) = (None, Bar::new("importing", "rows"));
    ask(config, request, |answer| {
        match answer {
            Response::Progress { done, all } => bar.show(Progress { done, all }),
            last => found = Some(last),
        }
        Ok(())
    })?;
    found.ok_or_else(unexpected)
}

fn import(answer: Response, file: &Path, form: Form, out: &mut Out) -> Result<(), Failure> {
    match answer {
        Response::Import(facts) if form.json => Ok(out.json(&facts)?),
        Response::Import(facts) => Ok(out.line(&sentence(&facts))?),
        Response::Faults { faults, more } => {
            if form.json {
                out.json(&json!({"faults": faults, "more": more}))?;
                out.flush()?;
            } else {
                complain_of(&faults, more, file);
            }
            Err(Failure::Said)
        }
        _ => Err(unexpected()),
    }
}

fn sentence(facts: &ImportFacts) -> String {
    let ImportFacts { org, encoding, added, changed, unchanged, dry_run } = facts;
    let would = if *dry_run { "nothing written (dry run); would be " } else { "" };
    format!("{org}: {would}added {added}, changed {changed}, unchanged {unchanged} ({encoding})")
}

fn complain_of(faults: &[Fault], more: usize, file: &Path) {
    faults.iter().for_each(|fault| complain(&format!("{}: {fault}", file.display())));
    let all = faults.len() + more;
    let shown = if more > 0 { format!(", of which the first {} are shown", faults.len()) } else { String::new() };
    complain(&format!(
        "{}: nothing was written: {all} {}{shown}",
        file.display(),
        if all == 1 { "fault" } else { "faults" }
    ));
}

fn list(config: Option<PathBuf>, org: OrgCode, form: Form, out: &mut Out) -> Result<(), Failure> {
    let mut members: Vec<MemberRow> = Vec::new();
    ask(config, &Request::ListMembers { org }, |answer| match answer {
        Response::Members(page) => {
            members.extend(page);
            Ok(())
        }
        _ => Err(unexpected()),
    })?;
    if form.json {
        return Ok(out.json(&members)?);
    }
    let row = |member: MemberRow| {
        let seen = member.last_login.as_deref().map_or_else(|| "never".to_owned(), moment);
        [
            member.id.to_string(),
            member.name,
            member.department.unwrap_or_default(),
            member.language.as_str().to_owned(),
            seen,
        ]
    };
    let rows = members.into_iter().map(row).collect();
    Ok(out.table(
        ["ID", "NAME", "DEPARTMENT", "LANG", "LAST LOGIN"],
        rows,
        "no members yet: member import CODE FILE",
    )?)
}

fn show(out: &mut Out, member: MemberFacts) -> io::Result<()> {
    let row = member.row;
    let password = match (row.must_change_password, &member.start_password_expires) {
        (false, _) => "the member's own".to_owned(),
        (true, None) => "the administrator's, to be changed at the next login".to_owned(),
        (true, Some(until)) => {
            format!("the administrator's, to be changed at the next login; works until {}", moment(until))
        }
    };
    let TwoFactor { app, mail, backup_code } = member.two_factor;
    let factors = [(app, "app"), (mail, "mail"), (backup_code, "backup code")];
    let factors: Vec<&str> = factors.into_iter().filter_map(|(set, name)| set.then_some(name)).collect();
    let addresses: Vec<String> =
        member.addresses.iter().map(|held| format!("{}  {} ({})", held.priority, held.address, held.state)).collect();
    out.sheet([
        ("organisation", Some(member.org.to_string())),
        ("id", Some(row.id.to_string())),
        ("name", Some(row.name)),
        ("kana", row.kana),
        ("department", row.department),
        ("language", Some(row.language.as_str().to_owned())),
        ("password", Some(password)),
        ("two factor", Some(if factors.is_empty() { "none".to_owned() } else { factors.join(", ") })),
        ("last login", Some(row.last_login.as_deref().map_or_else(|| "never".to_owned(), moment))),
        ("addresses", Some(if addresses.is_empty() { "none".to_owned() } else { addresses.join("\n") })),
    ])
}
