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
