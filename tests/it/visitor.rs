//! The simplest of browsers: keeps cookies, sends forms, runs no script.

use std::collections::BTreeMap;
use std::io::{Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};

/// A person with a browser.
pub struct Visitor {
    server: SocketAddr,
    /// What the browser keeps.
    pub cookies: BTreeMap<String, String>,
}

/// What the browser shows.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    /// Where it stands.
    pub path: String,
    pub location: Option<String>,
    pub body: String,
}

impl Page {
    /// Whether it asks for `name`.
    pub fn asks(&self, name: &str) -> bool {
        self.body.split("<input").any(|tag| tag.contains(&format!("name=\"{name}\"")))
    }

    /// The hidden inputs, to be sent back with the form.
    fn hidden(&self) -> Vec<(String, String)> {
        let attribute =
            |tag: &str, name: &str| Some(tag.split(&format!("{name}=\"")).nth(1)?.split('"').next()?.to_owned());
        self.body
            .split("<input")
            .filter(|tag| tag.contains("type=\"hidden\""))
            .filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value")?)))
            .collect()
    }
}

impl Visitor {
    pub const fn new(server: SocketAddr) -> Self {
        Self { server, cookies: BTreeMap::new() }
    }

    pub fn get(&mut self, path: &str) -> Result<Page> {
        self.request("GET", path, None)
    }

    /// Fills in the form of `page` and sends it; follows one redirect, as browsers do.
    pub fn submit(&mut self, page: &Page, fields: &[(&str, &str)]) -> Result<Page> {
        let answer = self.send(page, &page.path, fields)?;
        match &answer.location {
            Some(path) => self.request("GET", path, None),
            None => Ok(answer),
        }
    }

    /// Fills in the form of `page` that goes to `place` and sends it.
    pub fn send(&mut self, page: &Page, place: &str, fields: &[(&str, &str)]) -> Result<Page> {
        let mut form: Vec<(String, String)> = page.hidden();
        form.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.request("POST", place, Some(&body.join("&")))
    }

    fn request(&mut self, method: &str, path: &str, form: Option<&str>) -> Result<Page> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.server);
        head.push_str("Accept-Language: ja\r\n");
        if !cookies.is_empty() {
            head.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        if let Some(form) = form {
            head.push_str(&format!(
                "Origin: http://{}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                self.server,
                form.len()
            ));
        }
        let mut stream = TcpStream::connect(self.server)?;
        stream.write_all(format!("{head}\r\n{}", form.unwrap_or_default()).as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        self.read(path, &String::from_utf8_lossy(&answer))
    }

    fn read(&mut self, path: &str, answer: &str) -> Result<Page> {
        let broken = || std::io::Error::other("the connection was lost in the middle of a page");
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(broken)?;
        let mut page = Page { status, path: path.to_owned(), location: None, body: body.to_owned() };
        for line in head.lines().skip(1) {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "location" => page.location = Some(value.to_owned()),
                "set-cookie" => {
                    let pair = value.split(';').next().unwrap_or_default();
                    if let Some((name, value)) = pair.split_once('=') {
                        self.cookies.insert(name.to_owned(), value.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(page)
    }
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
