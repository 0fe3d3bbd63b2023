//! What the figures were measured on, and who else was at it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

/// Machine and library versions.
#[derive(Serialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub load_before: String,
    pub system: String,
    pub gstreamer: String,
    pub onnxruntime: String,
    pub version: &'static str,
}

impl Machine {
    pub fn read() -> Result<Self> {
        let runtime = img2pose::runtime::load(None, None)?;
        let first = |path: &str| {
            fs::read_to_string(path)
                .ok()
                .and_then(|text| text.split_whitespace().next().map(str::to_owned))
                .unwrap_or_default()
        };
        Ok(Self {
            processor: processor(),
            cores: std::thread::available_parallelism()?.get(),
            load_before: first("/proc/loadavg"),
            system: format!("Linux {}", first("/proc/sys/kernel/osrelease")),
            gstreamer: gst::version_string().to_string(),
            onnxruntime: library_name(runtime.path()),
            version: env!("CARGO_PKG_VERSION"),
        })
    }
}

/// The processor's name, and what it can do that matters here.
fn processor() -> String {
    let field = |name| field("/proc/cpuinfo", name);
    let name = field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let flags = field("flags").unwrap_or_default();
    let flags: Vec<&str> = flags.split(' ').collect();
    let able: Vec<&str> = ["avx2", "avx512f", "avx512_bf16", "amx_bf16"]
        .into_iter()
        .filter(|wanted| flags.contains(wanted))
        .collect();
    match (field("cpu family"), field("model\t")) {
        (Some(family), Some(model)) => {
            format!("{name} (family {family} model {model}, {})", able.join(" "))
        }
        _ => name,
    }
}

/// The library's file name, which carries the version and says whose build it is.
fn library_name(path: &Path) -> String {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Most memory that this process ever held, in MiB.
pub fn peak_memory_mib() -> Option<u64> {
    let text = field("/proc/self/status", "VmHWM")?;
    Some(text.trim_end_matches(" kB").trim().parse::<u64>().ok()? / 1024)
}

/// Watches how much of the machine other processes use meanwhile.
pub struct Load {
    began: Instant,
    all: u64,
    own: u64,
}

/// Clock ticks in a second in /proc: the same on every Linux that Rust supports.
const TICKS: f64 = 100.0;

impl Load {
    pub fn start() -> Result<Self> {
        let (all, own) = busy_ticks()?;
        Ok(Self {
            began: Instant::now(),
            all,
            own,
        })
    }

    /// The share of all cores' time that other processes used since the start, 0 to 1.
    pub fn others(&self) -> Result<f64> {
        let (all, own) = busy_ticks()?;
        let others = (all - self.all).saturating_sub(own - self.own) as f64 / TICKS;
        let cores = std::thread::available_parallelism()?.get() as f64;
        Ok((others / (self.began.elapsed().as_secs_f64() * cores)).min(1.0))
    }
}

/// Tells a program that waits for ever from one that gets little of a busy machine.
pub struct Progress {
    used: u64,
    since: Instant,
}

impl Progress {
    /// Processor time that a program uses for asking whether it has got further, at most, in clock ticks.
    const NOTHING: u64 = 5;

    pub fn start() -> Result<Self> {
        Ok(Self {
            used: busy_ticks()?.1,
            since: Instant::now(),
        })
    }

    /// How long this process has used next to no processor time.
    pub fn standstill(&mut self) -> Result<Duration> {
        Ok(self.note(busy_ticks()?.1, Instant::now()))
    }

    fn note(&mut self, used: u64, now: Instant) -> Duration {
        if used > self.used + Self::NOTHING {
            *self = Self { used, since: now };
        }
        now - self.since
    }
}

/// Processor time that this process has used, all threads together, in steps of 10 ms.
pub fn processor_time() -> Result<Duration> {
    Ok(Duration::from_secs_f64(busy_ticks()?.1 as f64 / TICKS))
}

/// Busy time of the whole machine and of this process, in clock ticks.
fn busy_ticks() -> Result<(u64, u64)> {
    let machine = fs::read_to_string("/proc/stat").context("/proc/stat cannot be read")?;
    let own = fs::read_to_string("/proc/self/stat").context("/proc/self/stat cannot be read")?;
    busy_of(&machine, &own).context("/proc/stat is not understood")
}

fn busy_of(machine: &str, own: &str) -> Option<(u64, u64)> {
    let line = machine.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    // user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user.
    let busy = ticks.get(..3)?.iter().sum::<u64>() + ticks.get(5..8)?.iter().sum::<u64>();
    // The program's name, in brackets, may hold spaces; user and system time are the 14th and 15th field of all.
    let mut rest = own[own.rfind(')')? + 1..].split_whitespace().skip(11);
    let own = rest.next()?.parse::<u64>().ok()? + rest.next()?.parse::<u64>().ok()?;
    Some((busy, own))
}

/// The value of the first line `name : value` of a file in /proc.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_time_is_read_past_a_name_with_spaces_and_brackets() {
        let machine = "cpu  10 20 30 1000 500 1 2 3 99 99\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        let own = "77 (a ) name (x) S 1 2 3 4 5 6 7 8 9 10 7 5 0 0 20";
        assert_eq!(busy_of(machine, own), Some((66, 12)));
        assert_eq!(busy_of("intr 1", own), None);
    }

    #[test]
    fn a_starved_program_gets_further_and_a_stuck_one_does_not() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut progress = Progress {
            used: 100,
            since: start,
        };
        assert_eq!(progress.note(101, at(40)).as_secs(), 40);
        // 10 ms a second are little and more than nothing.
        assert_eq!(progress.note(110, at(50)).as_secs(), 0);
        assert_eq!(progress.note(112, at(90)).as_secs(), 40);
        assert_eq!(progress.note(115, at(111)).as_secs(), 61);
    }
}
