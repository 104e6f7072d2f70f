//! The socket, what goes through it, and the lock beside it.

use super::*;

#[test]
fn requests_and_answers_survive_the_wire() {
    let request = Request::Trace { of: Subject::Address(address("a..b.@docomo.ne.jp")) };
    let line = serde_json::to_string(&request).unwrap();
    assert_eq!(line, r#"{"ask":"trace","of":{"address":"a..b.@docomo.ne.jp"}}"#);
    assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
    let answer = Response::Events(vec![EventFacts {
        at: "now".to_owned(),
        event: "marked".to_owned(),
        fields: serde_json::Map::from_iter([("to".to_owned(), json!("<a***@b.jp>"))]),
    }]);
    let line = serde_json::to_string(&answer).unwrap();
    assert_eq!(line, r#"{"answer":"events","facts":[{"at":"now","event":"marked","to":"<a***@b.jp>"}]}"#);
    assert_eq!(serde_json::from_str::<Response>(&line).unwrap(), answer);
}

/// A daemon's door in a folder of its own.
struct Door {
    office: Office,
    folder: tempfile::TempDir,
    tasks: JoinSet<()>,
}

impl Door {
    async fn open() -> Self {
        let (office, folder) = (Office::with_demo().await, tempfile::tempdir().unwrap());
        let socket = Socket::open(folder.path()).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(socket.serve(office.desk.clone()));
        Self { office, folder, tasks }
    }

    async fn ask(&self, request: &Request) -> Answers {
        ask(self.folder.path(), request).await.unwrap()
    }

    /// What is answered to bytes that no command of ours sends.
    async fn say(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.folder.path().join("control.sock")).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        said
    }
}

#[tokio::test]
async fn a_command_is_answered_through_the_door() {
    let door = Door::open().await;
    let mut answers = door.ask(&Request::ListOrgs).await;
    assert!(matches!(answers.next().await.unwrap(), Some(Response::Orgs(orgs)) if orgs.len() == 1));
    assert_eq!(answers.next().await.unwrap(), None);
}

#[tokio::test]
async fn a_large_file_goes_through_the_door() {
    let door = Door::open().await;
    let name = "x".repeat(150);
    let lines: String = (0..5_000).map(|id| format!("{id},kite7,{name}\n")).collect();
    let mut answers = door.ask(&import(&format!("id,password,name\n{lines}"), true)).await;
    assert!(matches!(answers.next().await.unwrap(), Some(Response::Import(facts)) if facts.added == 5_000));
}

#[tokio::test]
async fn the_door_is_open_to_its_owner_only_and_is_taken_away_at_the_end() {
    let mut door = Door::open().await;
    let path = door.folder.path().join("control.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!door.folder.path().join("control.new").exists());
    door.tasks.shutdown().await;
    assert!(!path.exists());
    assert!(matches!(ask(door.folder.path(), &Request::Ping).await, Err(AskError::Down)));
}

#[tokio::test]
async fn a_door_left_behind_by_a_killed_daemon_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let left = Socket::open(folder.path()).unwrap();
    std::mem::forget(left);
    std::fs::create_dir(folder.path().join("control.new")).unwrap();
    Socket::open(folder.path()).unwrap();
}

#[tokio::test]
async fn nonsense_at_the_door_is_answered_or_hung_up_on() {
    let door = Door::open().await;
    for bytes in [
        &b"{}\n"[..],
        b"nonsense\n",
        b"\n",
        b"\xff\n",
        br#"{"ask":"fly"}
"#,
    ] {
        let said = door.say(bytes).await;
        assert!(said.contains("are both of one version?") && said.ends_with("{\"answer\":\"end\"}\n"), "{said}");
    }
    for bytes in [&b""[..], b"{\"ask\":\"list_orgs\"}"] {
        assert_eq!(door.say(bytes).await, "");
    }
    assert_eq!(door.ask(&Request::Ping).await.next().await.unwrap(), Some(Response::Up { doors: Vec::new() }));
}

#[tokio::test]
async fn who_says_nothing_is_hung_up_on_when_the_time_is_over() {
    let door = Door::open().await;
    let mut silent = UnixStream::connect(door.folder.path().join("control.sock")).await.unwrap();
    // The other command is answered behind it, so the silent one is being waited for by now.
    door.ask(&Request::Ping).await.next().await.unwrap();
    door.office.desk.clock.turn(Span::from_secs(61));
    let mut said = Vec::new();
    assert_eq!(silent.read_to_end(&mut said).await.unwrap(), 0);
}

#[tokio::test]
async fn what_comes_is_followed_until_the_command_hangs_up() {
    let door = Door::open().await;
    let mut answers = door.ask(&Request::Log { lines: Some(10), follow: true }).await;
    for state in ["verified", "accepted"] {
        door.office.write(move |tx| maillog::marked(tx, &address("a@b.jp"), state, at(1))).await;
        let Some(Response::Events(events)) = answers.next().await.unwrap() else { panic!("no events") };
        let states: Vec<&Value> = events.iter().map(|event| &event.fields["state"]).collect();
        assert_eq!(states, [&json!(state)]);
    }
    drop(answers);
    // All turns are free again: the follower kept none.
    for _ in 0..40 {
        assert_eq!(door.ask(&Request::Ping).await.next().await.unwrap(), Some(Response::Up { doors: Vec::new() }));
    }
}

#[tokio::test]
async fn a_command_waits_for_its_turn_where_too_many_are_answered() {
    let door = Door::open().await;
    let follow = Request::Log { lines: None, follow: true };
    let mut followers = Vec::new();
    for _ in 0..32 {
        followers.push(door.ask(&follow).await);
    }
    let mut waiting = door.ask(&Request::Ping).await;
    // News went to everybody twice: whoever had a turn has been answered by now.
    for _ in 0..2 {
        door.office.write(|tx| maillog::marked(tx, &address("a@b.jp"), "accepted", at(1))).await;
        for follower in &mut followers {
            assert!(matches!(follower.next().await.unwrap(), Some(Response::Events(_))));
        }
    }
    door.office.write(|tx| maillog::marked(tx, &address("a@b.jp"), "accepted", at(1))).await;
    tokio::select! {
        biased;
        answer = waiting.next() => panic!("answered before its turn: {answer:?}"),
        news = followers[0].next() => assert!(matches!(news.unwrap(), Some(Response::Events(_)))),
    }
    followers.pop();
    assert_eq!(waiting.next().await.unwrap(), Some(Response::Up { doors: Vec::new() }));
}

#[tokio::test]
async fn who_closes_the_half_that_is_not_needed_is_answered_all_the_same() {
    let door = Door::open().await;
    let said = door.say(b"{\"ask\":\"list_orgs\"}\n").await;
    assert!(said.contains("DEMO") && said.ends_with("{\"answer\":\"end\"}\n"), "{said}");
}

#[test]
fn the_lock_is_held_by_one_and_names_its_process() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let lock = Lock::take(&data_dir).unwrap();
    assert_eq!(std::fs::metadata(&data_dir).unwrap().permissions().mode() & 0o777, 0o700);
    let held = Lock::take(&data_dir).unwrap_err();
    assert!(held.to_string().contains(&format!("process {}", std::process::id())), "{held}");
    drop(lock);
    Lock::take(&data_dir).unwrap();
    let missing = Lock::take(std::path::Path::new("/proc/none")).unwrap_err();
    assert!(matches!(missing, LockError::Io { .. }), "{missing}");
}
