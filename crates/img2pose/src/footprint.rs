//! Whether this machine has the memory for a run, as far as that can be said before.
//!
//! The system promises more memory than there is and ends processes when it is used. So a run that cannot fit is refused, and
//! the program hears of it.

use std::path::Path;

use crate::error::Error;

/// A run takes so many times what its first convolution holds. Measured: 1.9 times in 32 bits, 2.3 in 8 (the shipped model,
/// ONNX Runtime 1.32, 480x864 to 2048x3584 pixels).
const OF_FIRST_LAYER: f64 = 1.8;

/// What a run takes, and what there is in all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    /// For each pixel of a network image.
    bytes_per_pixel: f64,
    /// Bytes; what others have of it today may be free tomorrow.
    memory: f64,
}

impl Footprint {
    /// Of a network that computes elsewhere. Nothing is refused.
    pub const UNKNOWN: Self = Self {
        bytes_per_pixel: 0.0,
        memory: f64::INFINITY,
    };

    /// Of a network whose first convolution holds so many bytes a pixel of this machine's memory.
    pub fn on_this_machine(first_layer: f64) -> Self {
        let memory = memory(&|path| std::fs::read_to_string(path).ok());
        Self::of(OF_FIRST_LAYER * first_layer, memory)
    }

    /// Of a network that takes so many bytes a pixel of so many bytes.
    pub(crate) fn of(bytes_per_pixel: f64, memory: f64) -> Self {
        Self {
            bytes_per_pixel,
            memory,
        }
    }

    /// Refuses a run with network images of `width` x `height` pixels of `frames` frames that cannot fit.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn check(&self, frames: usize, width: u32, height: u32) -> Result<(), Error> {
        let pixels = f64::from(width) * f64::from(height) * frames as f64;
        if pixels * self.bytes_per_pixel <= self.memory {
            return Ok(());
        }
        Err(Error::OutOfMemory {
            frames,
            width,
            height,
        })
    }
}

/// The text of a file of the system. `None`: there is none, so the machine has no such limit.
type Read<'r> = dyn Fn(&Path) -> Option<String> + 'r;

/// Bytes that this process can have at most: memory and swap of the machine, and what its control groups allow. Infinite
/// where that cannot be read, as on systems other than Linux.
fn memory(read: &Read<'_>) -> f64 {
    let of_machine = read(Path::new("/proc/meminfo"))
        .map(|text| kibibytes(&text, "MemTotal:") + kibibytes(&text, "SwapTotal:"))
        .filter(|&kibibytes| kibibytes > 0.0)
        .map_or(f64::INFINITY, |kibibytes| 1024.0 * kibibytes);
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    groups
        .lines()
        .filter_map(|line| limit_of_group(line, read))
        .fold(of_machine, f64::min)
}

/// The number of a line of `/proc/meminfo`.
fn kibibytes(text: &str, name: &str) -> f64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

/// The smallest limit of a control group and those around it, from its line `number:controllers:path` in
/// `/proc/self/cgroup` (cgroups(7)). Version 2 has no controllers in its line.
fn limit_of_group(line: &str, read: &Read<'_>) -> Option<f64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?);
    let (base, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|controller| controller == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let group = Path::new(base).join(path.trim_start_matches('/'));
    group
        .ancestors()
        .take_while(|group| group.starts_with(base))
        // Without a limit version 2 says "max", which is no number.
        .filter_map(|group| read(&group.join(file))?.trim().parse().ok())
        .reduce(f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What [`memory`] says of a system with these files.
    fn memory_by(files: &[(&str, &str)]) -> f64 {
        memory(&|path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned())
        })
    }

    const MEMINFO: (&str, &str) = (
        "/proc/meminfo",
        "MemTotal:        2000 kB\nMemFree: 10 kB\nSwapTotal:    500 kB\n",
    );

    #[test]
    fn memory_is_that_of_the_machine_or_of_the_group_around_the_process() {
        assert_eq!(memory_by(&[MEMINFO]), 2500.0 * 1024.0);
        let second = [
            MEMINFO,
            ("/proc/self/cgroup", "0::/a/b\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/memory.max", "1000000\n"),
        ];
        assert_eq!(memory_by(&second), 1e6);
        let first = [
            MEMINFO,
            ("/proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/x\n0::/\n"),
            ("/sys/fs/cgroup/memory/x/memory.limit_in_bytes", "700000\n"),
            (
                "/sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
        ];
        assert_eq!(memory_by(&first), 7e5);
    }

    #[test]
    fn what_cannot_be_read_bounds_nothing() {
        let nonsense = [("/proc/self/cgroup", "nonsense\n::\n"), ("/proc/meminfo", "")];
        assert_eq!(memory_by(&nonsense), f64::INFINITY);
    }

    #[test]
    fn only_a_run_that_cannot_fit_is_refused() {
        let footprint = Footprint::of(76.0, 76.0 * 1e6);
        assert!(footprint.check(1, 1000, 1000).is_ok());
        let error = footprint.check(2, 1000, 1000);
        assert!(matches!(error, Err(Error::OutOfMemory { frames: 2, .. })));
        assert!(Footprint::UNKNOWN.check(usize::MAX, u32::MAX, u32::MAX).is_ok());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_has_memory() {
        let Footprint { memory, .. } = Footprint::on_this_machine(1.0);
        assert!(memory > 1e8 && memory < 1e16, "{memory}");
    }
}
