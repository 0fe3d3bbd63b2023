//! Answers `GET /metrics`, and nothing else: HTTP/1.1 as far as Prometheus and browsers need it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a client may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Bytes of a request at most.
const MOST_BYTES: u64 = 16 << 10;
/// Clients at a time; more are sent away.
const MOST_CLIENTS: usize = 8;

/// Answers whoever connects, on threads of its own, until the process ends.
pub fn serve(listener: TcpListener, text: impl Fn() -> String + Send + Sync + 'static) {
    let (text, clients) = (Arc::new(text), Arc::new(AtomicUsize::new(0)));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else {
                // Too many open files, say: that passes.
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            if clients.fetch_add(1, Ordering::Relaxed) >= MOST_CLIENTS {
                clients.fetch_sub(1, Ordering::Relaxed);
                continue;
            }
            let (text, clients) = (text.clone(), clients.clone());
            std::thread::spawn(move || {
                // Whoever has gone away does not hear it.
                let _ = answer(client, &*text);
                clients.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
}

fn answer(mut client: TcpStream, text: &dyn Fn() -> String) -> io::Result<()> {
    client.set_read_timeout(Some(LIMIT))?;
    client.set_write_timeout(Some(LIMIT))?;
    let mut lines = BufReader::new((&client).take(MOST_BYTES)).lines();
    let Some(first) = lines.next().transpose()? else {
        return Ok(());
    };
    // The rest of the head: a connection that is closed with something unread is cut off.
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut words = first.split(' ');
    let (method, path) = (words.next(), words.next().and_then(|path| path.split('?').next()));
    let (status, kind, body) = match (method, path) {
        (Some("GET"), Some("/metrics")) => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", text()),
        (Some("GET"), _) => (
            "404 Not Found",
            "text/plain",
            "the numbers are at /metrics\n".to_owned(),
        ),
        _ => ("405 Method Not Allowed", "text/plain", "only GET\n".to_owned()),
    };
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
