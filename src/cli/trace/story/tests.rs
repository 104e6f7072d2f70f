use super::*;
use crate::queue::{Cause, Verdict};
use serde_json::json;

fn told(event: &str, fields: Value) -> String {
    let fields = fields.as_object().unwrap().clone();
    sentence(&EventFacts { at: String::new(), event: event.to_owned(), fields })
}

#[test]
fn events_are_told_as_sentences() {
    let person = "<h***@docomo.ne.jp>";
    for (event, fields, sentence) in [
        (
            "received",
            json!({"id": "mb", "via": "smtp", "peer": "203.0.113.9", "from": person, "to": "<bizanpi@a.jp>", "size": 57}),
            "mb came in by SMTP from 203.0.113.9: <h***@docomo.ne.jp> wrote to <bizanpi@a.jp>, 57 bytes",
        ),
        (
            "queued",
            json!({"job": "jb", "class": "registration", "to": person, "cause": "mb"}),
            "jb, a registration mail to <h***@docomo.ne.jp>, was put into the queue in answer to mb",
        ),
        (
            "attempted",
            json!({"job": "jb", "mx": "", "tls": "none", "delays": "0/0/0/0"}),
            "jb was tried: no server was reached; waited 0 s, looked up 0 s, connected 0 s, sent 0 s",
        ),
        (
            "attempted",
            json!({"job": "jb", "mx": "mx", "tls": "TLSv1.3", "delays": "9/1/2/3", "throttled": "4.00s", "held": "2.00s"}),
            "jb was tried: at mx over TLSv1.3; waited 9 s (4.00 s throttled, 2.00 s held by the operator), looked up 1 s, \
             connected 2 s, sent 3 s",
        ),
        (
            "accepted",
            json!({"job": "jb", "code": 250, "stage": "data", "reply": "2.0.0 Ok", "delay": "0.42s"}),
            "the server took jb, 0.42 s after it was ordered: 250 2.0.0 Ok (at data)",
        ),
        (
            "deferred",
            json!({"job": "jb", "code": 451, "stage": "rcpt", "reply": "4.7.1 Later", "next": "2026-11-22T07:00:00+09:00"}),
            "jb not now: 451 4.7.1 Later (at rcpt); next try 2026-11-22 07:00:00",
        ),
        (
            "deferred",
            json!({"job": "jb", "code": 0, "stage": "connect", "reply": "refused", "cause": "unreachable", "next": "soon"}),
            "jb not now (unreachable: no server could be reached): refused (at connect); next try soon",
        ),
        (
            "refused",
            json!({"job": "jb", "code": 550, "stage": "rcpt", "reply": "5.1.1 no", "verdict": "unknown-user"}),
            "jb was refused for good: 550 5.1.1 no (at rcpt); there is nobody at that address (unknown-user)",
        ),
        (
            "unknown",
            json!({"job": "jb", "code": 0, "stage": "data", "reply": "lost"}),
            "the connection was lost when the server may have taken jb: it is not sent again",
        ),
        (
            "suppressed",
            json!({"job": "jb", "to": person}),
            "jb was not sent: <h***@docomo.ne.jp> is not written to any more",
        ),
        ("held", json!({"job": "jb"}), "the operator holds jb back"),
        ("released", json!({"job": "jb", "held": "2.50s"}), "the operator let jb go, 2.50 s later"),
        ("marked", json!({"to": person, "state": "verified"}), "<h***@docomo.ne.jp> is now known to be verified"),
        (
            "visited",
            json!({"registration": "rb", "address": person, "what": "landing"}),
            "the page behind the link to <h***@docomo.ne.jp> was opened (registration rb)",
        ),
        (
            "visited",
            json!({"registration": "rb", "address": person, "what": "login"}),
            "somebody logged in behind that link (registration rb)",
        ),
        (
            "registered",
            json!({"org": "DEMO", "id": "0001", "priority": 1, "address": person}),
            "<h***@docomo.ne.jp> is registered for DEMO 0001, priority 1",
        ),
        (
            "arrived",
            json!({"test": "tb", "address": person}),
            "the button of the test mail to <h***@docomo.ne.jp> was pressed: somebody reads it",
        ),
    ] {
        assert_eq!(told(event, fields), sentence);
    }
}

#[test]
fn every_cause_and_every_verdict_has_words_of_its_own() {
    let causes = ["dns", "no-key", "ours", "unreachable", "tls", "greylisted", "throttled", "full", "said", "lost"];
    for name in causes {
        assert!(Cause::from_name(name).is_some() && put_off(name).starts_with(&format!("{name}: ")), "{name}");
    }
    let verdicts = [
        "unknown-user",
        "filtered",
        "full",
        "suspended-user",
        "throttled",
        "too-large",
        "policy",
        "our-fault",
        "outage",
        "unclear",
    ];
    for name in verdicts {
        assert!(Verdict::from_name(name).is_some() && meaning(name).ends_with(&format!("({name})")), "{name}");
    }
}

#[test]
fn an_event_without_a_sentence_or_a_field_of_it_is_told_by_its_fields() {
    assert_eq!(told("landed", json!({"on": "moon", "at": 1969})), "on=moon at=1969");
    assert_eq!(told("expired", json!({"job": "jb"})), "job=jb");
}
