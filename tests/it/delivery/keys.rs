//! What becomes of mail that cannot be signed.
//!
//! A daemon reads its keys at its start, and does not start without them; what waits for a key is therefore left by a worker of
//! this process that has none.

use super::world::{Plan, World};
use crate::daemon::{Daemon, PROGRAM, settings};
use crate::machine::Machine;
use crate::place::{Place, until};
use karamail::clock::Clock;
use karamail::config::Route;
use karamail::keys::Keys;
use karamail::model::JobId;
use karamail::queue::Class;
use karamail::random::Random;
use std::process::{Command, Stdio};

/// Has a mail wait for want of a key; gives it, and the folder of its store.
async fn unsigned() -> (JobId, tempfile::TempDir) {
    let mut plan = Plan::new("", 25);
    plan.delivery.route = Route::Capture;
    plan.keys.clear();
    let mut world = World::prepare("").await;
    // The commands look at the clock on the wall.
    world.clock = Clock::system();
    world.run(plan);
    let job = world.order(Class::Alert, "a@carrier.example").await;
    world.wait_for("deferred", job).await;
    world.stop();
    world.stopped().await;
    world.store.close().await;
    (job, world.folder)
}

#[tokio::test]
async fn the_commands_name_a_missing_key_and_the_mail_goes_once_it_is_there() {
    let (job, folder) = unsigned().await;
    let job = job.to_string();
    let (place, machine) = (Place::take(), Machine::new());
    let key = place.path("own.pem");
    let own = format!("[[dkim]]\ndomain = \"mob-connect.com\"\nselector = \"own\"\nkey_file = \"{}\"\n", key.display());
    let text = settings(&place, "route = \"capture\"", &own);
    let data = place.path("data");
    machine.write("karamail.toml", text.replace(data.to_str().unwrap(), folder.path().to_str().unwrap()).as_bytes());
    let names_it = || {
        let why = machine.json(&["queue", "why", &job]);
        assert_eq!((&why["cause"], &why["state"]), (&"no-key".into(), &"deferred".into()), "{why}");
        let said = machine.say(&["queue", "why", &job]);
        assert!(
            said.starts_with(&format!("{job} (deferred): a key that signs or seals it is missing; another try at"))
        );
        assert!(said.contains("there is no DKIM key to sign it with"), "{said}");
    };
    names_it();
    let serve = || {
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg("-c").arg(machine.settings()).stdin(Stdio::null()).stdout(Stdio::null());
        Daemon::run(&place, machine.settings(), &mut command)
    };
    if let Some(mut daemon) = serve() {
        until("it ends for want of its key", || daemon.has_ended().then_some(()));
        assert!(daemon.log().iter().any(|line| line.contains("own.pem")), "{:#?}", daemon.log());
    }
    names_it();

    let others = tempfile::tempdir().unwrap();
    Keys::open(others.path(), &Random::system()).unwrap();
    std::fs::copy(others.path().join("keys/dkim-e1"), &key).unwrap();
    let daemon = serve().unwrap();
    names_it();
    assert_eq!(machine.say(&["queue", "retry", &job]), "due now: 1\n");
    daemon.until_logged(&["accepted ", &format!("job={job}")], 1);
    assert_eq!(machine.json(&["queue", "why", &job])["cause"], "ended");
    let sent = std::fs::read_dir(folder.path().join("outbox")).unwrap().map(|entry| entry.unwrap().path());
    let sent: Vec<String> = sent.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].starts_with("DKIM-Signature: ") && sent[0].contains("s=own;"), "{}", sent[0]);
}
