//! Why a page cannot be served.

use std::io;
use std::net::SocketAddr;

/// Why a page cannot be served. Every message is one line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Other machines could see it, and nobody has to know a token.
    #[error("{0} can be reached by other machines; a page there needs a token")]
    Open(SocketAddr),
    /// The port cannot be had.
    #[error("no page can be served at {address}: {source}; take another port (0: any that is free)")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The system has no room for another thread or event queue.
    #[error("the page cannot be served: {0}")]
    Thread(io::Error),
    /// A token that cannot be part of an address, or is easily guessed.
    #[error("that is no token; one has {least} or more letters, digits, - and _")]
    Token {
        /// The fewest characters.
        least: usize,
    },
    /// The system gives no random numbers.
    #[error("/dev/urandom: {0}")]
    Random(io::Error),
}
