//! Keeping ONNX Runtime from reporting that it is used.
//!
//! The builds on PyPI report to their maker, on Linux since version 1.29. They leave a device id and a database of events in the
//! user's cache, below `$XDG_CACHE_HOME/Microsoft` or `~/.cache/Microsoft`, as soon as an ONNX Runtime environment is made;
//! the call that turns reports off needs that environment and comes too late. Only [`VARIABLE`] is read early enough.

/// Environment variable that keeps ONNX Runtime from reporting. It has to be set before the library makes its environment.
pub const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Sets [`VARIABLE`], where nobody has chosen a value for it and where that is sound: while this thread is the only one of
/// the process. Returns whether it is set now.
///
/// A program calls it first of all. [`runtime::load`](crate::runtime::load) and the GStreamer plugin call it too, when they are
/// loaded: that helps programs that have not started a thread by then, such as `gst-launch-1.0`. Others set the variable
/// where they are started.
pub fn refuse() -> bool {
    if is_decided() {
        return true;
    }
    if !is_only_thread() {
        return false;
    }
    // SAFETY: changing the environment is unsound while another thread may read it. This thread is the only one, and what
    // it does here starts none; a signal handler may not read the environment either.
    unsafe { std::env::set_var(VARIABLE, "1") };
    true
}

/// Whether somebody has chosen a value. An empty one turns nothing off.
pub fn is_decided() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
}

/// What to tell whoever starts a program in which nobody has set [`VARIABLE`], if builds of this version of ONNX Runtime may
/// report.
pub fn warning(version: &str) -> Option<String> {
    (!is_decided() && may_report(version)).then(|| {
        format!(
            "ONNX Runtime {version} may report that it is used, and keep a device id in ~/.cache/Microsoft: this program had \
             started threads before the plugin could turn that off; start it with {VARIABLE}=1"
        )
    })
}

/// Whether builds of this version on PyPI report on Linux: those from 1.29 on.
fn may_report(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(1), Some(29))
}

/// `false` also where the system does not tell.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_may_report() {
        let may = ["1.20.0", "1.28.4", "1.29.0", "1.32.0", "2.0.0", "x"].map(may_report);
        assert_eq!(may, [false, false, true, true, true, false]);
    }

    #[test]
    fn a_process_with_threads_is_left_alone() {
        // Tests run in threads.
        assert!(!is_only_thread());
        assert_eq!(refuse(), is_decided());
    }
}
