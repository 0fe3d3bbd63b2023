//! The properties about an inference server that runs the network in this machine's place.

use std::path::PathBuf;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use img2pose::ServerOptions;

use crate::properties::{path_of, text_of, text_spec, value_of};

/// What becomes of frames while the server does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstImg2PoseOnOutage")]
#[non_exhaustive]
pub enum OnOutage {
    /// They pass, and are not looked at.
    #[default]
    #[enum_value(
        name = "Frames pass without faces, as such that were not looked at",
        nick = "pass"
    )]
    Pass,
    /// The stream ends with an error.
    #[enum_value(name = "The stream ends with an error", nick = "error")]
    Error,
}

/// Which server, and how it is asked.
#[derive(Clone, PartialEq)]
pub struct ServerSettings {
    /// Its address; `None`: the network runs here.
    url: Option<String>,
    model: String,
    version: Option<String>,
    /// In nanoseconds.
    timeout: u64,
    authorities: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    /// Tokens, which nobody is shown.
    headers: Option<String>,
    requests: u32,
    /// What becomes of frames while it does not answer.
    pub on_outage: OnOutage,
}

/// Without the headers.
impl std::fmt::Debug for ServerSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerSettings")
            .field("url", &self.url)
            .field("model", &self.model)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            url: None,
            model: "img2pose".to_owned(),
            version: None,
            timeout: 10_000_000_000,
            authorities: None,
            certificate: None,
            key: None,
            headers: None,
            requests: 2,
            on_outage: OnOutage::Pass,
        }
    }
}

/// In which elements that share a model must agree. Headers are compared without being shown.
pub(super) const SHARED: [&str; 8] = [
    "server-url",
    "server-model",
    "server-model-version",
    "server-timeout",
    "server-ca-file",
    "server-client-certificate",
    "server-client-key",
    "server-requests",
];

impl ServerSettings {
    /// Whether a server runs the network.
    pub fn is_set(&self) -> bool {
        self.url.is_some()
    }

    /// Whether both send the same headers.
    pub(super) fn has_headers_of(&self, other: &Self) -> bool {
        self.headers == other.headers
    }

    /// What the detector is told; `None`: the network runs here.
    ///
    /// # Errors
    /// A message for whoever wrote the pipeline.
    pub fn options(&self) -> Result<Option<ServerOptions>, String> {
        let Some(url) = &self.url else { return Ok(None) };
        let client = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            (None, None) => None,
            _ => {
                return Err(
                    "server-client-certificate and server-client-key belong together: set both".to_owned(),
                );
            }
        };
        Ok(Some(
            ServerOptions::new(url, &self.model)
                .with_version(self.version.clone())
                .with_timeout(Duration::from_nanos(self.timeout))
                .with_authorities(self.authorities.clone())
                .with_client(client)
                .with_headers(self.headers()?)
                .with_requests(self.requests as usize),
        ))
    }

    fn headers(&self) -> Result<Vec<(String, String)>, String> {
        let header = |line: &str| match line.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok((name.trim().to_owned(), value.trim().to_owned()))
            }
            // Without the line: it may be the token itself.
            _ => Err(
                "server-headers has a part without a name, expected NAME=VALUE, with | between several"
                    .to_owned(),
            ),
        };
        let text = self.headers.as_deref().unwrap_or_default();
        text.split('|')
            .filter(|part| !part.trim().is_empty())
            .map(header)
            .collect()
    }

    /// Takes the value of a property over; `false`: it is none of these.
    pub(super) fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "server-url" => self.url = text_of(value),
            "server-model" => self.model = text_of(value).unwrap_or_else(|| Self::default().model),
            "server-model-version" => self.version = text_of(value),
            "server-timeout" => self.timeout = value_of(value),
            "server-ca-file" => self.authorities = path_of(value),
            "server-client-certificate" => self.certificate = path_of(value),
            "server-client-key" => self.key = path_of(value),
            "server-headers" => self.headers = text_of(value),
            "server-requests" => self.requests = value_of(value),
            "on-outage" => self.on_outage = value_of(value),
            _ => return false,
        }
        true
    }

    /// The value of a property; `None`: it is none of these.
    pub(super) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "server-url" => self.url.to_value(),
            "server-model" => self.model.to_value(),
            "server-model-version" => self.version.to_value(),
            "server-timeout" => self.timeout.to_value(),
            "server-ca-file" => self.authorities.to_value(),
            "server-client-certificate" => self.certificate.to_value(),
            "server-client-key" => self.key.to_value(),
            // It cannot be read back.
            "server-headers" => None::<String>.to_value(),
            "server-requests" => self.requests.to_value(),
            "on-outage" => self.on_outage.to_value(),
            _ => return None,
        })
    }
}

/// The properties, as `gst-inspect-1.0` shows them.
pub(super) fn param_specs() -> Vec<glib::ParamSpec> {
    let defaults = ServerSettings::default();
    vec![
        text_spec(
            "server-url",
            "Inference server",
            "Let an inference server run the network, such as NVIDIA Triton (Open Inference Protocol 2 over gRPC): \
             grpc://HOST:PORT, or grpcs://HOST:PORT with TLS. What it is to serve is written by img2pose serve-model, \
             from the same file as the property model names here. Then execution-provider must be auto and \
             whole-frame-interval 1; onnxruntime-library and device-id mean nothing. Unset: the network runs here",
            None,
        ),
        text_spec(
            "server-model",
            "Model at the server",
            "Name of the model at the server",
            Some(&defaults.model),
        ),
        text_spec(
            "server-model-version",
            "Version at the server",
            "Version of the model at the server; unset: the server chooses",
            None,
        ),
        glib::ParamSpecUInt64::builder("server-timeout")
            .nick("Server timeout")
            .blurb(
                "How long in nanoseconds a batch, or the start, may take at the server with all that is tried again; \
                 longer than the server takes when it is busy",
            )
            .minimum(1_000_000)
            .maximum(3_600_000_000_000)
            .default_value(defaults.timeout)
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("on-outage", defaults.on_outage)
            .nick("On outage")
            .blurb(
                "What becomes of frames when the server has not answered in time, until it answers again. pass: they \
                 leave without faces, as frames that were not looked at, with one warning for each outage",
            )
            .mutable_ready()
            .build(),
        text_spec(
            "server-ca-file",
            "Server authorities",
            "PEM file with the certificate authorities that the server's certificate may come from; unset: the \
             system's",
            None,
        ),
        text_spec(
            "server-client-certificate",
            "Client certificate",
            "PEM file with the certificate that is shown to the server, followed by those between it and its authority",
            None,
        ),
        text_spec(
            "server-client-key",
            "Client key",
            "PEM file with the key of server-client-certificate",
            None,
        ),
        glib::ParamSpecString::builder("server-headers")
            .nick("Server headers")
            .blurb(
                "What is sent with each request, such as a token: NAME=VALUE, with | between several. It cannot be \
                 read back",
            )
            .write_only()
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("server-requests")
            .nick("Requests in flight")
            .blurb("How many batches are sent to the server before the first is answered")
            .minimum(1)
            .maximum(16)
            .default_value(defaults.requests)
            .mutable_ready()
            .build(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_never_shown() {
        gst::init().unwrap();
        let mut settings = ServerSettings::default();
        assert!(settings.set("server-url", &"grpc://host:1".to_value()));
        assert!(settings.set("server-headers", &"authorization=Bearer secret= | a=b".to_value()));
        let options = settings.options().unwrap().unwrap();
        let expected = [("authorization", "Bearer secret="), ("a", "b")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(options.headers, expected);
        assert!(!format!("{settings:?} {options:?}").contains("secret"));
        let back = settings.get("server-headers").unwrap();
        assert_eq!(back.get::<Option<String>>().unwrap(), None);
        settings.set("server-headers", &"secret".to_value());
        let error = settings.options().unwrap_err();
        assert!(
            error.contains("NAME=VALUE") && !error.contains("secret"),
            "{error}"
        );
    }

    #[test]
    fn certificate_and_key_belong_together() {
        gst::init().unwrap();
        let mut settings = ServerSettings::default();
        settings.set("server-client-key", &"/a.key".to_value());
        assert_eq!(settings.options(), Ok(None), "no server");
        settings.set("server-url", &"grpc://host:1".to_value());
        assert!(settings.options().unwrap_err().contains("set both"));
        settings.set("server-client-certificate", &"/a.pem".to_value());
        assert!(settings.options().unwrap().is_some());
    }
}
