//! What an operator learns of members, and does for those who are locked out.
//!
//! Knows nothing of how factors and passwords work. What always holds: what is done is done in one transaction with its entry
//! in the audit log and the notice to the member; a start password is said once, to the command that asked for it.

use super::Response;
use super::desk::{Desk, PAGE, Stop, no_org, refused};
use super::facts::{AuditFacts, ChainFacts, MemberAddress, MemberFacts, MemberRow, StartPasswordFacts, TwoFactor};
use crate::model::{LoginId, OrgCode, Timestamp};
use crate::service::{audit, reset, start_password};
use crate::store::{AddressState, Factor, FactorKind, Member, Org, StoreError, Tx};
use tokio::sync::mpsc;

/// Why there is nobody to do it for.
enum Nobody {
    Store(StoreError),
    Org,
    Member,
}

impl From<StoreError> for Nobody {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Nobody {
    fn stop(self, org: &OrgCode, id: &LoginId) -> Stop {
        match self {
            Self::Store(error) => error.into(),
            Self::Org => no_org(org),
            Self::Member => refused(format!("{org} has no member {id}")),
        }
    }
}

fn find(tx: &mut Tx<'_>, org: &OrgCode, id: &LoginId) -> Result<(Org, Member), Nobody> {
    let org = tx.org(org)?.ok_or(Nobody::Org)?;
    let member = tx.member(org.id, id)?.ok_or(Nobody::Member)?;
    Ok((org, member))
}

impl Desk {
    pub(super) async fn list_members(&self, org: OrgCode, to: &mpsc::Sender<Response>) -> Result<(), Stop> {
        let code = org.clone();
        let found = self.store.read(move |tx| tx.org(&code)).await?;
        let id = found.map(|org| org.id).ok_or_else(|| no_org(&org))?;
        let mut after: Option<LoginId> = None;
        loop {
            let behind = after.clone();
            let page = self.store.read(move |tx| tx.members(id, PAGE, behind.as_ref())).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.login.clone());
            to.send(Response::Members(page.into_iter().map(MemberRow::new).collect())).await?;
        }
    }

    pub(super) async fn show_member(&self, org: OrgCode, id: LoginId) -> Result<Response, Stop> {
        let (code, login, now) = (org.clone(), id.clone(), self.clock.now());
        let work = move |tx: &mut Tx<'_>| {
            let (org, member) = find(tx, &code, &login)?;
            Ok(facts(tx, org, member, now)?)
        };
        let shown = self.store.read::<_, Nobody, _>(work).await;
        shown.map(Response::Member).map_err(|nobody| nobody.stop(&org, &id))
    }

    /// Clears what a member lost, and shows what is left.
    pub(super) async fn reset_two_factor(&self, org: OrgCode, id: LoginId) -> Result<Response, Stop> {
        let (code, login, now) = (org.clone(), id.clone(), self.clock.now());
        let notices = self.notices;
        let work = move |tx: &mut Tx<'_>| {
            let (org, member) = find(tx, &code, &login)?;
            reset::two_factor(tx, notices, &member, now)?;
            Ok(facts(tx, org, member, now)?)
        };
        let shown = self.store.write::<_, Nobody, _>(work).await;
        shown.map(Response::Member).map_err(|nobody| nobody.stop(&org, &id))
    }

    /// Gives out another start password.
    pub(super) async fn reset_password(&self, org: OrgCode, id: LoginId) -> Result<Response, Stop> {
        let (code, login, now) = (org.clone(), id.clone(), self.clock.now());
        let password = start_password::draw(&self.random).map_err(refused)?;
        let nonce = self.random.bytes().map_err(refused)?;
        let (keys, drawn, notices) = (self.keys.now(), password.clone(), self.notices);
        let work = move |tx: &mut Tx<'_>| {
            let (_, member) = find(tx, &code, &login)?;
            Ok(reset::password(tx, notices, keys.seal(), &member, &drawn, nonce, now)?)
        };
        self.store.write::<_, Nobody, _>(work).await.map_err(|nobody| nobody.stop(&org, &id))?;
        let expires = now.plus(start_password::LIFE).to_string();
        Ok(Response::StartPassword(StartPasswordFacts { org, id, password: password.reveal().clone(), expires }))
    }

    /// Sends what the audit log says of a member, and then whether the whole log is as it was written.
    pub(super) async fn history(&self, org: OrgCode, id: LoginId, to: &mpsc::Sender<Response>) -> Result<(), Stop> {
        let (code, login) = (org.clone(), id.clone());
        let found = self.store.read::<_, Nobody, _>(move |tx| find(tx, &code, &login)).await;
        let (_, member) = found.map_err(|nobody| nobody.stop(&org, &id))?;
        let (id, mut after) = (member.id, 0);
        loop {
            let page = self.store.read::<_, StoreError, _>(move |tx| tx.audit(Some(id), after, PAGE)).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            to.send(Response::Audit(page.into_iter().map(AuditFacts::new).collect())).await?;
        }
        let broken_at = audit::broken(&self.store).await?.map(|row| row.at.to_string());
        Ok(to.send(Response::Chain(ChainFacts { broken_at })).await?)
    }
}

fn facts(tx: &mut Tx<'_>, org: Org, member: Member, now: Timestamp) -> Result<MemberFacts, StoreError> {
    let mut addresses = Vec::new();
    for (priority, address) in tx.addresses_of(member.id)? {
        let state = tx.address(&address)?.map_or(AddressState::New, |row| row.state).to_string();
        addresses.push(MemberAddress { priority: priority.number(), address, state });
    }
    let factors = tx.factors(member.id, now)?;
    let has = |kind| factors.iter().any(|factor: &Factor| factor.kind == kind);
    let two_factor = TwoFactor {
        app: has(FactorKind::App),
        mail: has(FactorKind::Mail),
        backup_code: !tx.backup_codes(member.id)?.is_empty(),
    };
    let set_at = member.start_at.filter(|_| member.must_change_password);
    let start_password_expires = set_at.map(|at| at.plus(start_password::LIFE).to_string());
    Ok(MemberFacts { org: org.code, row: MemberRow::new(member), start_password_expires, addresses, two_factor })
}
