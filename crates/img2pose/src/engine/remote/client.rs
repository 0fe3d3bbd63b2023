//! Requests to the server, one after the other, each tried again while that may help.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use prost::Message;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::fault::Fault;
use super::proto::{
    InferRequest, InferResponse, MODEL_INFER, MODEL_METADATA, MODEL_READY, ModelMetadataResponse,
    ModelRequest, ReadyResponse, SERVER_READY, ServerReadyRequest,
};
use crate::model::server_graph as server;

/// Pauses before a request is tried again: at first, and at most; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Bytes of an answer at most. A frame has some 50000 of them.
const MOST_BYTES: usize = 256 << 20;

/// A connection, or what will be one with the first request.
#[derive(Clone)]
pub(super) struct Client {
    grpc: Grpc<Channel>,
    model: ModelRequest,
    headers: Arc<MetadataMap>,
}

impl Client {
    /// To be called inside the runtime.
    pub fn new(endpoint: &Endpoint, model: ModelRequest, headers: Arc<MetadataMap>) -> Self {
        let grpc = Grpc::new(endpoint.connect_lazy()).max_decoding_message_size(MOST_BYTES);
        Self { grpc, model, headers }
    }

    async fn ask<Q, R>(&self, method: &'static str, message: Q, until: Instant) -> Result<R, Status>
    where
        Q: Message + 'static,
        R: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        grpc.ready()
            .await
            .map_err(|error| Status::from_error(Box::new(error)))?;
        let mut request = Request::new(message);
        *request.metadata_mut() = (*self.headers).clone();
        // So that the server does not compute what nobody waits for.
        request.set_timeout(until.saturating_duration_since(Instant::now()));
        let answer = grpc.unary(request, PathAndQuery::from_static(method), ProstCodec::default());
        Ok(answer.await?.into_inner())
    }

    /// Asks until there is an answer, or what went wrong will not pass, or until then.
    async fn ask_again<R, F>(
        &self,
        until: Instant,
        was_ready: bool,
        mut ask: impl FnMut() -> F,
    ) -> Result<R, Fault>
    where
        F: Future<Output = Result<R, Status>>,
    {
        let mut last = None;
        let trying = async {
            let mut pause = FIRST_PAUSE;
            loop {
                let status = match ask().await {
                    Ok(answer) => return Ok(answer),
                    Err(status) => status,
                };
                match Fault::of(&status, was_ready) {
                    Fault::Passing(reason) => last = Some(reason),
                    lasting => return Err(lasting),
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        match timeout_at(until, trying).await {
            Ok(done) => done,
            Err(_) => Err(Fault::Passing(
                last.unwrap_or_else(|| "it does not answer".to_owned()),
            )),
        }
    }

    /// Whether server and model are ready, and the model is one of ours as far as the server says.
    pub async fn check(&self, until: Instant, was_ready: bool) -> Result<(), Fault> {
        let ready: ReadyResponse = self
            .ask_again(until, was_ready, || async {
                let ready: ReadyResponse = self.ask(SERVER_READY, ServerReadyRequest {}, until).await?;
                waits_for(ready.ready, || "it is not ready yet".to_owned())?;
                let ready: ReadyResponse = self.ask(MODEL_READY, self.model.clone(), until).await?;
                waits_for(ready.ready, || {
                    format!("model {} is not ready there", self.named())
                })?;
                Ok(ready)
            })
            .await?;
        debug_assert!(ready.ready);
        let metadata: ModelMetadataResponse = self
            .ask_again(until, was_ready, || {
                self.ask(MODEL_METADATA, self.model.clone(), until)
            })
            .await?;
        compare(&metadata).map_err(|reason| Fault::Lasting(format!("model {} {reason}", self.named())))
    }

    /// Name and version of the model, for messages.
    fn named(&self) -> String {
        match self.model.version.as_str() {
            "" => format!("'{}'", self.model.name),
            version => format!("'{}' version {version}", self.model.name),
        }
    }

    /// The answer to a batch.
    pub async fn infer(
        &self,
        request: &InferRequest,
        until: Instant,
        was_ready: bool,
    ) -> Result<InferResponse, Fault> {
        // The bytes of the frames are shared, not copied.
        self.ask_again(until, was_ready, || self.ask(MODEL_INFER, request.clone(), until))
            .await
    }
}

/// Not being ready is a thing that passes.
fn waits_for(is_ready: bool, reason: impl FnOnce() -> String) -> Result<(), Status> {
    match is_ready {
        true => Ok(()),
        false => Err(Status::unavailable(reason())),
    }
}

/// Compares what the server says of the model's tensors, where it does, with what is needed.
///
/// # Errors
/// What differs, in words.
fn compare(metadata: &ModelMetadataResponse) -> Result<(), String> {
    for (what, needed, found) in [
        ("takes", server::inputs(), &metadata.inputs),
        ("gives", server::outputs(), &metadata.outputs),
    ] {
        if found.is_empty() {
            // Some servers tell nothing.
            continue;
        }
        for tensor in needed {
            let Some(found) = found.iter().find(|found| found.name == tensor.name) else {
                let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
                return Err(format!(
                    "{what} {}, expected '{}' among them; it is to be made with `img2pose serve-model`",
                    names.join(", "),
                    tensor.name
                ));
            };
            if found.datatype != tensor.elements {
                return Err(format!(
                    "{what} '{}' of {}, expected {}; it is to be made with `img2pose serve-model`",
                    tensor.name, found.datatype, tensor.elements
                ));
            }
        }
    }
    Ok(())
}
