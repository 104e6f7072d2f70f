//! Postfix doing the same work: taking mail, and answering it through a script, signed by opendkim where installed.

use crate::place::{Place, Program, SMTP_PORT, until};
use crate::postfix::{Options, Postfix};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

pub struct Rival {
    _postfix: Postfix,
    signer: Option<Program>,
}

impl Rival {
    pub fn smtp(&self, place: &Place) -> SocketAddr {
        SocketAddr::new(place.host(10), SMTP_PORT)
    }

    pub const fn name(&self) -> &'static str {
        if self.signer.is_some() { "Postfix, pipe script, opendkim" } else { "Postfix, pipe script, unsigned" }
    }
}

/// The limits a busy site would raise.
const BUSY: &str = "default_process_limit = 200\nsmtpd_client_connection_count_limit = 0\n";

/// A Postfix that takes mail for our domain into its queue and discards it.
pub fn taking(place: &Place) -> Rival {
    let main = format!("{BUSY}virtual_transport = discard:\n");
    let options = Options { domains: &["mc-anpi.com"], main: &main, ..Options::default() };
    Rival { _postfix: Postfix::start(place, "mx.mc-anpi.com", place.host(10), &options), signer: None }
}

const SCRIPT: &str = r#"
import smtplib, sys, secrets
from email.message import EmailMessage
sender, port_host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.stdin.buffer.read()
answer = EmailMessage()
answer["From"] = "anpi@mob-connect.com"
answer["To"] = sender
answer["Subject"] = "registration"
answer["Auto-Submitted"] = "auto-replied"
answer.set_content("Continue at\nhttps://www.mc-anpi.com/r/" + secrets.token_urlsafe(50) + "\n")
with smtplib.SMTP(port_host, port) as server:
    server.send_message(answer, from_addr="anpi@mob-connect.com")
"#;

/// A Postfix that hands each mail for the registration address to a script, which answers through the same Postfix.
pub fn answering(place: &Place, sink: SocketAddr) -> Rival {
    let script = place.path("answer.py");
    std::fs::write(&script, SCRIPT).unwrap();
    let signer = signer(place);
    let own = place.host(10);
    let milter = if signer.is_some() {
        format!("smtpd_milters = inet:{}:8891\nmilter_default_action = tempfail\n", place.host(12))
    } else {
        String::new()
    };
    let main = format!(
        "{BUSY}virtual_transport = answer:\nrelayhost = [{}]:{}\n{milter}answer_destination_recipient_limit = 1\n",
        sink.ip(),
        sink.port()
    );
    let pipe = format!(
        "answer unix - n n - 20 pipe flags=q user=nobody argv=python3 {} ${{sender}} {own} {SMTP_PORT}\n",
        script.display()
    );
    let options = Options { domains: &["mc-anpi.com"], main: &main, services: &pipe };
    Rival { _postfix: Postfix::start(place, "mx.mc-anpi.com", own, &options), signer }
}

/// opendkim with an RSA-2048 key of its own, where it is installed.
fn signer(place: &Place) -> Option<Program> {
    Command::new("opendkim").arg("-V").output().ok()?;
    let key = place.path("opendkim.pem");
    let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output().unwrap();
    assert!(made.status.success());
    let address = place.host(12);
    let conf = place.path("opendkim.conf");
    let text = format!(
        "Mode s\nDomain mob-connect.com\nSelector k1\nKeyFile {}\nSocket inet:8891@{address}\nRequireSafeKeys no\n\
         InternalHosts 127.0.0.0/8\nSyslog no\nBackground no\n",
        key.display()
    );
    std::fs::write(&conf, text).unwrap();
    let program = Program::start(Command::new("opendkim").arg("-f").arg("-x").arg(&conf).stderr(Stdio::null()));
    until("opendkim listens", || TcpStream::connect((address, 8891)).ok());
    Some(program)
}
