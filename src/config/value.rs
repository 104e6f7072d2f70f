//! Values that only settings have: sizes, addresses of pages, hosts with ports.

use crate::model::Domain;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Why a text is no value of a setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// No number with a unit.
    #[error("“{0}” is no size: write a whole number and a unit, such as \"1 MiB\", \"512 KiB\" or \"2000 B\"")]
    Size(String),
    /// No address of pages.
    #[error(
        "“{0}” is no address of pages: write \"https://\" and a host name, with a port where it is not the usual one"
    )]
    Url(String),
    /// More than a host behind the scheme.
    #[error("must end behind the host name (and port): links add their own path, so write \"{0}\"")]
    UrlTooMuch(String),
    /// Longer than links may become.
    #[error("is longer than {0} characters: links carry it, and phones break or cut longer ones")]
    UrlTooLong(usize),
    /// Something that no address has.
    #[error("has blanks in it: copy the address from the browser, which writes %20 for them")]
    UrlWithBlanks,
    /// No host with a port.
    #[error(
        "“{0}” is no server: write its name or address and a port, such as \"relay.example.jp:587\" or \"[2001:db8::1]:25\""
    )]
    Server(String),
    /// No address with a port.
    #[error(
        "“{0}” is no address to listen on: write an IP address and a port, such as \"0.0.0.0:25\" or \"[::1]:8080\""
    )]
    Listen(String),
    /// No name of a domain.
    #[error(
        "“{0}” is no name of a domain: write one such as \"mx.example.jp\", no number and nothing before or behind it"
    )]
    Name(String),
    /// Neither the word nor an address.
    #[error("“{0}” is no name server: write \"system\", or an IP address and a port, such as \"127.0.0.1:5353\"")]
    Resolver(String),
}

/// The name of a domain.
pub(super) struct Name(pub(super) Domain);

impl FromStr for Name {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).ok().ok_or_else(|| ValueError::Name(text.to_owned()))
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

const UNITS: [(&str, u64); 6] =
    [("B", 1), ("kB", 1_000), ("KiB", 1 << 10), ("MB", 1_000_000), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl Size {
    /// Takes a number of bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Gives the number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::Size(text.to_owned());
        let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(split);
        let number: u64 = number.parse().ok().ok_or_else(wrong)?;
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        number.checked_mul(factor).map(Self).ok_or_else(wrong)
    }
}

/// The largest binary unit that leaves no remainder: `1 MiB`.
impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        let (unit, factor) =
            binary.into_iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor)).unwrap_or(("B", 1));
        write!(out, "{} {unit}", self.0 / factor)
    }
}

/// Where the pages are: scheme, host and perhaps a port, without a slash at the end; a path is put right behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    text: String,
    secure: bool,
}

impl BaseUrl {
    /// The longest one: a link adds 70 characters to it.
    pub const LONGEST: usize = 64;

    /// Gives the text, such as `https://www.mc-anpi.com`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Gives the name or the address of the host, without its port.
    #[must_use]
    pub fn host(&self) -> &str {
        let place = self.text.split_once("://").map_or("", |(_, place)| place);
        match place.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or(address),
            None => place.split(':').next().unwrap_or(place),
        }
    }

    /// Says whether it is https, so that cookies may insist on it.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }
}

impl FromStr for BaseUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (url, behind) = Self::split(text)?;
        if !behind.is_empty() {
            return Err(ValueError::UrlTooMuch(url.text));
        }
        if url.text.len() > Self::LONGEST {
            return Err(ValueError::UrlTooLong(Self::LONGEST));
        }
        Ok(url)
    }
}

impl BaseUrl {
    /// Splits an address of pages before its path.
    fn split(text: &str) -> Result<(Self, &str), ValueError> {
        let wrong = || ValueError::Url(text.to_owned());
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (scheme, usual) = match scheme.to_ascii_lowercase().as_str() {
            "https" => ("https", 443),
            "http" => ("http", 80),
            _ => return Err(wrong()),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (place, behind) = rest.split_at(end);
        // Without a port in the text the usual one is meant; `Server` wants to see one.
        let server: Server = place.parse().or_else(|_| format!("{place}:{usual}").parse()).ok().ok_or_else(wrong)?;
        let port = if server.port == usual { String::new() } else { format!(":{}", server.port) };
        let text = format!("{scheme}://{}{port}", server.host);
        Ok((Self { text, secure: scheme == "https" }, behind))
    }
}

/// The address of one page, anybody's: with a path, a query, a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageUrl(String);

impl FromStr for PageUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (place, behind) = BaseUrl::split(text)?;
        if behind.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(ValueError::UrlWithBlanks);
        }
        Ok(Self(format!("{place}{behind}")))
    }
}

impl From<PageUrl> for String {
    fn from(PageUrl(text): PageUrl) -> Self {
        text
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// A name or an address of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// Looked up when it is needed.
    Name(Domain),
    /// Used as it is.
    Address(IpAddr),
}

/// As in an address of pages: IPv6 in brackets.
impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(out),
            Self::Address(IpAddr::V4(address)) => address.fmt(out),
            Self::Address(IpAddr::V6(address)) => write!(out, "[{address}]"),
        }
    }
}

/// A machine and a port on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The machine.
    pub host: Host,
    /// The port, never 0.
    pub port: u16,
}

impl FromStr for Server {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || ValueError::Server(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let host = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => Host::Address(IpAddr::V6(inner.parse().ok().ok_or_else(wrong)?)),
            None => match host.parse().map(IpAddr::V4) {
                Ok(address) => Host::Address(address),
                Err(_) => Host::Name(host.parse().ok().ok_or_else(wrong)?),
            },
        };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.host, self.port)
    }
}

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listen(pub(super) SocketAddr);

impl FromStr for Listen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        text.parse().map(Self).ok().ok_or_else(|| ValueError::Listen(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units_and_shown_the_same() {
        for (text, bytes) in
            [("1 MiB", 1_048_576), ("512KiB", 524_288), ("2 MB", 2_000_000), ("10 kB", 10_000), ("7 B", 7)]
        {
            assert_eq!(text.parse::<Size>().map(Size::bytes), Ok(bytes));
        }
        assert_eq!(Size(1 << 20).to_string(), "1 MiB");
        assert_eq!(Size(2_000).to_string(), "2000 B");
        for text in
            ["", "1", "MiB", "1 mib", "1.5 MiB", "-1 B", "1 TiB", "99999999999999999999 B", "18446744073709551615 KiB"]
        {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_of_pages_is_brought_into_one_form() {
        for (text, expected) in [
            ("https://www.mc-anpi.com", "https://www.mc-anpi.com"),
            ("HTTPS://WWW.mc-anpi.com:443", "https://www.mc-anpi.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:8080", "http://localhost:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[::1]", "http://[::1]"),
            ("https://日本語.jp", "https://xn--wgv71a119e.jp"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().map(|url| url.to_string()), Ok(expected.to_owned()));
        }
        assert!("https://a.jp".parse::<BaseUrl>().is_ok_and(|url| url.is_secure()));
        for (text, host) in [("https://a.jp", "a.jp"), ("http://a.jp:81", "a.jp"), ("http://[::1]:81", "::1")] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().host(), host);
        }
        assert!("http://a.jp".parse::<BaseUrl>().is_ok_and(|url| !url.is_secure()));
    }

    #[test]
    fn an_address_of_pages_with_more_in_it_is_refused_with_what_to_write() {
        for text in ["https://a.jp/", "https://a.jp/x", "https://a.jp?x", "https://a.jp#x", "https://A.jp:443/"] {
            assert_eq!(text.parse::<BaseUrl>(), Err(ValueError::UrlTooMuch("https://a.jp".to_owned())), "{text}");
        }
        for text in
            ["a.jp", "ftp://a.jp", "https://", "https://user@a.jp", "https://a b.jp", "https://a.jp:0", "https://:8080"]
        {
            assert!(matches!(text.parse::<BaseUrl>(), Err(ValueError::Url(_))), "{text}");
        }
        let long = format!("https://{}.jp", "a".repeat(60));
        assert_eq!(long.parse::<BaseUrl>(), Err(ValueError::UrlTooLong(64)));
    }

    #[test]
    fn servers_are_names_or_addresses_with_a_port() {
        for text in ["relay.example.jp:587", "127.0.0.1:25", "[2001:db8::1]:25", "localhost:25"] {
            assert_eq!(text.parse::<Server>().map(|server| server.to_string()), Ok(text.to_owned()));
        }
        for text in [
            "relay.example.jp",
            "relay.example.jp:",
            "relay.example.jp:0",
            ":25",
            "2001:db8::1:25",
            "a:99999",
            "[x]:25",
        ] {
            assert!(text.parse::<Server>().is_err(), "{text}");
        }
    }
}
