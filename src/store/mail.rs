//! Mails that came in, and which of them came before.

use crate::model::{EmailAddress, MailId, Timestamp, Via};
use crate::store::sql::{Column, Row, params};
use crate::store::{StoreError, Tx};
use std::net::IpAddr;

/// A mail to be remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// How it came.
    pub via: Via,
    /// The other side of the connection.
    pub peer: IpAddr,
    /// The name it gave; a claim.
    pub helo: String,
    /// Who it is from; nobody for a bounce, or where no address could be read.
    pub sender: Option<EmailAddress>,
    /// The address of ours it was sent to.
    pub to: EmailAddress,
    /// Its Message-ID, without angle brackets.
    pub message_id: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// When its end was read.
    pub at: Timestamp,
    /// What was decided: `answered`, `ignored` or `kept`.
    pub decision: &'static str,
    /// Why it was ignored, in the names of the mail log.
    pub reason: Option<&'static str>,
    /// Every byte of it, where it is handed on or looked at later.
    pub raw: Option<Vec<u8>>,
}

/// A mail as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailRow {
    /// Its number.
    pub id: MailId,
    /// How it came.
    pub via: Via,
    /// The other side of the connection.
    pub peer: IpAddr,
    /// The name it gave; a claim.
    pub helo: String,
    /// Who it is from.
    pub sender: Option<EmailAddress>,
    /// The address of ours it was sent to.
    pub to: EmailAddress,
    /// Its Message-ID, without angle brackets.
    pub message_id: Option<String>,
    /// Its size in bytes.
    pub size: u64,
    /// When its end was read.
    pub at: Timestamp,
    /// What was decided: `answered`, `ignored` or `kept`.
    pub decision: String,
    /// Why it was ignored.
    pub reason: Option<String>,
}

impl Column for Via {
    fn read(row: &Row<'_>, index: usize) -> Result<Option<Self>, StoreError> {
        let Some(name) = row.find::<String>(index)? else { return Ok(None) };
        match name.as_str() {
            "smtp" => Ok(Some(Self::Smtp)),
            other => Err(StoreError::Corrupt(format!("“{other}” is no way a mail comes in"))),
        }
    }
}

/// The columns of [`MailRow`], in the order in which [`read`] takes them.
const COLUMNS: &str =
    "id, via, peer, helo, sender, recipient, message_id, size, received_at, decision, reason FROM mails";

fn read(row: &Row<'_>) -> Result<MailRow, StoreError> {
    Ok(MailRow {
        id: row.get(0)?,
        via: row.get(1)?,
        peer: row.get(2)?,
        helo: row.get(3)?,
        sender: row.find(4)?,
        to: row.get(5)?,
        message_id: row.find(6)?,
        size: row.get(7)?,
        at: row.get(8)?,
        decision: row.get(9)?,
        reason: row.find(10)?,
    })
}

impl Tx<'_> {
    /// Remembers a mail; gives its number.
    ///
    /// # Errors
    /// The database failed, or the decision is none that the schema knows.
    pub fn remember_mail(&mut self, mail: &NewMail) -> Result<MailId, StoreError> {
        let sql = "INSERT INTO mails (via, peer, helo, sender, recipient, message_id, size, received_at, decision, reason) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        let values = params![
            mail.via.as_str(),
            mail.peer.to_string(),
            &mail.helo,
            mail.sender.as_ref(),
            &mail.to,
            mail.message_id.as_ref(),
            mail.size,
            mail.at,
            mail.decision,
            mail.reason,
        ];
        let id = self.insert(sql, values)?;
        if let Some(raw) = &mail.raw {
            self.execute("INSERT INTO mail_bodies (mail, raw) VALUES (?1, ?2)", params![id, raw.as_slice()])?;
        }
        Ok(MailId::new(id))
    }

    /// Finds a mail by its number.
    ///
    /// # Errors
    /// The database failed.
    pub fn mail(&mut self, id: MailId) -> Result<Option<MailRow>, StoreError> {
        self.one(&format!("SELECT {COLUMNS} WHERE id = ?1"), params![id], read)
    }

    /// Gives every byte of a mail, where they were kept.
    ///
    /// # Errors
    /// The database failed.
    pub fn mail_raw(&mut self, id: MailId) -> Result<Option<Vec<u8>>, StoreError> {
        self.one("SELECT raw FROM mail_bodies WHERE mail = ?1", params![id], |row| row.get(0))
    }

    /// Forgets the bytes of mails that came before `before`, oldest first, at most `limit`; gives how many. That they came
    /// stays known.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_kept_mails(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM mail_bodies WHERE mail IN (SELECT mail FROM mail_bodies ORDER BY mail LIMIT ?2) \
                   AND (SELECT received_at FROM mails WHERE mails.id = mail_bodies.mail) < ?1";
        self.execute(sql, params![before, limit])
    }

    /// Notes a mail's fingerprint; false where this very mail came before.
    ///
    /// # Errors
    /// The database failed.
    pub fn first_time(&mut self, fingerprint: &[u8; 32], at: Timestamp) -> Result<bool, StoreError> {
        let sql = "INSERT INTO seen_mails (fingerprint, seen_at) VALUES (?1, ?2) ON CONFLICT (fingerprint) DO NOTHING";
        Ok(self.execute(sql, params![fingerprint, at])? == 1)
    }

    /// Forgets fingerprints noted before `before`, oldest first, at most `limit`; gives how many.
    ///
    /// # Errors
    /// The database failed.
    pub fn trim_seen_mails(&mut self, before: Timestamp, limit: usize) -> Result<u64, StoreError> {
        let sql = "DELETE FROM seen_mails WHERE seen_at < ?1 \
                   AND id IN (SELECT id FROM seen_mails ORDER BY id LIMIT ?2)";
        self.execute(sql, params![before, limit])
    }
}
