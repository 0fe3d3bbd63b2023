//! An inference server that does what tests tell it: Open Inference Protocol version 2 over gRPC, written on HTTP/2 itself, so
//! that it can break every rule.
#![cfg(feature = "run")]

mod behaviour;
mod model;
#[path = "../../img2pose/src/engine/remote/proto.rs"]
#[allow(missing_docs, reason = "the messages of the client, which documents them")]
pub mod proto;
mod server;
pub mod tls;

pub use behaviour::{Behaviour, Choice, Infer};
pub use model::Served;
pub use server::{FakeServer, MODEL};
