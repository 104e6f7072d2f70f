//! What is wrong with the certificates that are to be shown by STARTTLS and by HTTPS.
//!
//! Whether their authority is believed is not asked: it may be one of the operator's own.

use super::{Findings, Problem};
use crate::config::{Config, TlsFiles};
use crate::model::Timestamp;
use crate::net::tls::certificate::{Certificate, Urgency};

/// Looks at both.
pub(super) fn look(config: &Config, now: Timestamp, findings: &mut Findings) {
    if let Some(files) = &config.smtp.tls {
        let (shown, name) = (Shown { service: "smtp", files }, config.hostname.as_str());
        if let Some(certificate) = shown.read(now, findings) {
            // Few senders compare it, and the MX record may give us another name than we greet with.
            let hint = format!("have it issued for {name} (hostname), or for the name in the MX record");
            findings.warnings.extend(shown.with_name(&certificate, name, hint));
        }
    }
    if let Some(files) = &config.web.tls {
        let (shown, name) = (Shown { service: "web", files }, config.web.public_url.host());
        if let Some(certificate) = shown.read(now, findings) {
            let hint = format!("browsers refuse it: have it issued for {name} (web.public_url)");
            findings.problems.extend(shown.with_name(&certificate, name, hint));
        }
    }
}

/// What a service is to show.
struct Shown<'a> {
    service: &'static str,
    files: &'a TlsFiles,
}

impl Shown<'_> {
    /// Reads it, and looks at its time.
    fn read(&self, now: Timestamp, findings: &mut Findings) -> Option<Certificate> {
        let certificate = match Certificate::read(self.files) {
            Ok(certificate) => certificate,
            Err(error) => {
                let key = if error.path() == self.files.key { "tls_key" } else { "tls_cert" };
                findings.problems.push(self.problem(key, error.to_string(), error.hint().to_owned()));
                return None;
            }
        };
        if certificate.begins > now {
            let hint = "look at the clock of this machine";
            findings.problems.push(self.of_certificate(format!("is valid only from {} on", certificate.begins), hint));
        }
        match Urgency::of(certificate.ends, now) {
            None => {}
            Some(Urgency::Soon | Urgency::AtOnce) => {
                let hint = "look at what should have renewed it";
                findings.warnings.push(self.of_certificate(format!("ends on {}", certificate.ends), hint));
            }
            Some(Urgency::Over) => {
                findings
                    .problems
                    .push(self.of_certificate(format!("has expired, on {}", certificate.ends), "renew it"));
            }
        }
        Some(certificate)
    }

    /// Looks whether it is for that name.
    fn with_name(&self, certificate: &Certificate, name: &str, hint: String) -> Option<Problem> {
        let error = certificate.is_for(name).err()?;
        Some(self.problem("tls_cert", format!("{}: {error}", self.files.cert.display()), hint))
    }

    fn of_certificate(&self, what: String, hint: &str) -> Problem {
        self.problem("tls_cert", format!("{}: {what}", self.files.cert.display()), hint.to_owned())
    }

    fn problem(&self, key: &str, problem: String, hint: String) -> Problem {
        let key = Some(format!("{}.{key}", self.service));
        Problem { place: "certificates".to_owned(), line: None, key, problem, hint: Some(hint) }
    }
}
