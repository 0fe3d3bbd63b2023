//! Lines, numbers and state for one viewer, as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use crate::feed::{Feed, message};

/// After so long without a word a comment is sent, which shows whether the viewer is still there.
const SILENCE: Duration = Duration::from_secs(15);

/// What the viewer has missed, then all that comes.
pub fn events(feed: &Arc<Feed>) -> impl Stream<Item = Bytes> + Send + use<> {
    let (missed, messages) = feed.messages();
    // How soon a browser tries again when the connection is lost, in milliseconds.
    let mut first = b"retry: 1000\n\n".to_vec();
    first.extend_from_slice(&missed);
    stream::unfold(
        (Some(Bytes::from(first)), messages),
        |(first, mut messages)| async move {
            let bytes = match first {
                Some(first) => first,
                None => next(&mut messages).await?,
            };
            Some((bytes, (None, messages)))
        },
    )
}

async fn next(messages: &mut Receiver<Bytes>) -> Option<Bytes> {
    match timeout(SILENCE, messages.recv()).await {
        Ok(Ok(bytes)) => Some(bytes),
        // The page says so.
        Ok(Err(RecvError::Lagged(count))) => Some(message("lost", count.to_string().as_bytes())),
        Ok(Err(RecvError::Closed)) => None,
        Err(_) => Some(Bytes::from_static(b": still here\n\n")),
    }
}
