//! What a viewer has to know.

use std::fs::File;
use std::io::Read;

use crate::error::Error;

/// The fewest characters of a token that somebody has thought of.
const LEAST: usize = 12;
/// Random bytes in a token that is made here.
const BYTES: usize = 16;

/// What a viewer has to know, as a part of the page's address.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new one, 128 random bits.
    ///
    /// # Errors
    /// The system gives none.
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; BYTES];
        File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(Error::Random)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// One that somebody has thought of.
    ///
    /// # Errors
    /// It has fewer than 12 characters, or others than letters of ASCII, digits, `-` and `_`.
    pub fn new(text: &str) -> Result<Self, Error> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        match text.len() >= LEAST && text.bytes().all(fits) {
            true => Ok(Self(text.to_owned())),
            false => Err(Error::Token { least: LEAST }),
        }
    }

    /// As it stands in an address.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether `text` is this one. How long the answer takes says nothing about where they differ.
    pub(crate) fn is(&self, text: &str) -> bool {
        let differing = self
            .0
            .bytes()
            .zip(text.bytes())
            .fold(0, |all, (a, b)| all | (a ^ b));
        self.0.len() == text.len() && std::hint::black_box(differing) == 0
    }
}

impl std::fmt::Debug for Token {
    /// It is not written into logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}
