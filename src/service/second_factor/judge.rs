//! Whether a code that guards something is right: counted, judged and used up (RFC 6238 5.2, ASVS 6.5).
//!
//! Knows nothing of what the code allows. What always holds: the count is in the transaction of the verdict, so of codes typed
//! side by side one is judged while the gate is open; a step of the app passes once; codes typed on devices that are not the
//! member's own are counted together, and do not shut out those that are.

use super::app::{self, SECRET_LEN};
use super::{FactorError, Proof, Step, Verdict, kept_for, record};
use crate::keys::{Keychain, Keys};
use crate::model::{EmailAddress, Secret, Timestamp, mac};
use crate::seal;
use crate::service::audit;
use crate::service::otp::{self, Purpose, Tried};
use crate::service::session::Visitor;
use crate::store::{APP_SECRET, FactorKind, Gate, Store, StoreError, Tx};
use std::sync::Arc;

/// What is asked about a code.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) proof: Proof,
    pub(super) purpose: Purpose,
    pub(super) step: Step,
}

/// One code, and what it is judged by.
#[derive(Clone)]
pub(super) struct Judge {
    keys: Arc<Keys>,
    visitor: Visitor,
    asked: Asked,
    /// The secret of the app as it was when the code was compared with it.
    sealed: Option<Vec<u8>>,
    /// The step whose code was typed.
    used: Option<i64>,
    /// Under what the tries are counted.
    account: [u8; 32],
}

impl Judge {
    /// Loads what the code is judged by, and compares that of an app: nothing is opened inside a transaction.
    pub(super) async fn load(
        store: &Store,
        keys: &Keychain,
        visitor: &Visitor,
        asked: Asked,
    ) -> Result<Self, FactorError> {
        let id = visitor.member.id;
        let sealed = store.read::<_, StoreError, _>(move |tx| tx.secret(APP_SECRET, id.number())).await?;
        // Behind the reading: what was sealed with a key that has just come opens too.
        let keys = keys.now();
        let used = sealed.as_ref().filter(|_| asked.proof.kind == FactorKind::App).and_then(|sealed| {
            let opened = seal::open(keys.seal(), &kept_for(id), sealed)
                .inspect_err(|cause| tracing::error!(member = %id, %cause, "the secret of an app stays closed"));
            let secret: Secret<[u8; SECRET_LEN]> = Secret::new(opened.ok()?.reveal().as_slice().try_into().ok()?);
            app::step(secret.reveal(), &otp::digits(&asked.proof.typed), asked.step.now)
        });
        let (_, key) = keys.seal().oldest();
        let account = mac(key, "karamail second factor", &id.number().to_be_bytes());
        Ok(Self { keys, visitor: visitor.clone(), asked, sealed, used, account })
    }

    pub(super) const fn kind(&self) -> FactorKind {
        self.asked.proof.kind
    }

    /// Counts the code, judges it, and uses it up where it is right.
    pub(super) fn verdict(&self, tx: &mut Tx<'_>) -> Result<Verdict<()>, StoreError> {
        let (id, Step { device, now, .. }) = (self.visitor.member.id, self.asked.step);
        if !tx.factors(id, now)?.iter().any(|factor| factor.kind == self.kind()) {
            return Ok(Verdict::Gone);
        }
        if let Some(until) = otp::paused(tx, id, now)?.filter(|_| device.is_none()) {
            return Ok(Verdict::Wait { until });
        }
        let device = device.unwrap_or([0; 32]);
        if let Gate::Wait { until } = tx.try_login(&self.account, &device, now)? {
            return Ok(Verdict::Wait { until });
        }
        let verdict = match self.kind() {
            FactorKind::App => self.app(tx)?,
            FactorKind::Mail => {
                let Asked { proof, purpose, .. } = &self.asked;
                mailed(tx, &self.keys, &self.visitor, *purpose, &proof.typed, now)?.map(drop)
            }
        };
        if verdict == Verdict::Right(()) {
            tx.login_succeeded(&self.account, &device)?;
        } else {
            record(tx, &self.visitor, audit::TWO_FACTOR_FAIL, self.kind(), now)?;
        }
        Ok(verdict)
    }

    fn app(&self, tx: &mut Tx<'_>) -> Result<Verdict<()>, StoreError> {
        let id = self.visitor.member.id;
        let is_current = self.is_current(tx)?;
        if let Some(step) = self.used.filter(|_| is_current)
            && tx.use_step(id, step)?
        {
            return Ok(Verdict::Right(()));
        }
        otp::note_wrong(tx, id, self.asked.step.now)?;
        Ok(Verdict::Wrong { left: None })
    }

    /// Says whether the secret is still the one that the code was compared with; it may have been sealed anew since.
    fn is_current(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let id = self.visitor.member.id;
        let kept = tx.secret(APP_SECRET, id.number())?;
        if kept == self.sealed {
            return Ok(true);
        }
        let opened = |sealed: &Option<Vec<u8>>| seal::open(self.keys.seal(), &kept_for(id), sealed.as_ref()?).ok();
        let both = opened(&kept).zip(opened(&self.sealed));
        Ok(both.is_some_and(|(one, other)| one.reveal() == other.reveal()))
    }
}

/// Judges a code that came by mail; gives the address it had been sent to.
pub(super) fn mailed(
    tx: &mut Tx<'_>,
    keys: &Keys,
    visitor: &Visitor,
    purpose: Purpose,
    typed: &str,
    now: Timestamp,
) -> Result<Verdict<EmailAddress>, StoreError> {
    let tried = otp::try_code(tx, keys.seal(), &visitor.session, visitor.member.id, purpose, typed, now)?;
    Ok(match tried {
        Tried::Right { address } => Verdict::Right(address),
        Tried::Wrong { left } => Verdict::Wrong { left: Some(left) },
        Tried::Over => Verdict::Over,
    })
}
