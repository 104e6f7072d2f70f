//! What servers have said, and how it is to be read.

use super::{Class, Enhanced, Meaning, Row, TABLE, deciding, is_of_one_server, judge, verdict_of, wants_raw};
use crate::model::{Carrier, EnhancedCode, Reply, Stage};
use crate::queue::{Blame, Cause, Outcome, Verdict};
use proptest::prelude::{Just, any, prop_assert_ne, prop_oneof, proptest};
use proptest::sample::select;

/// Recipient's domain and the server's name; stage, code, text; the verdict; what waits for what, where it is tried again.
type Case = (&'static str, Stage, u16, &'static str, Verdict, Option<(Cause, Blame)>);

const ANY: &str = "example.jp mx.example.jp";
const DOCOMO: &str = "docomo.ne.jp mfsmax.docomo.ne.jp";
const AU: &str = "ezweb.ne.jp lsean.ezweb.ne.jp";
const SOFTBANK: &str = "softbank.ne.jp mx.softbank.ne.jp";
const YAHOO: &str = "yahoo.co.jp mx1.mail.yahoo.co.jp";
const GMAIL: &str = "gmail.com gmail-smtp-in.l.google.com";
const HOSTED: &str = "example.co.jp aspmx.l.google.com";
const OUTLOOK: &str = "hotmail.co.jp hotmail-co-jp.olc.protection.outlook.com";
const ICLOUD: &str = "icloud.com mx01.mail.icloud.com";
const JCOM: &str = "jcom.zaq.ne.jp mx.zaq.ne.jp";

const SLOW_SITE: Option<(Cause, Blame)> = Some((Cause::Throttled, Blame::Site));
const GREY: Option<(Cause, Blame)> = Some((Cause::Greylisted, Blame::Recipient));
const GREY_BODY: Option<(Cause, Blame)> = Some((Cause::Greylisted, Blame::Message));
const AWAY: Option<(Cause, Blame)> = Some((Cause::Unreachable, Blame::Site));
const BROKEN: Option<(Cause, Blame)> = Some((Cause::Lost, Blame::Session));
const SAID: Option<(Cause, Blame)> = Some((Cause::Said, Blame::Recipient));
const SAID_BODY: Option<(Cause, Blame)> = Some((Cause::Said, Blame::Message));
const FULL: Option<(Cause, Blame)> = Some((Cause::Full, Blame::Recipient));

const CARRIERS: &[Case] = &[
    (DOCOMO, Stage::Rcpt, 550, "Unknown user hanako@docomo.ne.jp", Verdict::UnknownUser, None),
    (DOCOMO, Stage::Data, 550, "Unknown user hanako@docomo.ne.jp", Verdict::Filtered, None),
    (DOCOMO, Stage::Data, 550, "5.1.1 Unknown user", Verdict::Filtered, None),
    (DOCOMO, Stage::Data, 550, "5.2.2 whatever", Verdict::Filtered, None),
    (DOCOMO, Stage::Data, 554, "5.1.1 Unknown user", Verdict::Filtered, None),
    (DOCOMO, Stage::Data, 554, "5.1.2 no such host", Verdict::Filtered, None),
    (DOCOMO, Stage::Data, 553, "5.1.6 moved", Verdict::Filtered, None),
    (DOCOMO, Stage::Data, 450, "4.1.10 not here", Verdict::Filtered, SAID_BODY),
    (DOCOMO, Stage::Data, 550, "5.7.1 not authenticated", Verdict::Policy, None),
    (DOCOMO, Stage::Rcpt, 552, "Too much mail data hanako@docomo.ne.jp", Verdict::Full, FULL),
    (DOCOMO, Stage::Data, 552, "Too much mail data", Verdict::Full, Some((Cause::Full, Blame::Message))),
    (DOCOMO, Stage::Rcpt, 552, "Too many recipients", Verdict::Throttled, Some((Cause::Throttled, Blame::Recipient))),
    (DOCOMO, Stage::Mail, 554, "Transaction failed", Verdict::OurFault, None),
    (DOCOMO, Stage::Rcpt, 554, "Transaction failed", Verdict::OurFault, None),
    (DOCOMO, Stage::Data, 554, "Transaction failed", Verdict::OurFault, None),
    (DOCOMO, Stage::Mail, 504, "Command parameter not implemented", Verdict::OurFault, None),
    (DOCOMO, Stage::Data, 503, "Bad sequence of commands", Verdict::OurFault, None),
    (DOCOMO, Stage::Data, 500, "Line Too Long", Verdict::OurFault, None),
    // Kept at another domain, spoken by docomo's server.
    ("ntt.example.net mfsmax.docomo.ne.jp", Stage::Data, 550, "Unknown user a@b", Verdict::Filtered, None),
    ("docomo.ne.jp relay.example.jp", Stage::Data, 554, "5.1.1 Unknown user", Verdict::Filtered, None),
    (AU, Stage::Rcpt, 550, "<hanako@ezweb.ne.jp>: User unknown", Verdict::UnknownUser, None),
    (AU, Stage::Rcpt, 550, ": User unknown", Verdict::Filtered, None),
    (AU, Stage::Data, 550, ": User unknown", Verdict::Filtered, None),
    (AU, Stage::Data, 550, "<hanako@ezweb.ne.jp>: User unknown", Verdict::Filtered, None),
    (AU, Stage::Data, 550, "5.2.1 : User unknown", Verdict::Filtered, None),
    (AU, Stage::Data, 551, "5.1.1 User unknown", Verdict::Filtered, None),
    (AU, Stage::Rcpt, 554, "<hanako@ezwebb.ne.jp>: Relay access denied", Verdict::OurFault, None),
    (AU, Stage::Rcpt, 554, "5.7.1 <hanako@ezwebb.ne.jp>: Relay access denied", Verdict::OurFault, None),
    ("uqmobile.jp lsean.ezweb.ne.jp", Stage::Rcpt, 550, ": User unknown", Verdict::Filtered, None),
    ("example.jp mx.example.jp", Stage::Rcpt, 550, ": User unknown", Verdict::UnknownUser, None),
    (SOFTBANK, Stage::Rcpt, 550, "Invalid recipient: <hanako@softbank.ne.jp>", Verdict::UnknownUser, None),
    (SOFTBANK, Stage::Mail, 553, "bounce.example.jp does not exist", Verdict::OurFault, None),
    (
        YAHOO,
        Stage::Data,
        554,
        "delivery error: dd This user doesn't have a yahoo.co.jp account",
        Verdict::UnknownUser,
        None,
    ),
    (YAHOO, Stage::Data, 554, "Message not allowed", Verdict::Unclear, None),
    (YAHOO, Stage::Mail, 553, "Mail from 192.0.2.1 not allowed - VS98-IP0 deferred", Verdict::Throttled, SLOW_SITE),
    (YAHOO, Stage::Greeting, 553, "VS98-IP0 deferred", Verdict::Throttled, SLOW_SITE),
    (YAHOO, Stage::Rcpt, 553, "5.1.3 syntax", Verdict::OurFault, None),
    (
        YAHOO,
        Stage::Greeting,
        421,
        "4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred",
        Verdict::Throttled,
        SLOW_SITE,
    ),
    (YAHOO, Stage::Mail, 421, "[IPTS04] Messages temporarily deferred", Verdict::Throttled, SLOW_SITE),
    (
        GMAIL,
        Stage::Rcpt,
        550,
        "5.1.1 The email account that you tried to reach does not exist.",
        Verdict::UnknownUser,
        None,
    ),
    (
        GMAIL,
        Stage::Rcpt,
        550,
        "5.2.1 The email account that you tried to reach is disabled.",
        Verdict::SuspendedUser,
        None,
    ),
    (GMAIL, Stage::Rcpt, 452, "4.2.2 The recipient's inbox is out of storage space.", Verdict::Full, FULL),
    (
        HOSTED,
        Stage::Rcpt,
        450,
        "4.2.1 is receiving mail at a rate that",
        Verdict::Throttled,
        Some((Cause::Throttled, Blame::Recipient)),
    ),
    (GMAIL, Stage::Data, 421, "4.7.0 Try again later", Verdict::Throttled, SLOW_SITE),
    (GMAIL, Stage::Data, 421, "4.7.28 an unusual rate of mail", Verdict::Throttled, SLOW_SITE),
    (GMAIL, Stage::Data, 550, "5.7.26 not authenticated", Verdict::Policy, None),
    (OUTLOOK, Stage::Data, 550, "5.7.515 Access denied", Verdict::Policy, None),
    (OUTLOOK, Stage::Rcpt, 550, "5.5.0 Requested action not taken: mailbox unavailable", Verdict::UnknownUser, None),
    (OUTLOOK, Stage::Rcpt, 550, "5.4.1 Recipient address rejected: Access denied", Verdict::UnknownUser, None),
    (
        OUTLOOK,
        Stage::Rcpt,
        451,
        "4.7.650 temporarily rate limited",
        Verdict::Throttled,
        Some((Cause::Throttled, Blame::Recipient)),
    ),
    (ICLOUD, Stage::Rcpt, 550, "5.1.1 <h@icloud.com>: user does not exist", Verdict::UnknownUser, None),
    (ICLOUD, Stage::Rcpt, 550, "5.1.1 unknown or illegal alias: h@icloud.com", Verdict::UnknownUser, None),
    (ICLOUD, Stage::Mail, 550, "5.7.0 Blocked", Verdict::Policy, None),
    (ICLOUD, Stage::Data, 550, "5.7.1 Your message was rejected", Verdict::Policy, None),
    (ICLOUD, Stage::Greeting, 421, "[HCM1] busy", Verdict::Throttled, SLOW_SITE),
    (ICLOUD, Stage::Mail, 451, "[BS02] later", Verdict::Throttled, SLOW_SITE),
    (JCOM, Stage::Mail, 421, "#4.x.2 Too many messages for this session", Verdict::Throttled, SLOW_SITE),
    (ANY, Stage::Rcpt, 550, "5.1.1 <nobody@example.jp>... User Unknown", Verdict::UnknownUser, None),
];

const GREYLISTING: &[Case] = &[
    (ANY, Stage::Rcpt, 450, "4.2.0 <h@example.jp>: Recipient address rejected: come back", Verdict::Unclear, GREY),
    (ANY, Stage::Data, 450, "4.2.0 <DATA>: Data command rejected: come back", Verdict::Unclear, GREY_BODY),
    (ANY, Stage::Rcpt, 450, "4.3.2 Service currently unavailable", Verdict::Unclear, GREY),
    (ANY, Stage::Rcpt, 451, "4.7.1 come back in 00:05:00", Verdict::Unclear, GREY),
    (ANY, Stage::Data, 451, "4.7.1 Try again later", Verdict::Unclear, GREY_BODY),
    (
        ANY,
        Stage::Rcpt,
        450,
        "4.7.1 <h@example.jp>: Recipient address rejected: Greylisted for 5 minutes",
        Verdict::Unclear,
        GREY,
    ),
    (ANY, Stage::Rcpt, 451, "Greylisted, please try again", Verdict::Unclear, GREY),
    (ANY, Stage::Data, 451, "You are greylisted", Verdict::Unclear, GREY_BODY),
    (ANY, Stage::Rcpt, 450, "Graylisted, please try again", Verdict::Unclear, GREY),
    (ANY, Stage::Data, 451, "GRAYLISTING", Verdict::Unclear, GREY_BODY),
    (ANY, Stage::Rcpt, 451, "Temporary failure, please try again later.", Verdict::Unclear, GREY),
    (ANY, Stage::Data, 451, "Temporary failure, please try again later.", Verdict::Unclear, GREY_BODY),
    // Somebody who has our name on a list is not greylisting.
    (ANY, Stage::Rcpt, 550, "we have no greylist, go away", Verdict::UnknownUser, None),
    (
        ANY,
        Stage::Rcpt,
        450,
        "4.7.1 Client host rejected: cannot find your hostname",
        Verdict::Throttled,
        Some((Cause::Throttled, Blame::Recipient)),
    ),
    (ANY, Stage::Rcpt, 451, "Temporary local problem", Verdict::Unclear, SAID),
];

const ANYBODY: &[Case] = &[
    (ANY, Stage::Connect, 0, "connection refused", Verdict::Outage, AWAY),
    (ANY, Stage::Greeting, 554, "no service", Verdict::Outage, AWAY),
    (ANY, Stage::Greeting, 554, "5.7.1 blocked", Verdict::Policy, AWAY),
    (ANY, Stage::Greeting, 421, "busy", Verdict::Throttled, SLOW_SITE),
    (ANY, Stage::Ehlo, 550, "go away", Verdict::Outage, AWAY),
    (ANY, Stage::StartTls, 454, "not now", Verdict::Outage, Some((Cause::Tls, Blame::Site))),
    (ANY, Stage::StartTls, 0, "the certificate has expired", Verdict::Outage, Some((Cause::Tls, Blame::Site))),
    (ANY, Stage::Auth, 535, "wrong", Verdict::OurFault, Some((Cause::Ours, Blame::Site))),
    (ANY, Stage::Auth, 435, "later", Verdict::OurFault, Some((Cause::Ours, Blame::Site))),
    (ANY, Stage::Mail, 0, "lost", Verdict::Outage, BROKEN),
    (ANY, Stage::Mail, 451, "greylisted", Verdict::Unclear, Some((Cause::Said, Blame::Site))),
    (ANY, Stage::Mail, 421, "4.7.0 slow down", Verdict::Throttled, SLOW_SITE),
    (ANY, Stage::Mail, 550, "no", Verdict::Policy, None),
    (ANY, Stage::Mail, 551, "no", Verdict::Policy, None),
    (ANY, Stage::Mail, 554, "no", Verdict::Policy, None),
    (ANY, Stage::Mail, 550, "5.7.1 blocked", Verdict::Policy, None),
    (ANY, Stage::Mail, 552, "too large", Verdict::TooLarge, None),
    (ANY, Stage::Data, 552, "5.3.4 too large", Verdict::TooLarge, None),
    (ANY, Stage::Mail, 553, "<x> does not exist", Verdict::OurFault, None),
    (ANY, Stage::Mail, 550, "5.1.8 sender domain", Verdict::OurFault, None),
    (ANY, Stage::Mail, 550, "5.1.7 sender", Verdict::OurFault, None),
    (ANY, Stage::Mail, 555, "parameters", Verdict::OurFault, None),
    (ANY, Stage::Mail, 530, "login", Verdict::OurFault, None),
    (ANY, Stage::Mail, 535, "login", Verdict::OurFault, None),
    (ANY, Stage::Mail, 502, "what", Verdict::OurFault, None),
    (ANY, Stage::Rcpt, 550, "Unknown user", Verdict::UnknownUser, None),
    (ANY, Stage::Rcpt, 551, "moved", Verdict::UnknownUser, None),
    (ANY, Stage::Rcpt, 521, "takes no mail", Verdict::UnknownUser, None),
    (ANY, Stage::Rcpt, 556, "takes no mail", Verdict::UnknownUser, None),
    (ANY, Stage::Rcpt, 554, "5.1.2 no such domain", Verdict::UnknownUser, None),
    (ANY, Stage::Rcpt, 553, "5.1.6 moved", Verdict::UnknownUser, None),
    (ANY, Stage::Rcpt, 554, "5.1.10 null MX", Verdict::UnknownUser, None),
    (ANY, Stage::Rcpt, 450, "4.1.1 unverified", Verdict::UnknownUser, SAID),
    (ANY, Stage::Rcpt, 550, "5.2.1 disabled", Verdict::SuspendedUser, None),
    (ANY, Stage::Rcpt, 450, "4.2.1 disabled for now", Verdict::SuspendedUser, SAID),
    (ANY, Stage::Rcpt, 452, "4.2.2 full", Verdict::Full, FULL),
    (ANY, Stage::Rcpt, 552, "5.2.2 full", Verdict::Full, FULL),
    (ANY, Stage::Rcpt, 552, "too many recipients", Verdict::Full, FULL),
    (ANY, Stage::Rcpt, 452, "too many", Verdict::Throttled, Some((Cause::Throttled, Blame::Recipient))),
    (ANY, Stage::Rcpt, 450, "later", Verdict::Unclear, SAID),
    (ANY, Stage::Rcpt, 554, "Relay access denied", Verdict::Policy, None),
    (ANY, Stage::Rcpt, 550, "5.7.1 denied", Verdict::Policy, None),
    (ANY, Stage::Rcpt, 501, "syntax", Verdict::OurFault, None),
    (ANY, Stage::Rcpt, 553, "deferred", Verdict::OurFault, None),
    (ANY, Stage::Rcpt, 553, "5.1.3 syntax", Verdict::OurFault, None),
    (ANY, Stage::Rcpt, 550, "5.1.3 syntax", Verdict::OurFault, None),
    (ANY, Stage::Rcpt, 550, "5.4.4 routing", Verdict::Outage, SAID),
    (ANY, Stage::Rcpt, 550, "5.4.1 no answer", Verdict::Outage, SAID),
    (ANY, Stage::Rcpt, 550, "5.5.0 what", Verdict::OurFault, None),
    (ANY, Stage::Rcpt, 599, "what", Verdict::Unclear, None),
    (ANY, Stage::Data, 0, "lost", Verdict::Outage, BROKEN),
    (ANY, Stage::Data, 550, "go away", Verdict::Filtered, None),
    (ANY, Stage::Data, 550, "5.1.1 Unknown user", Verdict::UnknownUser, None),
    (ANY, Stage::Data, 552, "5.2.3 too large", Verdict::TooLarge, None),
    (ANY, Stage::Data, 552, "no room", Verdict::Full, Some((Cause::Full, Blame::Message))),
    (ANY, Stage::Data, 554, "Transaction failed", Verdict::Unclear, None),
    (ANY, Stage::Data, 554, "delivery error: dd", Verdict::Unclear, None),
    (ANY, Stage::Data, 554, "5.6.0 what is this", Verdict::OurFault, None),
    (ANY, Stage::Data, 554, "5.5.1 sequence", Verdict::OurFault, None),
    (ANY, Stage::Data, 451, "later", Verdict::Unclear, SAID_BODY),
    (ANY, Stage::Data, 451, "4.7.0 later", Verdict::Throttled, Some((Cause::Throttled, Blame::Message))),
    (ANY, Stage::Data, 421, "closing", Verdict::Throttled, SLOW_SITE),
];

fn cases() -> impl Iterator<Item = &'static Case> {
    CARRIERS.iter().chain(GREYLISTING).chain(ANYBODY)
}

fn carrier(who: &str) -> Option<Carrier> {
    let (domain, server) = who.split_once(' ').unwrap();
    Carrier::of(&domain.parse().unwrap(), Some(server))
}

#[test]
fn each_reply_is_judged_with_its_stage_and_by_whose_it_is() {
    for (who, stage, code, text, verdict, waits) in cases() {
        let reply = Reply::new(*code, text);
        let carrier = carrier(who);
        assert_eq!(verdict_of(carrier, *stage, &reply), *verdict, "{who} {stage} {code} {text}");
        let expected = match waits {
            Some((cause, blame)) => {
                Outcome::Deferred { stage: *stage, reply: reply.clone(), blame: *blame, cause: *cause }
            }
            None => Outcome::Refused { stage: *stage, reply: reply.clone(), verdict: *verdict },
        };
        assert_eq!(judge(carrier, *stage, reply), expected, "{who} {stage} {code} {text}");
    }
}

/// The places of the rows that fit a case, the deciding one first.
fn fitting((who, stage, code, text, ..): &Case) -> Vec<usize> {
    let (carrier, reply) = (carrier(who), Reply::new(*code, text));
    let fitting: Vec<usize> = (0..TABLE.len()).filter(|place| TABLE[*place].fits(carrier, *stage, &reply)).collect();
    assert_eq!(fitting.first().copied(), deciding(carrier, *stage, &reply));
    fitting
}

fn means(place: Option<usize>) -> (Verdict, bool) {
    let meaning = place.map_or(Meaning::Is(Verdict::Unclear), |place| TABLE[place].meaning);
    (meaning.verdict(), matches!(meaning, Meaning::Greylisted))
}

/// The cases that would be judged otherwise if the row were not there.
fn missing(place: usize) -> Vec<&'static Case> {
    cases()
        .filter(|case| {
            let rows = fitting(case);
            rows.first() == Some(&place) && means(rows.get(1).copied()) != means(Some(place))
        })
        .collect()
}

#[test]
fn no_row_is_idle_and_no_part_of_it() {
    let mut idle = Vec::new();
    for (place, row) in TABLE.iter().enumerate() {
        let cases = missing(place);
        if cases.is_empty() {
            idle.push(format!("row {place}"));
        }
        let needless = parts(row).into_iter().filter(|part| !cases.iter().any(|case| part.is_met_by(case)));
        idle.extend(needless.map(|part| format!("{part:?} of row {place}")));
    }
    assert!(idle.is_empty(), "no case would miss {idle:?}");
}

/// One of the alternatives that a row lists.
#[derive(Debug)]
enum Part {
    Carrier(Carrier),
    Stage(Stage),
    Code(u16),
    Enhanced(u16, u16),
}

fn parts(row: &Row) -> Vec<Part> {
    let enhanced = if let Enhanced::Codes(codes) = row.enhanced { codes } else { &[] };
    let carriers = row.carriers.iter().map(|carrier| Part::Carrier(*carrier));
    carriers
        .chain(row.stages.iter().map(|stage| Part::Stage(*stage)))
        .chain(row.codes.iter().map(|code| Part::Code(*code)))
        .chain(enhanced.iter().map(|(subject, detail)| Part::Enhanced(*subject, *detail)))
        .collect()
}

impl Part {
    fn is_met_by(&self, (who, stage, code, text, ..): &Case) -> bool {
        match self {
            Self::Carrier(needed) => carrier(who) == Some(*needed),
            Self::Stage(needed) => stage == needed,
            Self::Code(needed) => code == needed,
            Self::Enhanced(subject, detail) => Reply::new(*code, text)
                .enhanced
                .is_some_and(|EnhancedCode(_, had, detailed)| (had, detailed) == (*subject, *detail)),
        }
    }
}

#[test]
fn a_row_for_one_class_of_codes_leaves_the_other_alone() {
    for (place, row) in TABLE.iter().enumerate().filter(|(_, row)| !matches!(row.class, Class::Any)) {
        let loose = Row { class: Class::Any, ..*row };
        let spared = |case: &&Case| {
            let (who, stage, code, text, ..) = case;
            let (carrier, reply) = (carrier(who), Reply::new(*code, text));
            let decided_below = deciding(carrier, *stage, &reply).is_none_or(|first| first > place);
            decided_below && loose.fits(carrier, *stage, &reply)
        };
        assert!(cases().any(|case| spared(&case)), "no case needs the class of row {place}");
    }
}

#[test]
fn a_server_that_closes_for_a_reason_of_its_own_is_told_from_a_system_that_asks_to_slow_down() {
    for (code, text, own) in [
        (421, "4.3.2 closing", true),
        (421, "4.3.0 temporary system problem", true),
        (421, "4.4.2 timeout", true),
        (421, "4.4.5 congested", false),
        (421, "4.7.28 an unusual rate of mail", false),
        (421, "[TSS04] temporarily deferred", false),
        (421, "#4.x.2 Too many messages for this session", false),
        (450, "4.3.2 not now", false),
        (0, "lost", false),
    ] {
        assert_eq!(is_of_one_server(&Reply::new(code, text)), own, "{code} {text}");
    }
}

#[test]
fn only_a_refused_syntax_asks_for_the_local_part_without_quotes() {
    for (stage, code, text, raw) in [
        (Stage::Rcpt, 501, "syntax error", true),
        (Stage::Rcpt, 553, "name not allowed", true),
        (Stage::Rcpt, 501, "5.1.3 bad recipient address syntax", true),
        (Stage::Rcpt, 553, "5.1.3 bad syntax", true),
        (Stage::Rcpt, 501, "5.5.2 syntax error", true),
        (Stage::Rcpt, 501, "5.5.4 bad argument", true),
        (Stage::Rcpt, 550, "5.1.3 bad syntax", false),
        (Stage::Rcpt, 550, "syntax error", false),
        (Stage::Rcpt, 500, "syntax error", false),
        (Stage::Rcpt, 553, "5.1.1 nobody", false),
        (Stage::Rcpt, 553, "5.7.1 blocked", false),
        (Stage::Rcpt, 451, "syntax error", false),
        (Stage::Mail, 501, "syntax error", false),
        (Stage::Data, 553, "syntax error", false),
    ] {
        assert_eq!(wants_raw(stage, &Reply::new(code, text)), raw, "{stage} {code} {text}");
    }
}

proptest! {
    /// The owner's filter speaks after DATA in the words for a mailbox that is not there.
    #[test]
    fn nothing_that_docomo_or_au_say_after_data_means_that_there_is_no_mailbox(
        carrier in select(vec![Carrier::Docomo, Carrier::Au]),
        code in prop_oneof![Just(550u16), 400u16..600, Just(0)],
        enhanced in select(vec!["", "5.1.1 ", "5.1.2 ", "5.1.6 ", "5.1.10 ", "4.1.1 ", "5.2.1 ", "5.5.0 ", "5.4.1 ", "5.0.0 "]),
        known in select(vec!["", "Unknown user x", "<x>: User unknown", ": User unknown", "delivery error: dd", "no such user"]),
        noise in any::<String>(),
    ) {
        let reply = Reply::new(code, &format!("{enhanced}{known}{noise}"));
        prop_assert_ne!(verdict_of(Some(carrier), Stage::Data, &reply), Verdict::UnknownUser);
    }
}
