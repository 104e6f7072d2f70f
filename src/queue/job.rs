//! The third of the five nouns: one mail to one recipient, waiting to be sent.

use crate::model::{
    ChallengeId, ContactTestId, EmailAddress, JobId, Language, MailId, MemberId, RegistrationId, Reply, Span, Stage,
    Timestamp,
};
use crate::queue::{Cause, State};
use std::fmt;
use std::str::FromStr;

/// How urgent a mail is, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// One-time passwords: never behind more than one message of another class.
    Otp,
    /// Mass alerts.
    Alert,
    /// Answers to empty mails; somebody is looking at the phone.
    Registration,
    /// Tests of a typed address; somebody is looking at the page.
    ContactTest,
    /// Notices to members and operators.
    Notice,
    /// Reports.
    Report,
}

impl Class {
    /// All classes, most urgent first.
    pub const ALL: [Self; 6] =
        [Self::Otp, Self::Alert, Self::Registration, Self::ContactTest, Self::Notice, Self::Report];

    /// Gives the name used in settings, commands and the mail log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Otp => "otp",
            Self::Alert => "alert",
            Self::Registration => "registration",
            Self::ContactTest => "contact_test",
            Self::Notice => "notice",
            Self::Report => "report",
        }
    }

    /// Gives the place in the order of urgency, 0 first; what the store sorts by.
    #[must_use]
    pub const fn rank(self) -> i64 {
        match self {
            Self::Otp => 0,
            Self::Alert => 1,
            Self::Registration => 2,
            Self::ContactTest => 3,
            Self::Notice => 4,
            Self::Report => 5,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// The text names no class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no class of mail: it is one of otp, alert, registration, contact_test, notice, report")]
pub struct ClassError(String);

impl FromStr for Class {
    type Err = ClassError;

    fn from_str(text: &str) -> Result<Self, ClassError> {
        Self::ALL.into_iter().find(|class| class.as_str() == text).ok_or_else(|| ClassError(text.to_owned()))
    }
}

/// What a mail says, as references to rows: the text is composed when it is sent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// The answer to an empty mail. The link is minted anew from these parts at each attempt, always the same, so that
    /// no row holds a usable link.
    RegistrationReply {
        /// The registration the link opens.
        registration: RegistrationId,
        /// The key that signs the link.
        key: u16,
        /// When the link ends, in whole seconds since the epoch.
        expires: i64,
        /// The link's nonce, in lower-case hex.
        nonce: String,
    },
    /// The test of an address that a member typed. The link is made as that of a registration.
    ContactTest {
        /// The test the link opens.
        test: ContactTestId,
        /// The key that signs the link.
        key: u16,
        /// When the link ends, in whole seconds since the epoch.
        expires: i64,
        /// The link's nonce, in lower-case hex.
        nonce: String,
    },
    /// A one-time password. The code itself lies sealed beside the queue while the job waits, and nowhere else.
    Otp {
        /// What the code is for, and whose it is.
        challenge: ChallengeId,
    },
    /// What was done to a member's account.
    Security {
        /// Whose.
        member: MemberId,
        /// What.
        what: Notice,
    },
    /// A mail to `postmaster@` or `abuse@`, handed on to the operator.
    Forward {
        /// The mail handed on.
        mail: MailId,
    },
}

/// What a member is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// The member's password was changed.
    PasswordChanged,
    /// The administrator gave out another start password.
    PasswordReset,
    /// A second factor was set up.
    TwoFactorSet,
    /// A second factor was taken away.
    TwoFactorRemoved,
    /// The administrator cleared the second factors.
    TwoFactorReset,
    /// The backup code was used.
    BackupCodeUsed,
    /// An address was taken out, or replaced by another.
    AddressChanged,
}

impl Notice {
    /// Gives the name used in the wording.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::TwoFactorSet => "two_factor_set",
            Self::TwoFactorRemoved => "two_factor_removed",
            Self::TwoFactorReset => "two_factor_reset",
            Self::BackupCodeUsed => "backup_code_used",
            Self::AddressChanged => "address_changed",
        }
    }
}

/// A mail to be put into the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// How urgent it is.
    pub class: Class,
    /// Who is to receive it.
    pub to: EmailAddress,
    /// What it says.
    pub content: Content,
    /// The language it is written in; nothing: both (requirement R113).
    pub language: Option<Language>,
    /// The mail that caused it.
    pub cause: Option<MailId>,
    /// When it was ordered; also the mail's `Date`.
    pub queued_at: Timestamp,
    /// When it may be sent first.
    pub due: Timestamp,
    /// After this moment it is not sent any more.
    pub give_up: Timestamp,
}

/// Who works on a job, until when, and the number that tells this claim from every other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The worker; one name per start of a daemon.
    pub owner: String,
    /// When the claim is lost.
    pub until: Timestamp,
    /// Grows with each claim of the job; a settlement with an older one is refused.
    pub fence: i64,
}

/// A mail in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What was ordered.
    pub order: NewJob,
    /// Where it stands.
    pub state: State,
    /// When it is looked at next.
    pub due: Timestamp,
    /// How often it was tried.
    pub attempts: u32,
    /// Who works on it; present exactly while `state` is `sending`.
    pub lease: Option<Lease>,
    /// What was said last, and where.
    pub last: Option<(Stage, Reply)>,
    /// Why it was put off last.
    pub last_cause: Option<Cause>,
    /// Since when the operator keeps it back; present exactly while `state` is `held`.
    pub held_since: Option<Timestamp>,
    /// How long the operator kept it back in all, up to the last time it was let go or ended.
    pub held: Span,
}

#[cfg(test)]
impl Job {
    /// A job that has just been claimed for the first time.
    pub(crate) fn just_claimed(id: i64, order: NewJob) -> Self {
        Self {
            id: JobId::new(id),
            due: order.due,
            order,
            state: State::Sending,
            attempts: 0,
            lease: None,
            last: None,
            last_cause: None,
            held_since: None,
            held: Span::default(),
        }
    }
}
