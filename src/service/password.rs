//! What a new password may be: weak is allowed unless the organisation asks for more, known-bad is not (requirements R017–R019,
//! R090 and chapter 2).
//!
//! Knows nothing of who is logged in, of hashing or of pages: texts come in, a [`Refusal`] with its reason comes out. What
//! always holds: a password is taken exactly as typed or refused, never shortened or changed; it is refused when it is the
//! organisation's code, the member's ID or the start password in any case or width, and where it is among what everybody tries
//! first, unless the organisation only warns of that.

use crate::model::{Blocklist, LoginId, OrgCode, Policy, Strength};
use zxcvbn::Score;

/// A password that falls within so many guesses is known-bad: the most used ones, runs of keys, repeated characters.
/// Anything above is the member's own choice (R019: weak can still be registered).
const KNOWN_BAD_GUESSES: u64 = 10_000;

/// Why a new password is refused; each has a sentence on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing was typed.
    Empty,
    /// A character other than half-width letters, digits and marks.
    Character,
    /// Fewer characters than the organisation asks for.
    TooShort,
    /// More characters than the organisation allows.
    TooLong,
    /// It is the organisation's code.
    OrgCode,
    /// It is the member's ID.
    LoginId,
    /// It is the start password the administrator gave out.
    Start,
    /// It is among the passwords that everybody tries first.
    KnownBad,
    /// It looks weaker than the organisation asks for.
    TooWeak,
    /// The second typing differs from the first.
    Mismatch,
}

impl Refusal {
    /// Every one of them.
    pub const ALL: [Self; 10] = [
        Self::Empty,
        Self::Character,
        Self::TooShort,
        Self::TooLong,
        Self::OrgCode,
        Self::LoginId,
        Self::Start,
        Self::KnownBad,
        Self::TooWeak,
        Self::Mismatch,
    ];

    /// Gives the name under which a page is told of it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Character => "character",
            Self::TooShort => "too-short",
            Self::TooLong => "too-long",
            Self::OrgCode => "org-code",
            Self::LoginId => "login-id",
            Self::Start => "start",
            Self::KnownBad => "known-bad",
            Self::TooWeak => "too-weak",
            Self::Mismatch => "mismatch",
        }
    }
}

/// What a password must not be, as far as it is readable.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The organisation's code.
    pub org: &'a OrgCode,
    /// The member's ID.
    pub login: &'a LoginId,
    /// The start password, where it is still sealed and not hashed.
    pub start: Option<&'a str>,
}

impl<'a> Known<'a> {
    /// What somebody who knows the member tries first.
    fn about_member(&self) -> Vec<&'a str> {
        [self.org.as_str(), self.login.as_str()].into_iter().chain(self.start).collect()
    }
}

/// Judges a new password typed twice.
///
/// # Errors
/// The first reason against it; what is wrong with the password itself comes before a second typing that differs.
pub fn judge(new: &str, again: &str, known: Known<'_>, policy: &Policy) -> Result<(), Refusal> {
    if new.is_empty() {
        return Err(Refusal::Empty);
    }
    if !new.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::Character);
    }
    if new.len() > usize::from(policy.password_max_length) {
        return Err(Refusal::TooLong);
    }
    not_known(new, known)?;
    if policy.blocklist == Blocklist::Reject && is_known_bad(new, known) {
        return Err(Refusal::KnownBad);
    }
    if new.len() < usize::from(policy.password_min_length) {
        return Err(Refusal::TooShort);
    }
    if strength(new, known) < policy.password_min_strength {
        return Err(Refusal::TooWeak);
    }
    if new == again { Ok(()) } else { Err(Refusal::Mismatch) }
}

fn not_known(new: &str, known: Known<'_>) -> Result<(), Refusal> {
    let same = |other: &str| folded(other) == folded(new);
    if same(known.org.as_str()) {
        return Err(Refusal::OrgCode);
    }
    if same(known.login.as_str()) {
        return Err(Refusal::LoginId);
    }
    if known.start.is_some_and(same) {
        return Err(Refusal::Start);
    }
    Ok(())
}

/// Says whether it is among the passwords that everybody tries first.
#[must_use]
pub fn is_known_bad(new: &str, known: Known<'_>) -> bool {
    zxcvbn::zxcvbn(new, &known.about_member()).guesses() < KNOWN_BAD_GUESSES
}

/// Estimates how strong a password is (弱/中/強, R019): how many guesses it takes somebody who knows what people choose.
#[must_use]
pub fn strength(new: &str, known: Known<'_>) -> Strength {
    match zxcvbn::zxcvbn(new, &known.about_member()).score() {
        // Fewer than 10^10 guesses; weak is what needs fewer than 10^8.
        Score::Three => Strength::Medium,
        Score::Four => Strength::Strong,
        _ => Strength::Weak,
    }
}

/// Turns full-width letters, digits and marks into half-width ones. No password has full-width characters, so where they are
/// typed at login the keyboard stood wrong.
#[must_use]
pub fn narrow(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '！'..='～' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            other => other,
        })
        .collect()
}

fn folded(text: &str) -> String {
    narrow(text.trim()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(new: &str, again: &str) -> Result<(), Refusal> {
        let (org, login) = ("ACME-2026".parse().unwrap(), "Tanaka0415".parse().unwrap());
        judge(new, again, Known { org: &org, login: &login, start: Some("ｈajime-Kite7") }, &Policy::default())
    }

    fn judged_by(policy: &Policy, new: &str) -> Result<(), Refusal> {
        let (org, login) = ("ACME-2026".parse().unwrap(), "Tanaka0415".parse().unwrap());
        judge(new, new, Known { org: &org, login: &login, start: None }, policy)
    }

    fn strength_of(new: &str) -> Strength {
        let (org, login) = ("ACME-2026".parse().unwrap(), "Tanaka0415".parse().unwrap());
        strength(new, Known { org: &org, login: &login, start: None })
    }

    #[test]
    fn r018_the_second_typing_must_be_the_same() {
        assert_eq!(judged("umi-to-yama", "umi-to-yama"), Ok(()));
        for again in ["", "umi-to-yamA", "umi-to-yama ", "umi-to-yam"] {
            assert_eq!(judged("umi-to-yama", again), Err(Refusal::Mismatch), "{again:?}");
        }
    }

    #[test]
    fn r019_weak_ones_are_taken() {
        for weak in ["neko3tama", "19580312", "hanako-1", "Sakura!2", "kx7q"] {
            assert_eq!(judged(weak, weak), Ok(()), "{weak}");
        }
    }

    #[test]
    fn r019_the_gauge_has_three_steps() {
        for (password, strength) in [
            ("kx7q", Strength::Weak),
            ("19580312", Strength::Weak),
            // Who knows the ID needs few guesses, however long it is.
            ("tanaka0415-Acme", Strength::Weak),
            ("neko3tama", Strength::Medium),
            ("kumo-ni-noru-saru-to-ame", Strength::Strong),
            ("", Strength::Weak),
        ] {
            assert_eq!(strength_of(password), strength, "{password}");
        }
    }

    #[test]
    fn an_organisation_may_ask_for_longer_and_stronger_ones_and_allow_longer_ones() {
        let policy = |key, value| {
            let mut policy = Policy::default();
            policy.set(key, value).unwrap();
            policy
        };
        let eight = policy("password_min_length", "8");
        assert_eq!(judged_by(&eight, "kx7q.Wz"), Err(Refusal::TooShort));
        assert_eq!(judged_by(&eight, "kx7q.Wz8"), Ok(()));
        // What is known-bad is called so, however short it is.
        assert_eq!(judged_by(&eight, "1234"), Err(Refusal::KnownBad));
        let (medium, strong) = (policy("password_min_strength", "medium"), policy("password_min_strength", "strong"));
        assert_eq!(judged_by(&medium, "19580312"), Err(Refusal::TooWeak));
        assert_eq!(judged_by(&medium, "neko3tama"), Ok(()));
        assert_eq!(judged_by(&strong, "neko3tama"), Err(Refusal::TooWeak));
        assert_eq!(judged_by(&strong, "kumo-ni-noru-saru-to-ame"), Ok(()));
        let long = policy("password_max_length", "128");
        let words = "kumo-ni-noru-saru-to-ame-no-yoru/".repeat(4);
        assert_eq!(judged_by(&long, &words[..128]), Ok(()));
        assert_eq!(judged_by(&long, &words[..129]), Err(Refusal::TooLong));
    }

    #[test]
    fn what_everybody_tries_first_is_refused() {
        for bad in [
            "password", "PASSWORD", "p@ssword", "123456", "12345678", "qwerty", "aaaaaaaa", "abcdefgh", "iloveyou",
            "1", "zq",
        ] {
            assert_eq!(judged(bad, bad), Err(Refusal::KnownBad), "{bad}");
        }
    }

    #[test]
    fn where_the_organisation_only_warns_what_everybody_tries_is_taken_and_what_the_administrator_knows_is_not() {
        let warn = Policy { blocklist: Blocklist::Warn, ..Policy::default() };
        for bad in ["password", "123456", "1"] {
            assert_eq!(judged_by(&warn, bad), Ok(()), "{bad}");
        }
        let (org, login) = ("ACME-2026".parse().unwrap(), "Tanaka0415".parse().unwrap());
        let known = Known { org: &org, login: &login, start: Some("123456") };
        assert!(is_known_bad("password", known) && !is_known_bad("neko3tama", known));
        for (bad, why) in
            [("acme-2026", Refusal::OrgCode), ("tanaka0415", Refusal::LoginId), ("123456", Refusal::Start)]
        {
            assert_eq!(judge(bad, bad, known, &warn), Err(why), "{bad}");
        }
        // Other rules hold as before.
        let warn = Policy { password_min_length: 8, ..warn };
        assert_eq!(judged_by(&warn, "123456"), Err(Refusal::TooShort));
    }

    #[test]
    fn what_the_administrator_knows_is_refused_in_any_case() {
        for (bad, why) in [
            ("ACME-2026", Refusal::OrgCode),
            ("acme-2026", Refusal::OrgCode),
            ("tanaka0415", Refusal::LoginId),
            ("TANAKA0415", Refusal::LoginId),
            ("hajime-kite7", Refusal::Start),
            ("Hajime-Kite7", Refusal::Start),
        ] {
            assert_eq!(judged(bad, bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn r090_half_width_and_at_most_32_and_never_cut() {
        let longest = "kumo-ni-noru-saru-to-ame-no-yoru";
        assert_eq!(longest.len(), 32);
        assert_eq!(judged(longest, longest), Ok(()));
        let longer = format!("{longest}!");
        assert_eq!(judged(&longer, &longer), Err(Refusal::TooLong));
        assert_eq!(judged(&longer, longest), Err(Refusal::TooLong));
        for wide in ["ｕｍｉ－ｔｏ－ｙａｍａ", "うみとやま", "umi to yama", "umi\tyama", "umi-to-yama\u{7f}", "ｳﾐﾄﾔﾏ"]
        {
            assert_eq!(judged(wide, wide), Err(Refusal::Character), "{wide}");
        }
        assert_eq!(judged("", ""), Err(Refusal::Empty));
    }

    #[test]
    fn full_width_typing_is_made_half_width_and_nothing_else_is_touched() {
        assert_eq!(narrow("ａＢ１！～"), "aB1!~");
        assert_eq!(narrow("aB1 あー"), "aB1 あー");
    }

    #[test]
    fn every_refusal_has_a_name_of_its_own() {
        let names = Refusal::ALL.map(Refusal::as_str);
        assert_eq!(std::collections::BTreeSet::from(names).len(), names.len());
    }
}
