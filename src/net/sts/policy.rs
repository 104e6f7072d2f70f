//! The record and the policy as texts (RFC 8461 3.1, 3.2).
//!
//! Knows nothing of where they come from. What always holds: what is not written as the RFC asks is no policy; what it
//! does not know is skipped.

use crate::model::{Domain, Span, Timestamp};
use crate::store::{StsMode, StsPolicy};

/// The longest a policy may hold: a year.
const AGE_MAX: i64 = 31_557_600;
/// The longest id.
const ID_MAX: usize = 32;

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PolicyError {
    /// A line without a colon.
    #[error("the policy has a line that is no field")]
    Line,
    /// A field that must be there is not, or says what cannot be meant.
    #[error("the policy has no “{0}” that can be understood")]
    Field(&'static str),
}

/// Gives the id of the policy that a domain's TXT records announce; nothing where there is not exactly one announcement.
pub(in crate::net) fn id_of(texts: &[String]) -> Option<String> {
    let mut announcements = texts.iter().filter_map(|text| {
        let (version, fields) = text.split_once(';')?;
        (version.trim_end_matches([' ', '\t']) == "v=STSv1").then_some(fields)
    });
    let (Some(fields), None) = (announcements.next(), announcements.next()) else { return None };
    let id = fields.split(';').find_map(|field| field.trim_matches([' ', '\t']).strip_prefix("id="))?;
    let fits = (1..=ID_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then(|| id.to_owned())
}

/// Reads a policy that was fetched at `now`.
pub(super) fn read(text: &str, id: &str, now: Timestamp) -> Result<StsPolicy, PolicyError> {
    let mut fields = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let (key, value) = line.split_once(':').ok_or(PolicyError::Line)?;
        fields.push((key.trim(), value.trim()));
    }
    // RFC 8461 3.2: of a field that is given twice the first counts.
    let field = |name: &'static str| {
        fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value).ok_or(PolicyError::Field(name))
    };
    if field("version")? != "STSv1" {
        return Err(PolicyError::Field("version"));
    }
    let mode: StsMode = field("mode")?.parse().ok().ok_or(PolicyError::Field("mode"))?;
    let max_age = age_of(field("max_age")?).ok_or(PolicyError::Field("max_age"))?;
    let mx: Vec<String> =
        fields.iter().filter(|(key, _)| *key == "mx").map(|(_, value)| value.to_lowercase()).collect();
    if mx.is_empty() && mode != StsMode::None || !mx.iter().all(|pattern| is_pattern(pattern)) {
        return Err(PolicyError::Field("mx"));
    }
    Ok(StsPolicy { id: id.to_owned(), mode, mx, max_age, fetched_at: now, expires_at: now.plus(max_age) })
}

/// Says whether a policy names a server. A star stands for one label (RFC 8461 4.1).
#[must_use]
pub fn allows(policy: &StsPolicy, server: &Domain) -> bool {
    let below = server.as_str().split_once('.').map(|(_, below)| below);
    policy.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
        Some(rest) => below == Some(rest),
        None => server.as_str() == pattern,
    })
}

fn age_of(text: &str) -> Option<Span> {
    let digits = (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: i64 = text.parse().ok().filter(|_| digits)?;
    Some(Span::from_secs(seconds.min(AGE_MAX)))
}

fn is_pattern(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    name.parse::<Domain>().is_ok_and(|domain| domain.as_str() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_298_400_000);
    const GOOD: &str = "version: STSv1\nmode: enforce\nmx: mx.a.example\nmx: *.b.example\nmax_age: 86400\n";

    fn id(texts: &[&str]) -> Option<String> {
        id_of(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    fn server(name: &str) -> Domain {
        name.parse().unwrap()
    }

    #[test]
    fn exactly_one_announcement_with_an_id_counts() {
        for (texts, expected) in [
            (&["v=STSv1; id=20160831085700Z;"][..], Some("20160831085700Z")),
            (&["v=STSv1;id=1"], Some("1")),
            (&["v=STSv1 ; future=x ; id=7 ;"], Some("7")),
            (&["v=spf1 -all", "v=STSv1; id=2"], Some("2")),
            (&[], None),
            (&["v=STSv1; id=1", "v=STSv1; id=2"], None),
            (&["v=STSv1; id=1", "v=STSv1;"], None),
            (&["v=STSv1"], None),
            (&["v=STSv1;"], None),
            (&["v=STSv1; id="], None),
            (&["v=STSv1; id=not-alnum"], None),
            (&["v=STSv1; id=123456789012345678901234567890123"], None),
            (&["v=STSv2; id=1"], None),
            (&[" v=STSv1; id=1"], None),
            (&["id=1; v=STSv1"], None),
        ] {
            assert_eq!(id(texts).as_deref(), expected, "{texts:?}");
        }
    }

    #[test]
    fn a_policy_is_read_whatever_its_line_ends_and_unknown_fields() {
        let expected = StsPolicy {
            id: "1".to_owned(),
            mode: StsMode::Enforce,
            mx: vec!["mx.a.example".to_owned(), "*.b.example".to_owned()],
            max_age: Span::from_secs(86_400),
            fetched_at: NOW,
            expires_at: NOW.plus(Span::from_secs(86_400)),
        };
        assert_eq!(read(GOOD, "1", NOW), Ok(expected.clone()));
        assert_eq!(read(&GOOD.replace('\n', "\r\n"), "1", NOW), Ok(expected.clone()));
        assert_eq!(read(&format!("{GOOD}future: x\nmode: none\n\n"), "1", NOW), Ok(expected.clone()));
        assert_eq!(read(&GOOD.replace(": ", ":").replace("mx.a", "MX.A"), "1", NOW), Ok(expected));
    }

    #[test]
    fn a_policy_holds_a_year_at_most_and_needs_servers_unless_it_is_none() {
        let age = |text: &str| read(&GOOD.replace("86400", text), "1", NOW).map(|policy| policy.max_age);
        assert_eq!(age("31557600"), age("9999999999"));
        assert_eq!(age("0"), Ok(Span::from_secs(0)));
        let none = read("version: STSv1\nmode: none\nmax_age: 86400", "1", NOW).unwrap();
        assert_eq!((none.mode, none.mx.len()), (StsMode::None, 0));
    }

    #[test]
    fn what_is_not_written_as_it_should_be_is_no_policy() {
        for (from, to, expected) in [
            ("version: STSv1", "version: STSv2", PolicyError::Field("version")),
            ("version: STSv1\n", "", PolicyError::Field("version")),
            ("enforce", "ENFORCE", PolicyError::Field("mode")),
            ("mode: enforce\n", "", PolicyError::Field("mode")),
            ("max_age: 86400", "max_age: -1", PolicyError::Field("max_age")),
            ("max_age: 86400", "max_age: 86400s", PolicyError::Field("max_age")),
            ("max_age: 86400", "max_age: 00000086400", PolicyError::Field("max_age")),
            ("max_age: 86400", "", PolicyError::Field("max_age")),
            ("mx: mx.a.example\nmx: *.b.example\n", "", PolicyError::Field("mx")),
            ("*.b.example", "a.*.b.example", PolicyError::Field("mx")),
            ("*.b.example", "*", PolicyError::Field("mx")),
            ("*.b.example", "", PolicyError::Field("mx")),
            ("mode: enforce", "<html>", PolicyError::Line),
        ] {
            assert!(GOOD.contains(from));
            assert_eq!(read(&GOOD.replace(from, to), "1", NOW), Err(expected), "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let policy = read(GOOD, "1", NOW).unwrap();
        for (name, named) in [
            ("mx.a.example", true),
            ("MX.A.example", true),
            ("one.b.example", true),
            ("b.example", false),
            ("two.one.b.example", false),
            ("other.a.example", false),
            ("xb.example", false),
        ] {
            assert_eq!(allows(&policy, &server(name)), named, "{name}");
        }
    }
}
