//! `org`: contracting organisations (団体).

use super::ask::{ask_one, unexpected};
use super::failure::Failure;
use super::print::{Out, moment};
use crate::control::{OrgFacts, Request, Response};
use crate::model::OrgCode;
use clap::{Args, Subcommand};
use std::path::PathBuf;

const ADD_EXAMPLES: &str = "\
Example:
  karamail org add ACME --title '株式会社アクメ' --title-en 'Acme Corporation'

Members type the code to log in. An empty mail to bizanpi+ACME@… names it at once.";

const SET_EXAMPLES: &str = "\
Example:
  karamail org set ACME title='アクメ株式会社' title_en='Acme Inc.'

Keys: title, title_en";

/// Keys that come with the pages they are for.
const LATER: [&str; 9] =
    ["plan", "two_factor", "family", "voice", "federation", "retry_tel", "retry_mail", "region_rule", "profile"];
const KEYS: [&str; 2] = ["title", "title_en"];

/// Contracting organisations (団体)
#[derive(Debug, Subcommand)]
pub(super) enum Org {
    /// Adds an organisation
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Its code (団体コード): half-width letters, digits, - and _
        code: OrgCode,
        /// Its title, as its members know it
        #[arg(long, value_name = "JA")]
        title: String,
        /// The same in English
        #[arg(long, value_name = "EN")]
        title_en: Option<String>,
        #[command(flatten)]
        form: Form,
    },
    /// Changes what is known of an organisation
    #[command(after_help = SET_EXAMPLES)]
    Set {
        /// Its code
        code: OrgCode,
        /// What to change
        #[arg(required = true, value_name = "KEY=VALUE")]
        changes: Vec<String>,
        #[command(flatten)]
        form: Form,
    },
    /// Lists all organisations
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Shows one organisation
    Show {
        /// Its code
        code: OrgCode,
        #[command(flatten)]
        form: Form,
    },
}

/// How facts are printed.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Form {
    /// Prints JSON, for scripts
    #[arg(long)]
    pub(super) json: bool,
}

impl Org {
    pub(super) fn run(self, config: Option<PathBuf>, out: &mut Out) -> Result<(), Failure> {
        let (request, form) = match self {
            Self::Add { code, title, title_en, form } => (Request::AddOrg { org: code, title, title_en }, form),
            Self::Set { code, changes, form } => (set(code, &changes)?, form),
            Self::List { form } => (Request::ListOrgs, form),
            Self::Show { code, form } => (Request::ShowOrg { org: code }, form),
        };
        match ask_one(config, &request)? {
            Response::Org(org) if form.json => Ok(out.json(&org)?),
            Response::Org(org) => Ok(show(out, org)?),
            Response::Orgs(orgs) if form.json => Ok(out.json(&orgs)?),
            Response::Orgs(orgs) => Ok(list(out, orgs)?),
            _ => Err(unexpected()),
        }
    }
}

/// Reads `KEY=VALUE…` into a request.
fn set(org: OrgCode, changes: &[String]) -> Result<Request, Failure> {
    let (mut title, mut title_en) = (None, None);
    for change in changes {
        let Some((key, value)) = change.split_once('=') else {
            return Err(Failure::Usage(format!("“{change}” is not KEY=VALUE, such as title='アクメ株式会社'")));
        };
        match key {
            "title" => title = Some(value.to_owned()),
            "title_en" => title_en = Some(value.to_owned()),
            later if LATER.contains(&later) => {
                return Err(Failure::Refused(format!(
                    "this version cannot set {later} yet; it can set {}",
                    KEYS.join(", ")
                )));
            }
            unknown => {
                let near = KEYS.into_iter().chain(LATER).find(|known| strsim::damerau_levenshtein(known, unknown) <= 2);
                let hint = near.map_or_else(
                    || format!("the keys are {}", KEYS.join(", ")),
                    |near| format!("did you mean {near}?"),
                );
                return Err(Failure::Usage(format!("there is no key “{unknown}”; {hint}")));
            }
        }
    }
    Ok(Request::SetOrg { org, title, title_en })
}

fn show(out: &mut Out, org: OrgFacts) -> std::io::Result<()> {
    out.sheet([
        ("code", Some(org.org.to_string())),
        ("title", Some(org.title)),
        ("title_en", org.title_en),
        ("members", Some(org.members.to_string())),
        ("added", Some(moment(&org.created_at))),
    ])
}

fn list(out: &mut Out, orgs: Vec<OrgFacts>) -> std::io::Result<()> {
    let row =
        |org: OrgFacts| [org.org.to_string(), org.title, org.title_en.unwrap_or_default(), org.members.to_string()];
    let rows = orgs.into_iter().map(row).collect();
    out.table(["CODE", "TITLE", "ENGLISH", "MEMBERS"], rows, "no organisations yet: org add CODE --title TITLE")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_of(changes: &[&str]) -> Result<Request, Failure> {
        set("ACME".parse().unwrap(), &changes.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn keys_are_read_and_values_may_have_an_equals_sign() {
        let request = set_of(&["title=a=b", "title_en="]).unwrap();
        let expected = Request::SetOrg {
            org: "ACME".parse().unwrap(),
            title: Some("a=b".to_owned()),
            title_en: Some(String::new()),
        };
        assert_eq!(request, expected);
    }

    #[test]
    fn keys_of_later_versions_are_refused_and_others_are_a_wrong_command_line() {
        for (change, hint) in [("plan=standard", "cannot set plan yet"), ("two_factor=on", "cannot set two_factor yet")]
        {
            assert!(matches!(set_of(&[change]), Err(Failure::Refused(why)) if why.contains(hint)), "{change}");
        }
        for (change, hint) in
            [("titel=x", "did you mean title?"), ("colour=x", "the keys are title, title_en"), ("title", "KEY=VALUE")]
        {
            assert!(matches!(set_of(&[change]), Err(Failure::Usage(why)) if why.contains(hint)), "{change}");
        }
    }
}
