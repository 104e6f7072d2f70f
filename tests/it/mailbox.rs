//! A mail server of the tests that takes everything, and the simplest of clients.

use std::io::{BufRead as _, BufReader, Error, Result, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use crate::place::SMTP_PORT;

/// A mail the server took.
#[derive(Clone)]
pub struct Taken {
    pub sender: String,
    pub recipient: String,
    pub message: Vec<u8>,
}

/// Takes everything, for as long as the test runs.
#[derive(Clone)]
pub struct Mailbox {
    taken: Arc<Mutex<Vec<Taken>>>,
    dots: Arc<(Mutex<Dots>, Condvar)>,
}

/// Final dots that are not answered yet.
#[derive(Default)]
struct Dots {
    shut: bool,
    waiting: usize,
}

impl Mailbox {
    pub fn open(host: IpAddr) -> Self {
        let listener = TcpListener::bind((host, SMTP_PORT)).unwrap();
        let mailbox = Self { taken: Arc::default(), dots: Arc::default() };
        let other = mailbox.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mailbox = other.clone();
                std::thread::spawn(move || drop(mailbox.serve(stream)));
            }
        });
        mailbox
    }

    /// Everything taken so far.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// Has final dots answered, or kept waiting.
    pub fn answer_dots(&self, answer: bool) {
        let (dots, bell) = &*self.dots;
        dots.lock().unwrap().shut = !answer;
        bell.notify_all();
    }

    /// How many mails have come whole and wait for an answer.
    pub fn waiting(&self) -> usize {
        self.dots.0.lock().unwrap().waiting
    }

    fn wait_at_dot(&self) {
        let (dots, bell) = &*self.dots;
        let mut now = dots.lock().unwrap();
        now.waiting += 1;
        now = bell.wait_while(now, |dots| dots.shut).unwrap();
        now.waiting -= 1;
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        let mut out = stream.try_clone()?;
        let mut lines = BufReader::new(stream);
        out.write_all(b"220 mailbox.test ESMTP\r\n")?;
        let (mut sender, mut recipient) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let path = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
            match line.get(..4).unwrap_or_default() {
                "EHLO" => out.write_all(b"250-mailbox.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n")?,
                "MAIL" => {
                    sender = path();
                    out.write_all(b"250 2.1.0 Ok\r\n")?;
                }
                "RCPT" => {
                    recipient = path();
                    out.write_all(b"250 2.1.5 Ok\r\n")?;
                }
                "DATA" => {
                    out.write_all(b"354 Go on\r\n")?;
                    let message = read_message(&mut lines)?;
                    self.wait_at_dot();
                    let taken = Taken { sender: sender.clone(), recipient: recipient.clone(), message };
                    self.taken.lock().unwrap().push(taken);
                    out.write_all(b"250 2.0.0 Ok\r\n")?;
                }
                "QUIT" => return out.write_all(b"221 2.0.0 Bye\r\n"),
                _ => out.write_all(b"250 2.0.0 Ok\r\n")?,
            }
        }
    }
}

fn read_message(lines: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        let mut line = Vec::new();
        if lines.read_until(b'\n', &mut line)? == 0 {
            return Err(Error::other("lost in the middle of a message"));
        }
        if line == b".\r\n" {
            return Ok(message);
        }
        message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}

/// One connection that hands in mails.
pub struct Client {
    lines: BufReader<TcpStream>,
    out: TcpStream,
}

impl Client {
    pub fn connect(server: SocketAddr) -> Result<Self> {
        let out = TcpStream::connect(server)?;
        let mut client = Self { lines: BufReader::new(out.try_clone()?), out };
        client.reply()?;
        client.say("EHLO phone.test\r\n")?;
        Ok(client)
    }

    /// Sends a command and gives the last line of the reply.
    pub fn say(&mut self, command: &str) -> Result<String> {
        self.out.write_all(command.as_bytes())?;
        self.reply()
    }

    fn reply(&mut self) -> Result<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line)? == 0 {
                return Err(Error::other("the server is gone"));
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.trim_end().to_owned());
            }
        }
    }

    /// Hands in one message (complete, with CRLF, no dot at the start of a line); gives the reply to the final dot.
    pub fn send(&mut self, sender: &str, recipient: &str, message: &str) -> Result<String> {
        for command in [format!("MAIL FROM:<{sender}>\r\n"), format!("RCPT TO:<{recipient}>\r\n"), "DATA\r\n".into()] {
            let reply = self.say(&command)?;
            if !reply.starts_with(['2', '3']) {
                return Ok(reply);
            }
        }
        self.say(&format!("{message}.\r\n"))
    }
}
