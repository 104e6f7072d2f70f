//! The stage of the demonstration: a folder, free ports, a settings file, one organisation with one member.

use crate::config::Config;
use crate::control::Request;
use crate::daemon::{Daemon, Doors};
use crate::model::{EmailAddress, LoginId, OrgCode, ReversePath};
use crate::random::Random;
use crate::smtp::client::Envelope;
use anyhow::Context as _;
use data_encoding::{BASE32_NOPAD, BASE64};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The pages are here where nobody else is.
const WEB_PORT: u16 = 8080;
/// The member's phone; nothing is ever sent to it.
const PHONE: &str = "hanako@docomo.example";
const REGISTRATION: &str = "bizanpi@anpi.example";
const ORG: &str = "DEMO";
const MEMBER: &str = "0001";

/// What the demonstration stands on.
pub(super) struct Stage {
    folder: Folder,
    phone: EmailAddress,
    registration: EmailAddress,
    org: OrgCode,
    member: LoginId,
    password: String,
}

/// Where the data is.
enum Folder {
    /// Thrown away at the end.
    ThrownAway(tempfile::TempDir),
    /// Kept for other commands.
    Kept(PathBuf),
}

impl Folder {
    fn path(&self) -> &Path {
        match self {
            Self::ThrownAway(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}

impl Stage {
    /// Opens the doors and writes the settings.
    pub(super) fn set(keep: Option<&Path>, random: &Random) -> anyhow::Result<(Self, Config, Doors)> {
        let folder = match keep {
            Some(path) => {
                std::fs::create_dir_all(path).with_context(|| format!("--keep {}", path.display()))?;
                Folder::Kept(path.canonicalize()?)
            }
            None => Folder::ThrownAway(tempfile::Builder::new().prefix("karamail-demo-").tempdir()?),
        };
        let doors = open_doors()?;
        let settings = settings(folder.path(), &doors)?;
        let file = folder.path().join("karamail.toml");
        std::fs::write(&file, &settings).with_context(|| file.display().to_string())?;
        let config = Config::load(&file)?;
        let stage = Self {
            folder,
            phone: PHONE.parse()?,
            registration: REGISTRATION.parse()?,
            org: ORG.parse()?,
            member: MEMBER.parse()?,
            password: start_password(keep, random)?,
        };
        Ok((stage, config, doors))
    }

    pub(super) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }

    pub(super) const fn phone(&self) -> &EmailAddress {
        &self.phone
    }

    pub(super) fn envelope(&self) -> Envelope {
        Envelope { sender: ReversePath::Address(self.phone.clone()), recipient: self.registration.clone() }
    }

    /// As a phone sends it: no subject, no text.
    pub(super) fn empty_mail(&self) -> Vec<u8> {
        format!("From: {}\r\nTo: {}\r\n\r\n", self.phone.to_wire(), self.registration.to_wire()).into_bytes()
    }

    /// What an operator would order.
    pub(super) fn enrolment(&self) -> [Request; 2] {
        let members = format!("id,password,name\n{},{},防災花子\n", self.member, self.password);
        [
            Request::AddOrg {
                org: self.org.clone(),
                title: "デモ株式会社 安否確認".to_owned(),
                title_en: Some("Demo Inc. Safety Confirmation".to_owned()),
            },
            Request::ImportMembers {
                org: self.org.clone(),
                file: BASE64.encode(members.as_bytes()),
                dry_run: false,
                watched: false,
            },
        ]
    }

    /// What the visitor is told.
    pub(super) fn programme(&self, daemon: &Daemon, link: &str) -> String {
        let Self { phone, registration, org, member, password, .. } = self;
        let places = |places: &[SocketAddr]| places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let (smtp, web) = (places(&daemon.smtp), places(&daemon.web));
        let config = self.folder.path().join("karamail.toml");
        format!(
            "\
An empty mail from {phone} to {registration} came in by SMTP and was answered.
The answer carries this link:

  {link}

Open it and log in:

  団体コード (organisation)   {org}
  ID                          {member}
  パスワード (password)       {password}

  pages           http://{web}/
  captured mails  http://{web}/outbox
  SMTP            {smtp}

More mails:   swaks --server {smtp} --from {phone} --to {registration} --body ' '
What happened: karamail trace {phone} -c {config}
Second factor: karamail org set {org} two_factor=on -c {config}
",
            config = config.display()
        )
    }
}

/// The pages at the usual port where it is free, everything else wherever there is room.
fn open_doors() -> anyhow::Result<Doors> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Doors::open(&[at(0)], &[at(WEB_PORT)], &[]).or_else(|_| Doors::open(&[at(0)], &[at(0)], &[]))
}

fn settings(folder: &Path, doors: &Doors) -> anyhow::Result<String> {
    let first =
        |doors: &[std::net::TcpListener]| doors.first().context("a door is open")?.local_addr().context("a door");
    let (smtp, web) = (first(&doors.smtp)?, first(&doors.web)?);
    Ok(format!(
        "\
# Written by `karamail demo`: everything on loopback, and no mail leaves the machine.
hostname = \"mx.anpi.example\"
data_dir = {folder:?}

[smtp]
listen = [\"{smtp}\"]

[registration]
addresses = [\"{REGISTRATION}\"]
reply_limit = \"60/1h\"

[sender]
address = \"anpi@mob.example\"
title = \"安否確認/一斉通報サービス\"
title_en = \"Emergency Service\"
bounce_domain = \"bounce.mob.example\"

[delivery]
route = \"capture\"

[web]
listen = [\"{web}\"]
public_url = \"http://{web}\"

[api]
listen = []
"
    ))
}

/// Nobody guesses it, and it can be typed on a phone; kept beside kept data, as the first one stays valid there.
fn start_password(keep: Option<&Path>, random: &Random) -> anyhow::Result<String> {
    let file = keep.map(|folder| folder.join("start-password"));
    if let Some(known) = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()) {
        return Ok(known);
    }
    let password = BASE32_NOPAD.encode(&random.bytes::<5>()?).to_lowercase();
    if let Some(file) = file {
        std::fs::write(&file, &password).with_context(|| file.display().to_string())?;
    }
    Ok(password)
}
