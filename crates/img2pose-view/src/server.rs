//! Connections.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot};

use crate::access::Access;
use crate::answer::answer;
use crate::feed::Feed;

/// Connections at a time; a page has two. Those above are closed.
const CONNECTIONS: usize = 128;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 64;
/// How long a request may take to come.
const HEADERS: Duration = Duration::from_secs(20);
/// Bytes that the system keeps for a viewer who does not read: a few pictures. The less, the newer is what a slow one sees.
const UNREAD: u32 = 128 * 1024;
/// At the end, the last messages are waited for so many times so long.
const LAST: (u32, Duration) = (30, Duration::from_millis(10));
/// After the system could not accept a connection, for want of file handles say.
const PAUSE: Duration = Duration::from_millis(200);

/// A socket there. To be called inside a runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Else the port would stay taken for a minute after a run.
    socket.set_reuseaddr(true)?;
    // Connections have it from here.
    socket.set_send_buffer_size(UNREAD)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `end` comes or its sender is dropped.
pub async fn serve(listener: TcpListener, access: Arc<Access>, feed: Arc<Feed>, end: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    tokio::pin!(end);
    loop {
        let accepted = tokio::select! {
            _ = &mut end => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if let Ok(place) = places.clone().try_acquire_owned() {
            let (access, feed) = (access.clone(), feed.clone());
            tokio::spawn(async move {
                connection(stream, &access, &feed).await;
                drop(place);
            });
        }
    }
    // Pages learn how the run has ended, except where a viewer takes nothing.
    let (times, pause) = LAST;
    for _ in 0..times {
        // What was taken is written before this goes on.
        tokio::time::sleep(pause).await;
        if feed.is_sent() {
            break;
        }
    }
}

async fn connection(stream: TcpStream, access: &Access, feed: &Arc<Feed>) {
    // Messages are small, and wait for nothing; where it cannot be set they come a little later.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(request, access, feed))));
    // It fails when the viewer goes or has sent nonsense, which hyper has answered.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
