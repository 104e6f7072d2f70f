//! Whether the time that a login takes tells who is a member.

use crate::disk::Ground;
use crate::figure::{Figure, Waits};
use crate::pages::{daemon, login};
use crate::place::Place;
use crate::visitor::Visitor;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Logins of each kind.
const RUNS: usize = 1_000;
/// Beyond it a difference is taken to be there (dudect: Reparaz, Balasch, Verbauwhede, 2017).
const LEAK: f64 = 4.5;

/// How long a refused login takes, from the press to the answer.
fn refused(web: SocketAddr, id: &str) -> Duration {
    let mut visitor = Visitor::new(web);
    let page = visitor.get("/login").unwrap();
    let pressed = Instant::now();
    let fields = [("org", "DEMO"), ("id", id), ("family", ""), ("password", "kaze-to-kumo-5")];
    let answer = visitor.send(&page, "/login", &fields).unwrap();
    assert_eq!(answer.location.as_deref(), Some("/login"), "{}", answer.body);
    pressed.elapsed()
}

/// Mean and variance.
fn moments(waits: &[Duration]) -> (f64, f64) {
    let number = waits.len() as f64;
    let mean = waits.iter().map(Duration::as_secs_f64).sum::<f64>() / number;
    let squares = waits.iter().map(|wait| (wait.as_secs_f64() - mean).powi(2)).sum::<f64>();
    (mean, squares / (number - 1.0))
}

/// Welch's t of two samples.
fn welch(one: &[Duration], other: &[Duration]) -> f64 {
    let ((mean_of_one, var_of_one), (mean_of_other, var_of_other)) = (moments(one), moments(other));
    let error = (var_of_one / one.len() as f64 + var_of_other / other.len() as f64).sqrt();
    (mean_of_one - mean_of_other) / error
}

/// Those that took no longer than nine tenths of all: the rest is what else the machine did.
fn undisturbed(waits: &[Duration], limit: Duration) -> Vec<Duration> {
    waits.iter().copied().filter(|wait| *wait <= limit).collect()
}

/// Each login is the first of its account, so that no wait is in it; known and unknown ones take turns.
pub async fn logins() -> Figure {
    let place = Place::take();
    let daemon = daemon(&place, RUNS).await;
    let ground = Ground::of(&place.path("."));
    let (web, start) = (daemon.web, Instant::now());
    let (known, unknown) = tokio::task::block_in_place(|| {
        let both = |number: usize| {
            let stranger = format!("x{number:04}");
            if number.is_multiple_of(2) {
                let known = refused(web, &login(number));
                (known, refused(web, &stranger))
            } else {
                let unknown = refused(web, &stranger);
                (refused(web, &login(number)), unknown)
            }
        };
        (0..RUNS).map(both).unzip::<_, _, Vec<_>, Vec<_>>()
    });
    let seconds = start.elapsed().as_secs_f64();
    let limit = Waits::new([known.clone(), unknown.clone()].concat()).share(0.9);
    let [all, calm] = [welch(&known, &unknown), welch(&undisturbed(&known, limit), &undisturbed(&unknown, limit))];
    let medians = [&known, &unknown].map(|waits| Waits::new(waits.clone()).share(0.5).as_secs_f64() * 1_000.0);
    let verdict = if calm.abs() < LEAK { "no difference" } else { "a difference" };
    let result = format!(
        "medians {:.2} ms and {:.2} ms; Welch's t {all:.2} of all, {calm:.2} of the quicker nine tenths: {verdict}",
        medians[0], medians[1]
    );
    let what = "refused logins of members and of nobody, in turn";
    Figure { what, who: "karamail", mails: 2 * RUNS, seconds, result: Some(result), ground }
}
