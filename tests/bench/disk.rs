//! What the machine under the run can do: no figure of a durable system means anything without it.

use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
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
}

/// The rest between two flushes of a [`Probe`]: it must find a stall of the disk, and must not be one.
const PAUSE: Duration = Duration::from_millis(5);

/// Raw flushes beside a run, each timed, on a thread of their own: they tell the disk's stalls from the program's.
pub struct Probe {
    stop: Arc<AtomicBool>,
    path: PathBuf,
    thread: JoinHandle<Vec<Flush>>,
}

/// A raw flush: when it began, and when the disk had it.
#[derive(Clone, Copy)]
struct Flush {
    began: Instant,
    ended: Instant,
}

impl Flush {
    fn took(&self) -> Duration {
        self.ended.duration_since(self.began)
    }
}

/// What a [`Probe`] saw.
pub struct Flushes(Vec<Flush>);

impl Probe {
    /// Begins to flush in a folder.
    pub fn start(folder: &Path) -> Self {
        let (stop, path) = (Arc::new(AtomicBool::new(false)), folder.join("flush-beside"));
        let (stopped, mut file) =
            (Arc::clone(&stop), std::fs::File::create(&path).expect("the folder can be written to"));
        file.write_all(&vec![0; 4 << 20]).expect("there is room");
        file.sync_all().expect("the disk flushes");
        let thread = std::thread::spawn(move || {
            let mut flushes = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                file.write_at(&[1; 4096], (flushes.len() as u64 % 1_000) * 4096).expect("there is room");
                file.sync_data().expect("the disk flushes");
                flushes.push(Flush { began, ended: Instant::now() });
                std::thread::sleep(PAUSE);
            }
            flushes
        });
        Self { stop, path, thread }
    }

    /// Ends, and gives what was seen.
    pub fn stop(self) -> Flushes {
        self.stop.store(true, Ordering::Relaxed);
        let flushes = self.thread.join().expect("the disk takes what it is given");
        std::fs::remove_file(self.path).expect("it was made at the start");
        Flushes(flushes)
    }
}

impl Flushes {
    /// What the three longest took together that were under way between two moments.
    pub fn three(&self, from: Instant, to: Instant) -> Duration {
        let beside = self.0.iter().filter(|flush| flush.began <= to && flush.ended >= from);
        let mut took: Vec<Duration> = beside.map(Flush::took).collect();
        took.sort_unstable_by(|a, b| b.cmp(a));
        took.iter().take(3).sum()
    }

    /// The longest of all.
    pub fn longest(&self) -> Duration {
        self.0.iter().map(Flush::took).max().unwrap_or_default()
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
