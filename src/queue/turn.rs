//! Whose turn it is when a destination has a connection and a token free.
//!
//! One-time passwords go first, then what somebody waits for at a screen, then the rest; but nobody starves: a class that
//! waited through its number of turns is next, whatever is more urgent.
//!
//! Knows nothing of mails or connections. What always holds: a one-time password is passed over only after
//! [`OTP_RUN`] others went past those that waited, so that one that comes alone is passed by nobody; every other class is passed over at most
//! [`patience`] times plus once for each other class whose patience ran out as well.

use crate::queue::Class;

/// One-time passwords in a row past mails that waited, after which another class has one turn.
pub const OTP_RUN: u32 = 19;

/// How often a class is passed over before it is its turn: its guaranteed share is one turn in that many and one.
#[must_use]
pub const fn patience(class: Class) -> u32 {
    match class {
        Class::Otp => 0,
        // Mass alerts are why the house exists: a flood of registrations leaves them every fourth turn at least.
        Class::Alert => 3,
        Class::Registration | Class::ContactTest => 9,
        Class::Notice | Class::Report => 19,
    }
}

/// The order of turns where nobody has waited too long: by who waits at a screen.
const ORDER: [Class; 6] =
    [Class::Otp, Class::Registration, Class::ContactTest, Class::Alert, Class::Notice, Class::Report];

/// Says whether somebody waits for a mail of this class, so that it may probe and is never sent behind another.
#[must_use]
pub const fn is_urgent(class: Class) -> bool {
    match class {
        Class::Otp | Class::Registration | Class::ContactTest => true,
        Class::Alert | Class::Notice | Class::Report => false,
    }
}

/// The place of a class in `ORDER`.
#[must_use]
pub const fn precedence(class: Class) -> u8 {
    match class {
        Class::Otp => 0,
        Class::Registration => 1,
        Class::ContactTest => 2,
        Class::Alert => 3,
        Class::Notice => 4,
        Class::Report => 5,
    }
}

/// Who was passed over how often, for one destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turns {
    /// By precedence.
    passed: [u32; 6],
    /// One-time passwords in a row that went past somebody.
    otp_run: u32,
}

impl Turns {
    /// Says whose turn it is among the classes of which something waits.
    #[must_use]
    pub fn pick(&self, waits: impl Fn(Class) -> bool) -> Option<Class> {
        let first = ORDER.into_iter().find(|class| waits(*class))?;
        if first == Class::Otp && self.otp_run < OTP_RUN {
            return Some(first);
        }
        let others = ORDER.into_iter().filter(|class| *class != Class::Otp && waits(*class));
        let most_passed = others.max_by_key(|class| (self.overdue(*class), std::cmp::Reverse(precedence(*class))));
        match most_passed {
            // After a run of one-time passwords another class goes, whoever has waited most.
            Some(other) if first == Class::Otp => Some(other),
            Some(other) if self.overdue(other).is_some() => Some(other),
            Some(_) | None => Some(first),
        }
    }

    /// How often a class was passed over since its last turn.
    #[must_use]
    pub fn passed(&self, class: Class) -> u32 {
        self.passed[usize::from(precedence(class))]
    }

    /// Says whether a class that was passed over so often has no patience left.
    #[must_use]
    pub const fn is_overdue(class: Class, passed: u32) -> bool {
        passed >= patience(class)
    }

    /// A class gave its turn to another one: it was passed over as often as `before`, and once more.
    pub fn gave_way(&mut self, class: Class, before: u32) {
        let passed = &mut self.passed[usize::from(precedence(class))];
        *passed = (*passed).max(before.saturating_add(1));
    }

    /// By how much a class waited longer than it has patience; nothing: it has some left.
    fn overdue(&self, class: Class) -> Option<u32> {
        self.passed[usize::from(precedence(class))].checked_sub(patience(class))
    }

    /// Notes that a class had its turn while others waited.
    pub fn took(&mut self, class: Class, waits: impl Fn(Class) -> bool) {
        for other in ORDER {
            let passed = &mut self.passed[usize::from(precedence(other))];
            *passed = if other != class && waits(other) { passed.saturating_add(1) } else { 0 };
        }
        // Who went while nobody waited took nothing from anybody.
        let passes = class == Class::Otp && ORDER.into_iter().any(|other| other != class && waits(other));
        self.otp_run = if passes { self.otp_run.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Serves `turns` turns with everything in `waiting` always there; gives who went.
    fn serve(waiting: &[Class], turns: usize) -> Vec<Class> {
        let mut state = Turns::default();
        let waits = |class: Class| waiting.contains(&class);
        let mut went = Vec::new();
        for _ in 0..turns {
            let class = state.pick(waits).unwrap();
            state.took(class, waits);
            went.push(class);
        }
        went
    }

    fn count(went: &[Class], class: Class) -> usize {
        went.iter().filter(|other| **other == class).count()
    }

    #[test]
    fn nothing_waiting_is_nobodys_turn() {
        assert_eq!(Turns::default().pick(|_| false), None);
    }

    #[test]
    fn the_order_is_who_waits_at_a_screen() {
        let mut left = ORDER.to_vec();
        left.reverse();
        let mut state = Turns::default();
        let mut went = Vec::new();
        while !left.is_empty() {
            let class = state.pick(|class| left.contains(&class)).unwrap();
            state.took(class, |class| left.contains(&class));
            left.retain(|other| *other != class);
            went.push(class);
        }
        assert_eq!(went, ORDER);
    }

    #[test]
    fn a_one_time_password_that_comes_alone_is_passed_by_nobody() {
        let mut state = Turns::default();
        // Everybody else is overdue.
        for _ in 0..100 {
            state.took(Class::Registration, |_| true);
        }
        assert_eq!(state.pick(|_| true), Some(Class::Otp));
    }

    #[test]
    fn one_time_passwords_that_kept_nobody_waiting_are_not_counted() {
        let mut state = Turns::default();
        for _ in 0..100 {
            state.took(Class::Otp, |class| class == Class::Otp);
        }
        assert_eq!(state.pick(|_| true), Some(Class::Otp));
    }

    #[test]
    fn a_flood_of_one_time_passwords_leaves_every_other_class_its_share() {
        let went = serve(&ORDER, 2_000);
        assert_eq!(count(&went, Class::Otp), 1_900);
        for class in ORDER.into_iter().filter(|class| *class != Class::Otp) {
            assert!(count(&went, class) >= 10, "{class}: {}", count(&went, class));
        }
        // Never two others in a row.
        assert!(went.windows(2).all(|pair| pair.contains(&Class::Otp)));
    }

    #[test]
    fn every_class_has_the_share_it_was_promised() {
        let waiting = &ORDER[1..];
        let went = serve(waiting, 3_000);
        for class in waiting {
            let turns: Vec<usize> = (0..went.len()).filter(|turn| went[*turn] == *class).collect();
            let longest = turns.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
            assert!(longest <= patience(*class) as usize + waiting.len(), "{class} waited {longest} turns");
        }
        assert!(count(&went, Class::Alert) * 5 >= went.len());
        assert!(count(&went, Class::Registration) * 3 >= went.len());
    }

    #[test]
    fn alerts_beside_registrations_have_every_fourth_turn() {
        let went = serve(&[Class::Registration, Class::Alert], 400);
        assert_eq!(count(&went, Class::Alert), 100);
    }
}
