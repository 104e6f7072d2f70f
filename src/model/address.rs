//! Mail addresses as people have them, irregular ones of older carriers included.
//!
//! The identity of an address is its dequoted form: `"a..b."@docomo.ne.jp` and `a..b.@docomo.ne.jp` are one. What goes on
//! the wire is quoted where RFC 5321 asks for it, as Postfix does, so carriers have seen that form before.

use super::org::half_width;
use std::fmt;
use std::str::FromStr;

/// The longest local part, in octets (RFC 5321 4.5.3.1.1; docomo refuses longer ones too).
const LOCAL_MAX: usize = 64;
/// The longest domain, in octets of its A-label form (RFC 1035 3.1, without the root).
const DOMAIN_MAX: usize = 253;

/// Why a text is no mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@`, or a quoted local part that does not end.
    #[error("an address has the form name@domain")]
    Form,
    /// An empty local part, a control character or one that only a quoted local part may have.
    #[error("the part before the @ is empty or has a character that no mail address can have")]
    Local,
    /// More than 64 octets before the `@`.
    #[error("the part before the @ is longer than 64 bytes")]
    LocalTooLong,
    /// A domain without a dot, with an empty or over-long label, or with a character no domain has.
    #[error("the part behind the @ is not the name of a mail domain")]
    Domain,
}

/// A domain name in lower case, internationalised labels in their ASCII form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(String);

impl Domain {
    /// Gives the name, without a dot at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether this is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0 == other.0 || self.0.strip_suffix(other.as_str()).is_some_and(|above| above.ends_with('.'))
    }

    /// Gives the domain that this one lies in; nothing for one of two labels, as a registry's domain is nobody's.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_once('.')?;
        above.contains('.').then(|| Self(above.to_owned()))
    }
}

impl FromStr for Domain {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            // The cause is always "not a domain"; idna's error carries no more than that.
            idna::domain_to_ascii_strict(text).ok().ok_or(AddressError::Domain)?
        };
        let labels_fit = ascii.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
        // An address literal ("[192.0.2.1]") and a bare number are no domains either: nobody registers from there.
        let last_is_name =
            ascii.rsplit('.').next().is_some_and(|label| !label.bytes().all(|byte| byte.is_ascii_digit()));
        if ascii.len() <= DOMAIN_MAX && labels_fit && last_is_name {
            Ok(Self(ascii))
        } else {
            Err(AddressError::Domain)
        }
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A mail address: the local part as received, without quotes, and the domain.
///
/// Takes what older carriers handed out (`a..b.@docomo.ne.jp`, `.a@ezweb.ne.jp`), quoted or not, whatever the domain: such
/// senders exist elsewhere too, and refusing one costs a person their alert.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailAddress {
    local: String,
    domain: Domain,
}

/// How an address is written whose local part RFC 5321 wants in quotes because of its dots; others are written one way only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LocalForm {
    /// In quotes, by the grammar.
    #[default]
    Quoted,
    /// As it is, which is what servers take that know no quotes.
    Raw,
}

impl LocalForm {
    /// Gives the other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Quoted => Self::Raw,
            Self::Raw => Self::Quoted,
        }
    }
}

impl EmailAddress {
    /// Makes an address of a dequoted local part and a domain.
    ///
    /// # Errors
    /// The local part is empty, longer than 64 octets or has a control character.
    pub fn new(local: &str, domain: Domain) -> Result<Self, AddressError> {
        if local.is_empty() || local.chars().any(char::is_control) {
            return Err(AddressError::Local);
        }
        if local.len() > LOCAL_MAX {
            return Err(AddressError::LocalTooLong);
        }
        Ok(Self { local: local.to_owned(), domain })
    }

    /// Reads an address as a person types it into a form: full-width letters count as half-width ones, and blanks around it
    /// do not count.
    ///
    /// # Errors
    /// It is no address; which part, says the error.
    pub fn typed(text: &str) -> Result<Self, AddressError> {
        half_width(text).parse()
    }

    /// Gives the part before the `@`, without quotes.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// Gives the domain.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Gives the form by which two spellings of one mailbox are recognised: everything in lower case.
    #[must_use]
    pub fn folded(&self) -> String {
        self.to_string().to_lowercase()
    }

    /// Says whether the dots stand where RFC 5321 allows them in an unquoted local part.
    #[must_use]
    pub fn has_regular_dots(&self) -> bool {
        self.local.split('.').all(|word| !word.is_empty())
    }

    /// Says whether a server must offer SMTPUTF8 to be given this address (RFC 6531).
    #[must_use]
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii()
    }

    /// Gives the form for `RCPT TO` and header fields: quoted where the grammar of RFC 5321 4.1.2 asks for it.
    #[must_use]
    pub fn to_wire(&self) -> String {
        if self.local.chars().all(is_atext_or_dot) && self.has_regular_dots() {
            format!("{}@{}", self.local, self.domain)
        } else {
            self.quoted()
        }
    }

    /// Gives the form for `RCPT TO` without quotes, against the grammar, as the phones of older carriers write it; nothing
    /// where [`Self::to_wire`] has none, or where they do more than keep dots in odd places.
    #[must_use]
    pub fn to_wire_raw(&self) -> Option<String> {
        let only_dots = self.local.chars().all(is_atext_or_dot) && !self.has_regular_dots();
        only_dots.then(|| format!("{}@{}", self.local, self.domain))
    }

    /// Gives the form for `RCPT TO` that is asked for, where the address has two.
    #[must_use]
    pub fn to_wire_as(&self, form: LocalForm) -> String {
        let raw = (form == LocalForm::Raw).then(|| self.to_wire_raw()).flatten();
        raw.unwrap_or_else(|| self.to_wire())
    }

    /// Gives the form for the log: enough to recognise, too little to copy (`a***@docomo.ne.jp`).
    #[must_use]
    pub fn masked(&self) -> String {
        let first: String = self.local.chars().take(1).collect();
        format!("{first}***@{}", self.domain)
    }

    fn quoted(&self) -> String {
        let mut out = String::with_capacity(self.local.len() + self.domain.0.len() + 5);
        out.push('"');
        for c in self.local.chars() {
            if c == '"' || c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
        out.push_str("\"@");
        out.push_str(self.domain.as_str());
        out
    }
}

fn is_atext_or_dot(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c) || !c.is_ascii()
}

/// Reads a quoted local part; gives its content and what follows the closing quote.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut local = String::new();
    let mut chars = text.strip_prefix('"')?.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => local.push(chars.next()?.1),
            '"' => return Some((local, text.get(at + 2..)?)),
            other => local.push(other),
        }
    }
    None
}

impl FromStr for EmailAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.starts_with('"') {
            let (local, rest) = read_quoted(text).ok_or(AddressError::Form)?;
            let domain = rest.strip_prefix('@').ok_or(AddressError::Form)?;
            return Self::new(&local, domain.parse()?);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::Form)?;
        if !local.chars().all(is_atext_or_dot) {
            return Err(AddressError::Local);
        }
        Self::new(local, domain.parse()?)
    }
}

/// The dequoted form, as stored and shown; quoted only where it could not be read back otherwise.
impl fmt::Display for EmailAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.local.chars().all(is_atext_or_dot) {
            write!(out, "{}@{}", self.local, self.domain)
        } else {
            out.write_str(&self.quoted())
        }
    }
}

impl serde::Serialize for EmailAddress {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for EmailAddress {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The envelope sender: an address, or nobody (`<>`, RFC 5321 4.5.5), to whom no answer may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReversePath {
    /// `<>`: a bounce or another automatic mail.
    Null,
    /// Somebody.
    Address(EmailAddress),
}

impl ReversePath {
    /// Gives the address, if there is one.
    #[must_use]
    pub const fn address(&self) -> Option<&EmailAddress> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> EmailAddress {
        text.parse().unwrap()
    }

    #[test]
    fn dots_in_odd_places_are_one_identity_quoted_or_not() {
        for (plain, quoted) in [
            ("a..b.@docomo.ne.jp", "\"a..b.\"@docomo.ne.jp"),
            (".a@ezweb.ne.jp", "\".a\"@ezweb.ne.jp"),
            ("a.@mail.ru", "\"a.\"@mail.ru"),
        ] {
            assert_eq!(address(plain), address(quoted));
            assert_eq!(address(quoted).to_string(), plain);
            assert_eq!(address(plain).to_wire(), quoted);
            assert!(!address(plain).has_regular_dots());
        }
    }

    #[test]
    fn only_dots_in_odd_places_may_go_without_quotes() {
        for text in ["a..b.@docomo.ne.jp", ".a@ezweb.ne.jp", "a+b/c..@docomo.ne.jp", "..@mail.ru"] {
            assert_eq!(address(text).to_wire_raw().as_deref(), Some(text));
        }
        for text in [
            "hanako@docomo.ne.jp",
            "a.b@docomo.ne.jp",
            "\"a b..\"@example.jp",
            "\"a@b..\"@example.jp",
            "\"..>\"@example.jp",
            "\"..<\"@example.jp",
            "\"..\\\"\"@example.jp",
            "\"..\\\\\"@example.jp",
            "\"..,x\"@example.jp",
            "\"..:x\"@example.jp",
        ] {
            assert_eq!(address(text).to_wire_raw(), None, "{text}");
        }
    }

    #[test]
    fn needless_quotes_are_taken_off() {
        assert_eq!(address("\"hanako\"@Docomo.NE.jp").to_wire(), "hanako@docomo.ne.jp");
        assert_eq!(address("\"h\\anako\"@docomo.ne.jp"), address("hanako@docomo.ne.jp"));
    }

    #[test]
    fn what_only_quotes_allow_is_read_back_from_its_shown_form() {
        for text in ["\"a b\"@example.jp", "\"a@b\"@example.jp", "\"a\\\"b\"@example.jp", "\"<x>\"@example.jp"] {
            assert_eq!(address(text).to_string(), text);
            assert_eq!(address(text).to_wire(), text);
        }
    }

    #[test]
    fn the_local_part_stays_as_received_and_the_domain_is_folded() {
        assert_eq!(address("Hanako.S@DOCOMO.ne.JP.").to_string(), "Hanako.S@docomo.ne.jp");
        assert_eq!(address("Hanako@docomo.ne.jp").folded(), "hanako@docomo.ne.jp");
        assert_eq!(address("x@日本語.jp").domain().as_str(), "xn--wgv71a119e.jp");
        assert!(address("花子@example.jp").needs_smtputf8());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.jp", "a".repeat(65));
        let long_domain = format!("a@{}.jp", ["b".repeat(60).as_str(); 5].join("."));
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b.jp",
            "a b@c.jp",
            "a@b c.jp",
            "a@-b.jp",
            "a@b..jp",
            "a@[192.0.2.1]",
            "a@127.0.0.1",
            "a\r\n@b.jp",
            "\"a\r\n\"@b.jp",
            "\"a@b.jp",
            "\"a\"b@c.jp",
            "a\0@b.jp",
            "<a@b.jp>",
            "a@b@c.jp",
            "a@b.jp\r\nRCPT TO:<x@y.jp>",
            &long_local,
            &long_domain,
        ] {
            assert!(text.parse::<EmailAddress>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_address_is_taken_as_a_japanese_keyboard_types_it() {
        for (typed, meant) in [
            (" hanako@docomo.ne.jp\t", "hanako@docomo.ne.jp"),
            ("ｈａｎａｋｏ＠ｄｏｃｏｍｏ．ｎｅ．ｊｐ", "hanako@docomo.ne.jp"),
            ("　a..b.@docomo.ne.jp　", "a..b.@docomo.ne.jp"),
        ] {
            assert_eq!(EmailAddress::typed(typed), Ok(address(meant)), "{typed}");
        }
        for typed in ["", "　", "花子", "a@b.jp\r\nBcc: c@d.jp", "a@b.jp,c@d.jp", "a b@c.jp"] {
            assert!(EmailAddress::typed(typed).is_err(), "{typed:?}");
        }
    }

    #[test]
    fn a_masked_address_shows_one_letter() {
        assert_eq!(address("hanako@docomo.ne.jp").masked(), "h***@docomo.ne.jp");
        assert_eq!(address("花子@example.jp").masked(), "花***@example.jp");
    }

    #[test]
    fn a_domain_lies_within_itself_and_those_above() {
        let domain = |text: &str| text.parse::<Domain>().unwrap();
        assert!(domain("a.example.jp").is_within(&domain("example.jp")));
        assert!(domain("example.jp").is_within(&domain("example.jp")));
        assert!(!domain("badexample.jp").is_within(&domain("example.jp")));
        assert_eq!(domain("a.b.example.jp").parent(), Some(domain("b.example.jp")));
        assert_eq!(domain("example.jp").parent(), None);
    }
}
