//! Postfix doing the same work: taking mail, and answering it through a script, signed by opendkim where installed.

use crate::place::{Place, Program, SMTP_PORT, until};
use crate::postfix::{Options, Postfix};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};

pub struct Rival {
    _postfix: Postfix,
    signer: Option<Program>,
    address: SocketAddr,
    name: &'static str,
}

impl Rival {
    pub const fn smtp(&self) -> SocketAddr {
        self.address
    }

    /// What it is called in the table.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// The limits a busy site would raise.
const BUSY: &str = "default_process_limit = 200\nsmtpd_client_connection_count_limit = 0\n";

fn start(place: &Place, own: IpAddr, options: &Options<'_>, signer: Option<Program>, name: &'static str) -> Rival {
    let address = SocketAddr::new(own, SMTP_PORT);
    Rival { _postfix: Postfix::start(place, "mx.mc-anpi.com", own, options), signer, address, name }
}

/// A Postfix that hands all mail on to one server, over so many connections.
pub fn relaying(place: &Place, own: IpAddr, to: SocketAddr, connections: usize) -> Rival {
    let main = format!(
        "{BUSY}relayhost = [{}]:{}\nsmtp_destination_concurrency_limit = {connections}\n\
         initial_destination_concurrency = {connections}\n",
        to.ip(),
        to.port()
    );
    start(place, own, &Options { main: &main, ..Options::default() }, None, "Postfix")
}

/// A Postfix that signs what it takes and hands it on, each domain's mail to a server.
pub fn signing(place: &Place, own: IpAddr, ways: &[(&str, SocketAddr)]) -> Rival {
    let signer = signer(place);
    let milter = milter(place, signer.as_ref());
    let each = ways.iter().map(|(domain, server)| format!("{{ {domain} = smtp:[{}]:{} }}", server.ip(), server.port()));
    let transports = each.collect::<Vec<_>>().join(", ");
    let main = format!("{BUSY}transport_maps = inline:{{ {transports} }}\n{milter}");
    let name = if signer.is_some() { "Postfix, opendkim (RSA-2048)" } else { "Postfix, unsigned" };
    start(place, own, &Options { main: &main, ..Options::default() }, signer, name)
}

fn milter(place: &Place, signer: Option<&Program>) -> String {
    signer.map_or_else(String::new, |_| {
        format!("smtpd_milters = inet:{}:8891\nmilter_default_action = tempfail\n", place.host(12))
    })
}

/// A Postfix that takes mail for our domain into its queue and discards it.
pub fn taking(place: &Place) -> Rival {
    let main = format!("{BUSY}virtual_transport = discard:\n");
    let options = Options { domains: &["mc-anpi.com"], main: &main, ..Options::default() };
    start(place, place.host(10), &options, None, "Postfix")
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
    let milter = milter(place, signer.as_ref());
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
    let name = if signer.is_some() { "Postfix, pipe script, opendkim" } else { "Postfix, pipe script, unsigned" };
    start(place, own, &options, signer, name)
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
