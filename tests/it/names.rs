//! A name server that answers what a test wants, on a port of its own.

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Answers by a zone written as lines: `NAME A 127.0.0.1`, `NAME MX 10 HOST`, `NAME CNAME HOST`, `NAME TXT TEXT`,
/// `NAME SERVFAIL`, `NAME REFUSED`, `NAME SILENT`, `NAME EMPTY`; `NAME LIE OTHER A 127.0.0.1` says that of another name
/// whenever it is asked about this one. A name that stands on no line does not exist.
pub struct Names {
    pub address: SocketAddr,
    state: Arc<State>,
    _task: JoinSet<()>,
}

struct State {
    zone: Mutex<Vec<(Name, Entry)>>,
    asked: Mutex<Vec<String>>,
    seen: Notify,
}

#[derive(Clone)]
enum Entry {
    Data(RData),
    Code(ResponseCode),
    Silent,
    Empty,
    /// A record of a name that was not asked about.
    Foreign(Name, RData),
}

fn name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).unwrap()
}

fn entry(line: &str) -> (Name, Entry) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let entry = match &words[1..] {
        ["A", address] => Entry::Data(RData::A(A(address.parse().unwrap()))),
        ["AAAA", address] => Entry::Data(RData::AAAA(AAAA(address.parse().unwrap()))),
        ["MX", preference, "."] => Entry::Data(RData::MX(MX::new(preference.parse().unwrap(), Name::root()))),
        ["MX", preference, host] => Entry::Data(RData::MX(MX::new(preference.parse().unwrap(), name(host)))),
        ["CNAME", host] => Entry::Data(RData::CNAME(CNAME(name(host)))),
        // A text of more than 255 octets stands in several strings (RFC 6376 3.6.2.2).
        ["TXT", rest @ ..] => {
            let text = rest.join(" ").into_bytes();
            let strings: Vec<&[u8]> = text.chunks(255).collect();
            Entry::Data(RData::TXT(TXT::from_bytes(strings)))
        }
        ["SERVFAIL"] => Entry::Code(ResponseCode::ServFail),
        ["REFUSED"] => Entry::Code(ResponseCode::Refused),
        ["SILENT"] => Entry::Silent,
        ["EMPTY"] => Entry::Empty,
        ["LIE", other @ ..] => match entry(&other.join(" ")) {
            (name, Entry::Data(data)) => Entry::Foreign(name, data),
            _ => panic!("a lie is a record: {other:?}"),
        },
        other => panic!("a zone has no line like {other:?}"),
    };
    (name(words[0]), entry)
}

impl Names {
    pub async fn serve(zone: &str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(State { zone: Mutex::default(), asked: Mutex::default(), seen: Notify::new() });
        let mut task = JoinSet::new();
        task.spawn(answer_all(socket, state.clone()));
        let names = Self { address, state, _task: task };
        names.set(zone);
        names
    }

    /// Puts another zone in place of the one before.
    pub fn set(&self, zone: &str) {
        let lines = zone.lines().map(str::trim).filter(|line| !line.is_empty());
        *self.state.zone.lock().unwrap() = lines.map(entry).collect();
    }

    /// What was asked so far, as `TYPE name`.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().unwrap().clone()
    }

    /// Waits until a question that is `TYPE name` has been asked.
    pub async fn wait_for(&self, question: &str) {
        loop {
            let seen = self.state.seen.notified();
            if self.asked().iter().any(|asked| asked == question) {
                return;
            }
            seen.await;
        }
    }
}

async fn answer_all(socket: UdpSocket, state: Arc<State>) {
    let mut buffer = [0; 4_096];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        if let Some(answer) = answer(&question, &state) {
            socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
        state.seen.notify_waiters();
    }
}

fn answer(question: &Message, state: &State) -> Option<Message> {
    let query = question.queries[0].clone();
    let plain = query.name().to_ascii().to_lowercase();
    state.asked.lock().unwrap().push(format!("{} {}", query.query_type(), plain.trim_end_matches('.')));
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.add_query(query.clone());
    let zone = state.zone.lock().unwrap();
    let entries: Vec<&Entry> = zone.iter().filter(|(name, _)| name == query.name()).map(|(_, entry)| entry).collect();
    if entries.is_empty() {
        answer.metadata.response_code = ResponseCode::NXDomain;
    }
    for entry in entries {
        match entry {
            Entry::Silent => return None,
            Entry::Code(code) => answer.metadata.response_code = *code,
            Entry::Empty => {}
            Entry::Foreign(name, data) => drop(answer.add_answer(Record::from_rdata(name.clone(), 60, data.clone()))),
            Entry::Data(data) => {
                if [query.query_type(), RecordType::CNAME].contains(&data.record_type()) {
                    answer.add_answer(Record::from_rdata(query.name().clone(), 60, data.clone()));
                }
            }
        }
    }
    Some(answer)
}
