//! What the server is told to do.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::{InferResponse, ModelMetadataResponse};

/// Says what becomes of a batch whose frames have a shape.
pub type Choice = dyn Fn(&[i64]) -> Infer + Send + Sync;

/// What becomes of a batch.
#[derive(Clone)]
pub enum Infer {
    /// It is computed.
    Answer,
    /// The same, after a while.
    Late(Duration),
    /// It is computed, and the answer is changed.
    Changed(Arc<dyn Fn(&mut InferResponse) + Send + Sync>),
    /// This status and message.
    Status(i32, String),
    /// No answer comes, ever.
    Silence,
    /// The connection is closed.
    HangUp,
    /// What this says of a batch whose frames have that shape, for each batch anew.
    Chosen(Arc<Choice>),
}

impl fmt::Debug for Infer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("Answer"),
            Self::Late(time) => write!(f, "Late({time:?})"),
            Self::Changed(_) => f.write_str("Changed"),
            Self::Status(code, message) => write!(f, "Status({code}, {message})"),
            Self::Silence => f.write_str("Silence"),
            Self::HangUp => f.write_str("HangUp"),
            Self::Chosen(_) => f.write_str("Chosen"),
        }
    }
}

impl Infer {
    /// The answer, changed.
    pub fn changed(change: impl Fn(&mut InferResponse) + Send + Sync + 'static) -> Self {
        Self::Changed(Arc::new(change))
    }

    /// What `choose` says, for each batch anew.
    pub fn chosen(choose: impl Fn(&[i64]) -> Self + Send + Sync + 'static) -> Self {
        Self::Chosen(Arc::new(choose))
    }
}

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Whether it says that it is ready.
    pub server_ready: bool,
    /// Whether it says that its model is.
    pub model_ready: bool,
    /// What it says that its model is; `None`: the truth.
    pub metadata: Option<ModelMetadataResponse>,
    /// What becomes of the next batches, one after the other.
    pub next: VecDeque<Infer>,
    /// What becomes of those behind them.
    pub then: Infer,
    /// A header that each request must have.
    pub wanted_header: Option<(String, String)>,
    /// Bytes that a request may have.
    pub most_bytes: usize,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            server_ready: true,
            model_ready: true,
            metadata: None,
            next: VecDeque::new(),
            then: Infer::Answer,
            wanted_header: None,
            most_bytes: 64 << 20,
        }
    }
}
