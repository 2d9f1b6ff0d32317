//! What processes have cost.

use std::time::Duration;

/// CPU time of a process so far.
///
/// # Panics
/// When there is no such process.
pub fn cpu_time_of(pid: u32) -> Duration {
    let [own, _] = Times::read(pid).expect("the process runs").ticks;
    seconds(own)
}

/// CPU time of a process and its children so far, those that have ended included.
///
/// # Panics
/// When there is no such process.
pub fn cpu_time_of_family(pid: u32) -> Duration {
    let [own, ended] = Times::read(pid).expect("the process runs").ticks;
    let pids = std::fs::read_dir("/proc").expect("read /proc").flatten();
    let children = pids.filter_map(|entry| Times::read(entry.file_name().to_str()?.parse().ok()?));
    let running: u64 = children.filter(|times| times.parent == pid).map(|times| times.ticks[0]).sum();
    seconds(own + ended + running)
}

/// Fields of `/proc/PID/stat`.
struct Times {
    parent: u32,
    /// Of the process, and of its children that have ended.
    ticks: [u64; 2],
}

impl Times {
    fn read(pid: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name of the program, in brackets, may contain spaces.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            ticks: [number(11)? + number(12)?, number(13)? + number(14)?],
        })
    }
}

fn seconds(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
