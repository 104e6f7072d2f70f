//! Members from the administrator's file: read, checked whole, then written in pages.
//!
//! `file` reads the bytes into rows, this module compares them with what is known and writes what is new. Knows nothing of
//! where the bytes came from. What always holds: nothing is written while anything in the file is wrong; a password that a
//! member has is kept, and so is an address for which the file has a blank; a plain start password lies in the database
//! sealed only.

mod encoding;
mod file;

pub use encoding::Encoding;
pub use file::{Fault, Faults, MemberFile, Row};

use crate::model::{EmailAddress, KeyRing, MemberId, OrgCode, OrgId, Priority, Timestamp};
use crate::random::{NoChance, Random};
use crate::service::address_change;
use crate::service::audit::{self, By, Entry};
use crate::service::start_password;
use crate::store::{Member, NewMember, Store, StoreError, Tx};
use file::Columns;
use std::sync::Arc;
use tokio::sync::watch;

/// How many members are written in one transaction: with up to three addresses and a secret each they are at most 5,000 rows,
/// so that nobody waits long behind them.
const PAGE: usize = 1_000;

/// What an import came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Members who were not there before.
    pub added: usize,
    /// Members about whom the file says something new.
    pub changed: usize,
    /// Members about whom everything was known.
    pub unchanged: usize,
}

impl Report {
    fn count(&mut self, change: &Change) {
        match change {
            Change::Added(_) => self.added += 1,
            Change::Changed(_) => self.changed += 1,
            Change::Unchanged => self.unchanged += 1,
        }
    }

    const fn and(self, other: Self) -> Self {
        Self {
            added: self.added + other.added,
            changed: self.changed + other.changed,
            unchanged: self.unchanged + other.unchanged,
        }
    }
}

/// Why nothing, or nothing more, was written.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The organisation is not there.
    #[error("there is no organisation {0}; add it first: org add {0} --title TITLE")]
    NoOrg(OrgCode),
    /// The file has faults; nothing was written.
    #[error("the file has faults, so nothing was written")]
    Faults(Faults),
    /// The database failed. What was written before stays; importing the same file again writes the rest.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No random bytes to seal start passwords with.
    #[error(transparent)]
    Chance(#[from] NoChance),
}

/// Imports members of one organisation.
pub struct Importer {
    /// Where members are kept.
    pub store: Store,
    /// What seals start passwords.
    pub seal: KeyRing,
    /// Where nonces come from.
    pub random: Random,
}

impl Importer {
    /// Says what an import would do, and writes nothing. `passed` is told how many rows were gone through.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub async fn rehearse(
        &self,
        org: &OrgCode,
        file: &Arc<MemberFile>,
        at: Timestamp,
        passed: watch::Sender<usize>,
    ) -> Result<Report, ImportError> {
        let id = self.find(org).await?;
        self.compare(id, file, at, &passed).await
    }

    /// Writes the members of a file. `passed` is told of each row twice: when it is compared, and when it is written.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub async fn import(
        &self,
        org: &OrgCode,
        file: &Arc<MemberFile>,
        at: Timestamp,
        passed: watch::Sender<usize>,
    ) -> Result<Report, ImportError> {
        let id = self.find(org).await?;
        self.compare(id, file, at, &passed).await?;
        let mut report = Report::default();
        for page in pages(file) {
            let rows = page.len();
            let (file, seal, random) = (Arc::clone(file), self.seal.clone(), self.random.clone());
            let work = move |tx: &mut Tx<'_>| {
                let mut report = Report::default();
                for row in file.rows().get(page.clone()).unwrap_or_default() {
                    report.count(&write(tx, id, row, file.columns(), at, &seal, &random)?);
                }
                record(tx, id, report, at)?;
                Ok::<_, ImportError>(report)
            };
            report = report.and(self.store.write(work).await?);
            passed.send_modify(|passed| *passed += rows);
        }
        Ok(report)
    }

    async fn find(&self, org: &OrgCode) -> Result<OrgId, ImportError> {
        let code = org.clone();
        let found = self.store.read(move |tx| tx.org(&code)).await?;
        found.map(|found| found.id).ok_or_else(|| ImportError::NoOrg(org.clone()))
    }

    /// Compares the whole file with what is known, a page at a time.
    async fn compare(
        &self,
        org: OrgId,
        file: &Arc<MemberFile>,
        at: Timestamp,
        passed: &watch::Sender<usize>,
    ) -> Result<Report, ImportError> {
        let (mut report, mut faults) = (Report::default(), Faults::default());
        for page in pages(file) {
            let (file, rows) = (Arc::clone(file), page.len());
            let work = move |tx: &mut Tx<'_>| {
                let (mut report, mut faults) = (Report::default(), Faults::default());
                for row in file.rows().get(page.clone()).unwrap_or_default() {
                    let change = compare(tx, org, row, file.columns(), at)?;
                    if matches!(change, Change::Added(_)) && !row.has_password() {
                        faults.add(row.line, "password", "is empty, and this member is new: nobody could log in");
                    }
                    if let Change::Changed(new) = &change {
                        clashes(tx, org, new)?.into_iter().for_each(|(column, why)| faults.add(row.line, &column, why));
                    }
                    report.count(&change);
                }
                Ok::<_, StoreError>((report, faults))
            };
            let (page_report, page_faults) = self.store.read(work).await?;
            report = report.and(page_report);
            faults.append(page_faults);
            passed.send_modify(|passed| *passed += rows);
        }
        if faults.is_empty() { Ok(report) } else { Err(ImportError::Faults(faults)) }
    }
}

fn pages(file: &MemberFile) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
    let rows = file.rows().len();
    (0..rows).step_by(PAGE).map(move |start| start..rows.min(start + PAGE))
}

/// What a row means for its member.
enum Change {
    Added(NewMember),
    Changed(NewMember),
    Unchanged,
}

fn compare(tx: &mut Tx<'_>, org: OrgId, row: &Row, columns: Columns, at: Timestamp) -> Result<Change, StoreError> {
    let Some(known) = tx.member(org, &row.member.login)? else {
        return Ok(Change::Added(row.member.clone()));
    };
    let new = laid_over(&known, row, columns);
    let same = new.login == known.login
        && new.name == known.name
        && new.kana == known.kana
        && new.department == known.department
        && new.language == known.language
        && has_addresses(tx, known.id, &new)?
        && (!row.has_password() || has_password(tx, &known, at)?);
    Ok(if same { Change::Unchanged } else { Change::Changed(new) })
}

/// What the file says of a member; where it has no such column, or no language in it, what is known stays.
fn laid_over(known: &Member, row: &Row, columns: Columns) -> NewMember {
    let new = row.member.clone();
    NewMember {
        kana: if columns.kana { new.kana } else { known.kana.clone() },
        department: if columns.department { new.department } else { known.department.clone() },
        language: if row.has_language { new.language } else { known.language },
        ..new
    }
}

fn has_addresses(tx: &mut Tx<'_>, member: MemberId, new: &NewMember) -> Result<bool, StoreError> {
    if new.addresses.iter().all(Option::is_none) {
        return Ok(true);
    }
    let known = tx.addresses_of(member)?;
    let given = Priority::ALL.into_iter().zip(&new.addresses);
    Ok(given.filter_map(|(priority, address)| Some((priority, address.clone()?))).all(|given| known.contains(&given)))
}

/// Finds the addresses that the member has in another place, which the file leaves as it is: none stands in two places.
fn clashes(tx: &mut Tx<'_>, org: OrgId, new: &NewMember) -> Result<Vec<(String, String)>, StoreError> {
    let Some(known) = tx.member(org, &new.login)? else { return Ok(Vec::new()) };
    let mut kept = tx.addresses_of(known.id)?;
    let given =
        || Priority::ALL.into_iter().zip(&new.addresses).filter_map(|(place, new)| Some((place, new.as_ref()?)));
    kept.retain(|(kept, _)| given().all(|(place, _)| place != *kept));
    let clash = |(place, address): (Priority, &EmailAddress)| {
        let (kept, _) = kept.iter().find(|(_, kept)| kept.folded() == address.folded())?;
        let why =
            format!("is the address that this member has as mail{kept}: leave it blank, or give another mail{kept}");
        Some((format!("mail{place}"), why))
    };
    Ok(given().filter_map(clash).collect())
}

/// Says whether the member has a password that stays: one of the administrator's that nobody used in time does not.
fn has_password(tx: &mut Tx<'_>, known: &Member, at: Timestamp) -> Result<bool, StoreError> {
    if start_password::is_over(known, at) {
        return Ok(false);
    }
    Ok(known.password_hash.is_some() || tx.secret(start_password::PURPOSE, known.id.number())?.is_some())
}

fn write(
    tx: &mut Tx<'_>,
    org: OrgId,
    row: &Row,
    columns: Columns,
    at: Timestamp,
    seal: &KeyRing,
    random: &Random,
) -> Result<Change, ImportError> {
    let change = compare(tx, org, row, columns, at)?;
    let (Change::Added(new) | Change::Changed(new)) = &change else { return Ok(change) };
    let known = tx.member(org, &new.login)?;
    let keeps = known.as_ref().map(|known| has_password(tx, known, at)).transpose()?.unwrap_or(false);
    if let Some(known) = known.as_ref().filter(|_| row.has_password() && !keeps) {
        tx.take_password(known.id, at)?;
    }
    let before = known.as_ref().map(|known| tx.addresses_of(known.id)).transpose()?;
    let (member, _) = tx.put_member(org, new, at)?;
    // The addresses of somebody new are part of that; those of others are told apart from the rest of the file.
    if let Some((known, before)) = known.as_ref().zip(before) {
        address_change::record(tx, known, By::Operator, &before, at)?;
    }
    if let Some(password) = row.password.as_ref().filter(|_| !keeps) {
        let sealed = start_password::seal(seal, member, random.bytes()?, password.reveal());
        tx.put_secret(start_password::PURPOSE, member.number(), &sealed)?;
    }
    Ok(change)
}

/// Records what was written of a page.
fn record(tx: &mut Tx<'_>, org: OrgId, report: Report, at: Timestamp) -> Result<(), StoreError> {
    if report.added + report.changed == 0 {
        return Ok(());
    }
    let entry = Entry { org: Some(org), ..Entry::at_large(audit::MEMBERS_IMPORTED, By::Operator) };
    audit::record(tx, entry.field("added", report.added).field("changed", report.changed), at)
}

#[cfg(test)]
mod tests;
