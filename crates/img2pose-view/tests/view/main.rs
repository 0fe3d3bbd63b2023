//! The page's server, asked as browsers ask.

mod access;
mod client;
mod many;
mod page;
mod stream;
