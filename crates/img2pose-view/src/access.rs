//! Who may see the page.

use std::net::SocketAddr;

use hyper::header::{COOKIE, HOST};
use hyper::http::request::Parts;

use crate::token::Token;

/// Whether a request is answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Yes,
    /// It is, and the browser is told to keep the token, so that the address need not have it: this is the cookie.
    Keep(String),
    /// It came for another host than this one.
    Foreign,
    /// It does not know the token.
    Unknown,
}

/// The rules.
pub struct Access {
    loopback: bool,
    cookie: String,
    token: Option<Token>,
}

impl Access {
    /// Those of a page at `address`.
    pub fn new(address: SocketAddr, token: Option<Token>) -> Self {
        Self {
            loopback: address.ip().is_loopback(),
            // Browsers do not tell the ports of a host apart.
            cookie: format!("img2pose-{}", address.port()),
            token,
        }
    }

    /// What becomes of a request.
    pub fn verdict(&self, request: &Parts) -> Verdict {
        let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
        // A page of somebody else could have its own name lead to this machine, and read what is here.
        if self.loopback && !header(HOST).is_some_and(is_local) {
            return Verdict::Foreign;
        }
        let Some(token) = &self.token else {
            return Verdict::Yes;
        };
        let mut cookies = request.headers.get_all(COOKIE).iter();
        let kept = cookies.any(|value| {
            let pairs = value.to_str().unwrap_or_default().split(';');
            let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
            pairs.any(|(name, value)| name == self.cookie && token.is(value))
        });
        let mut queries = request.uri.query().unwrap_or_default().split('&');
        let named = queries.any(|pair| pair.strip_prefix("token=").is_some_and(|text| token.is(text)));
        match (named, kept) {
            (true, _) => Verdict::Keep(format!(
                "{}={}; Path=/; HttpOnly; SameSite=Strict",
                self.cookie,
                token.text()
            )),
            (false, true) => Verdict::Yes,
            (false, false) => Verdict::Unknown,
        }
    }
}

/// Whether `host` (of a request: name, and port if it is another than 80) is a name for the machine itself. The port is free: ssh
/// may have forwarded another.
fn is_local(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_loopback = |name: &str| name.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    name.eq_ignore_ascii_case("localhost") || is_loopback(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_machine_itself() {
        for host in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1:8477",
            "127.8.9.1",
            "[::1]:9",
            "[::1]",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "example.com",
            "localhost.example.com:8477",
            "192.168.0.1:8477",
            "[::2]:1",
            "127.0.0.1.example.com",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
