//! The Debian package, as a stranger meets it: looked through by lintian, installed on a Debian with nothing on it, and taken
//! away again.

use crate::daemon::PROGRAM;
use crate::machine::{errors, text};
use crate::place::Place;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// `EX_CONFIG` of sysexits.h.
const WRONG_SETTINGS: i32 = 78;

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}{}", text(&done), errors(&done));
    text(&done)
}

/// Makes the package of the program under test; one at a time, as its parts are laid together in one folder.
fn package(place: &Place) -> PathBuf {
    static PARTS: Mutex<()> = Mutex::new(());
    let _parts = PARTS.lock().unwrap();
    let (build, package) = (place.path("build"), place.path("karamail.deb"));
    std::fs::create_dir_all(build.join("release")).unwrap();
    std::fs::copy(PROGRAM, build.join("release/karamail")).unwrap();
    let script = Path::new(ROOT).join("systemd/debian/build");
    run(Command::new(script).args(["--fast", "--output"]).arg(&package).env("CARGO_TARGET_DIR", build));
    package
}

#[test]
fn lintian_finds_nothing_but_what_the_overrides_explain() {
    let place = Place::take();
    let package = package(&place);
    let mut lintian = Command::new("lintian");
    assert_eq!(run(lintian.args(["--allow-root", "--fail-on", "error,warning"]).arg(&package)), "");
    let pages = run(Command::new("dpkg").arg("--contents").arg(&package));
    for file in [
        "./usr/share/man/man1/karamail.1.gz",
        "./usr/share/man/man1/karamail-queue-hold.1.gz",
        "./usr/share/bash-completion/completions/karamail",
        "./usr/share/karamail/mail-templates/ja/otp.body.tera",
        "./usr/lib/systemd/system/karamail.socket",
    ] {
        assert!(pages.lines().any(|line| line.ends_with(file)), "{file}: {pages}");
    }
}

#[test]
fn the_package_names_what_others_wrote_and_under_which_licence() {
    let place = Place::take();
    let package = package(&place);
    let unpack = "dpkg --fsys-tarfile \"$0\" | tar -xO ./usr/share/doc/karamail/third-party.gz | gunzip";
    let notices = run(Command::new("sh").args(["-c", unpack]).arg(&package));
    // The packages the customer asked for, and C code that comes with one.
    for name in [
        "mail-parser",
        "mail-send",
        "samotop-core",
        "tokio",
        "rusqlite",
        "hmac",
        "sha2",
        "totp-rs",
        "tera",
        "aws-lc-sys",
    ] {
        assert!(notices.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is not named");
    }
    for text in ["Copyright (c) Tokio Contributors", "Permission is hereby granted, free of charge", "Apache License"] {
        assert!(notices.contains(text), "no “{text}”");
    }
    // Nothing else is without the text of its licence than what came without one.
    let (_, without) = notices.split_once("These came without a text of their own:").unwrap();
    assert!(without.lines().filter(|line| !line.is_empty()).all(|line| line.starts_with("samotop-")), "{without}");
    assert!(!notices.lines().any(|line| line.starts_with("karamail 0")), "our own is not among those of others");
}

/// A Debian of the release that this machine has, with nothing on it. It is fetched once, from where this machine's own
/// packages come from.
struct Fresh(PathBuf);

impl Fresh {
    fn unpack(place: &Place) -> Self {
        let release = std::fs::read_to_string("/etc/os-release").unwrap();
        let release = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap();
        let kept = Path::new(ROOT).join(format!("target/tests/debian-{release}.tar"));
        if !kept.exists() {
            fetch(place, release, &kept);
        }
        let root = place.path("fresh");
        std::fs::create_dir(&root).unwrap();
        run(Command::new("tar").arg("-xf").arg(kept).arg("-C").arg(&root));
        Self(root)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    fn command(&self, words: &[&str]) -> Output {
        let mut command = Command::new("chroot");
        command.arg(&self.0).args(words).current_dir("/").env("DEBIAN_FRONTEND", "noninteractive").output().unwrap()
    }

    fn says(&self, words: &[&str]) -> String {
        let done = self.command(words);
        assert!(done.status.success(), "{words:?}: {}{}", text(&done), errors(&done));
        text(&done)
    }

    /// Owner, group and mode of a file.
    fn belongs(&self, path: &str) -> String {
        self.says(&["stat", "--format=%U:%G %a", path]).trim().to_owned()
    }
}

fn fetch(place: &Place, release: &str, kept: &Path) {
    let sources = run(Command::new("apt-get").args(["indextargets", "--format", "$(RELEASE) $(REPO_URI)"]));
    let source = sources.lines().find_map(|line| line.strip_prefix(&format!("{release} "))).unwrap();
    std::fs::create_dir_all(kept.parent().unwrap()).unwrap();
    let (root, draft) = (place.path("debootstrap"), kept.with_extension("draft"));
    run(Command::new("debootstrap").args(["--variant=minbase", release]).arg(&root).arg(source));
    run(Command::new("tar").arg("-cf").arg(&draft).arg("-C").arg(root).arg("."));
    std::fs::rename(draft, kept).unwrap();
}

#[test]
fn a_stranger_installs_it_is_told_what_to_give_and_takes_it_away_without_a_trace() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = Place::take();
    let fresh = Fresh::unpack(&place);
    std::fs::copy(package(&place), fresh.path("karamail.deb")).unwrap();
    let said = fresh.says(&["dpkg", "--install", "/karamail.deb"]);
    assert!(said.contains("1. give the five settings marked (yours) in /etc/karamail/karamail.toml"), "{said}");
    assert_eq!(fresh.belongs("/var/lib/karamail"), "karamail:karamail 700");
    assert_eq!(fresh.belongs("/etc/karamail/karamail.toml"), "root:karamail 640");
    assert!(!fresh.path("etc/systemd/system/multi-user.target.wants/karamail.service").exists());

    // Nothing starts before the five are given, and each is asked for.
    let checked = fresh.command(&["karamail", "check"]);
    assert_eq!((checked.status.code(), text(&checked).lines().count()), (Some(1), 6), "{}", text(&checked));
    assert_eq!(text(&checked).matches("is missing (hint: ").count(), 5);
    assert_eq!(fresh.command(&["karamail", "serve"]).status.code(), Some(WRONG_SETTINGS));
    fresh.says(&["sed", "-i", "/^# [a-z_]* = .*(yours)/s/^# //", "/etc/karamail/karamail.toml"]);
    assert!(fresh.says(&["karamail", "check"]).contains("are in order"));
    fresh.says(&["karamail", "org", "add", "ACME", "--title", "アクメ"]);
    let data = fresh.path("var/lib/karamail");
    let owner = data.metadata().unwrap().uid();
    assert_eq!(data.join("karamail.db").metadata().unwrap().uid(), owner);

    // Another version leaves what was given.
    fresh.says(&["dpkg", "--install", "/karamail.deb"]);
    assert!(fresh.says(&["karamail", "org", "list"]).contains("ACME"));
    assert_eq!(fresh.belongs("/etc/karamail/karamail.toml"), "root:karamail 640");

    fresh.says(&["dpkg", "--remove", "karamail"]);
    assert!(!fresh.path("usr/bin/karamail").exists());
    assert!(data.join("karamail.db").exists() && fresh.path("etc/karamail/karamail.toml").exists());
    fresh.says(&["dpkg", "--purge", "karamail"]);
    assert!(!data.exists() && !fresh.path("etc/karamail").exists());
    let left = fresh.says(&["find", "/etc", "/usr", "/var", "-name", "*karamail*", "-not", "-path", "/var/log/*"]);
    assert_eq!(left, "");
    // Its user stays, so that its number is never another's.
    assert!(fresh.says(&["id", "karamail"]).starts_with("uid="));
}
