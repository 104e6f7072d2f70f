//! A folder and a loopback network of one test's own, so that constant ports never meet.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

/// The port every mail server of a place listens on; addresses tell them apart.
pub const SMTP_PORT: u16 = 2525;
/// The port of a place's name server.
pub const DNS_PORT: u16 = 5353;

/// `127.a.b.0/24` and a temporary folder; both are given back when dropped.
pub struct Place {
    folder: tempfile::TempDir,
    net: (u8, u8),
    _claim: TcpListener,
}

impl Place {
    /// Takes a network nobody else has: the claim is a socket bound in it, so other programs running these tests see it.
    pub fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let start = u16::try_from(std::process::id() % 60_000).unwrap();
        loop {
            let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let net = (u8::try_from(number >> 8).unwrap().max(1), u8::try_from(number & 255).unwrap());
            if let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, net.0, net.1, 1), 9)) {
                let folder = tempfile::Builder::new().prefix("karamail-").tempdir().unwrap();
                // Postfix's own users must be able to walk in.
                std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
                return Self { folder, net, _claim: claim };
            }
        }
    }

    /// The host `number` of the network.
    pub fn host(&self, number: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.net.0, self.net.1, number))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A program of a test's own, ended with the test.
pub struct Program(std::process::Child);

impl From<std::process::Child> for Program {
    fn from(child: std::process::Child) -> Self {
        Self(child)
    }
}

impl Program {
    pub fn start(command: &mut std::process::Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn kill(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }

    pub fn wait(&mut self) -> std::process::ExitStatus {
        self.0.wait().unwrap()
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Looks every few milliseconds whether something has happened, for two minutes at the most: programs of others give no
/// event to wait for.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed().as_secs() < 120, "{what}: not seen within two minutes");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
