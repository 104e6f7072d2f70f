//! Postfix below a folder of the test's own: as a carrier's MX, and as the client that hands mail in.

use crate::place::{Place, SMTP_PORT, until};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running Postfix; stopped when dropped.
pub struct Postfix {
    folder: PathBuf,
}

/// What a Postfix is to do besides its defaults.
#[derive(Default)]
pub struct Options<'a> {
    /// Domains it takes mail for, stored one file a mail.
    pub domains: &'a [&'a str],
    /// More lines of main.cf.
    pub main: &'a str,
    /// More lines of master.cf.
    pub services: &'a str,
}

const SERVICES: &str = "\
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 300 1 qmgr
tlsmgr    unix  - - n 1000? 1 tlsmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
showq     unix  n - n - - showq
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
";

impl Postfix {
    /// Starts one that listens on `address` and calls itself `name`.
    pub fn start(place: &Place, name: &str, address: IpAddr, options: &Options<'_>) -> Self {
        let folder = place.path(&format!("postfix-{address}"));
        for part in ["etc", "queue", "data", "mail"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        owner("postfix", &folder.join("data"));
        owner("nobody:nogroup", &folder.join("mail"));
        std::fs::write(folder.join("etc/main.cf"), main_cf(&folder, name, options)).unwrap();
        let listen = format!("{address}:{SMTP_PORT} inet n - n - - smtpd\n{SERVICES}{}", options.services);
        std::fs::write(folder.join("etc/master.cf"), listen).unwrap();
        let postfix = Self { folder };
        postfix.command("start");
        until("Postfix listens", || std::net::TcpStream::connect((address, SMTP_PORT)).ok());
        postfix
    }

    fn command(&self, what: &str) {
        let done = Command::new("postfix").arg("-c").arg(self.folder.join("etc")).arg(what).output().unwrap();
        assert!(done.status.success(), "postfix {what}: {}\n{}", String::from_utf8_lossy(&done.stderr), self.log());
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("maillog")).unwrap_or_default()
    }

    /// Waits until a line of its log has each of `words`, and gives that line.
    pub fn until_logged(&self, words: &[&str]) -> String {
        until(&format!("Postfix logs {words:?}"), || {
            self.log().lines().find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
        })
    }

    /// The mails it has stored, each as its bytes.
    pub fn stored(&self) -> Vec<Vec<u8>> {
        let Ok(entries) = std::fs::read_dir(self.folder.join("mail/all/new")) else { return Vec::new() };
        entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
    }

    /// The folder of its settings, for `sendmail -C`.
    pub fn settings(&self) -> PathBuf {
        self.folder.join("etc")
    }

    /// Hands a message to it as a local user would.
    pub fn submit(&self, sender: &str, recipient: &str, message: &[u8]) {
        use std::io::Write as _;
        let mut child = Command::new("sendmail")
            .arg("-C")
            .arg(self.settings())
            .args(["-i", "-f", sender, "--", recipient])
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(message).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        drop(Command::new("postfix").arg("-c").arg(self.folder.join("etc")).arg("stop").output());
    }
}

fn owner(who: &str, path: &Path) {
    assert!(Command::new("chown").arg(who).arg(path).status().unwrap().success());
}

fn main_cf(folder: &Path, name: &str, options: &Options<'_>) -> String {
    let folder = folder.display();
    let mut out = format!(
        "compatibility_level = 3.6\n\
         queue_directory = {folder}/queue\n\
         data_directory = {folder}/data\n\
         maillog_file = {folder}/maillog\n\
         maillog_file_prefixes = {folder}\n\
         myhostname = {name}\n\
         mydestination =\n\
         inet_interfaces = loopback-only\n\
         inet_protocols = ipv4\n\
         mynetworks = 127.0.0.0/8\n\
         smtpd_peername_lookup = no\n\
         virtual_mailbox_base = {folder}/mail\n\
         virtual_mailbox_maps = static:all/\n\
         virtual_uid_maps = static:65534\n\
         virtual_gid_maps = static:65534\n\
         virtual_mailbox_limit = 0\n\
         alias_maps =\n\
         alias_database =\n\
         local_recipient_maps =\n"
    );
    writeln!(out, "virtual_mailbox_domains = {}", options.domains.join(" ")).unwrap();
    out.push_str(options.main);
    out
}
