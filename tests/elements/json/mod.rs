//! `img2posejson`: the lines that it writes, the schema that they follow, and the stream of them.

mod lines;
mod schema;
mod stream;
