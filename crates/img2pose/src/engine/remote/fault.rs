//! What went wrong at the other end: whether it may pass, and in which words.

use std::error::Error as StdError;
use std::io;

use tonic::{Code, Status};

/// Why a request had no answer.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// It may pass: the server is not there, or is being restarted.
    Passing(String),
    /// It will not pass by itself.
    Lasting(String),
}

impl Fault {
    /// What `status` means. A model that is not known may come back where it `was_ready`: a server that is being stopped or updated
    /// says that it has none.
    pub fn of(status: &Status, was_ready: bool) -> Self {
        let words = words(status);
        match status.code() {
            _ if is_refused_by_tls(status) => Self::Lasting(format!(
                "{words}; set the file with the authorities that its certificate comes from, and name the server in the url as \
                 the certificate does"
            )),
            Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded | Code::Aborted => {
                Self::Passing(words)
            }
            // The connection ended in the middle of it.
            _ if status.source().is_some() => Self::Passing(words),
            Code::NotFound if was_ready => Self::Passing(words),
            Code::ResourceExhausted | Code::OutOfRange => Self::Lasting(format!(
                "{words}; lower the batch size or the size of the frames, or let the server take longer messages"
            )),
            Code::Unauthenticated | Code::PermissionDenied => Self::Lasting(format!(
                "{words}; set the headers or the certificate that it asks for"
            )),
            Code::Unimplemented => Self::Lasting(format!(
                "{words}; it does not speak the Open Inference Protocol (version 2) on this port; the port for gRPC is wanted"
            )),
            _ => Self::Lasting(words),
        }
    }
}

/// The code of `status`, its message, and what is behind it: the connection that was refused, say.
fn words(status: &Status) -> String {
    let mut words = format!("{:?}: {}", status.code(), status.message());
    let mut source = status.source();
    while let Some(error) = source {
        let text = error.to_string();
        // Each often repeats the one behind it.
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        source = error.source();
    }
    words
}

/// Whether TLS refused the other end, as rustls tells: with invalid data.
fn is_refused_by_tls(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        source = error.source();
    }
    false
}
