//! The server itself: HTTP/2 and the framing of gRPC, by hand.

use std::net::TcpListener;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::behaviour::{Behaviour, Infer};
use crate::model::Served;
use crate::proto::{InferRequest, ModelRequest, ReadyResponse};

/// Name of its only model.
pub const MODEL: &str = "faces";

/// How long to wait for what must come.
const LIMIT: Duration = Duration::from_secs(60);

/// A server on a thread of its own. Dropping it closes all connections, as killing its process would.
pub struct FakeServer {
    port: u16,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    is_safe: bool,
}

struct Shared {
    served: Arc<Served>,
    behaviour: Mutex<Behaviour>,
    /// How many batches came.
    batches: Mutex<Vec<Vec<i64>>>,
    came: Condvar,
}

impl std::fmt::Debug for FakeServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeServer")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl FakeServer {
    /// A server of `served` on any free port.
    pub fn start(served: &Arc<Served>) -> Self {
        Self::listen(
            TcpListener::bind("127.0.0.1:0").unwrap(),
            served,
            Behaviour::default(),
            None,
        )
    }

    /// One that behaves so from the start.
    pub fn start_with(served: &Arc<Served>, behaviour: Behaviour) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").unwrap(), served, behaviour, None)
    }

    /// One on a port where one has been before.
    pub fn start_on(port: u16, served: &Arc<Served>) -> Self {
        let until = Instant::now() + LIMIT;
        loop {
            match TcpListener::bind(("127.0.0.1", port)) {
                Ok(listener) => return Self::listen(listener, served, Behaviour::default(), None),
                Err(error) => assert!(Instant::now() < until, "port {port}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// One that speaks TLS.
    pub fn start_safe(served: &Arc<Served>, acceptor: TlsAcceptor) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::listen(listener, served, Behaviour::default(), Some(acceptor))
    }

    fn listen(
        listener: TcpListener,
        served: &Arc<Served>,
        behaviour: Behaviour,
        acceptor: Option<TlsAcceptor>,
    ) -> Self {
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            served: served.clone(),
            behaviour: Mutex::new(behaviour),
            batches: Mutex::default(),
            came: Condvar::new(),
        });
        let is_safe = acceptor.is_some();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                // Dropped with all its connections when it is stopped.
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(listener, shared, acceptor) => {}
                    }
                });
            }
        });
        Self {
            port,
            shared,
            stop: Some(stop),
            thread: Some(thread),
            is_safe,
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn url(&self) -> String {
        let scheme = if self.is_safe { "grpcs" } else { "grpc" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Changes how it behaves.
    pub fn tell(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.shared.behaviour.lock().unwrap());
    }

    /// The shapes of the frames of all batches that came, those that were refused too.
    pub fn batches(&self) -> Vec<Vec<i64>> {
        self.shared.batches.lock().unwrap().clone()
    }

    /// Waits until `count` batches have come.
    pub fn wait_for_batches(&self, count: usize) {
        let batches = self.shared.batches.lock().unwrap();
        let waited = self
            .shared
            .came
            .wait_timeout_while(batches, LIMIT, |batches| batches.len() < count)
            .unwrap();
        assert!(
            !waited.1.timed_out(),
            "{} batches of {count} came",
            waited.0.len()
        );
    }

    /// Ends it; its port is free then.
    pub fn kill(self) -> u16 {
        self.port
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, acceptor: Option<TlsAcceptor>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (shared, acceptor) = (shared.clone(), acceptor.clone());
        tokio::spawn(async move {
            match acceptor {
                None => connection(socket, shared).await,
                // Whoever does not trust it goes away.
                Some(acceptor) => {
                    if let Ok(socket) = acceptor.accept(socket).await {
                        connection(socket, shared).await;
                    }
                }
            }
        });
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin>(socket: S, shared: Arc<Shared>) {
    let window = 1 << 20;
    let builder = h2::server::Builder::new()
        .initial_window_size(window)
        .initial_connection_window_size(window)
        .clone();
    let Ok(mut connection) = builder.handshake::<S, Bytes>(socket).await else {
        return;
    };
    let (hang_up, mut hung_up) = tokio::sync::mpsc::channel(1);
    loop {
        tokio::select! {
            // Dropped with the socket.
            _ = hung_up.recv() => return,
            request = connection.accept() => {
                let Some(Ok((request, respond))) = request else { return };
                let (shared, hang_up) = (shared.clone(), hang_up.clone());
                tokio::spawn(async move {
                    if !answer(request, respond, &shared).await {
                        let _ = hang_up.send(()).await;
                    }
                });
            }
        }
    }
}

/// Answers a request; `false`: the connection is to be closed.
async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, shared: &Shared) -> bool {
    let (head, mut body) = request.into_parts();
    let mut message = BytesMut::new();
    while let Some(part) = body.data().await {
        let Ok(part) = part else { return true };
        let _ = body.flow_control().release_capacity(part.len());
        message.extend_from_slice(&part);
    }
    // A byte for compression, four for the length.
    let message = message.split_off(5.min(message.len())).freeze();
    let behaviour = shared.behaviour.lock().unwrap().clone();
    let done = if let Some((name, value)) = &behaviour.wanted_header
        && head.headers.get(name).map(HeaderValue::as_bytes) != Some(value.as_bytes())
    {
        Err((16, format!("no header {name}")))
    } else if message.len() > behaviour.most_bytes {
        Err((
            8,
            format!(
                "a message of {} bytes, more than {}",
                message.len(),
                behaviour.most_bytes
            ),
        ))
    } else {
        match head.uri.path().rsplit('/').next() {
            Some("ServerReady") => Ok(ready(behaviour.server_ready)),
            Some("ModelReady") => known(&message).map(|()| ready(behaviour.model_ready)),
            Some("ModelMetadata") => known(&message).map(|()| {
                let metadata = behaviour
                    .metadata
                    .unwrap_or_else(|| shared.served.metadata(MODEL));
                metadata.encode_to_vec()
            }),
            Some("ModelInfer") => match infer(message, shared).await {
                Some(done) => done,
                None => return false,
            },
            _ => Err((12, "no such method".to_owned())),
        }
    };
    // Whoever has gone away does not hear it.
    let _ = send(&mut respond, done);
    true
}

fn ready(ready: bool) -> Vec<u8> {
    ReadyResponse { ready }.encode_to_vec()
}

fn known(message: &Bytes) -> Result<(), (i32, String)> {
    let model = ModelRequest::decode(message.clone()).map_err(|error| (3, error.to_string()))?;
    match (model.name.as_str(), model.version.as_str()) {
        (MODEL, "" | "1") => Ok(()),
        (name, version) => Err((
            5,
            format!("Request for unknown model: '{name}' version '{version}' is not found"),
        )),
    }
}

/// `None`: the connection is to be closed.
async fn infer(message: Bytes, shared: &Shared) -> Option<Result<Vec<u8>, (i32, String)>> {
    let request = match InferRequest::decode(message) {
        Ok(request) => request,
        Err(error) => return Some(Err((3, error.to_string()))),
    };
    let shape = &request.inputs[0].shape;
    let mut what = {
        let mut behaviour = shared.behaviour.lock().unwrap();
        behaviour
            .next
            .pop_front()
            .unwrap_or_else(|| behaviour.then.clone())
    };
    while let Infer::Chosen(choose) = what {
        what = choose(shape);
    }
    shared.batches.lock().unwrap().push(shape.clone());
    shared.came.notify_all();
    let run = || shared.served.run(&request).map_err(|error| (3, error));
    Some(match what {
        Infer::Answer => run().map(|response| response.encode_to_vec()),
        Infer::Late(time) => {
            tokio::time::sleep(time).await;
            run().map(|response| response.encode_to_vec())
        }
        Infer::Changed(change) => run().map(|mut response| {
            change(&mut response);
            response.encode_to_vec()
        }),
        Infer::Status(code, text) => Err((code, text)),
        Infer::Silence => std::future::pending().await,
        Infer::HangUp => return None,
        Infer::Chosen(_) => unreachable!("it has been chosen above"),
    })
}

fn send(respond: &mut SendResponse<Bytes>, done: Result<Vec<u8>, (i32, String)>) -> Result<(), h2::Error> {
    let head = Response::builder()
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let mut stream = respond.send_response(head, false)?;
    let mut trailers = HeaderMap::new();
    let (code, text) = match done {
        Ok(message) => {
            let mut framed = BytesMut::with_capacity(5 + message.len());
            framed.put_u8(0);
            framed.put_u32(u32::try_from(message.len()).unwrap());
            framed.put_slice(&message);
            stream.send_data(framed.freeze(), false)?;
            (0, String::new())
        }
        Err(refused) => refused,
    };
    trailers.insert("grpc-status", HeaderValue::from(code));
    trailers.insert("grpc-message", HeaderValue::from_str(&text).unwrap());
    stream.send_trailers(trailers)
}
