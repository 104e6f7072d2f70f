//! The life of a mail, and the log.

use super::*;

/// A visit, then two mails of one sender, an answer to each, and a visit after the second.
async fn two_lives(office: &Office) -> [(MailId, JobId); 2] {
    let visit = |second| {
        move |tx: &mut Tx<'_>| {
            maillog::visited(tx, RegistrationId::new(1), &address("hanako@docomo.ne.jp"), "page", at(second))
        }
    };
    office.write(visit(5)).await;
    let mut lives = Vec::new();
    for minute in [1, 2] {
        let life = office
            .write(move |tx| {
                let mail = tx.remember_mail(&mail("hanako@docomo.ne.jp"))?;
                let received = Received {
                    via: Via::Smtp,
                    peer: "203.0.113.9".parse().unwrap(),
                    tls: None,
                    helo: "gw".to_owned(),
                    envelope_sender: ReversePath::Address(address("hanako@docomo.ne.jp")),
                    recipients: vec![address("bizanpi@example.jp")],
                    message: Vec::new(),
                    at: at(60 * minute),
                };
                maillog::received(tx, mail, &received, &address("bizanpi@example.jp"))?;
                let order = NewJob { queued_at: at(60 * minute), ..job("hanako@docomo.ne.jp", Some(mail)) };
                let job = tx.enqueue(&order)?;
                maillog::queued(tx, job, &order)?;
                Ok((mail, job))
            })
            .await;
        lives.push(life);
    }
    office.write(visit(180)).await;
    lives.try_into().unwrap()
}

fn names(trace: &Value) -> Vec<&str> {
    trace["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_life_is_told_in_order_without_what_belongs_to_others() {
    let office = Office::open().await;
    let [(mail, job), _] = two_lives(&office).await;
    for of in [Subject::Mail(mail), Subject::Job(job)] {
        let trace = office.facts(Request::Trace { of: of.clone() }).await;
        assert_eq!(names(&trace), ["received", "queued", "visited"], "{of:?}");
        assert_eq!(trace["events"][0]["at"], at(60).to_string());
        assert_eq!(trace["events"][1]["job"], job.to_string());
    }
    let all = office.facts(Request::Trace { of: Subject::Address(address("Hanako@docomo.ne.jp")) }).await;
    assert_eq!(names(&all), ["visited", "received", "queued", "received", "queued", "visited"]);
    for of in [Subject::Mail(MailId::new(99)), Subject::Job(JobId::new(99)), Subject::Address(address("x@y.jp"))] {
        assert!(office.refusal(Request::Trace { of }).await.contains("nothing is known"));
    }
}

#[tokio::test]
async fn the_life_of_one_of_two_jobs_of_a_mail_leaves_out_the_other() {
    let office = Office::open().await;
    let [(mail, first), _] = two_lives(&office).await;
    let second = office
        .write(move |tx| {
            let order = NewJob { queued_at: at(90), ..job("ops@example.jp", Some(mail)) };
            let id = tx.enqueue(&order)?;
            maillog::queued(tx, id, &order)?;
            Ok(id)
        })
        .await;
    let trace = office.facts(Request::Trace { of: Subject::Job(first) }).await;
    assert_eq!(names(&trace), ["received", "queued", "visited"]);
    assert!(!trace.to_string().contains(&second.to_string()));
    let trace = office.facts(Request::Trace { of: Subject::Mail(mail) }).await;
    assert_eq!(names(&trace), ["received", "queued", "queued", "visited"]);
}

#[tokio::test]
async fn the_log_gives_all_or_the_last_lines() {
    let office = Office::open().await;
    two_lives(&office).await;
    let all = office.facts(Request::Log { lines: None, follow: false }).await;
    assert_eq!(all.as_array().unwrap().len(), 6);
    let last = office.facts(Request::Log { lines: Some(2), follow: false }).await;
    let last: Vec<&str> = last.as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(last, ["queued", "visited"]);
}

#[tokio::test]
async fn a_long_log_comes_in_pages_and_loses_nothing() {
    let office = Office::open().await;
    office
        .write(|tx| {
            (0..1_201i64).try_for_each(|second| maillog::marked(tx, &address("a@b.jp"), "accepted", at(second)))
        })
        .await;
    let pages = office.ask(Request::Log { lines: None, follow: false }).await;
    let events: Vec<EventFacts> = pages
        .into_iter()
        .flat_map(|page| if let Response::Events(events) = page { events } else { Vec::new() })
        .collect();
    assert_eq!(events.len(), 1_201);
    assert!(events.iter().enumerate().all(|(place, event)| event.at == at(place as i64).to_string()));
}

#[test]
fn a_subject_is_an_address_a_mail_or_a_job() {
    assert_eq!("a@b.jp".parse(), Ok(Subject::Address(address("a@b.jp"))));
    assert_eq!("maa".parse(), Ok(Subject::Mail(MailId::new(0))));
    assert_eq!("jb".parse(), Ok(Subject::Job(JobId::new(1))));
    for text in ["", "x", "raa", "a@", "j1"] {
        assert!(text.parse::<Subject>().is_err(), "{text}");
    }
}

#[tokio::test]
async fn a_log_that_nobody_writes_is_not_followed() {
    let (mut office, (sender, commits)) = (Office::open().await, watch::channel(0));
    drop(sender);
    office.desk.commits = commits;
    assert!(office.refusal(Request::Log { lines: None, follow: true }).await.contains("nothing more will come"));
}
