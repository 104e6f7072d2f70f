//! What a service of ours shows to those who want a secured connection, and who keeps it up to date.
//!
//! A [`Keeper`] looks at the two files every half minute, and at once when asked to. Knows nothing of what is said over the
//! connections. What always holds: a session keeps what it was begun with; what comes after a change gets the new certificate,
//! resumed or not; a pair that cannot be used never takes the place of one that can, and is told of once.

use super::certificate::{Certificate, CertificateError, Content, Urgency};
use crate::clock::Clock;
use crate::config::TlsFiles;
use crate::model::{Span, Timestamp};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
pub const ROUND: Span = Span::from_secs(30);
const DAY: Span = Span::from_secs(86_400);

/// What a service shows; clones share it.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    service: &'static str,
    shown: RwLock<Option<Shown>>,
    again: Notify,
}

/// What is shown at the moment.
struct Shown {
    acceptor: TlsAcceptor,
    ends: Timestamp,
    mark: [u8; 32],
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Identity({})", self.service())
    }
}

impl Identity {
    /// Gives the name of the service.
    #[must_use]
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Gives what takes a connection into TLS; nothing where there is no certificate to show.
    #[must_use]
    pub fn acceptor(&self) -> Option<TlsAcceptor> {
        self.shown(|shown| shown.acceptor.clone())
    }

    /// Says until when the certificate is believed.
    #[must_use]
    pub fn ends(&self) -> Option<Timestamp> {
        self.shown(|shown| shown.ends)
    }

    /// Has the files looked at now.
    pub fn look_again(&self) {
        self.0.again.notify_one();
    }

    fn shown<T>(&self, part: impl FnOnce(&Shown) -> T) -> Option<T> {
        self.0.shown.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(part)
    }

    fn show(&self, shown: Shown) {
        *self.0.shown.write().unwrap_or_else(PoisonError::into_inner) = Some(shown);
    }
}

/// Keeps an [`Identity`] up to date.
pub struct Keeper {
    identity: Identity,
    files: TlsFiles,
    protocols: &'static [&'static [u8]],
    clock: Clock,
    /// What was told last: of a pair that cannot be used, and of the end.
    refused: Option<(Option<[u8; 32]>, String)>,
    warned: Option<(Urgency, Timestamp)>,
}

/// What somebody should know.
#[derive(Debug, PartialEq, Eq)]
enum News {
    /// A certificate is shown, where none was.
    Shown { ends: Timestamp },
    /// Another one is shown.
    Exchanged { ends: Timestamp },
    /// What lies there cannot be used; the one shown stays, if there is one.
    Refused { problem: String, hint: &'static str, stays: bool },
    /// The one that is shown ends.
    Ends { urgency: Urgency, ends: Timestamp },
}

impl Keeper {
    /// Reads the files for the first time; where they cannot be used that is told, and there is nothing to show until they can.
    #[must_use]
    pub fn open(service: &'static str, files: TlsFiles, protocols: &'static [&'static [u8]], clock: Clock) -> Self {
        let identity = Identity(Arc::new(Inner { service, shown: RwLock::default(), again: Notify::new() }));
        let mut keeper = Self { identity, files, protocols, clock, refused: None, warned: None };
        keeper.look();
        keeper
    }

    /// Gives what it keeps.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity.clone()
    }

    /// Looks at the files every [`ROUND`] until `stop` turns true.
    pub async fn keep(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopping| *stopping) => return,
                () = self.identity.0.again.notified() => {}
                () = self.clock.sleep(ROUND) => {}
            }
            self.look();
        }
    }

    /// Looks at the files, and tells what is new.
    pub fn look(&mut self) {
        for news in self.judge(Content::read(&self.files)) {
            self.tell(&news);
        }
    }

    fn judge(&mut self, found: Result<Content, CertificateError>) -> Vec<News> {
        let now = self.clock.now();
        let mark = found.as_ref().ok().map(Content::mark);
        let in_use = self.identity.shown(|shown| shown.mark);
        let mut news = Vec::new();
        if in_use.is_some() && mark == in_use {
            self.refused = None;
        } else {
            news.extend(self.exchange(found, mark, now));
        }
        news.extend(self.warn(now));
        news
    }

    /// Shows what lies there, if it is fit to be.
    fn exchange(
        &mut self,
        found: Result<Content, CertificateError>,
        mark: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Option<News> {
        let stays = self.identity.shown(|_| ()).is_some();
        let believed = found.and_then(|content| {
            let certificate = Certificate::understand(&content)?;
            Ok((self.shown_from(&certificate, content.mark())?, certificate))
        });
        let (problem, hint) = match believed {
            // Where there is no other, one out of its time is better than none.
            Ok((_, certificate)) if stays && certificate.ends <= now => {
                (format!("{}: has expired, on {}", self.files.cert.display(), certificate.ends), "renew it")
            }
            Ok((_, certificate)) if stays && certificate.begins > now => {
                let problem = format!("{}: is valid only from {} on", self.files.cert.display(), certificate.begins);
                (problem, "look at the clock of this machine; it is taken when its time comes")
            }
            Ok((shown, Certificate { ends, .. })) => {
                self.identity.show(shown);
                (self.refused, self.warned) = (None, None);
                return Some(if stays { News::Exchanged { ends } } else { News::Shown { ends } });
            }
            Err(error) => (error.to_string(), error.hint()),
        };
        let refused = Some((mark, problem.clone()));
        if self.refused == refused {
            return None;
        }
        self.refused = refused;
        Some(News::Refused { problem, hint, stays })
    }

    fn shown_from(&self, certificate: &Certificate, mark: [u8; 32]) -> Result<Shown, CertificateError> {
        // A new one each time: with the old one go its sessions, so that nobody resumes one and misses the new certificate.
        let config = certificate
            .shown(self.protocols, &self.clock)
            .map_err(|error| CertificateError::Unusable { path: self.files.cert.clone(), cause: error.to_string() })?;
        Ok(Shown { acceptor: Arc::new(config).into(), ends: certificate.ends, mark })
    }

    /// Says once a day, and whenever it becomes more urgent, that the certificate ends.
    fn warn(&mut self, now: Timestamp) -> Option<News> {
        let ends = self.identity.ends()?;
        let urgency = Urgency::of(ends, now)?;
        if self.warned.is_some_and(|(told, at)| told == urgency && now < at.plus(DAY)) {
            return None;
        }
        self.warned = Some((urgency, now));
        Some(News::Ends { urgency, ends })
    }

    fn tell(&self, news: &News) {
        let (service, file) = (self.identity.service(), self.files.cert.display());
        match news {
            News::Shown { ends } => tracing::info!(service, %file, until = %ends, "this certificate is shown"),
            News::Exchanged { ends } => {
                tracing::info!(service, %file, until = %ends, "the certificate was exchanged; new sessions get this one");
            }
            News::Refused { problem, hint, stays: true } => {
                tracing::warn!(service, %problem, hint, "the new certificate cannot be used; the one in use stays");
            }
            News::Refused { problem, hint, stays: false } => {
                tracing::error!(service, %problem, hint, "there is no certificate to show; nobody gets a secured connection");
            }
            News::Ends { urgency: Urgency::Soon, ends } => {
                tracing::warn!(service, %file, %ends, "the certificate ends soon; look at what should have renewed it");
            }
            News::Ends { urgency: Urgency::AtOnce, ends } => {
                tracing::error!(service, %file, %ends, "the certificate ends within three days; renew it now");
            }
            News::Ends { urgency: Urgency::Over, ends } => {
                tracing::error!(service, %file, %ends, "the certificate has expired; renew it now");
            }
        }
    }
}

#[cfg(test)]
mod tests;
