//! `queue hold`, `release`, `retry`, `drop`: what an operator does to waiting mails.

use super::super::ask::{ask_one, unexpected};
use super::super::failure::{Failure, complain};
use super::super::org::Form;
use super::super::print::{Out, moment};
use crate::control::{Action, Choice, Request, Response, SelectedFacts, TouchedFacts};
use crate::model::{Domain, JobId};
use crate::queue::Class;
use clap::Args;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

/// Which mails are meant; what is given holds for all of them
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub(in crate::cli) struct Which {
    /// To this domain
    #[arg(long, value_name = "DOMAIN")]
    to: Option<Domain>,
    /// Of this class
    #[arg(long)]
    class: Option<Class>,
    /// These (j…)
    #[arg(value_name = "ID")]
    ids: Vec<JobId>,
}

impl Which {
    fn choice(&self) -> Choice {
        Choice {
            to: self.to.as_ref().map(Domain::to_string),
            class: self.class.map(|class| class.to_string()),
            ids: self.ids.clone(),
        }
    }
}

/// Does it, and says to how many.
pub(super) fn run(
    config: Option<PathBuf>,
    action: Action,
    which: &Which,
    form: Form,
    out: &mut Out,
) -> Result<(), Failure> {
    match ask_one(config, &Request::Act { action, which: which.choice() })? {
        Response::Touched(touched) if form.json => Ok(out.json(&touched)?),
        Response::Touched(touched) => Ok(out.line(&told(action, touched))?),
        _ => Err(unexpected()),
    }
}

/// Says what is about to end, and ends it; whoever sits at a terminal is asked first.
pub(super) fn drop_mails(
    config: Option<PathBuf>,
    which: &Which,
    sure: bool,
    form: Form,
    out: &mut Out,
) -> Result<(), Failure> {
    let Response::Selected(meant) = ask_one(config.clone(), &Request::Selected { which: which.choice() })? else {
        return Err(unexpected());
    };
    complain(&about_to_end(&meant));
    if !meant.is_empty() && !sure && io::stdin().is_terminal() && !agreed()? {
        return Err(Failure::Refused("nothing was dropped".to_owned()));
    }
    run(config, Action::Drop, which, form, out)
}

fn about_to_end(meant: &[SelectedFacts]) -> String {
    let all: u64 = meant.iter().map(|facts| facts.count).sum();
    let each: Vec<String> = meant.iter().map(|facts| format!("{} {}", facts.count, facts.class)).collect();
    let oldest = meant.iter().map(|facts| facts.oldest.as_str()).min();
    let oldest = oldest.map(|oldest| format!(", the oldest ordered {}", moment(oldest))).unwrap_or_default();
    match all {
        0 => "no such mails wait".to_owned(),
        1 => format!("about to drop 1 mail for good: {}{oldest}", each.join(", ")),
        more => format!("about to drop {more} mails for good: {}{oldest}", each.join(", ")),
    }
}

fn agreed() -> Result<bool, Failure> {
    complain("drop them? [y/N]");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

fn told(action: Action, touched: TouchedFacts) -> String {
    let done = match action {
        Action::Hold => "held",
        Action::Release => "released",
        Action::Retry => "due now",
        Action::Drop => "dropped",
    };
    let left = match touched.under_way {
        0 => String::new(),
        count => format!("; {count} being sent, left alone"),
    };
    format!("{done}: {}{left}", touched.touched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_to_end_is_said_by_class() {
        let facts = |class: &str, count, oldest: &str| SelectedFacts {
            class: class.to_owned(),
            count,
            oldest: oldest.to_owned(),
        };
        assert_eq!(about_to_end(&[]), "no such mails wait");
        let two = [facts("alert", 3, "2026-11-22T07:00:05+09:00"), facts("notice", 1, "2026-11-22T07:00:00+09:00")];
        assert_eq!(
            about_to_end(&two),
            "about to drop 4 mails for good: 3 alert, 1 notice, the oldest ordered 2026-11-22 07:00:00"
        );
        assert!(about_to_end(&two[1..]).starts_with("about to drop 1 mail for good: 1 notice"));
    }

    #[test]
    fn an_action_says_how_many_it_touched_and_how_many_it_could_not() {
        let told = |action, touched, under_way| told(action, TouchedFacts { touched, under_way });
        assert_eq!(told(Action::Hold, 12, 0), "held: 12");
        assert_eq!(told(Action::Release, 0, 0), "released: 0");
        assert_eq!(told(Action::Retry, 1, 0), "due now: 1");
        assert_eq!(told(Action::Drop, 5, 2), "dropped: 5; 2 being sent, left alone");
    }
}
