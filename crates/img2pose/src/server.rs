//! Which inference server computes the network, and how it is asked.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Error;

/// An inference server that speaks the Open Inference Protocol version 2 over gRPC, such as NVIDIA Triton, and the model there
/// that `img2pose serve-model` has made.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// `grpc://HOST:PORT`, or `grpcs://HOST:PORT` with TLS; `http://` and `https://` mean the same.
    pub url: String,
    /// Name of the model at the server.
    pub model: String,
    /// Its version; `None`: the server chooses.
    pub version: Option<String>,
    /// How long a batch, or the start, may take with all that is tried again.
    pub timeout: Duration,
    /// PEM file with the authorities that the server's certificate may come from; `None`: the system's.
    pub authorities: Option<PathBuf>,
    /// PEM files of the certificate with which this side shows who it is, and of its key.
    pub client: Option<(PathBuf, PathBuf)>,
    /// What is sent with each request, such as a token: names and values.
    pub headers: Vec<(String, String)>,
    /// How many batches are sent before the first is answered, at least 1.
    pub requests: usize,
}

impl ServerOptions {
    /// The model that is called `model` at the server at `url`, 10 s for an answer, and two batches on their way.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            version: None,
            timeout: Duration::from_secs(10),
            authorities: None,
            client: None,
            headers: Vec::new(),
            requests: 2,
        }
    }

    /// Sets the [version](Self::version) of the model.
    pub fn with_version(mut self, version: impl Into<Option<String>>) -> Self {
        self.version = version.into();
        self
    }

    /// Sets [how long](Self::timeout) an answer may take.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets whom to [trust](Self::authorities).
    pub fn with_authorities(mut self, authorities: impl Into<Option<PathBuf>>) -> Self {
        self.authorities = authorities.into();
        self
    }

    /// Sets [certificate and key](Self::client) of this side.
    pub fn with_client(mut self, client: impl Into<Option<(PathBuf, PathBuf)>>) -> Self {
        self.client = client.into();
        self
    }

    /// Sets what is sent [with each request](Self::headers).
    pub fn with_headers(mut self, headers: Vec<(String, String)>) -> Self {
        self.headers = headers;
        self
    }

    /// Sets how many batches are [on their way](Self::requests) at most.
    pub fn with_requests(mut self, requests: usize) -> Self {
        self.requests = requests;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refused = |option, found: String, expected| {
            Err(Error::Option {
                option,
                found,
                expected,
            })
        };
        if self.model.is_empty() {
            return refused(
                "server model",
                "empty".to_owned(),
                "the name of a model at the server",
            );
        }
        if self.timeout < SHORTEST || self.timeout > LONGEST {
            return refused("server timeout", format!("{:?}", self.timeout), "1 ms to 1 hour");
        }
        if !(1..=MOST_REQUESTS).contains(&self.requests) {
            return refused("server requests", self.requests.to_string(), "1 to 16");
        }
        Ok(())
    }
}

/// Bounds of [`ServerOptions::timeout`].
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// Bound of [`ServerOptions::requests`]: each has a thread, and the batch's memory.
const MOST_REQUESTS: usize = 16;

/// Without what only the server may know.
impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("ServerOptions")
            .field("url", &self.url)
            .field("model", &self.model)
            .field("version", &self.version)
            .field("timeout", &self.timeout)
            .field("authorities", &self.authorities)
            .field("client", &self.client)
            .field("headers", &headers)
            .field("requests", &self.requests)
            .finish()
    }
}
