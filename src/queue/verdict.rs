//! What a refusal means: from carrier, stage, code and enhanced code to a [`Verdict`], and whether to try again.
//!
//! Knows text only where a row says so: wording differs from server to server and day to day, so a row asks for it only
//! where codes leave no other way. What always holds: the first row that fits decides; what no row knows is unclear, and
//! unclear trouble with a 4yz code is temporary; whatever goes wrong before MAIL says nothing about the mail, so it is
//! tried again; what docomo or au say after DATA never means that there is no such mailbox.

use crate::model::{Carrier, EnhancedCode, Reply, Stage};
use crate::queue::{Blame, Cause, Outcome, Verdict};

#[cfg(test)]
mod tests;

/// A row of the table; all that is given has to fit.
#[derive(Clone, Copy)]
struct Row {
    /// Whose replies these are; none: anybody's.
    carriers: &'static [Carrier],
    /// Where the reply came; none: anywhere.
    stages: &'static [Stage],
    class: Class,
    /// The reply codes; none: any.
    codes: &'static [u16],
    enhanced: Enhanced,
    text: Text,
    meaning: Meaning,
}

#[derive(Clone, Copy)]
enum Class {
    Any,
    Temporary,
    Permanent,
}

#[derive(Clone, Copy)]
enum Enhanced {
    Any,
    /// Any enhanced code with this subject.
    Subject(u16),
    /// These enhanced codes, whatever their class.
    Codes(&'static [(u16, u16)]),
}

/// In lower case; compared without it.
#[derive(Clone, Copy)]
enum Text {
    Any,
    Begins(&'static str),
    Has(&'static str),
}

#[derive(Clone, Copy)]
enum Meaning {
    Is(Verdict),
    /// The server wants to see us come back.
    Greylisted,
}

const OPENING: &[Stage] = &[Stage::Greeting, Stage::Ehlo, Stage::StartTls];
/// No mailbox, no domain, moved away, null MX (RFC 7505 4.2).
const GONE: &[(u16, u16)] = &[(1, 1), (1, 2), (1, 6), (1, 10)];

/// A row that everything fits.
const fn row(meaning: Meaning) -> Row {
    Row { carriers: &[], stages: &[], class: Class::Any, codes: &[], enhanced: Enhanced::Any, text: Text::Any, meaning }
}

const fn is(verdict: Verdict) -> Row {
    row(Meaning::Is(verdict))
}

const fn greylisted(stages: &'static [Stage], codes: &'static [u16]) -> Row {
    Row { stages, codes, ..row(Meaning::Greylisted) }
}

const fn by_enhanced(class: Class, codes: &'static [(u16, u16)], verdict: Verdict) -> Row {
    Row { class, enhanced: Enhanced::Codes(codes), ..is(verdict) }
}

const fn by_subject(class: Class, subject: u16, verdict: Verdict) -> Row {
    Row { class, enhanced: Enhanced::Subject(subject), ..is(verdict) }
}

const fn by_code(stages: &'static [Stage], codes: &'static [u16], verdict: Verdict) -> Row {
    Row { stages, codes, ..is(verdict) }
}

/// The habits of carriers first; then greylisting; then RFC 3463, as the more exact of the two; then RFC 5321 4.2.3 by
/// stage.
const TABLE: &[Row] = &[
    // au: Relay access denied, which it says of a malformed address or a domain that is not its own.
    Row { carriers: &[Carrier::Au], ..by_code(&[Stage::Rcpt], &[554], Verdict::OurFault) },
    // au: "550 : User unknown" where the owner's filter refused us, "550 <X>: User unknown" where there is nobody.
    Row { carriers: &[Carrier::Au], text: Text::Begins(":"), ..by_code(&[Stage::Rcpt], &[550], Verdict::Filtered) },
    // docomo: says 552 of a full mailbox too.
    Row {
        carriers: &[Carrier::Docomo],
        text: Text::Has("too many recipients"),
        ..by_code(&[Stage::Rcpt], &[552], Verdict::Throttled)
    },
    // Yahoo! JAPAN: 553 VS98-IP0 deferred, which passes; any other 553 is for good.
    Row { carriers: &[Carrier::YahooJapan], text: Text::Has("deferred"), ..by_code(&[], &[553], Verdict::Throttled) },
    // Yahoo! JAPAN: takes every recipient, and says after the body which there are.
    Row {
        carriers: &[Carrier::YahooJapan],
        text: Text::Has("delivery error: dd"),
        ..by_code(&[Stage::Data], &[554], Verdict::UnknownUser)
    },
    // Gmail: 450-4.2.1, the mailbox is receiving mail at too high a rate.
    Row { carriers: &[Carrier::Gmail], ..by_enhanced(Class::Temporary, &[(2, 1)], Verdict::Throttled) },
    // iCloud: 451 [BS02].
    Row { carriers: &[Carrier::ICloud], ..by_code(&[], &[451], Verdict::Throttled) },
    // Outlook.com: 550 5.5.0 mailbox unavailable; hosted by Microsoft: 550 5.4.1 recipient address rejected.
    Row {
        carriers: &[Carrier::Outlook],
        enhanced: Enhanced::Codes(&[(5, 0), (4, 1)]),
        ..by_code(&[Stage::Rcpt], &[550], Verdict::UnknownUser)
    },
    by_subject(Class::Permanent, 7, Verdict::Policy),
    // docomo and au: the address exists, the owner's filter refused us; never to be read as "gone".
    Row { carriers: &[Carrier::Docomo, Carrier::Au], ..by_code(&[Stage::Data], &[550], Verdict::Filtered) },
    Row {
        carriers: &[Carrier::Docomo, Carrier::Au],
        stages: &[Stage::Data],
        ..by_enhanced(Class::Any, GONE, Verdict::Filtered)
    },
    // docomo: Transaction failed, of mails that are packed in a way it does not take.
    Row {
        carriers: &[Carrier::Docomo],
        ..by_code(&[Stage::Mail, Stage::Rcpt, Stage::Data], &[554], Verdict::OurFault)
    },
    // Postgrey behind Postfix.
    Row { enhanced: Enhanced::Codes(&[(2, 0)]), ..greylisted(&[Stage::Rcpt, Stage::Data], &[450]) },
    // Postscreen after its deeper tests.
    Row { enhanced: Enhanced::Codes(&[(3, 2)]), ..greylisted(&[Stage::Rcpt], &[450]) },
    // milter-greylist, Rspamd, agents of Exchange.
    Row { enhanced: Enhanced::Codes(&[(7, 1)]), ..greylisted(&[Stage::Rcpt, Stage::Data], &[451]) },
    // Those that say it with a code that means other things as well.
    Row { text: Text::Has("greylist"), ..greylisted(&[Stage::Rcpt, Stage::Data], &[450, 451]) },
    Row { text: Text::Has("graylist"), ..greylisted(&[Stage::Rcpt, Stage::Data], &[450, 451]) },
    // OpenBSD's spamd.
    Row {
        text: Text::Begins("temporary failure, please try again later"),
        ..greylisted(&[Stage::Rcpt, Stage::Data], &[451])
    },
    by_enhanced(Class::Any, &[(2, 2)], Verdict::Full),
    by_enhanced(Class::Any, &[(2, 1)], Verdict::SuspendedUser),
    by_enhanced(Class::Any, GONE, Verdict::UnknownUser),
    // The syntax of an address, ours or the recipient's, and a sender domain that is not set up.
    by_enhanced(Class::Any, &[(1, 3), (1, 7), (1, 8)], Verdict::OurFault),
    by_enhanced(Class::Any, &[(2, 3), (3, 4)], Verdict::TooLarge),
    by_subject(Class::Any, 4, Verdict::Outage),
    by_subject(Class::Any, 5, Verdict::OurFault),
    by_subject(Class::Any, 6, Verdict::OurFault),
    // The permanent ones are above.
    by_subject(Class::Any, 7, Verdict::Throttled),
    by_code(&[], &[421], Verdict::Throttled),
    by_code(OPENING, &[], Verdict::Outage),
    by_code(&[], &[0], Verdict::Outage),
    by_code(&[Stage::Auth], &[], Verdict::OurFault),
    // Commands, parameters and sequence; a login asked for; names not allowed.
    by_code(&[], &[500, 501, 502, 503, 504, 530, 535, 553, 555], Verdict::OurFault),
    by_code(&[Stage::Mail], &[550, 551, 554], Verdict::Policy),
    by_code(&[Stage::Mail], &[552], Verdict::TooLarge),
    // RFC 7504: 521 and 556, the host or the domain takes no mail.
    by_code(&[Stage::Rcpt], &[550, 551, 521, 556], Verdict::UnknownUser),
    by_code(&[Stage::Rcpt], &[554], Verdict::Policy),
    by_code(&[Stage::Rcpt], &[452], Verdict::Throttled),
    // docomo among others: 552, too much mail in the box.
    by_code(&[Stage::Rcpt, Stage::Data], &[552], Verdict::Full),
    // The recipient was taken, so it is what was said to it that is refused.
    by_code(&[Stage::Data], &[550], Verdict::Filtered),
];

impl Row {
    fn fits(&self, carrier: Option<Carrier>, stage: Stage, reply: &Reply) -> bool {
        let class_fits = match self.class {
            Class::Any => true,
            Class::Temporary => reply.code < 500,
            Class::Permanent => reply.code >= 500,
        };
        class_fits
            && self.enhanced.fits(reply.enhanced)
            && (self.carriers.is_empty() || carrier.is_some_and(|carrier| self.carriers.contains(&carrier)))
            && (self.stages.is_empty() || self.stages.contains(&stage))
            && (self.codes.is_empty() || self.codes.contains(&reply.code))
            && self.text.fits(&reply.text)
    }
}

impl Enhanced {
    fn fits(&self, said: Option<EnhancedCode>) -> bool {
        match (self, said) {
            (Self::Any, _) => true,
            (Self::Subject(subject), Some(EnhancedCode(_, said, _))) => *subject == said,
            (Self::Codes(codes), Some(EnhancedCode(_, subject, detail))) => codes.contains(&(subject, detail)),
            (Self::Subject(_) | Self::Codes(_), None) => false,
        }
    }
}

impl Text {
    fn fits(&self, said: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Begins(words) => said.to_ascii_lowercase().starts_with(words),
            Self::Has(words) => said.to_ascii_lowercase().contains(words),
        }
    }
}

/// Finds the row that decides, by its place.
fn deciding(carrier: Option<Carrier>, stage: Stage, reply: &Reply) -> Option<usize> {
    TABLE.iter().position(|row| row.fits(carrier, stage, reply))
}

fn meaning_of(carrier: Option<Carrier>, stage: Stage, reply: &Reply) -> Meaning {
    let row = deciding(carrier, stage, reply).and_then(|place| TABLE.get(place));
    row.map_or(Meaning::Is(Verdict::Unclear), |row| row.meaning)
}

/// Says what a negative reply means, or the lack of any (code 0).
#[must_use]
pub fn verdict_of(carrier: Option<Carrier>, stage: Stage, reply: &Reply) -> Verdict {
    meaning_of(carrier, stage, reply).verdict()
}

/// Makes the outcome of a negative reply, or of the lack of any (code 0).
#[must_use]
pub fn judge(carrier: Option<Carrier>, stage: Stage, reply: Reply) -> Outcome {
    let meaning = meaning_of(carrier, stage, &reply);
    let verdict = meaning.verdict();
    if is_final(stage, &reply, verdict) {
        Outcome::Refused { stage, reply, verdict }
    } else {
        let (blame, cause) = (blame_of(stage, &reply), meaning.cause(stage, &reply));
        Outcome::Deferred { stage, reply, blame, cause }
    }
}

/// Says whether a reply to a quoted local part asks for it without quotes: the syntax is refused, not the mailbox.
#[must_use]
pub fn wants_raw(stage: Stage, reply: &Reply) -> bool {
    let of_syntax = match reply.enhanced {
        // RFC 3463 3.2 and 3.6: the syntax of the address, or of the command.
        Some(EnhancedCode(_, subject, detail)) => subject == 5 || (subject, detail) == (1, 3),
        None => true,
    };
    stage == Stage::Rcpt && matches!(reply.code, 501 | 553) && of_syntax
}

/// Says whether a reply that closes the connection (421) is a matter of the one server, so that another of the same system may
/// be asked: its own state (RFC 3463 3.4, as 4.3.2 where it shuts down) or the one connection's (3.5). Any other 421, and
/// 4.4.5, is a call to slow down.
#[must_use]
pub fn is_of_one_server(reply: &Reply) -> bool {
    let by_code = match reply.enhanced {
        Some(EnhancedCode(_, subject, detail)) => subject == 3 || subject == 4 && detail != 5,
        None => false,
    };
    reply.code == 421 && by_code
}

impl Meaning {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Is(verdict) => verdict,
            Self::Greylisted => Verdict::Unclear,
        }
    }

    /// Says why a mail waits that was told this.
    const fn cause(self, stage: Stage, reply: &Reply) -> Cause {
        match (self, stage) {
            (Self::Greylisted, _) => Cause::Greylisted,
            (Self::Is(Verdict::Throttled), _) => Cause::Throttled,
            (Self::Is(Verdict::Full), _) => Cause::Full,
            (Self::Is(_), Stage::Connect | Stage::Greeting | Stage::Ehlo) => Cause::Unreachable,
            (Self::Is(_), Stage::StartTls) => Cause::Tls,
            // It is our password that is refused.
            (Self::Is(_), Stage::Auth) => Cause::Ours,
            (Self::Is(_), Stage::Mail | Stage::Rcpt | Stage::Data) if reply.code == 0 => Cause::Lost,
            (Self::Is(_), Stage::Mail | Stage::Rcpt | Stage::Data) => Cause::Said,
        }
    }
}

const fn is_final(stage: Stage, reply: &Reply, verdict: Verdict) -> bool {
    // A host that turns everybody away may be in trouble for an hour, and one that refuses our password awaits the
    // operator: the mail itself was never refused.
    let judged_the_mail = matches!(stage, Stage::Mail | Stage::Rcpt | Stage::Data);
    // A full mailbox is emptied some day (docomo says so with 552).
    let passes = matches!(verdict, Verdict::Full | Verdict::Throttled | Verdict::Outage);
    reply.is_permanent() && judged_the_mail && !passes
}

const fn blame_of(stage: Stage, reply: &Reply) -> Blame {
    match (stage, reply.code) {
        (Stage::Connect | Stage::Greeting | Stage::Ehlo | Stage::StartTls | Stage::Auth, _) | (_, 421) => Blame::Site,
        (Stage::Mail | Stage::Rcpt | Stage::Data, 0) => Blame::Session,
        (Stage::Mail, _) => Blame::Site,
        (Stage::Rcpt, _) => Blame::Recipient,
        (Stage::Data, _) => Blame::Message,
    }
}
