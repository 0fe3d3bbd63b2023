//! How the connection is made safe.

use std::path::Path;
use std::sync::Arc;

use rumqttc::TlsConfiguration;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// The files that say whom to trust and who connects, all PEM.
#[derive(Clone, Copy, Debug, Default)]
pub struct Files<'a> {
    /// Authorities that the broker's certificate may come from; the system's when it is `None`.
    pub authorities: Option<&'a Path>,
    /// The client's certificate, with those between it and its authority, and its key.
    pub client: Option<(&'a Path, &'a Path)>,
}

/// A configuration that verifies the broker.
///
/// # Errors
/// When a file cannot be read or holds nothing of use; in words, with its name.
pub fn configuration(files: Files<'_>) -> Result<TlsConfiguration, String> {
    let mut roots = RootCertStore::empty();
    match files.authorities {
        Some(path) => {
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|error| format!("ca-file {}: {error}", path.display()))?;
            }
        }
        None => {
            // Some may be broken; what is left decides.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(
                    "this system has no certificate authorities: install the package ca-certificates, or \
                            set ca-file"
                        .to_owned(),
                );
            }
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let config = match files.client {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| format!("client-key {}: {error}", key.display()))?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| format!("client-certificate {}: {error}", certificate.display()))?
        }
    };
    Ok(TlsConfiguration::Rustls(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&error))?;
    match certificates.is_empty() {
        true => Err(wrong(&"it holds no certificate in PEM")),
        false => Ok(certificates),
    }
}
