//! Says which of our addresses a recipient is, if it is ours at all.
//!
//! Does not know whether an organisation exists or a mail deserves an answer. What always holds: an address of a domain that
//! is not ours is never taken, so that we cannot be made to relay.

use crate::keys::Keychain;
use crate::mail::verp;
use crate::model::{Domain, EmailAddress};
use crate::service::reception::Destination;

/// What the addresses of ours are.
#[derive(Debug)]
pub struct Settings {
    /// The name of this server; `postmaster@` it is ours.
    pub hostname: Domain,
    /// The addresses that empty mails are sent to.
    pub registration: Vec<EmailAddress>,
    /// The domain of the return paths.
    pub bounce_domain: Domain,
    /// The keys, of which some sign return paths.
    pub keys: Keychain,
}

/// Knows our addresses.
#[derive(Debug)]
pub struct Route {
    settings: Settings,
}

/// Why a recipient is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    /// The domain is ours, and nobody has this address; or a return path that we never made.
    #[error("nobody has this address")]
    Unknown,
    /// The domain is not ours.
    #[error("the domain is not ours")]
    Foreign,
}

impl Route {
    /// Takes our addresses.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Judges a recipient; case does not count.
    ///
    /// # Errors
    /// It is none of our addresses; see [`NotOurs`].
    pub fn judge(&self, to: &EmailAddress) -> Result<Destination, NotOurs> {
        if !self.is_ours(to.domain()) {
            return Err(NotOurs::Foreign);
        }
        self.registration(to).or_else(|| postmaster(to)).or_else(|| self.return_path(to)).ok_or(NotOurs::Unknown)
    }

    fn is_ours(&self, domain: &Domain) -> bool {
        let Settings { hostname, registration, bounce_domain, .. } = &self.settings;
        domain == hostname || domain == bounce_domain || registration.iter().any(|address| address.domain() == domain)
    }

    /// An exact match goes before one with a code, for who configures both `a@` and `a+b@`.
    fn registration(&self, to: &EmailAddress) -> Option<Destination> {
        let local = to.local().to_lowercase();
        let same_domain = || self.settings.registration.iter().filter(|ours| ours.domain() == to.domain());
        let exact = same_domain().find(|ours| ours.local().to_lowercase() == local);
        if let Some(ours) = exact {
            return Some(Destination::Registration { address: ours.clone(), org: None });
        }
        same_domain().find_map(|ours| {
            let code = local.strip_prefix(&ours.local().to_lowercase())?.strip_prefix('+')?;
            // A code that cannot be one only saves typing less: the sender gives it again at log-in.
            Some(Destination::Registration { address: ours.clone(), org: code.parse().ok() })
        })
    }

    fn return_path(&self, to: &EmailAddress) -> Option<Destination> {
        let (job, _sent) = verp::read(self.settings.keys.now().verp(), to, &self.settings.bounce_domain).ok()?;
        Some(Destination::ReturnPath { job })
    }
}

fn postmaster(to: &EmailAddress) -> Option<Destination> {
    let ours = ["postmaster", "abuse"].iter().any(|name| to.local().eq_ignore_ascii_case(name));
    ours.then(|| Destination::Postmaster { address: to.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;
    use crate::model::{JobId, KeyRing, Secret};

    fn keys(byte: u8) -> KeyRing {
        KeyRing::new(1, [(1, Secret::new([byte; 32]))].into()).unwrap()
    }

    fn route() -> Route {
        let registration = ["Bizanpi@mc-anpi.example", "anpi+test@mc-anpi.example", "anpi@second.example"];
        Route::new(Settings {
            hostname: "mx.mc-anpi.example".parse().unwrap(),
            registration: registration.iter().map(|address| address.parse().unwrap()).collect(),
            bounce_domain: "bounce.mob-connect.example".parse().unwrap(),
            keys: Keychain::of(Keys::apart(keys(1), keys(1), keys(7))),
        })
    }

    fn judge(to: &str) -> Result<Destination, NotOurs> {
        route().judge(&to.parse().unwrap())
    }

    fn registration(address: &str, org: Option<&str>) -> Result<Destination, NotOurs> {
        let org = org.map(|code| code.parse().unwrap());
        Ok(Destination::Registration { address: address.parse().unwrap(), org })
    }

    #[test]
    fn a_registration_address_is_known_whatever_its_case() {
        for to in ["bizanpi@mc-anpi.example", "BIZANPI@MC-ANPI.EXAMPLE", "\"bizanpi\"@mc-anpi.example"] {
            assert_eq!(judge(to), registration("Bizanpi@mc-anpi.example", None), "{to}");
        }
        assert_eq!(judge("anpi@second.example"), registration("anpi@second.example", None));
    }

    #[test]
    fn a_code_behind_the_plus_names_the_organisation() {
        assert_eq!(judge("bizanpi+demo@mc-anpi.example"), registration("Bizanpi@mc-anpi.example", Some("DEMO")));
        assert_eq!(
            judge("BizAnpi+Demo-1_x@mc-anpi.example"),
            registration("Bizanpi@mc-anpi.example", Some("DEMO-1_X"))
        );
    }

    #[test]
    fn a_code_that_cannot_be_one_is_no_reason_to_refuse() {
        for code in ["", "a+b", "a.b", &"x".repeat(33)] {
            let to = format!("bizanpi+{code}@mc-anpi.example");
            assert_eq!(judge(&to), registration("Bizanpi@mc-anpi.example", None), "{to}");
        }
    }

    #[test]
    fn an_address_configured_with_a_plus_is_itself() {
        assert_eq!(judge("anpi+test@mc-anpi.example"), registration("anpi+test@mc-anpi.example", None));
        assert_eq!(judge("anpi+test+demo@mc-anpi.example"), registration("anpi+test@mc-anpi.example", Some("demo")));
        assert_eq!(judge("anpi+demo@mc-anpi.example"), Err(NotOurs::Unknown));
    }

    #[test]
    fn postmaster_and_abuse_are_there_in_every_domain_of_ours() {
        for domain in ["mc-anpi.example", "second.example", "mx.mc-anpi.example", "bounce.mob-connect.example"] {
            for name in ["postmaster", "PostMaster", "abuse"] {
                let to = format!("{name}@{domain}");
                assert_eq!(judge(&to), Ok(Destination::Postmaster { address: to.parse().unwrap() }));
            }
        }
    }

    #[test]
    fn a_return_path_of_ours_is_read_and_a_forged_one_is_nobody() {
        let domain: Domain = "bounce.mob-connect.example".parse().unwrap();
        let job = JobId::new(42);
        let genuine = verp::address(&keys(7), job, 20_000, &domain);
        assert_eq!(route().judge(&genuine), Ok(Destination::ReturnPath { job }));
        let shouted = genuine.to_string().to_uppercase();
        assert_eq!(judge(&shouted), Ok(Destination::ReturnPath { job }));
        assert_eq!(route().judge(&verp::address(&keys(8), job, 20_000, &domain)), Err(NotOurs::Unknown));
        let elsewhere = verp::address(&keys(7), job, 20_000, &"mc-anpi.example".parse().unwrap());
        assert_eq!(route().judge(&elsewhere), Err(NotOurs::Unknown));
    }

    #[test]
    fn nobody_and_strangers_are_told_apart() {
        for to in [
            "hanako@mc-anpi.example",
            "bizanpi@second.example",
            "bizanpix@mc-anpi.example",
            "postmaster+x@mc-anpi.example",
        ] {
            assert_eq!(judge(to), Err(NotOurs::Unknown), "{to}");
        }
        for to in [
            "hanako@docomo.ne.jp",
            "postmaster@docomo.ne.jp",
            "bizanpi@sub.mc-anpi.example",
            "bizanpi@xmc-anpi.example",
            "a%docomo.ne.jp@example.org",
        ] {
            assert_eq!(judge(to), Err(NotOurs::Foreign), "{to}");
        }
    }
}
