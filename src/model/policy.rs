//! What an organisation asks for: its plan, its second factor, its passwords (`org set`; requirements chapter 2).
//!
//! Knows nothing of members or pages. What always holds: what was never set has its default, which is the manual's; a value
//! outside its range is refused with what would fit; a guard that is marked *always* has no knob here, but for the list of
//! known-bad passwords, which may be turned into a warning: the organisation's code, the ID and the start password stay
//! refused.

use crate::model::Span;
use std::fmt;

/// The contract (R004, R109).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// 通常プラン.
    #[default]
    Standard,
    /// アカデミックプラン.
    Academic,
    /// スマホプラン: mail is no guaranteed function, and no contact mail is sent.
    Smartphone,
}

/// What a backup code is made of (R044).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupKind {
    /// Eight digits, as the manual has it: 26 bits.
    #[default]
    Digits8,
    /// Sixteen letters and digits that are not mistaken for one another: 80 bits.
    Alnum16,
    /// Ten codes, each of twelve such letters and digits, the first of which tells it from the others: 55 bits.
    TenCodes,
}

/// How strong a password looks (R019).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// 弱.
    #[default]
    Weak,
    /// 中.
    Medium,
    /// 強.
    Strong,
}

/// What becomes of a password that everybody tries first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocklist {
    /// It is refused.
    #[default]
    Reject,
    /// It is taken, and the member is warned.
    Warn,
}

/// Knobs that are set together (requirements, chapter 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// As the manual has it.
    #[default]
    Manual,
    /// OWASP ASVS 5.0, level 2.
    Asvs2,
    /// NIST SP 800-63B-4.
    Nist,
}

macro_rules! named {
    ($type:ident: $($variant:ident = $name:literal),+) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Gives the name used by commands and in the store.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}

named!(Plan: Standard = "standard", Academic = "academic", Smartphone = "smartphone");
named!(BackupKind: Digits8 = "digits8", Alnum16 = "alnum16", TenCodes = "ten_codes");
named!(Blocklist: Reject = "reject", Warn = "warn");
named!(Profile: Manual = "manual", Asvs2 = "asvs2", Nist = "nist");
named!(Strength: Weak = "weak", Medium = "medium", Strong = "strong");

/// What an organisation asks for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Policy {
    /// The knobs that were set together last; each may have been set otherwise since.
    pub profile: Profile,
    /// The contract.
    pub plan: Plan,
    /// Whether a login needs a second factor (R023).
    pub two_factor: bool,
    /// How many digits a one-time password sent by mail has, 6 to 8 (R039).
    pub otp_digits: u8,
    /// How long a one-time password sent by mail lives, in seconds; 5 to 60 minutes (R040).
    pub otp_lifetime: i64,
    /// What a backup code is made of.
    pub backup_code: BackupKind,
    /// The shortest password, in characters; 1 to 32.
    pub password_min_length: u8,
    /// The longest password, in characters; 32 (R090) to 128.
    pub password_max_length: u8,
    /// The weakest password that is taken.
    pub password_min_strength: Strength,
    /// What becomes of a password that everybody tries first.
    pub blocklist: Blocklist,
    /// How long after the password was typed it need not be typed again for what matters, in seconds; 2 minutes to 12 hours: a
    /// form takes that long to fill in.
    pub reauthenticate_after: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            plan: Plan::default(),
            two_factor: false,
            otp_digits: 6,
            otp_lifetime: 60 * 60,
            backup_code: BackupKind::default(),
            password_min_length: 1,
            password_max_length: 32,
            password_min_strength: Strength::default(),
            blocklist: Blocklist::default(),
            reauthenticate_after: 300,
        }
    }
}

/// Why a key of an organisation is not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// There is no such key.
    #[error("there is no key “{0}”")]
    Key(String),
    /// The value does not fit.
    #[error("{key} is {fits}, not “{value}”")]
    Value {
        /// The key.
        key: String,
        /// What would fit.
        fits: String,
        /// What was given.
        value: String,
    },
}

impl Policy {
    /// The keys, in the order they are shown.
    pub const KEYS: [&'static str; 11] = [
        "profile",
        "plan",
        "two_factor",
        "otp_digits",
        "otp_lifetime",
        "backup_code",
        "password_min_length",
        "password_max_length",
        "password_min_strength",
        "blocklist",
        "reauthenticate_after",
    ];

    /// Gives what a profile asks for; the plan and whether there is a second factor are no part of one.
    #[must_use]
    pub fn of(profile: Profile) -> Self {
        let manual = Self { profile, ..Self::default() };
        match profile {
            Profile::Manual => manual,
            // ASVS 6.2.1, 6.2.9 and 6.5.5.
            Profile::Asvs2 => Self { otp_lifetime: 10 * 60, password_min_length: 8, password_max_length: 64, ..manual },
            // 15 characters are asked of a password that stands alone; 64 bits of a code that recovers an account.
            Profile::Nist => Self {
                otp_lifetime: 10 * 60,
                backup_code: BackupKind::Alnum16,
                password_min_length: 15,
                password_max_length: 64,
                ..manual
            },
        }
    }

    /// Lists the keys whose values are not those of the profile.
    #[must_use]
    pub fn differing(&self) -> Vec<&'static str> {
        let profile = Self { plan: self.plan, two_factor: self.two_factor, ..Self::of(self.profile) }.shown();
        let pairs = self.shown().into_iter().zip(profile);
        pairs.filter(|((_, own), (_, given))| own != given).map(|((key, _), _)| key).collect()
    }

    /// Gives how long a one-time password sent by mail lives.
    #[must_use]
    pub const fn otp_lifetime(&self) -> Span {
        Span::from_secs(self.otp_lifetime)
    }

    /// Gives how long after the password was typed it need not be typed again.
    #[must_use]
    pub const fn reauthenticate_after(&self) -> Span {
        Span::from_secs(self.reauthenticate_after)
    }

    /// Sets one key.
    ///
    /// # Errors
    /// There is no such key, or the value does not fit; says what would.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), PolicyError> {
        let value = value.trim();
        match key {
            "profile" => {
                let profile = one_of(key, value, Profile::ALL, |profile| profile.as_str())?;
                *self = Self { plan: self.plan, two_factor: self.two_factor, ..Self::of(profile) };
            }
            "plan" => self.plan = one_of(key, value, Plan::ALL, |plan| plan.as_str())?,
            "two_factor" => self.two_factor = one_of(key, value, &[true, false], |on| on_off(*on))?,
            "otp_digits" => self.otp_digits = within(key, value, 6, 8)?,
            "otp_lifetime" => self.otp_lifetime = seconds(key, value, 5 * 60, 60 * 60, "a time from 5m to 60m")?,
            "backup_code" => self.backup_code = one_of(key, value, BackupKind::ALL, |kind| kind.as_str())?,
            "password_min_length" => self.password_min_length = within(key, value, 1, 32)?,
            "password_max_length" => self.password_max_length = within(key, value, 32, 128)?,
            "password_min_strength" => {
                self.password_min_strength = one_of(key, value, Strength::ALL, |strength| strength.as_str())?;
            }
            "blocklist" => self.blocklist = one_of(key, value, Blocklist::ALL, |blocklist| blocklist.as_str())?,
            "reauthenticate_after" => {
                let fits = "a time from 2m to 12h, as a form takes its time: 5m";
                self.reauthenticate_after = seconds(key, value, 2 * 60, 12 * 3_600, fits)?;
            }
            unknown => return Err(PolicyError::Key(unknown.to_owned())),
        }
        Ok(())
    }

    /// Shows all keys with their values, as [`Policy::set`] takes them.
    #[must_use]
    pub fn shown(&self) -> [(&'static str, String); 11] {
        let values = [
            self.profile.to_string(),
            self.plan.to_string(),
            on_off(self.two_factor).to_owned(),
            self.otp_digits.to_string(),
            minutes(self.otp_lifetime),
            self.backup_code.to_string(),
            self.password_min_length.to_string(),
            self.password_max_length.to_string(),
            self.password_min_strength.to_string(),
            self.blocklist.to_string(),
            minutes(self.reauthenticate_after),
        ];
        let mut values = values.into_iter();
        Self::KEYS.map(|key| (key, values.next().unwrap_or_default()))
    }
}

const fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// `60m`, or `90s` where it is not whole minutes.
fn minutes(seconds: i64) -> String {
    if seconds % 60 == 0 { format!("{}m", seconds / 60) } else { format!("{seconds}s") }
}

fn wrong(key: &str, value: &str, fits: String) -> PolicyError {
    PolicyError::Value { key: key.to_owned(), fits, value: value.to_owned() }
}

fn one_of<T: Copy>(key: &str, value: &str, all: &[T], name: impl Fn(&T) -> &'static str) -> Result<T, PolicyError> {
    let found = all.iter().find(|one| name(one) == value).copied();
    found.ok_or_else(|| wrong(key, value, all.iter().map(name).collect::<Vec<_>>().join(" or ")))
}

fn within(key: &str, value: &str, least: u8, most: u8) -> Result<u8, PolicyError> {
    let number = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| wrong(key, value, format!("a number from {least} to {most}")))
}

/// `5m`, `90s`, `2h` or a bare number of seconds.
fn seconds(key: &str, value: &str, least: i64, most: i64, fits: &str) -> Result<i64, PolicyError> {
    let (number, unit) = match value.chars().last() {
        Some('s') => (value.strip_suffix('s'), 1),
        Some('m') => (value.strip_suffix('m'), 60),
        Some('h') => (value.strip_suffix('h'), 3_600),
        _ => (Some(value), 1),
    };
    let seconds = number.and_then(|number| number.parse::<u16>().ok()).map(|number| i64::from(number) * unit);
    let fitting = seconds.filter(|seconds| (least..=most).contains(seconds));
    fitting.ok_or_else(|| wrong(key, value, fits.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_takes_back_what_it_shows() {
        let mut changed = Policy::default();
        for (key, value) in [
            ("profile", "nist"),
            ("plan", "smartphone"),
            ("two_factor", "on"),
            ("otp_digits", "8"),
            ("otp_lifetime", "30m"),
            ("backup_code", "ten_codes"),
            ("password_min_length", "12"),
            ("password_max_length", "128"),
            ("password_min_strength", "medium"),
            ("blocklist", "warn"),
            ("reauthenticate_after", "10m"),
        ] {
            let before = changed.clone();
            changed.set(key, value).unwrap();
            assert_ne!(changed, before, "{key}");
        }
        let mut again = Policy::default();
        for (key, value) in changed.shown() {
            again.set(key, &value).unwrap();
        }
        assert_eq!(again, changed);
        assert_eq!(Policy::default().shown().map(|(key, _)| key), Policy::KEYS);
        assert_eq!(Policy::default().shown()[4], ("otp_lifetime", "60m".to_owned()));
        assert_eq!(minutes(301), "301s");
    }

    #[test]
    fn a_value_that_does_not_fit_is_refused_with_what_would() {
        for (key, value, hint) in [
            ("plan", "gold", "standard or academic or smartphone"),
            ("two_factor", "yes", "on or off"),
            ("profile", "iso", "manual or asvs2 or nist"),
            ("otp_lifetime", "61m", "from 5m to 60m"),
            ("otp_lifetime", "4m", "from 5m to 60m"),
            ("blocklist", "off", "reject or warn"),
            ("otp_digits", "5", "from 6 to 8"),
            ("backup_code", "", "digits8 or alnum16 or ten_codes"),
            ("password_min_length", "0", "from 1 to 32"),
            ("password_max_length", "31", "from 32 to 128"),
            ("password_min_strength", "great", "weak or medium or strong"),
            ("reauthenticate_after", "13h", "from 2m to 12h"),
            ("reauthenticate_after", "-5", "from 2m to 12h"),
            ("reauthenticate_after", "0", "from 2m to 12h"),
            ("reauthenticate_after", "119s", "from 2m to 12h"),
        ] {
            let mut policy = Policy::default();
            let error = policy.set(key, value).unwrap_err().to_string();
            assert!(error.contains(hint), "{key}: {error}");
            assert_eq!(policy, Policy::default());
        }
        assert_eq!(Policy::default().set("titel", "x"), Err(PolicyError::Key("titel".to_owned())));
    }

    #[test]
    fn a_profile_sets_its_row_of_knobs_and_leaves_the_contract_alone() {
        let mut policy = Policy { plan: Plan::Academic, two_factor: true, ..Policy::default() };
        policy.set("password_min_strength", "strong").unwrap();
        policy.set("profile", "asvs2").unwrap();
        assert_eq!((policy.plan, policy.two_factor), (Plan::Academic, true));
        assert_eq!((policy.password_min_length, policy.password_max_length), (8, 64));
        assert_eq!((policy.password_min_strength, policy.otp_lifetime), (Strength::Weak, 600));
        assert_eq!(policy.differing(), Vec::<&str>::new());
        policy.set("password_min_length", "12").unwrap();
        policy.set("blocklist", "warn").unwrap();
        assert_eq!((policy.profile, policy.differing()), (Profile::Asvs2, vec!["password_min_length", "blocklist"]));
        policy.set("profile", "nist").unwrap();
        assert_eq!((policy.password_min_length, policy.backup_code), (15, BackupKind::Alnum16));
        policy.set("profile", "manual").unwrap();
        assert_eq!(policy, Policy { plan: Plan::Academic, two_factor: true, ..Policy::default() });
    }

    #[test]
    fn what_was_kept_before_a_key_existed_has_its_default() {
        let kept: Policy = serde_json::from_str(r#"{"two_factor":true}"#).unwrap();
        assert_eq!(kept, Policy { two_factor: true, ..Policy::default() });
    }
}
