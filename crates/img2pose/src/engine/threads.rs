//! The threads of a detector, and whether the system has them.

use std::io;
use std::sync::{Arc, Barrier, PoisonError, RwLock};
use std::thread::Builder;

use crate::error::Error;

/// What a thread of ONNX Runtime's takes of the address space: glibc's default.
const STACK_BYTES: usize = 8 << 20;

/// The threads for what is not ONNX Runtime's: proposals, RoIAlign.
///
/// # Errors
/// [`Error::Threads`] when the system has no more.
pub(crate) fn new_pool(threads: usize) -> Result<Arc<rayon::ThreadPool>, Error> {
    // Refused one while it starts them, the process may end.
    try_out(threads)?;
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("img2pose-{index}"))
        .build()
        .map(Arc::new)
        .map_err(|error| refused(threads, &error))
}

/// Sees whether the system has so many more threads at one time, for what is made next: a session of ONNX Runtime that is refused
/// one waits without end for those that it has. With one thread it makes none.
///
/// # Errors
/// [`Error::Threads`] when it has not.
pub(super) fn try_out(threads: usize) -> Result<(), Error> {
    if threads <= 1 {
        return Ok(());
    }
    let (gate, begun) = (RwLock::new(()), Barrier::new(2));
    let started = std::thread::scope(|scope| {
        // No thread ends before all have begun.
        let shut = gate.write().unwrap_or_else(PoisonError::into_inner);
        // One after the other: what a thread needs at its start beside the stack must not be what is refused.
        let start = |_| -> io::Result<_> {
            let thread = Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, || {
                begun.wait();
                drop(gate.read());
            })?;
            begun.wait();
            Ok(thread)
        };
        let started: io::Result<Vec<_>> = (0..threads).map(start).collect();
        drop(shut);
        // The end of the scope waits for what they do, and not until the system has them back.
        for thread in started? {
            // It cannot have panicked.
            let _ = thread.join();
        }
        Ok(())
    });
    started.map_err(|error: io::Error| refused(threads, &error))
}

fn refused(threads: usize, error: &dyn std::error::Error) -> Error {
    Error::Threads {
        threads,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_numbers_of_threads_pass() {
        for threads in [0, 1, 2, 16] {
            try_out(threads).unwrap();
        }
    }
}
