//! What the machine under the run can do: no figure of a durable system means anything without it.

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the disk and the machine were like when a run began.
#[derive(Clone, Copy)]
pub struct Ground {
    /// Flushes a second.
    pub flushes: f64,
    /// The load average of the last minute.
    pub load: f64,
}

impl Ground {
    /// Looks at both.
    pub fn of(folder: &Path) -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").expect("Linux says how busy it is");
        let load = load.split(' ').next().and_then(|first| first.parse().ok()).expect("a number stands first");
        Self { flushes: flushes_per_second(folder), load }
    }

    /// What one flush takes.
    pub fn flush(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.flushes)
    }
}

/// Appends 4 KiB and waits for it to be on the disk, for one second; gives how often that went.
fn flushes_per_second(folder: &Path) -> f64 {
    let path = folder.join("flush-probe");
    let mut file = std::fs::File::create(&path).expect("the folder can be written to");
    file.write_all(&vec![0; 4 << 20]).expect("there is room");
    file.sync_all().expect("the disk flushes");
    let (start, mut number) = (Instant::now(), 0u32);
    while start.elapsed() < Duration::from_secs(1) {
        file.write_at(&[1; 4096], u64::from(number % 1_000) * 4096).expect("there is room");
        file.sync_data().expect("the disk flushes");
        number += 1;
    }
    let rate = f64::from(number) / start.elapsed().as_secs_f64();
    std::fs::remove_file(path).expect("it was just made");
    rate
}
