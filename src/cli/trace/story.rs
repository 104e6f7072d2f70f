//! Tells an event of the mail log as a sentence.

use crate::control::EventFacts;
use serde_json::Value;

/// Tells what happened; where the event is not one we know a sentence for, as its fields.
pub(super) fn sentence(event: &EventFacts) -> String {
    known(event).unwrap_or_else(|| {
        let fields = event.fields.iter().map(|(key, value)| format!("{key}={}", text(value)));
        fields.collect::<Vec<_>>().join(" ")
    })
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Gives the sentence of an event that has the fields it should.
fn known(event: &EventFacts) -> Option<String> {
    let field = |name: &str| event.fields.get(name).map(text);
    let said = || Some(format!("{} {} (at {})", field("code")?, field("reply")?, field("stage")?));
    let told = match event.event.as_str() {
        "received" => {
            let (id, via, peer, size) = (field("id")?, field("via")?, field("peer")?, field("size")?);
            let over = field("tls").filter(|tls| tls != "none").map(|tls| format!(" over {tls}")).unwrap_or_default();
            format!("{id} came in by {via} from {peer}{over}: {} to {}, {size} bytes", field("from")?, field("to")?)
        }
        "ignored" => format!("{} is not answered: {}", field("id")?, field("reason")?),
        "kept" => match field("job") {
            Some(job) => format!("{} came back for {job} and is kept: {}", field("id")?, field("reason")?),
            None => format!("{} is kept for the operator: {}", field("id")?, field("reason")?),
        },
        "queued" => {
            let cause = field("cause").map(|mail| format!(", because of {mail}")).unwrap_or_default();
            format!("{}, a {} mail to {}, waits to be sent{cause}", field("job")?, field("class")?, field("to")?)
        }
        "attempted" => {
            let (job, delays) = (field("job")?, field("delays")?);
            let place = match field("mx")?.as_str() {
                "" => "no server was reached".to_owned(),
                mx => format!("at {mx}, TLS: {}", field("tls")?),
            };
            let causes = [("throttled", "throttled"), ("suspended", "suspended"), ("held", "held by the operator")];
            let of_it = causes.into_iter().filter_map(|(name, words)| Some(format!("{} {words}", field(name)?)));
            let of_it: Vec<String> = of_it.collect();
            let of_it = if of_it.is_empty() { String::new() } else { format!(" ({})", of_it.join(", ")) };
            format!("{job} was tried: {place}; {delays} s to wait{of_it}, resolve, connect, send")
        }
        "accepted" => format!("the server took {} after {}: {}", field("job")?, field("delay")?, said()?),
        "deferred" => {
            let cause = field("cause").map(|cause| format!(" ({cause})")).unwrap_or_default();
            format!("{} not now{cause}: {}; next try {}", field("job")?, said()?, field("next")?)
        }
        "refused" => format!("{} refused for good: {}; that means {}", field("job")?, said()?, field("verdict")?),
        "unknown" => {
            let next = field("next")
                .map_or_else(|| "is not sent again".to_owned(), |next| format!("is tried once more at {next}"));
            format!("the connection was lost when the server may have taken {}: it {next}", field("job")?)
        }
        "expired" => format!("{} was given up after {}", field("job")?, field("age")?),
        "cancelled" => format!("{} was called back: {}", field("job")?, field("reason")?),
        "held" => format!("{} is held by the operator", field("job")?),
        "released" => format!("{} was let go after {} held", field("job")?, field("held")?),
        "suppressed" => format!("{} was not sent: {} is not written to any more", field("job")?, field("to")?),
        "marked" => format!("{} is now known to be {}", field("to")?, field("state")?),
        "visited" => format!("somebody opened the page of {} ({})", field("registration")?, field("what")?),
        "registered" => {
            let (org, id, priority) = (field("org")?, field("id")?, field("priority")?);
            format!("{} is registered for {org} {id}, priority {priority}", field("address")?)
        }
        _ => return None,
    };
    Some(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(event: &str, fields: Value) -> String {
        let fields = fields.as_object().unwrap().clone();
        sentence(&EventFacts { at: String::new(), event: event.to_owned(), fields })
    }

    #[test]
    fn events_are_told_as_sentences() {
        let reply = json!({"job": "jb", "code": 451, "stage": "rcpt", "reply": "4.7.1 Later", "next": "soon"});
        assert_eq!(told("deferred", reply), "jb not now: 451 4.7.1 Later (at rcpt); next try soon");
        let greylisted = json!({
            "job": "jb", "code": 450, "stage": "rcpt", "reply": "4.2.0 Later", "cause": "greylisted", "next": "soon"
        });
        assert_eq!(told("deferred", greylisted), "jb not now (greylisted): 450 4.2.0 Later (at rcpt); next try soon");
        let suppressed = json!({"job": "jb", "to": "<h***@docomo.ne.jp>"});
        assert_eq!(told("suppressed", suppressed), "jb was not sent: <h***@docomo.ne.jp> is not written to any more");
        assert_eq!(told("held", json!({"job": "jb"})), "jb is held by the operator");
        let released = json!({"job": "jb", "held": "2.50s"});
        assert_eq!(told("released", released), "jb was let go after 2.50s held");
        let attempt = json!({"job": "jb", "mx": "", "tls": "none", "delays": "0/0/0/0"});
        assert_eq!(
            told("attempted", attempt),
            "jb was tried: no server was reached; 0/0/0/0 s to wait, resolve, connect, send"
        );
        let slow = json!({
            "job": "jb", "mx": "mx", "tls": "none", "delays": "9/0/0/0", "throttled": "4.00s", "held": "2.00s"
        });
        assert_eq!(
            told("attempted", slow),
            "jb was tried: at mx, TLS: none; 9/0/0/0 s to wait (4.00s throttled, 2.00s held by the operator), resolve, \
             connect, send"
        );
        let registered = json!({"org": "DEMO", "id": "0001", "priority": 1, "address": "<h***@docomo.ne.jp>"});
        assert_eq!(told("registered", registered), "<h***@docomo.ne.jp> is registered for DEMO 0001, priority 1");
    }

    #[test]
    fn an_event_without_a_sentence_or_a_field_of_it_is_told_by_its_fields() {
        assert_eq!(told("landed", json!({"on": "moon", "at": 1969})), "on=moon at=1969");
        assert_eq!(told("expired", json!({"job": "jb"})), "job=jb");
    }
}
