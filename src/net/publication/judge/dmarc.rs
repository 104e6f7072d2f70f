//! DMARC records (RFC 7489), and whether our mail can meet them.

use super::{Verdict, tag};
use crate::config::same_organisation;
use crate::model::Domain;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::dmarc::{Alignment, Dmarc, Policy};

/// Who writes, and which domains speak for them.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Author<'a> {
    /// The domain in From.
    pub(in super::super) from: &'a Domain,
    /// The domain of the return addresses, which SPF speaks for.
    pub(in super::super) bounce: &'a Domain,
    /// The domains that the signatures speak for.
    pub(in super::super) signing: &'a [Domain],
}

/// Judges the texts found on the way from the sender's domain up: `steps` begins with that domain's own.
pub(in super::super) fn dmarc(steps: &[(Domain, Vec<String>)], author: Author<'_>) -> Verdict {
    let records = |texts: &[String]| texts.iter().filter(|text| is_dmarc(text)).cloned().collect::<Vec<_>>();
    let Some((domain, found)) =
        steps.iter().map(|(domain, texts)| (domain, records(texts))).find(|(_, found)| !found.is_empty())
    else {
        let stray: Vec<String> = steps.first().map(|(_, texts)| texts.clone()).unwrap_or_default();
        return if stray.is_empty() {
            Verdict::missing()
        } else {
            Verdict::wrong(stray, "it does not begin with v=DMARC1, so receivers pass it over")
        };
    };
    let [record] = found.as_slice() else {
        return Verdict::wrong(found, "there are several DMARC records, and receivers then believe none: leave one");
    };
    let Ok(read) = Dmarc::parse(record.as_bytes()) else {
        return Verdict::wrong(found, "it cannot be read as DMARC, so receivers pass it over");
    };
    if read.p == Policy::Unspecified || tag(record, "p").is_none() {
        return Verdict::wrong(
            found,
            "it does not say what to do (p=), so receivers pass it over: put p=none behind v=DMARC1",
        );
    }
    let by_key = author.signing.iter().any(|domain| aligned(domain, author.from, read.adkim));
    let by_path = aligned(author.bounce, author.from, read.aspf);
    if !by_key && !by_path {
        return Verdict::wrong(found, unmet(author));
    }
    Verdict::right(found, hints(domain, &read, author, by_key, by_path))
}

/// RFC 7489 6.3: the version comes first, in these very letters.
fn is_dmarc(text: &str) -> bool {
    text.split(';')
        .next()
        .and_then(|first| first.split_once('='))
        .is_some_and(|(key, value)| key.trim() == "v" && value.trim() == "DMARC1")
}

fn aligned(domain: &Domain, from: &Domain, how: Alignment) -> bool {
    match how {
        Alignment::Strict => domain == from,
        Alignment::Relaxed => same_organisation(domain, from),
    }
}

fn unmet(author: Author<'_>) -> String {
    format!(
        "none of our mail can meet it: From is {}, return addresses are {}'s, and no DKIM key signs for what it asks; \
         take adkim=s and aspf=s out",
        author.from, author.bounce
    )
}

fn hints(domain: &Domain, read: &Dmarc, author: Author<'_>, by_key: bool, by_path: bool) -> Option<String> {
    let mut hints = Vec::new();
    if domain != author.from {
        hints.push(format!("the record of {domain} holds for {}", author.from));
    }
    if !by_key {
        hints.push("adkim=s: our signatures cannot meet it, so forwarded mail fails".to_owned());
    }
    if !by_path {
        hints.push("aspf=s: our return addresses cannot meet it, and the signatures alone have to".to_owned());
    }
    if read.p == Policy::None {
        hints.push("p=none only watches: go to p=quarantine once the reports are clean".to_owned());
    }
    if read.rua.is_empty() {
        hints.push("without rua= nobody reports what fails".to_owned());
    }
    (!hints.is_empty()).then(|| hints.join("; "))
}
