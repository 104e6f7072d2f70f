//! What a refusal means: from stage, code and enhanced code to a [`Verdict`], and whether to try again.
//!
//! Knows no text: wording differs from server to server and day to day. What always holds: the first row that fits
//! decides; what no row knows is unclear, and unclear trouble with a 4yz code is temporary; whatever goes wrong before
//! MAIL says nothing about the mail, so it is tried again.

use crate::model::{EnhancedCode, Reply, Stage};
use crate::queue::{Blame, Outcome, Verdict};

/// A row of the table; all that is given has to fit.
struct Row {
    stages: &'static [Stage],
    class: Class,
    codes: &'static [u16],
    enhanced: Enhanced,
    verdict: Verdict,
}

enum Class {
    Any,
    Temporary,
    Permanent,
}

enum Enhanced {
    Any,
    /// Any enhanced code with this subject.
    Subject(u16),
    /// These enhanced codes, whatever their class.
    Codes(&'static [(u16, u16)]),
}

const ANY: &[Stage] = &[];
const OPENING: &[Stage] = &[Stage::Connect, Stage::Greeting, Stage::Ehlo, Stage::StartTls];

/// RFC 3463 first, as the more exact of the two; then RFC 5321 4.2.3 by stage.
const TABLE: &[Row] = &[
    by_enhanced(Class::Any, &[(2, 2)], Verdict::Full),
    by_enhanced(Class::Permanent, &[(2, 1)], Verdict::SuspendedUser),
    // Gmail: 450-4.2.1, the mailbox is receiving mail at too high a rate.
    by_enhanced(Class::Temporary, &[(2, 1)], Verdict::Throttled),
    // Unknown mailbox, unknown domain, moved away, null MX (RFC 7505 4.2).
    by_enhanced(Class::Any, &[(1, 1), (1, 2), (1, 6), (1, 10)], Verdict::UnknownUser),
    // The syntax of an address, ours or the recipient's, and a sender domain that is not set up.
    by_enhanced(Class::Any, &[(1, 3), (1, 7), (1, 8)], Verdict::OurFault),
    by_enhanced(Class::Any, &[(2, 3), (3, 4)], Verdict::TooLarge),
    by_subject(Class::Any, 4, Verdict::Outage),
    by_subject(Class::Any, 5, Verdict::OurFault),
    by_subject(Class::Any, 6, Verdict::OurFault),
    by_subject(Class::Temporary, 7, Verdict::Throttled),
    by_subject(Class::Permanent, 7, Verdict::Policy),
    by_code(ANY, &[421], Verdict::Throttled),
    by_code(OPENING, &[], Verdict::Outage),
    by_code(ANY, &[0], Verdict::Outage),
    by_code(&[Stage::Auth], &[], Verdict::OurFault),
    // Commands, parameters and sequence; a login asked for; names not allowed.
    by_code(ANY, &[500, 501, 502, 503, 504, 530, 535, 553, 555], Verdict::OurFault),
    by_code(&[Stage::Mail], &[550, 551, 554], Verdict::Policy),
    by_code(&[Stage::Mail], &[552], Verdict::TooLarge),
    // RFC 7504: 521 and 556, the host or the domain takes no mail.
    by_code(&[Stage::Rcpt], &[550, 551, 521, 556], Verdict::UnknownUser),
    by_code(&[Stage::Rcpt], &[554], Verdict::Policy),
    by_code(&[Stage::Rcpt], &[452], Verdict::Throttled),
    // docomo: 552, too much mail in the box.
    by_code(&[Stage::Rcpt, Stage::Data], &[552], Verdict::Full),
    // docomo and au: the address exists, the owner's filter refused us; never to be read as "gone".
    by_code(&[Stage::Data], &[550], Verdict::Filtered),
];

const fn by_enhanced(class: Class, codes: &'static [(u16, u16)], verdict: Verdict) -> Row {
    Row { stages: ANY, class, codes: &[], enhanced: Enhanced::Codes(codes), verdict }
}

const fn by_subject(class: Class, subject: u16, verdict: Verdict) -> Row {
    Row { stages: ANY, class, codes: &[], enhanced: Enhanced::Subject(subject), verdict }
}

const fn by_code(stages: &'static [Stage], codes: &'static [u16], verdict: Verdict) -> Row {
    Row { stages, class: Class::Any, codes, enhanced: Enhanced::Any, verdict }
}

impl Row {
    fn fits(&self, stage: Stage, reply: &Reply) -> bool {
        let class_fits = match self.class {
            Class::Any => true,
            Class::Temporary => reply.code < 500,
            Class::Permanent => reply.code >= 500,
        };
        let enhanced_fits = match (&self.enhanced, reply.enhanced) {
            (Enhanced::Any, _) => true,
            (Enhanced::Subject(subject), Some(EnhancedCode(_, said, _))) => *subject == said,
            (Enhanced::Codes(codes), Some(EnhancedCode(_, subject, detail))) => codes.contains(&(subject, detail)),
            (Enhanced::Subject(_) | Enhanced::Codes(_), None) => false,
        };
        class_fits
            && enhanced_fits
            && (self.stages.is_empty() || self.stages.contains(&stage))
            && (self.codes.is_empty() || self.codes.contains(&reply.code))
    }
}

/// Says what a negative reply means, or the lack of any (code 0).
#[must_use]
pub fn verdict_of(stage: Stage, reply: &Reply) -> Verdict {
    TABLE.iter().find(|row| row.fits(stage, reply)).map_or(Verdict::Unclear, |row| row.verdict)
}

/// Makes the outcome of a negative reply, or of the lack of any (code 0).
#[must_use]
pub fn judge(stage: Stage, reply: Reply) -> Outcome {
    let verdict = verdict_of(stage, &reply);
    if is_final(stage, &reply, verdict) {
        Outcome::Refused { stage, reply, verdict }
    } else {
        let blame = blame_of(stage, &reply);
        Outcome::Deferred { stage, reply, blame }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Stage, reply, verdict, and what is to blame where the mail is tried again.
    const CASES: &[(Stage, u16, &str, Verdict, Option<Blame>)] = &[
        (Stage::Connect, 0, "connection refused", Verdict::Outage, Some(Blame::Site)),
        (Stage::Greeting, 554, "no service", Verdict::Outage, Some(Blame::Site)),
        (Stage::Greeting, 421, "busy", Verdict::Throttled, Some(Blame::Site)),
        (Stage::Ehlo, 550, "go away", Verdict::Outage, Some(Blame::Site)),
        (Stage::StartTls, 454, "not now", Verdict::Outage, Some(Blame::Site)),
        (Stage::Auth, 535, "wrong", Verdict::OurFault, Some(Blame::Site)),
        (Stage::Auth, 435, "later", Verdict::OurFault, Some(Blame::Site)),
        (Stage::Mail, 0, "lost", Verdict::Outage, Some(Blame::Session)),
        (Stage::Mail, 451, "greylisted", Verdict::Unclear, Some(Blame::Site)),
        (Stage::Mail, 421, "4.7.0 slow down", Verdict::Throttled, Some(Blame::Site)),
        (Stage::Mail, 550, "no", Verdict::Policy, None),
        (Stage::Mail, 551, "no", Verdict::Policy, None),
        (Stage::Mail, 554, "no", Verdict::Policy, None),
        (Stage::Mail, 550, "5.7.1 blocked", Verdict::Policy, None),
        (Stage::Mail, 552, "too large", Verdict::TooLarge, None),
        (Stage::Mail, 552, "5.3.4 too large", Verdict::TooLarge, None),
        (Stage::Mail, 553, "<x> does not exist", Verdict::OurFault, None),
        (Stage::Mail, 550, "5.1.8 sender domain", Verdict::OurFault, None),
        (Stage::Mail, 550, "5.1.7 sender", Verdict::OurFault, None),
        (Stage::Mail, 555, "parameters", Verdict::OurFault, None),
        (Stage::Rcpt, 550, "Unknown user", Verdict::UnknownUser, None),
        (Stage::Rcpt, 551, "moved", Verdict::UnknownUser, None),
        (Stage::Rcpt, 521, "takes no mail", Verdict::UnknownUser, None),
        (Stage::Rcpt, 556, "takes no mail", Verdict::UnknownUser, None),
        (Stage::Rcpt, 550, "5.1.1 unknown", Verdict::UnknownUser, None),
        (Stage::Rcpt, 550, "5.1.2 no such domain", Verdict::UnknownUser, None),
        (Stage::Rcpt, 550, "5.1.6 moved", Verdict::UnknownUser, None),
        (Stage::Rcpt, 554, "5.1.10 null MX", Verdict::UnknownUser, None),
        (Stage::Rcpt, 450, "4.1.1 unverified", Verdict::UnknownUser, Some(Blame::Recipient)),
        (Stage::Rcpt, 550, "5.2.1 disabled", Verdict::SuspendedUser, None),
        (Stage::Rcpt, 450, "4.2.1 too fast", Verdict::Throttled, Some(Blame::Recipient)),
        (Stage::Rcpt, 452, "4.2.2 full", Verdict::Full, Some(Blame::Recipient)),
        (Stage::Rcpt, 552, "5.2.2 full", Verdict::Full, Some(Blame::Recipient)),
        (Stage::Rcpt, 552, "Too much mail data", Verdict::Full, Some(Blame::Recipient)),
        (Stage::Rcpt, 452, "too many", Verdict::Throttled, Some(Blame::Recipient)),
        (Stage::Rcpt, 450, "greylisted", Verdict::Unclear, Some(Blame::Recipient)),
        (Stage::Rcpt, 451, "4.7.1 greylisted", Verdict::Throttled, Some(Blame::Recipient)),
        (Stage::Rcpt, 554, "Relay access denied", Verdict::Policy, None),
        (Stage::Rcpt, 550, "5.7.1 denied", Verdict::Policy, None),
        (Stage::Rcpt, 501, "syntax", Verdict::OurFault, None),
        (Stage::Rcpt, 553, "name not allowed", Verdict::OurFault, None),
        (Stage::Rcpt, 553, "5.1.3 syntax", Verdict::OurFault, None),
        (Stage::Rcpt, 530, "login", Verdict::OurFault, None),
        (Stage::Rcpt, 550, "5.4.4 routing", Verdict::Outage, Some(Blame::Recipient)),
        (Stage::Rcpt, 599, "what", Verdict::Unclear, None),
        (Stage::Data, 0, "lost", Verdict::Outage, Some(Blame::Session)),
        (Stage::Data, 550, "Unknown user", Verdict::Filtered, None),
        (Stage::Data, 550, "5.7.26 unauthenticated", Verdict::Policy, None),
        (Stage::Data, 550, "5.7.515 access denied", Verdict::Policy, None),
        (Stage::Data, 552, "Too much mail data", Verdict::Full, Some(Blame::Message)),
        (Stage::Data, 552, "5.2.3 too large", Verdict::TooLarge, None),
        (Stage::Data, 554, "Transaction failed", Verdict::Unclear, None),
        (Stage::Data, 554, "5.6.0 what is this", Verdict::OurFault, None),
        (Stage::Data, 554, "5.5.1 sequence", Verdict::OurFault, None),
        (Stage::Data, 500, "Line Too Long", Verdict::OurFault, None),
        (Stage::Data, 451, "later", Verdict::Unclear, Some(Blame::Message)),
        (Stage::Data, 421, "4.7.28 rate", Verdict::Throttled, Some(Blame::Site)),
    ];

    #[test]
    fn each_reply_is_judged_with_its_stage() {
        for (stage, code, text, verdict, blame) in CASES {
            let reply = Reply::new(*code, text);
            assert_eq!(verdict_of(*stage, &reply), *verdict, "{stage} {code} {text}");
            let expected = match blame {
                Some(blame) => Outcome::Deferred { stage: *stage, reply: reply.clone(), blame: *blame },
                None => Outcome::Refused { stage: *stage, reply: reply.clone(), verdict: *verdict },
            };
            assert_eq!(judge(*stage, reply), expected, "{stage} {code} {text}");
        }
    }

    #[test]
    fn no_row_is_idle() {
        for (index, row) in TABLE.iter().enumerate() {
            let decides = |(stage, code, text, _, _): &&(Stage, u16, &str, Verdict, Option<Blame>)| {
                let reply = Reply::new(*code, text);
                let first = TABLE.iter().position(|row| row.fits(*stage, &reply));
                let next = TABLE.iter().skip(index + 1).find(|row| row.fits(*stage, &reply));
                first == Some(index) && next.map_or(Verdict::Unclear, |row| row.verdict) != row.verdict
            };
            assert!(CASES.iter().any(|case| decides(&case)), "no case would miss row {index} ({})", row.verdict);
        }
    }
}
