#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod access;
mod answer;
mod error;
mod events;
mod feed;
mod pictures;
mod server;
mod token;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

pub use error::Error;
pub use feed::Numbers;
pub use token::Token;

use access::Access;
use feed::Feed;

/// A page that is being served, by a thread of its own. Dropping it ends that.
///
/// What it is told is never held up by who looks at it: a viewer that is slow gets fewer pictures, and where it is very slow, fewer lines.
pub struct View {
    feed: Arc<Feed>,
    address: SocketAddr,
    token: Option<Token>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl View {
    /// Serves the page at `address`; port 0 takes any that is free. With a token, nobody sees anything without it.
    ///
    /// # Errors
    /// The address is not of this machine, or its port is taken. Addresses that other machines can reach are refused without a token.
    pub fn start(address: SocketAddr, token: Option<Token>) -> Result<Self, Error> {
        if !address.ip().is_loopback() && token.is_none() {
            return Err(Error::Open(address));
        }
        let feed = Arc::new(Feed::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::Thread)?;
        let listener = {
            let _inside = runtime.enter();
            server::listen(address).map_err(|source| Error::Listen { address, source })?
        };
        let address = listener.local_addr().map_err(Error::Thread)?;
        let access = Access::new(address, token.clone());
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("img2pose-view".to_owned())
            .spawn({
                let feed = feed.clone();
                move || runtime.block_on(server::serve(listener, Arc::new(access), feed, ended))
            })
            .map_err(Error::Thread)?;
        Ok(Self {
            feed,
            address,
            token,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// Where the page is, for the address line of a browser on this machine. It has the token in it, if there is one.
    pub fn url(&self) -> String {
        let token = self
            .token
            .as_ref()
            .map(|token| format!("?token={}", token.text()));
        format!("http://{}/{}", self.address, token.unwrap_or_default())
    }

    /// The address that it is served at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many browsers are being sent the picture.
    pub fn viewers(&self) -> usize {
        self.feed.viewers()
    }

    /// A source begins: what was shown of the one before is forgotten.
    pub fn source(&self, name: &str) {
        self.feed.source(name);
    }

    /// The source has ended, as sources do.
    pub fn ended(&self) {
        self.feed.ended();
    }

    /// The source was lost, or something else has failed; `message` says what.
    pub fn failed(&self, message: &str) {
        self.feed.failed(message);
    }

    /// A JSON line of the element `img2posejson`, with or without its newline.
    pub fn line(&self, line: &[u8]) {
        self.feed.line(line);
    }

    /// The newest picture, a JPEG file. It takes the place of one that has not been sent yet.
    pub fn picture(&self, jpeg: Vec<u8>) {
        self.feed.picture(jpeg.into());
    }

    /// How fast it goes.
    pub fn numbers(&self, numbers: &Numbers) {
        self.feed.numbers(numbers);
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // Where the thread is gone already there is nobody to tell.
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been written to stderr.
            let _ = thread.join();
        }
    }
}
