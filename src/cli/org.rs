//! `org`: contracting organisations (団体).

use super::ask::{ask_one, unexpected};
use super::failure::Failure;
use super::print::{Out, moment};
use crate::control::{OrgFacts, Request, Response, SecondFactors};
use crate::model::{OrgCode, Policy, PolicyError};
use clap::{Args, Subcommand};
use std::path::PathBuf;

const ADD_EXAMPLES: &str = "\
Example:
  karamail org add ACME --title '株式会社アクメ' --title-en 'Acme Corporation'

Members type the code to log in. An empty mail to bizanpi+ACME@… names it at once.";

const SET_EXAMPLES: &str = "\
Example:
  karamail org set ACME title='アクメ株式会社' title_en='Acme Inc.'
  karamail org set ACME two_factor=on otp_digits=8
  karamail org set ACME profile=asvs2 password_min_length=12

Keys:
  title, title_en          its title, in Japanese and in English
  plan                     standard, academic or smartphone (no test mails to its
                           members)
  two_factor               on or off: whether logins need a second factor
  profile                  manual, asvs2 or nist: sets all keys below at once;
                           org show says what differs from it
  otp_digits               6 to 8: the digits of one-time passwords sent by mail
  otp_lifetime             5m to 60m: how long they live
  backup_code              digits8 (one of eight digits), alnum16 (one of sixteen
                           letters and digits) or ten_codes (ten, each good for one
                           time); those handed out stay as they are
  password_min_length      1 to 32
  password_max_length      32 to 128
  password_min_strength    weak, medium or strong
  blocklist                reject or warn: what becomes of a password that everybody
                           tries first; the organisation's code, the ID and the start
                           password are always refused
  reauthenticate_after     2m to 12h: how long after the password was typed it is not
                           asked for again

Profiles:                  manual    asvs2     nist
  otp_digits               6         6         6
  otp_lifetime             60m       10m       10m
  backup_code              digits8   digits8   alnum16
  password_min_length      1         8         15
  password_max_length      32        64        64
  password_min_strength    weak      weak      weak
  blocklist                reject    reject    reject
  reauthenticate_after     5m        5m        5m";

/// Keys that come with the pages they are for.
const LATER: [&str; 6] = ["family", "voice", "federation", "retry_tel", "retry_mail", "region_rule"];
const TITLES: [&str; 2] = ["title", "title_en"];

/// The keys there are.
fn keys() -> impl Iterator<Item = &'static str> {
    TITLES.into_iter().chain(Policy::KEYS)
}

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
    #[command(after_help = "Example:\n  karamail org list --json | jq -r '.[].org'")]
    List {
        #[command(flatten)]
        form: Form,
    },
    /// Shows one organisation
    #[command(after_help = "Example:\n  karamail org show ACME")]
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
    let (mut title, mut title_en, mut policy) = (None, None, Vec::new());
    for change in changes {
        let Some((key, value)) = change.split_once('=') else {
            return Err(Failure::Usage(format!("“{change}” is not KEY=VALUE, such as title='アクメ株式会社'")));
        };
        match key {
            "title" => title = Some(value.to_owned()),
            "title_en" => title_en = Some(value.to_owned()),
            later if LATER.contains(&later) => {
                let all: Vec<&str> = keys().collect();
                let all = all.join(", ");
                return Err(Failure::Refused(format!("this version cannot set {later} yet; it can set {all}")));
            }
            key => {
                // Tried here first: what is wrong is the command line, whether the daemon runs or not.
                Policy::default().set(key, value).map_err(|wrong| complaint(&wrong, key))?;
                policy.push((key.to_owned(), value.to_owned()));
            }
        }
    }
    Ok(Request::SetOrg { org, title, title_en, policy })
}

fn complaint(wrong: &PolicyError, key: &str) -> Failure {
    let hint = match wrong {
        PolicyError::Value { .. } => return Failure::Usage(wrong.to_string()),
        PolicyError::Key(_) => keys().chain(LATER).find(|known| strsim::damerau_levenshtein(known, key) <= 2),
    };
    let hint = hint.map_or_else(
        || format!("the keys are {}", keys().collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean {near}?"),
    );
    Failure::Usage(format!("{wrong}; {hint}"))
}

fn show(out: &mut Out, org: OrgFacts) -> std::io::Result<()> {
    let known = [
        ("code", Some(org.org.to_string())),
        ("title", Some(org.title)),
        ("title_en", org.title_en),
        ("members", Some(org.members.to_string())),
        ("added", Some(moment(&org.created_at))),
        ("second factor", Some(second_factors(org.second_factors))),
    ];
    let differs = org.differs.join(", ");
    let policy = org.policy.shown().map(|(key, value)| match key {
        "profile" if !differs.is_empty() => (key, Some(format!("{value}, but for {differs}"))),
        _ => (key, Some(value)),
    });
    out.sheet(known.into_iter().chain(policy))
}

/// Says how many members have a second factor, and how many of them have the weaker one only.
fn second_factors(has: SecondFactors) -> String {
    let SecondFactors { members, mail_only } = has;
    match mail_only.checked_mul(100).and_then(|hundred| hundred.checked_div(members)) {
        Some(share) => format!("{members} members, {mail_only} of them by mail only ({share} %)"),
        None => "no members".to_owned(),
    }
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
    use crate::model::Profile;

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
            policy: Vec::new(),
        };
        assert_eq!(request, expected);
        let Request::SetOrg { policy, .. } = set_of(&["plan=smartphone", "two_factor=on"]).unwrap() else { panic!() };
        let expected =
            [("plan", "smartphone"), ("two_factor", "on")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(policy, expected);
    }

    #[test]
    fn the_help_has_the_values_of_each_profile() {
        let (_, table) = SET_EXAMPLES.split_once("Profiles:").unwrap();
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let names: Vec<&str> = Profile::ALL.iter().map(|profile| profile.as_str()).collect();
        assert_eq!(lines.next().unwrap(), names);
        let keys: Vec<&str> = lines.clone().map(|line| line[0]).collect();
        assert_eq!(
            keys,
            Policy::KEYS.into_iter().filter(|key| !["profile", "plan", "two_factor"].contains(key)).collect::<Vec<_>>()
        );
        for line in lines {
            for (profile, value) in Profile::ALL.iter().zip(&line[1..]) {
                let mut same = Policy::of(*profile);
                same.set(line[0], value).unwrap();
                assert_eq!(same, Policy::of(*profile), "{line:?}");
            }
        }
    }

    #[test]
    fn the_share_of_those_who_have_codes_by_mail_only_is_said() {
        for (members, mail_only, said) in [
            (0, 0, "no members"),
            (3, 1, "3 members, 1 of them by mail only (33 %)"),
            (2, 0, "2 members, 0 of them by mail only (0 %)"),
        ] {
            assert_eq!(second_factors(SecondFactors { members, mail_only }), said);
        }
    }

    #[test]
    fn the_help_names_every_key() {
        for key in keys() {
            assert!(SET_EXAMPLES.contains(key), "{key}");
        }
    }

    #[test]
    fn keys_of_later_versions_are_refused_and_others_are_a_wrong_command_line() {
        for (change, hint) in
            [("family=on", "cannot set family yet"), ("region_rule=both", "cannot set region_rule yet")]
        {
            assert!(matches!(set_of(&[change]), Err(Failure::Refused(why)) if why.contains(hint)), "{change}");
        }
        for (change, hint) in [
            ("titel=x", "did you mean title?"),
            ("two_faktor=on", "did you mean two_factor?"),
            ("colour=x", "the keys are title, title_en, profile, plan"),
            ("otp_digits=9", "a number from 6 to 8"),
            ("title", "KEY=VALUE"),
        ] {
            assert!(matches!(set_of(&[change]), Err(Failure::Usage(why)) if why.contains(hint)), "{change}");
        }
    }
}
