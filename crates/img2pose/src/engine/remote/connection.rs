//! What the engines of one model have in common: the way to the server, and whether there is one now.
//!
//! A server that does not answer in time is out. From then on batches fail at once, so that streams do not stand still for the
//! time of an answer again and again, and a task asks in the background until the server is there again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, sleep};
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;

use super::address;
use super::answer::Answer;
use super::client::Client;
use super::fault::Fault;
use super::proto::{InferRequest, ModelRequest};
use crate::cancel::Canceller;
use crate::error::Error;
use crate::origin::Origin;
use crate::server::ServerOptions;

/// Pauses before a server that is out is asked again: at first, and at most; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The way to a model at a server.
pub(crate) struct Connection {
    /// `None` only while this is dropped.
    runtime: Option<Runtime>,
    timeout: Duration,
    shared: Arc<Shared>,
}

/// What the background task needs, too.
struct Shared {
    /// What errors say of server and model.
    origin: Origin,
    contract: [u8; 16],
    endpoint: Endpoint,
    model: ModelRequest,
    headers: Arc<MetadataMap>,
    /// A batch that any model answers: one blank frame.
    trial: InferRequest,
    state: Mutex<State>,
}

struct State {
    client: Client,
    /// How many times the server was out.
    outages: u64,
    now: Health,
}

enum Health {
    Well,
    /// It does not answer, and why.
    Out(String),
    /// It has come back as another one.
    Changed(String),
}

impl Connection {
    /// Connects, and checks that server and model are what is needed: within the time for an answer.
    ///
    /// # Errors
    /// Options that cannot be; [`Error::Server`] with what was found.
    pub(super) fn open(
        options: &ServerOptions,
        origin: &Origin,
        contract: [u8; 16],
        trial: impl FnOnce(&ModelRequest) -> InferRequest,
    ) -> Result<Self, Error> {
        options.validate()?;
        let endpoint = address::endpoint(options)?;
        let headers = Arc::new(address::headers(options)?);
        let model = ModelRequest {
            name: options.model.clone(),
            version: options.version.clone().unwrap_or_default(),
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("img2pose-server")
            .enable_all()
            .build()
            .map_err(|error| Error::Server {
                server: origin.path.display().to_string(),
                reason: format!("no thread can be started for it: {error}"),
            })?;
        let inside = runtime.enter();
        let client = Client::new(&endpoint, model.clone(), headers.clone());
        drop(inside);
        let connection = Self {
            runtime: Some(runtime),
            timeout: options.timeout,
            shared: Arc::new(Shared {
                origin: origin.clone(),
                contract,
                endpoint,
                trial: trial(&model),
                model,
                headers,
                state: Mutex::new(State {
                    client: client.clone(),
                    outages: 0,
                    now: Health::Well,
                }),
            }),
        };
        let until = Instant::now() + options.timeout;
        let done = connection
            .runtime()?
            .block_on(connection.shared.try_out(&client, until, false));
        done.map_err(|fault| {
            let reason = match &fault {
                Fault::Passing(reason) => format!(
                    "{reason}; waited for {:?}. Is it running, and are address and port for gRPC right?",
                    options.timeout
                ),
                Fault::Lasting(reason) => reason.clone(),
            };
            connection.shared.error(reason)
        })?;
        Ok(connection)
    }

    /// The answer to `request`, a batch of `batch` frames.
    ///
    /// # Errors
    /// [`Error::Cancelled`] as soon as `canceller` says so, [`Error::Outage`] when there is no answer in time and while there is no
    /// server, and what [`Answer::read`] says.
    pub(super) fn ask(
        &self,
        request: &InferRequest,
        batch: usize,
        canceller: &Canceller,
    ) -> Result<Answer, Error> {
        let shared = &self.shared;
        if canceller.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let client = {
            let state = shared.lock();
            match &state.now {
                Health::Well => state.client.clone(),
                Health::Out(reason) => return Err(shared.outage(reason, state.outages)),
                Health::Changed(reason) => return Err(shared.error(reason.clone())),
            }
        };
        let until = Instant::now() + self.timeout;
        let answer = self.runtime()?.block_on(async {
            tokio::select! {
                biased;
                () = canceller.cancelled() => None,
                answer = client.infer(request, until, true) => Some(answer),
            }
        });
        match answer {
            None => Err(Error::Cancelled),
            Some(Ok(response)) => Answer::read(&response, batch, &shared.contract, &shared.origin),
            Some(Err(Fault::Lasting(reason))) => Err(shared.error(reason)),
            Some(Err(Fault::Passing(reason))) => self.begin_outage(reason),
        }
    }

    /// Takes down that the server is out, unless another batch has found that before.
    fn begin_outage<T>(&self, reason: String) -> Result<T, Error> {
        let mut state = self.shared.lock();
        let is_new = matches!(state.now, Health::Well);
        if is_new {
            state.outages += 1;
            state.now = Health::Out(reason.clone());
        }
        let error = self.shared.outage(&reason, state.outages);
        drop(state);
        if is_new {
            let (shared, timeout) = (self.shared.clone(), self.timeout);
            self.runtime()?.spawn(shared.wait_for_server(timeout));
        }
        Err(error)
    }

    fn runtime(&self) -> Result<&Runtime, Error> {
        // There is one as long as this can be called.
        self.runtime.as_ref().ok_or(Error::Cancelled)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A name that is being looked up may take minutes.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    // Each section is a few assignments: a panic leaves nothing half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, reason: String) -> Error {
        Error::Server {
            server: self.origin.path.display().to_string(),
            reason,
        }
    }

    fn outage(&self, reason: &str, number: u64) -> Error {
        Error::Outage {
            server: self.origin.path.display().to_string(),
            reason: reason.to_owned(),
            number,
        }
    }

    /// Whether server and model are there and are what is needed, shown by a trial.
    async fn try_out(&self, client: &Client, until: Instant, was_ready: bool) -> Result<(), Fault> {
        client.check(until, was_ready).await?;
        let response = client.infer(&self.trial, until, was_ready).await?;
        Answer::read(&response, 1, &self.contract, &self.origin)
            .map(|_| ())
            .map_err(|error| match error {
                // The words around it come with the error that is made of this.
                Error::Server { reason, .. } => Fault::Lasting(reason),
                other => Fault::Lasting(other.to_string()),
            })
    }

    /// Asks until the server is there again, over a new connection each time: an old one may lead nowhere.
    async fn wait_for_server(self: Arc<Self>, timeout: Duration) {
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let client = Client::new(&self.endpoint, self.model.clone(), self.headers.clone());
            let done = self.try_out(&client, Instant::now() + timeout, true).await;
            let mut state = self.lock();
            state.now = match done {
                Ok(()) => {
                    state.client = client;
                    Health::Well
                }
                Err(Fault::Passing(reason)) => {
                    state.now = Health::Out(reason);
                    continue;
                }
                Err(Fault::Lasting(reason)) => Health::Changed(reason),
            };
            return;
        }
    }
}
