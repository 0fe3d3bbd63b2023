//! The pictures for one viewer, each in the place of the one before: `multipart/x-mixed-replace`, which an `<img>` shows.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{self, Stream};

use crate::feed::Feed;

/// Type of the whole.
pub const TYPE: &str = "multipart/x-mixed-replace; boundary=picture";
/// What stands in front of a picture. Browsers show one when they have seen that of the next, so it is sent at once, before it is known
/// how long the next will be: there is no Content-Length.
const HEAD: &[u8] = b"--picture\r\nContent-Type: image/jpeg\r\n\r\n";

/// The newest picture whenever the viewer has taken the one before.
pub fn pictures(feed: &Arc<Feed>) -> impl Stream<Item = Bytes> + Send + use<> {
    stream::unfold((true, feed.pictures()), |(first, mut pictures)| async move {
        if first {
            return Some((Bytes::from_static(HEAD), (false, pictures)));
        }
        let jpeg = pictures.next().await?;
        let mut part = BytesMut::with_capacity(jpeg.len() + 2 + HEAD.len());
        part.put(jpeg);
        part.put(&b"\r\n"[..]);
        part.put(HEAD);
        Some((part.freeze(), (false, pictures)))
    })
}
