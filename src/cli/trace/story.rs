//! Tells an event of the mail log as a sentence.

use super::super::print::moment;
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
    let told = match event.event.as_str() {
        "received" => {
            let (id, via, peer, size) = (field("id")?, field("via")?, field("peer")?, field("size")?);
            let over = field("tls").filter(|tls| tls != "none").map(|tls| format!(" over {tls}")).unwrap_or_default();
            let (from, to) = (field("from")?, field("to")?);
            format!("{id} came in by {} from {peer}{over}: {from} wrote to {to}, {size} bytes", via.to_uppercase())
        }
        "ignored" => format!("{} is not answered: {}", field("id")?, field("reason")?),
        "kept" => match field("job") {
            Some(job) => format!("{} came back for {job} and is kept: {}", field("id")?, field("reason")?),
            None => format!("{} is kept for the operator: {}", field("id")?, field("reason")?),
        },
        "queued" => {
            let (job, class, to) = (field("job")?, field("class")?, field("to")?);
            let why = field("cause").map(|mail| format!(" in answer to {mail}")).unwrap_or_default();
            format!("{job}, a {class} mail to {to}, was put into the queue{why}")
        }
        "attempted" => attempted(event)?,
        "accepted" => {
            format!(
                "the server took {}, {} after it was ordered: {}",
                field("job")?,
                spaced(&field("delay")?),
                said(event)?
            )
        }
        "deferred" => {
            let cause = field("cause").map(|cause| format!(" ({})", put_off(&cause))).unwrap_or_default();
            format!("{} not now{cause}: {}; next try {}", field("job")?, said(event)?, moment(&field("next")?))
        }
        "refused" => {
            let verdict = field("verdict")?;
            format!("{} was refused for good: {}; {}", field("job")?, said(event)?, meaning(&verdict))
        }
        "unknown" => {
            let next = field("next").map_or_else(
                || "it is not sent again".to_owned(),
                |next| format!("it is tried once more at {}", moment(&next)),
            );
            format!("the connection was lost when the server may have taken {}: {next}", field("job")?)
        }
        "expired" => format!("{} was given up after {}", field("job")?, field("age")?),
        "cancelled" => format!("{} was called back: {}", field("job")?, field("reason")?),
        "held" => format!("the operator holds {} back", field("job")?),
        "released" => format!("the operator let {} go, {} later", field("job")?, spaced(&field("held")?)),
        "suppressed" => format!("{} was not sent: {} is not written to any more", field("job")?, field("to")?),
        "marked" => format!("{} is now known to be {}", field("to")?, field("state")?),
        "visited" => {
            let (registration, address) = (field("registration")?, field("address")?);
            match field("what")?.as_str() {
                "landing" => format!("the page behind the link to {address} was opened (registration {registration})"),
                "login" => format!("somebody logged in behind that link (registration {registration})"),
                other => format!("the page of registration {registration} was used: {other}"),
            }
        }
        "opened" => format!("the page behind the test mail's link to {} was opened", field("address")?),
        "arrived" => format!("the button of the test mail to {} was pressed: somebody reads it", field("address")?),
        "withdrawn" => format!("{} was taken back by {}", field("address")?, member(event)?),
        "registered" => format!("{} is registered for {}", field("address")?, member(event)?),
        _ => return None,
    };
    Some(told)
}

/// Tells where a mail was tried, and what took how long.
fn attempted(event: &EventFacts) -> Option<String> {
    let field = |name: &str| event.fields.get(name).map(text);
    let (job, delays) = (field("job")?, field("delays")?);
    let [waited, resolving, connecting, sending] = delays.split('/').collect::<Vec<_>>().try_into().ok()?;
    let place = match (field("mx")?.as_str(), field("tls")?.as_str()) {
        ("", _) => "no server was reached".to_owned(),
        (mx, "none") => format!("at {mx} without TLS"),
        (mx, tls) => format!("at {mx} over {tls}"),
    };
    let causes = [("throttled", "throttled"), ("suspended", "suspended"), ("held", "held by the operator")];
    let of_it = causes.into_iter().filter_map(|(name, words)| Some(format!("{} {words}", spaced(&field(name)?))));
    let of_it: Vec<String> = of_it.collect();
    let of_it = if of_it.is_empty() { String::new() } else { format!(" ({})", of_it.join(", ")) };
    Some(format!(
        "{job} was tried: {place}; waited {waited} s{of_it}, looked up {resolving} s, connected {connecting} s, \
         sent {sending} s"
    ))
}

/// Tells what a server said, and where in the conversation; of what no server said there is no number.
fn said(event: &EventFacts) -> Option<String> {
    let field = |name: &str| event.fields.get(name).map(text);
    let (code, reply, stage) = (field("code")?, field("reply")?, field("stage")?);
    Some(if code == "0" { format!("{reply} (at {stage})") } else { format!("{code} {reply} (at {stage})") })
}

fn member(event: &EventFacts) -> Option<String> {
    let field = |name: &str| event.fields.get(name).map(text);
    Some(format!("{} {}, priority {}", field("org")?, field("id")?, field("priority")?))
}

/// Puts a space between a number and its unit: `0.42s`.
fn spaced(span: &str) -> String {
    span.strip_suffix('s').map_or_else(|| span.to_owned(), |number| format!("{number} s"))
}

/// Says what puts a mail off, beside the name it has in the mail log.
fn put_off(cause: &str) -> &str {
    match cause {
        "dns" => "dns: the name servers do not say where to",
        "no-key" => "no-key: a key that signs or seals is missing",
        "ours" => "ours: we could not send it ourselves",
        "unreachable" => "unreachable: no server could be reached",
        "tls" => "tls: the connection was not as secure as it has to be",
        "greylisted" => "greylisted: the server wants to see us come back",
        "throttled" => "throttled: the server asks to slow down",
        "full" => "full: the mailbox is full",
        "said" => "said: the server has its reasons",
        "lost" => "lost: the connection broke on the way",
        other => other,
    }
}

/// Says what a refusal means, beside the name it has in the mail log.
fn meaning(verdict: &str) -> String {
    let words = match verdict {
        "unknown-user" => "there is nobody at that address",
        "filtered" => "the owner's filter keeps us out",
        "full" => "the mailbox is full",
        "suspended-user" => "the account is suspended",
        "throttled" => "we were too fast",
        "too-large" => "it is too large",
        "policy" => "our authentication or reputation is not believed",
        "our-fault" => "we did something wrong",
        "outage" => "the server is out of order",
        "unclear" => "what that means is unclear",
        other => return format!("that means {other}"),
    };
    format!("{words} ({verdict})")
}

#[cfg(test)]
mod tests;
