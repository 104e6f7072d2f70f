//! `check` says what would keep `serve` from starting, in its words: each fault is planted once and shown to both.

use crate::machine::{Machine, PROGRAM, SETTINGS, errors, text};
use serde_json::Value;
use std::any::Any;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The user that nobody is.
const NOBODY: u32 = 65_534;

/// What a test keeps for as long as the fault is to last.
type Kept = Box<dyn Any>;

/// Plants a fault in a machine that has been started before, or never was.
struct Plant {
    name: &'static str,
    /// What both are to say.
    says: &'static str,
    /// Whether keys and a database are there already.
    started: bool,
    /// Whether both are run as nobody; left out where the tests are not run by root.
    without_rights: bool,
    plant: fn(&Machine) -> Kept,
}

impl Plant {
    const fn new(name: &'static str, says: &'static str, plant: fn(&Machine) -> Kept) -> Self {
        Self { name, says, started: false, without_rights: false, plant }
    }

    const fn started(self) -> Self {
        Self { started: true, ..self }
    }

    const fn without_rights(self) -> Self {
        Self { without_rights: true, ..self }
    }
}

fn nothing() -> Kept {
    Box::new(())
}

/// Changes a line of the settings.
fn set(machine: &Machine, from: &str, to: &str) -> Kept {
    let text = fs::read_to_string(machine.settings()).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(machine.settings(), text.replace(from, to)).unwrap();
    nothing()
}

/// Adds to the end of the settings.
fn add(machine: &Machine, more: &str) -> Kept {
    set(machine, "[web]", &format!("{more}\n[web]"))
}

fn file(machine: &Machine, name: &str, text: &str, mode: u32) -> Kept {
    let path = machine.data_dir().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    nothing()
}

/// Says something to the database past the store.
fn sql(machine: &Machine, text: &str) -> Kept {
    rusqlite::Connection::open(machine.data_dir().join("karamail.db")).unwrap().execute_batch(text).unwrap();
    nothing()
}

/// Takes a port and listens on it, or has the settings name another address.
fn taken(machine: &Machine, key: &str) -> Kept {
    let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let table = format!("[{key}]\nlisten = [\"127.0.0.1:0\"]");
    set(machine, &table, &table.replace("127.0.0.1:0", &other.local_addr().unwrap().to_string()));
    Box::new(other)
}

/// A file system that is full.
struct FullDisk(std::path::PathBuf);

impl FullDisk {
    fn mount(path: std::path::PathBuf) -> Self {
        fs::create_dir_all(&path).unwrap();
        let options = "size=64k,mode=755";
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", options, "none"]).arg(&path).output().unwrap();
        assert!(done.status.success(), "{}", errors(&done));
        let disk = Self(path);
        fs::write(disk.0.join("karamail.lock"), "").unwrap();
        let mut filler = fs::File::create(disk.0.join("filler")).unwrap();
        while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
        disk
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

fn plants() -> Vec<Plant> {
    vec![
        Plant::new("a setting there is not", "there is no such setting", |m| set(m, "hostname", "hotsname")),
        Plant::new("no TOML", "this is not TOML", |m| add(m, "this = = that")),
        Plant::new("a file with a secret that everybody can read", "everybody on this machine can read it", |m| {
            file(m, "secret", "hunter2", 0o644);
            add(
                m,
                "[delivery]\nroute = \"smarthost\"\nsmarthost = \"r.example.jp:25\"\ntls = \"require\"\nuser = \"u\"\npassword_file = \"secret\"",
            )
        }),
        Plant::new("no authorities", "cannot be read", |m| add(m, "[delivery]\ntls_ca_file = \"none.pem\"")),
        Plant::new("no root keys", "holds no DNSKEY record of the root", |m| {
            file(m, "root.key", "example. IN A 192.0.2.1\n", 0o644);
            add(m, "[delivery]\ntrust_anchor = \"root.key\"")
        }),
        Plant::new("a template with a slip", "registration.body.tera", |m| {
            fs::create_dir_all(m.folder.path().join("mail-templates/ja")).unwrap();
            m.write("mail-templates/ja/registration.body.tera", b"{{ lnik }}");
            nothing()
        }),
        Plant::new("the SMTP port is taken", "cannot listen on 127.0.0.1:", |m| taken(m, "smtp")),
        Plant::new("the port of the pages is taken", "Address already in use", |m| taken(m, "web")),
        Plant::new("the port of the metrics is taken", "Address already in use", |m| taken(m, "api")),
        Plant::new("an address of another machine", "Cannot assign requested address", |m| {
            set(m, "[smtp]\nlisten = [\"127.0.0.1:0\"]", "[smtp]\nlisten = [\"203.0.113.9:0\"]")
        }),
        Plant::new("a port that only root may open", "Permission denied", |m| {
            set(m, "[smtp]\nlisten = [\"127.0.0.1:0\"]", "[smtp]\nlisten = [\"127.0.0.1:25\"]")
        })
        .without_rights(),
        Plant::new("a data folder that is none", "File exists", |m| {
            fs::write(m.data_dir(), "").unwrap();
            nothing()
        }),
        Plant::new("a data folder below what is no folder", "Not a directory", |m| {
            m.write("file", b"");
            set(m, "data_dir = \"data\"", "data_dir = \"file/data\"")
        }),
        Plant::new("a data folder that we may not make", "data: cannot be made: Permission denied", |m| {
            fs::set_permissions(m.folder.path(), Permissions::from_mode(0o755)).unwrap();
            nothing()
        })
        .without_rights(),
        Plant::new("a data folder of somebody else", "karamail.lock: cannot be opened: Permission denied", |m| {
            fs::create_dir(m.data_dir()).unwrap();
            fs::set_permissions(m.data_dir(), Permissions::from_mode(0o755)).unwrap();
            nothing()
        })
        .without_rights(),
        Plant::new("a path that is too long for a socket", "control.sock", |m| {
            let long = "d".repeat(90);
            set(m, "data_dir = \"data\"", &format!("data_dir = \"{long}\""))
        }),
        Plant::new("another karamail in the folder", "another karamail", |m| {
            Box::new(karamail::control::Lock::take(&m.data_dir()).unwrap())
        })
        .started(),
        Plant::new("something that is no outbox", "the outbox cannot be made", |m| {
            file(m, "outbox", "", 0o600);
            add(m, "[delivery]\nroute = \"capture\"")
        }),
        Plant::new("a key that others can read", "others than its owner can reach it", |m| {
            fs::set_permissions(m.data_dir().join("keys/link-1"), Permissions::from_mode(0o644)).unwrap();
            nothing()
        })
        .started(),
        Plant::new("a key that was cut", "holds no 32 bytes in base64", |m| {
            file(m, "keys/seal-1", "karamail-key v1 seal-1 AAAA\n", 0o600)
        })
        .started(),
        Plant::new("a kind of key that is gone", "has no verp key in use", |m| {
            fs::remove_file(m.data_dir().join("keys/verp-1")).unwrap();
            nothing()
        })
        .started(),
        Plant::new("a selector without a key", "no DKIM key “s9” is in use", |m| {
            add(m, "[[dkim]]\ndomain = \"example.jp\"\nselector = \"s9\"")
        })
        .started(),
        Plant::new("a selector that no first start makes", "no DKIM key “s9” is in use", |m| {
            add(m, "[[dkim]]\ndomain = \"example.jp\"\nselector = \"s9\"")
        }),
        Plant::new("a DKIM key of our own that is none", "own.pem", |m| {
            file(m, "own.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 0o600);
            add(m, "[[dkim]]\ndomain = \"example.jp\"\nselector = \"own\"\nkey_file = \"own.pem\"")
        })
        .started(),
        Plant::new("no DKIM key at all", "no DKIM key", |m| {
            fs::remove_file(m.data_dir().join("keys/dkim-e1")).unwrap();
            fs::remove_file(m.data_dir().join("keys/dkim-k1")).unwrap();
            nothing()
        })
        .started(),
        Plant::new("a database that is none", "the database holds what cannot be understood", |m| {
            file(m, "other.db", &"this is no database ".repeat(100), 0o600);
            add(m, "[storage]\nurl = \"sqlite:other.db\"")
        })
        .started(),
        Plant::new("a folder in place of the database", "the database could not be read or written", |m| {
            fs::create_dir(m.data_dir().join("other.db")).unwrap();
            add(m, "[storage]\nurl = \"sqlite:other.db\"")
        })
        .started(),
        Plant::new("a database in a folder that is not there", "No such file or directory", |m| {
            add(m, "[storage]\nurl = \"sqlite:deep/down/karamail.db\"")
        })
        .started(),
        Plant::new("a database that only root can write", "the database could not be read or written", |m| {
            fs::set_permissions(m.folder.path(), Permissions::from_mode(0o755)).unwrap();
            for path in [m.data_dir(), m.data_dir().join("keys")] {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
                for entry in fs::read_dir(path).unwrap() {
                    let path = entry.unwrap().path();
                    let is_database = path.extension().is_some_and(|ending| ending == "db");
                    if path.is_file() && !is_database {
                        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
                    }
                }
            }
            nothing()
        })
        .started()
        .without_rights(),
        Plant::new("a database of a later version", "has schema 99", |m| {
            sql(m, "INSERT INTO migrations (number, checksum) VALUES (99, 'x')")
        })
        .started(),
        Plant::new("a database with another history", "migration 1 of the database is not the one", |m| {
            sql(m, "UPDATE migrations SET checksum = 'x' WHERE number = 1")
        })
        .started(),
        Plant::new("a database server that is not there", "the database is not reachable", |m| {
            add(m, "[storage]\nurl = \"postgres://karamail@127.0.0.1:1/karamail\"")
        })
        .started(),
    ]
}

/// Faults that only root can plant.
fn plants_of_root() -> Vec<Plant> {
    vec![
        Plant::new("a data folder without room", "No space left on device", |m| {
            Box::new(FullDisk::mount(m.data_dir()))
        }),
        Plant::new("a file system without room", "No space left on device", |m| {
            let disk = FullDisk::mount(m.folder.path().join("disk"));
            fs::create_dir(disk.0.join("place")).unwrap();
            symlink(disk.0.join("place"), m.folder.path().join("place")).unwrap();
            set(m, "data_dir = \"data\"", "data_dir = \"place/data\"");
            Box::new(disk)
        }),
    ]
}

/// Runs a command that should end by itself.
fn run(machine: &Machine, arguments: &[&str], without_rights: bool) -> Output {
    let mut command = Command::new("timeout");
    command.arg("60").arg(PROGRAM).arg("-c").arg(machine.settings()).args(arguments).current_dir(machine.folder.path());
    command.env_remove("KARAMAIL_CONFIG").env_remove("KARAMAIL_LOG").stdin(Stdio::null());
    if without_rights {
        fs::set_permissions(machine.folder.path(), Permissions::from_mode(0o755)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().unwrap()
}

/// Has both refuse; gives what is wrong where they do not say the same.
fn differ(plant: &Plant) -> Option<String> {
    let machine = Machine::new();
    if plant.started {
        machine.say(&["org", "list"]);
    }
    let _kept = (plant.plant)(&machine);
    let (checked, shown) =
        (run(&machine, &["check", "--json"], plant.without_rights), run(&machine, &["check"], plant.without_rights));
    let served = run(&machine, &["serve"], plant.without_rights);
    let all = format!("{}:\ncheck {checked:?}\nserve {served:?}", plant.name);
    // The settings' own faults end a start with a code of their own, so that nobody starts it again and again.
    let codes = [&checked, &shown, &served].map(|output| output.status.code());
    if !matches!(codes, [Some(1), Some(1), Some(1 | 78)]) {
        return Some(all);
    }
    let verdict: Value = serde_json::from_slice(&checked.stdout).unwrap();
    let problems: Vec<&str> =
        verdict["problems"].as_array().unwrap().iter().map(|problem| problem["problem"].as_str().unwrap()).collect();
    let complaint = errors(&served);
    let alike = problems.first().is_some_and(|problem| complaint.contains(problem) && text(&shown).contains(problem));
    let said = problems.iter().any(|problem| problem.contains(plant.says)) && complaint.contains(plant.says);
    (!(alike && said && verdict["ok"] == false)).then_some(all)
}

#[test]
fn what_keeps_serve_from_starting_is_said_by_check_in_the_same_words() {
    let is_root = nix::unistd::geteuid().is_root();
    let mut plants = plants();
    plants.retain(|plant| is_root || !plant.without_rights);
    if is_root {
        plants.extend(plants_of_root());
    }
    let wrong: Vec<String> = plants.iter().filter_map(differ).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), plants.len(), wrong.join("\n\n"));
    assert!(plants.len() >= 25, "{}", plants.len());
}

#[test]
fn without_a_fault_both_are_content_and_check_leaves_nothing_behind() {
    let machine = Machine::new();
    assert!(text(&run(&machine, &["check"], false)).contains("are in order"));
    assert!(!machine.data_dir().exists());
    machine.say(&["org", "list"]);
    let before = schema(&machine);
    // A schema of before the last step stays as it is until a start.
    sql(&machine, "DELETE FROM migrations WHERE number = (SELECT max(number) FROM migrations)");
    let said = text(&run(&machine, &["check"], false));
    assert!(said.contains("storage.url: "), "the step cannot be made twice: {said}");
    assert_eq!(schema(&machine), before);
}

fn schema(machine: &Machine) -> Vec<String> {
    let connection = rusqlite::Connection::open(machine.data_dir().join("karamail.db")).unwrap();
    let mut statement = connection.prepare("SELECT name FROM sqlite_schema ORDER BY name").unwrap();
    let names = statement.query_map((), |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

/// The keys that are warned about, with their lines.
fn warned(machine: &Machine, problems: bool) -> Vec<String> {
    let output = run(machine, &["check", "--json"], false);
    assert_eq!(output.status.code(), Some(i32::from(problems)), "{output:?}");
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings = verdict["warnings"].as_array().unwrap().iter();
    warnings.map(|warning| format!("{}:{}", warning["key"].as_str().unwrap(), warning["line"])).collect()
}

#[test]
fn what_works_and_is_unwise_is_warned_of_and_keeps_nobody_from_starting() {
    let machine = Machine::new();
    let line = SETTINGS.lines().position(|line| line == "[web]").unwrap() + 1;
    assert_eq!(warned(&machine, false), [format!("web.trusted_proxies:{line}")]);
    set(&machine, "[web]", "[web]\ntrusted_proxies = [\"127.0.0.1\"]");
    assert_eq!(warned(&machine, false), [""; 0]);
    set(&machine, "https://", "http://");
    set(&machine, "[api]\nlisten = [\"127.0.0.1:0\"]", "[api]\nlisten = [\"0.0.0.0:0\"]");
    add(&machine, "[delivery]\nprivate_addresses = true\ntls = \"off\"");
    let keys = |machine: &Machine| -> Vec<String> {
        warned(machine, false).iter().map(|key| key.split(':').next().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&machine), ["delivery.private_addresses", "delivery.tls", "web.public_url", "api.listen"]);
    let said = text(&run(&machine, &["check"], false));
    assert!(
        said.contains("warning: line ")
            && said.ends_with("are in order; the first start makes keys and database; 4 warnings\n"),
        "{said}"
    );
    set(&machine, "private_addresses = true\ntls = \"off\"", "route = \"capture\"");
    set(&machine, "[registration]", "[registration]\nlink_lifetime = \"10m\"");
    assert_eq!(keys(&machine), ["registration.link_lifetime", "delivery.route", "web.public_url", "api.listen"]);
}

#[test]
fn keys_and_database_are_in_order_only_once_they_are_there() {
    let machine = Machine::new();
    let said = text(&run(&machine, &["check"], false));
    assert!(said.contains("certificates and ports are in order; the first start makes keys and database"), "{said}");
    machine.say(&["org", "list"]);
    let said = text(&run(&machine, &["check"], false));
    assert!(said.contains("keys, certificates, database and ports are in order;") && !said.contains("first"), "{said}");
}

#[test]
fn a_name_without_a_domain_is_warned_of_before_carriers_refuse_it() {
    let machine = Machine::new();
    set(&machine, "[web]", "[web]\ntrusted_proxies = [\"127.0.0.1\"]");
    set(&machine, "hostname = \"mx.example.jp\"", "hostname = \"mx\"");
    assert_eq!(warned(&machine, false), ["hostname:2"]);
}

#[test]
fn a_data_folder_or_a_password_that_everybody_can_read_is_warned_of() {
    let machine = Machine::new();
    set(&machine, "[web]", "[web]\ntrusted_proxies = [\"127.0.0.1\"]");
    machine.say(&["org", "list"]);
    assert_eq!(warned(&machine, false), [""; 0]);
    fs::set_permissions(machine.data_dir(), Permissions::from_mode(0o755)).unwrap();
    add(
        &machine,
        "[delivery]\nroute = \"smarthost\"\nsmarthost = \"r.example.jp:25\"\ntls = \"require\"\nuser = \"u\"\npassword = \"hunter2\"",
    );
    fs::set_permissions(machine.settings(), Permissions::from_mode(0o644)).unwrap();
    assert_eq!(warned(&machine, false), ["data_dir:null", "delivery.password:null"]);
    fs::set_permissions(machine.settings(), Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(machine.data_dir(), Permissions::from_mode(0o750)).unwrap();
    assert_eq!(warned(&machine, false), [""; 0]);
}

#[test]
fn beside_the_daemon_its_own_doors_are_not_in_the_way_and_those_of_others_are() {
    use crate::place::Place;
    let place = Place::take();
    let config = crate::daemon::settings(&place, "route = \"capture\"", "");
    let daemon = crate::daemon::Daemon::start(&place, &config);
    assert!(daemon.says(&["check"]).contains("are in order"));
    let other = TcpListener::bind((place.host(4), 0)).unwrap();
    let wanted = format!("[api]\nlisten = [\"{}\"]", other.local_addr().unwrap());
    let host = place.host(3);
    fs::write(place.path("other.toml"), config.replace(&format!("[api]\nlisten = [\"{host}:8081\"]"), &wanted))
        .unwrap();
    let checked = check_of(&place.path("other.toml"));
    assert_eq!(checked.status.code(), Some(1));
    let said = text(&checked);
    assert!(said.contains("api.listen: cannot listen on ") && said.contains("1 problem"), "{said}");
}

fn check_of(settings: &Path) -> Output {
    Command::new(PROGRAM).arg("check").arg("-c").arg(settings).output().unwrap()
}
