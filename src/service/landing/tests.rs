use super::*;

fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

fn registration(state: RegistrationState) -> Registration {
    Registration {
        id: RegistrationId::new(7),
        address: address("hanako@docomo.ne.jp"),
        org: None,
        state,
        opened_at: Timestamp::from_millis(0),
        expires: Timestamp::from_millis(90_000),
        finished_at: None,
        member: None,
        priority: None,
    }
}

const LINK: Link = Link { purpose: Purpose::Registration, row: 7, expires: 60, nonce: [1; 16] };

#[test]
fn r121_each_state_of_a_link_has_its_own_sight() {
    let open = registration(RegistrationState::Open);
    let done = registration(RegistrationState::Done);
    let ended = registration(RegistrationState::Expired);
    let until = Timestamp::from_millis(60_000);
    let over = |of: Option<&Registration>| Sight::Expired { until, registration: of.cloned().map(Box::new) };
    for (link, row, sight) in [
        (Ok(LINK), Some(&open), Sight::Open(Box::new(open.clone()), LINK)),
        (Ok(LINK), Some(&done), Sight::Done(Box::new(done.clone()))),
        (Ok(LINK), Some(&ended), over(Some(&ended))),
        (Ok(LINK), None, over(None)),
        (Err(LinkError::Expired(LINK)), Some(&open), over(Some(&open))),
        (Err(LinkError::Expired(LINK)), Some(&done), Sight::Done(Box::new(done.clone()))),
        (Err(LinkError::Expired(LINK)), Some(&ended), over(Some(&ended))),
        (Err(LinkError::Expired(LINK)), None, over(None)),
        (Err(LinkError::Incomplete), None, Sight::Cut),
        (Err(LinkError::Forged), None, Sight::Forged),
    ] {
        assert_eq!(judge(link, row.cloned()), sight, "{link:?} {row:?}");
    }
}

#[test]
fn r120_what_a_choice_does_to_the_other_addresses() {
    use Priority::{First, Second, Third};
    let new = address("Hanako@docomo.ne.jp");
    let (a, b) = (address("a@example.jp"), address("b@example.jp"));
    let own = address("hanako@docomo.ne.jp");
    for (present, place, plan) in [
        (vec![], First, Plan::Put),
        (vec![(First, a.clone())], Second, Plan::Put),
        (vec![(First, a.clone())], First, Plan::Replace { old: a.clone() }),
        (vec![(First, own.clone())], First, Plan::Put),
        (vec![(First, own.clone())], Third, Plan::Move { from: First }),
        (vec![(First, own.clone()), (Second, b.clone())], Second, Plan::Swap { old: b.clone(), to: First }),
        (vec![(First, a.clone()), (Second, b.clone()), (Third, own)], First, Plan::Swap { old: a, to: Third }),
    ] {
        assert_eq!(Plan::of(&present, &new, place), plan, "{present:?} {place}");
    }
}
