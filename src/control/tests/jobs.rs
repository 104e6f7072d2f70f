//! Jobs, mails and addresses.

use super::*;

#[tokio::test]
async fn a_job_is_shown_with_the_keys_scripts_rely_on_and_the_reason_it_waits() {
    let office = Office::open().await;
    let id = office.write(|tx| tx.enqueue(&job("hanako@docomo.ne.jp", None))).await;
    office.write(|tx| tx.claim("w", at(20), at(60), 10)).await;
    let defer = Settlement::Defer {
        due: at(200),
        stage: Stage::Rcpt,
        reply: Reply::new(451, "4.7.1 Greylisted"),
        cause: Cause::Greylisted,
        at: at(21),
    };
    assert!(office.write(move |tx| tx.settle(id, "w", 1, &defer)).await);
    let shown = office.facts(Request::ShowJob { job: id }).await;
    assert_eq!(
        shown,
        json!({
            "job": id.to_string(), "class": "registration", "to": "hanako@docomo.ne.jp", "state": "deferred",
            "due": at(200).to_string(), "attempts": 1,
            "last": {"code": 451, "stage": "rcpt", "reply": "4.7.1 Greylisted"},
            "why": format!("the server wants to see us come back; another try at {} after: 451 4.7.1 Greylisted (rcpt)", at(200)),
            "queued_at": at(10).to_string(), "give_up": at(1_000).to_string(), "cause": null,
        })
    );
    let list = |class: Option<&str>, to: Option<&str>, state: Option<&str>| Request::ListJobs {
        class: class.map(str::to_owned),
        to: to.map(str::to_owned),
        state: state.map(str::to_owned),
        limit: 10,
    };
    for (request, found) in [
        (list(None, None, None), 1),
        (list(Some("registration"), Some("docomo.ne.jp"), Some("deferred")), 1),
        (list(Some("otp"), None, None), 0),
        (list(None, Some("example.jp"), None), 0),
        (list(None, None, Some("accepted")), 0),
    ] {
        assert_eq!(office.facts(request).await.as_array().unwrap().len(), found);
    }
    assert!(office.refusal(list(Some("bulk"), None, None)).await.contains("no class"));
    assert!(office.refusal(Request::ShowJob { job: JobId::new(99) }).await.contains("no job"));
}

#[tokio::test]
async fn an_ended_job_is_found_by_its_state_and_is_due_no_more() {
    let office = Office::open().await;
    let id = office.write(|tx| tx.enqueue(&job("hanako@docomo.ne.jp", None))).await;
    office.write(|tx| tx.claim("w", at(20), at(60), 10)).await;
    let reply = Reply::new(250, "2.0.0 Ok");
    let end = Settlement::End {
        state: crate::queue::State::Accepted,
        stage: Some(Stage::Data),
        reply: Some(reply),
        at: at(21),
    };
    assert!(office.write(move |tx| tx.settle(id, "w", 1, &end)).await);
    let request = Request::ListJobs { class: None, to: None, state: Some("accepted".to_owned()), limit: 10 };
    let listed = office.facts(request).await;
    assert_eq!(listed[0]["due"], Value::Null);
    assert_eq!(listed[0]["why"], "the receiving server took it after: 250 2.0.0 Ok (data)");
}

#[tokio::test]
async fn a_kept_mail_is_shown_with_its_text() {
    let office = Office::open().await;
    let id = office.write(|tx| tx.remember_mail(&mail("x@y.jp"))).await;
    let shown = office.facts(Request::ShowMail { mail: id }).await;
    assert_eq!(shown["decision"], "kept");
    assert_eq!(shown["message"], "Subject: hello\r\n\r\n\u{fffd}");
    assert!(office.refusal(Request::ShowMail { mail: MailId::new(99) }).await.contains("no mail"));
}

#[tokio::test]
async fn an_address_is_shown_with_the_keys_scripts_rely_on() {
    let office = Office::with_demo().await;
    let new = office.facts(Request::ShowAddress { address: address("nobody@b.jp") }).await;
    assert_eq!(
        new,
        json!({
            "address": "nobody@b.jp", "state": "new", "verdict": null, "stage": null, "reply": null, "at": null,
            "verified_at": null, "members": [],
        })
    );
    office.facts(import("id,password,name,mail2\n0001,kite7,山田,a@b.jp\n", false)).await;
    let shown = office.facts(Request::ShowAddress { address: address("A@b.jp") }).await;
    assert_eq!(shown["members"], json!([{"org": "DEMO", "id": "0001", "priority": 2}]));
}

#[tokio::test]
async fn a_claim_given_back_reads_as_waiting_again() {
    let office = Office::open().await;
    let id = office.write(|tx| tx.enqueue(&job("a@b.jp", None))).await;
    office.write(|tx| tx.claim("w", at(20), at(60), 10)).await;
    office.write(|tx| tx.reclaim(at(61), Reclaim::Expired)).await;
    assert_eq!(office.facts(Request::ShowJob { job: id }).await["state"], "queued");
}
