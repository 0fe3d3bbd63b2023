//! Where the server is, and how the way there is made safe.

use std::path::Path;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataKey, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::error::Error;
use crate::files;
use crate::server::ServerOptions;

/// Most bytes of a PEM file: a whole system's authorities have a quarter of a megabyte.
const MOST_PEM: u64 = 8 << 20;
/// How long it may take to be connected, of the time for an answer.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// What a connection is made to.
///
/// # Errors
/// A url that is none, files that cannot be read or hold no certificates, certificates for a way that is not encrypted.
pub(super) fn endpoint(options: &ServerOptions) -> Result<Endpoint, Error> {
    let (url, is_safe) = url(&options.url)?;
    let wrong = |reason: String| Error::Server {
        server: options.url.clone(),
        reason,
    };
    let mut endpoint = Endpoint::from_shared(url)
        .map_err(|error| wrong(format!("no address: {}", all(&error))))?
        .connect_timeout(options.timeout.min(LONGEST_CONNECT))
        .tcp_nodelay(true)
        .tcp_keepalive(Some(Duration::from_secs(30)))
        // Answers of many proposals come in one piece.
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20);
    if is_safe {
        endpoint = endpoint
            .tls_config(tls(options)?)
            .map_err(|error| wrong(format!("TLS cannot be set up: {}", all(&error))))?;
    } else if options.authorities.is_some() || options.client.is_some() {
        return Err(wrong(
            "certificates are given for it, but the way there is not encrypted: write grpcs://".to_owned(),
        ));
    }
    Ok(endpoint)
}

/// The address as HTTP has it, and whether it is encrypted.
fn url(text: &str) -> Result<(String, bool), Error> {
    let refused = |expected| {
        Err(Error::Option {
            option: "server url",
            // What stands before an @ would be a password.
            found: text.rsplit_once('@').map_or(text, |(_, host)| host).to_owned(),
            expected,
        })
    };
    const EXPECTED: &str = "grpc://HOST:PORT, or grpcs://HOST:PORT with TLS";
    let Some((scheme, rest)) = text.split_once("://") else {
        return refused(EXPECTED);
    };
    let is_safe = match scheme {
        "grpc" | "http" => false,
        "grpcs" | "https" => true,
        _ => return refused(EXPECTED),
    };
    let address = rest.strip_suffix('/').unwrap_or(rest);
    if address.contains('@') {
        return refused("no user and no password in it, where they would be logged; send them as headers");
    }
    let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if address.contains(['/', '?', '#']) || !matches!(port, Some(Ok(1..))) {
        return refused(EXPECTED);
    }
    let http = if is_safe { "https" } else { "http" };
    Ok((format!("{http}://{address}"), is_safe))
}

fn tls(options: &ServerOptions) -> Result<ClientTlsConfig, Error> {
    let read = |path: &Path| {
        files::read(path, MOST_PEM).map_err(|error| Error::Server {
            server: options.url.clone(),
            reason: format!("{}: {error}", path.display()),
        })
    };
    let mut config = ClientTlsConfig::new();
    config = match &options.authorities {
        Some(path) => {
            let pem = read(path)?;
            // A file without one would be taken for none at all.
            if !pem.windows(BEGIN.len()).any(|window| window == BEGIN) {
                return Err(Error::Server {
                    server: options.url.clone(),
                    reason: format!("{} holds no certificate in PEM", path.display()),
                });
            }
            config.ca_certificate(Certificate::from_pem(pem))
        }
        None => config.with_native_roots(),
    };
    if let Some((certificate, key)) = &options.client {
        config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(config)
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// What is sent with each request.
///
/// # Errors
/// A name or a value that HTTP does not allow; the value is not shown.
pub(super) fn headers(options: &ServerOptions) -> Result<MetadataMap, Error> {
    let mut headers = MetadataMap::new();
    for (name, value) in &options.headers {
        let refused = |expected| Error::Option {
            option: "server headers",
            found: format!("a header '{name}'"),
            expected,
        };
        let key = name
            .parse::<MetadataKey<Ascii>>()
            .map_err(|_| refused("names of letters, digits, - and _"))?;
        let value = value
            .parse::<MetadataValue<Ascii>>()
            .map_err(|_| refused("a value of visible ASCII characters"))?;
        headers.append(key, value);
    }
    Ok(headers)
}

/// An error and those behind it.
fn all(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_port() {
        for (text, expected) in [
            ("grpc://host:8001", ("http://host:8001", false)),
            ("grpcs://[::1]:8001/", ("https://[::1]:8001", true)),
            ("https://a.b:443", ("https://a.b:443", true)),
        ] {
            assert_eq!(url(text).unwrap(), (expected.0.to_owned(), expected.1));
        }
        for text in [
            "host:8001",
            "grpc://host",
            "ftp://host:1",
            "grpc://host:0",
            "grpc://h:1/x",
            "",
        ] {
            let error = url(text).unwrap_err().to_string();
            assert!(error.contains("grpc://HOST:PORT"), "{text}: {error}");
        }
        let error = url("grpc://me:secret@host:1").unwrap_err().to_string();
        assert!(error.contains("headers") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn headers_that_cannot_be_sent_are_refused_without_their_values() {
        for (name, value) in [("a b", "secret"), ("token", "sec\nret")] {
            let header = (name.to_owned(), value.to_owned());
            let options = ServerOptions::new("grpc://host:1", "faces").with_headers(vec![header]);
            let error = headers(&options).unwrap_err().to_string();
            assert!(error.contains(name) && !error.contains("sec"), "{error}");
        }
    }

    #[test]
    fn certificates_that_are_none_are_refused() {
        let folder = std::env::temp_dir();
        let file = folder.join(format!("img2pose-no-pem-{}", std::process::id()));
        std::fs::write(&file, "nothing").unwrap();
        let safe = ServerOptions::new("grpcs://host:1", "faces");
        let open = ServerOptions::new("grpc://host:1", "faces").with_authorities(file.clone());
        let text = |options: &ServerOptions| endpoint(options).map(|_| ()).unwrap_err().to_string();
        assert!(text(&open).contains("grpcs://"));
        assert!(text(&safe.clone().with_authorities(file.clone())).contains("no certificate"));
        let missing = folder.join("img2pose-is-not-there");
        assert!(text(&safe.clone().with_authorities(missing)).contains("img2pose-is-not-there"));
        let authority = safe.with_client((file.clone(), file.clone()));
        assert!(text(&authority).contains("TLS cannot be set up"));
        std::fs::remove_file(&file).unwrap();
    }
}
