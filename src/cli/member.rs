//! `member`: the members of an organisation.

use super::ask::{ask, ask_one, unexpected};
use super::failure::{Failure, complain};
use super::org::Form;
use super::print::{Out, moment};
use crate::control::{ImportFacts, MemberFacts, MemberRow, Request, Response};
use crate::model::{LoginId, OrgCode};
use crate::service::members::Fault;
use clap::Subcommand;
use serde_json::json;
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
    List {
        /// The organisation's code
        code: OrgCode,
        #[command(flatten)]
        form: Form,
    },
    /// Shows one member
    Show {
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
                let request = Request::ImportMembers { org: code, file: data_encoding::BASE64.encode(&bytes), dry_run };
                import(ask_one(config, &request)?, &file, form, out)
            }
            Self::List { code, form } => list(config, code, form, out),
            Self::Show { code, id, form } => match ask_one(config, &Request::ShowMember { org: code, id })? {
                Response::Member(member) if form.json => Ok(out.json(&member)?),
                Response::Member(member) => Ok(show(out, member)?),
                _ => Err(unexpected()),
            },
        }
    }
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
    let password = if row.must_change_password {
        "the administrator's, to be changed at the next login"
    } else {
        "the member's own"
    };
    let addresses: Vec<String> =
        member.addresses.iter().map(|held| format!("{}  {} ({})", held.priority, held.address, held.state)).collect();
    out.sheet([
        ("organisation", Some(member.org.to_string())),
        ("id", Some(row.id.to_string())),
        ("name", Some(row.name)),
        ("kana", row.kana),
        ("department", row.department),
        ("language", Some(row.language.as_str().to_owned())),
        ("password", Some(password.to_owned())),
        ("last login", Some(row.last_login.as_deref().map_or_else(|| "never".to_owned(), moment))),
        ("addresses", Some(if addresses.is_empty() { "none".to_owned() } else { addresses.join("\n") })),
    ])
}
