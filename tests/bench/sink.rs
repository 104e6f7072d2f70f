//! A mail server that takes everything, counts it, and notes when it took what is urgent.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The runtime tells the time in milliseconds; the rest before a reply is slept through on a thread.
const GRAIN: Duration = Duration::from_millis(2);

/// How the server behaves.
#[derive(Clone, Copy, Default)]
pub struct Manner {
    /// What it needs for a mail, from MAIL, or from its reply to the mail before, to its reply to the final dot.
    pub per_mail: Duration,
    /// How far away it is: each reply leaves so long after its command came in.
    pub round_trip: Duration,
}

/// A mail that was taken.
#[derive(Clone, Copy)]
pub struct Taken {
    /// When the 250 left.
    pub at: Instant,
    /// How long that was after the 250 for the mail before it on this connection, and that after the one before: what the
    /// two of them took. Nothing where there were fewer before.
    pub two: Option<Duration>,
}

/// What the server has seen so far.
#[derive(Default)]
pub struct Seen {
    pub taken: usize,
    /// Connections open now, and the most there were at a time.
    pub open: usize,
    pub most: usize,
    /// When each mail was taken whose recipient's name begins with `otp`.
    pub urgent: HashMap<String, Taken>,
}

/// A running sink.
pub struct Sink {
    pub seen: watch::Receiver<Seen>,
    _tasks: JoinSet<()>,
}

impl Sink {
    /// Starts it on a task of its own.
    pub async fn start(address: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).await.expect("the sink's address is free");
        let (sender, seen) = watch::channel(Seen::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut peers = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let sender = sender.clone();
                peers.spawn(async move {
                    sender.send_modify(|seen| {
                        seen.open += 1;
                        seen.most = seen.most.max(seen.open);
                    });
                    drop(Talk::new(stream, manner, &sender).serve().await);
                    sender.send_modify(|seen| seen.open -= 1);
                });
            }
        });
        Self { seen, _tasks: tasks }
    }

    /// Waits until `number` mails have been taken.
    pub async fn until(&mut self, number: usize) {
        self.until_seen(|seen| seen.taken >= number).await;
    }

    /// Waits until it has seen enough.
    pub async fn until_seen(&mut self, enough: impl FnMut(&Seen) -> bool) {
        self.seen.wait_for(enough).await.expect("the sink lives as long as the run");
    }
}

/// Waits until a moment, to a tenth of a millisecond where the machine has time.
async fn until(moment: Instant) {
    tokio::time::sleep_until(moment - GRAIN).await;
    let rest = move || std::thread::sleep(moment.saturating_duration_since(Instant::now()));
    tokio::task::spawn_blocking(rest).await.expect("a thread sleeps");
}

struct Talk<'a> {
    stream: TcpStream,
    manner: Manner,
    seen: &'a watch::Sender<Seen>,
    pending: Vec<u8>,
    /// The recipient of the mail that is coming in.
    recipient: String,
    in_data: bool,
    /// When MAIL came.
    begun: Option<Instant>,
    /// When the last two mails were taken, the last one first.
    before: [Option<Instant>; 2],
    leaving: bool,
    replies: VecDeque<(Instant, Vec<u8>, Option<String>)>,
}

impl<'a> Talk<'a> {
    const fn new(stream: TcpStream, manner: Manner, seen: &'a watch::Sender<Seen>) -> Self {
        Self {
            stream,
            manner,
            seen,
            pending: Vec::new(),
            recipient: String::new(),
            in_data: false,
            begun: None,
            before: [None; 2],
            leaving: false,
            replies: VecDeque::new(),
        }
    }

    async fn serve(mut self) -> std::io::Result<()> {
        self.stream.set_nodelay(true)?;
        self.stream.write_all(b"220 sink.test ESMTP\r\n").await?;
        loop {
            self.say_what_is_due().await?;
            if self.leaving && self.replies.is_empty() {
                // RFC 5321 4.1.1.10: whoever answers QUIT closes.
                return Ok(());
            }
            let next = self.replies.front().map(|(moment, ..)| *moment);
            tokio::select! {
                read = self.stream.read_buf(&mut self.pending) => if read? == 0 {
                    return Ok(());
                },
                () = until(next.unwrap_or_else(Instant::now)), if next.is_some() => continue,
            }
            self.answer();
        }
    }

    /// Says whatever is to be said by now, replies to pipelined commands together.
    async fn say_what_is_due(&mut self) -> std::io::Result<()> {
        let (now, mut out, mut taken) = (Instant::now(), Vec::new(), Vec::new());
        while let Some((_, reply, recipient)) = self.replies.pop_front_if(|(moment, ..)| *moment <= now) {
            out.extend(reply);
            taken.extend(recipient);
        }
        if !out.is_empty() {
            self.stream.write_all(&out).await?;
        }
        for recipient in taken {
            let two = self.before[1].map(|before| now.duration_since(before));
            self.before = [Some(now), self.before[0]];
            self.seen.send_modify(|seen| {
                seen.taken += 1;
                if recipient.starts_with("otp") {
                    seen.urgent.insert(recipient, Taken { at: now, two });
                }
            });
        }
        Ok(())
    }

    /// Answers every line that is there.
    fn answer(&mut self) {
        let arrived = Instant::now();
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (line, behind) = rest.split_at(end + 1);
            rest = behind;
            self.line(line, arrived);
        }
        self.pending.extend_from_slice(rest);
    }

    fn line(&mut self, line: &[u8], arrived: Instant) {
        if self.in_data {
            if line == b".\r\n" {
                self.in_data = false;
                let done = self.begun.take().unwrap_or(arrived) + self.manner.per_mail;
                let recipient = std::mem::take(&mut self.recipient);
                self.reply(done.max(arrived + self.manner.round_trip), b"250 2.0.0 Ok\r\n", Some(recipient));
            }
            return;
        }
        if line.starts_with(b"MAIL") {
            // It does one mail at a time.
            self.begun = Some(self.replies.back().map_or(arrived, |(before, ..)| arrived.max(*before)));
        }
        let reply: &[u8] = match line.get(..4).unwrap_or_default() {
            b"EHLO" => b"250-sink.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
            b"RCPT" => {
                let text = String::from_utf8_lossy(line);
                self.recipient = text.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                b"250 2.1.5 Ok\r\n"
            }
            b"DATA" => {
                self.in_data = true;
                b"354 Go\r\n"
            }
            b"QUIT" => {
                self.leaving = true;
                b"221 Bye\r\n"
            }
            _ => b"250 2.0.0 Ok\r\n",
        };
        self.reply(arrived + self.manner.round_trip, reply, None);
    }

    /// Puts a reply behind those before it: a server answers in order.
    fn reply(&mut self, moment: Instant, text: &[u8], taken: Option<String>) {
        let after = self.replies.back().map_or(moment, |(before, ..)| moment.max(*before));
        self.replies.push_back((after, text.to_vec(), taken));
    }
}
