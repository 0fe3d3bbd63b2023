//! The properties, and what a publisher makes of them.

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use rumqttc::{LastWill, MqttOptions, QoS, Transport};
use url::Url;

use super::tls::{self, Files};
use super::topic::Topic;
use crate::properties::{text_of, text_spec, value_of};

/// What the status topic says.
pub const ONLINE: &str = "online";
pub const OFFLINE: &str = "offline";

/// The largest packet that is sent, in bytes: a line with some 30,000 faces.
pub const MOST_BYTES: usize = 16 << 20;

/// The values of all properties.
#[derive(Clone)]
pub struct Settings {
    uri: String,
    topic: String,
    status_topic: Option<String>,
    qos: u32,
    retain: bool,
    client_id: Option<String>,
    user: Option<String>,
    password: Option<String>,
    ca_file: Option<String>,
    client_certificate: Option<String>,
    client_key: Option<String>,
    keep_alive: u32,
    /// Most lines that wait to be sent or acknowledged.
    pub max_queued_lines: u32,
    eos_timeout: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uri: "mqtt://localhost".to_owned(),
            topic: "cameras/{source}/faces".to_owned(),
            status_topic: None,
            qos: 1,
            retain: false,
            client_id: None,
            user: None,
            password: None,
            ca_file: None,
            client_certificate: None,
            client_key: None,
            keep_alive: 30,
            max_queued_lines: 10_000,
            eos_timeout: 5_000_000_000,
        }
    }
}

/// Where lines go to, and how.
#[derive(Clone)]
pub struct Broker {
    /// How to connect.
    pub options: MqttOptions,
    /// The address, for messages to the user.
    pub address: String,
    /// Topic of the lines.
    pub topic: Topic,
    /// Where to say who is there.
    pub status_topic: Option<String>,
    /// How sure a line arrives.
    pub qos: QoS,
    /// Whether the broker keeps the last line of each topic.
    pub retain: bool,
}

impl Settings {
    /// Where lines go to. `name` is the element's, for what names none.
    ///
    /// # Errors
    /// When a property has a value that cannot be meant; in words, with its name.
    pub fn broker(&self, name: &str) -> Result<Broker, String> {
        let (host, port, is_safe) = address(&self.uri)?;
        let id = match self.client_id.as_deref() {
            None => {
                // As good as unique: a broker ends the older of two connections with one id.
                let random = glib::uuid_string_random();
                format!("img2pose-{}", &random[..12])
            }
            Some(id) => id.to_owned(),
        };
        let mut options = MqttOptions::new(id, host.clone(), port);
        options
            .set_keep_alive(Duration::from_secs(self.keep_alive.into()))
            .set_clean_session(true)
            .set_max_packet_size(1 << 20, MOST_BYTES);
        if let Some(user) = &self.user {
            options.set_credentials(user, self.password.clone().unwrap_or_default());
        } else if self.password.is_some() {
            return Err("password is set and user is not: set both".to_owned());
        }
        let path = |file: &Option<String>| file.as_ref().map(PathBuf::from);
        let (authorities, certificate, key) = (
            path(&self.ca_file),
            path(&self.client_certificate),
            path(&self.client_key),
        );
        let client = match (&certificate, &key) {
            (Some(certificate), Some(key)) => Some((certificate.as_path(), key.as_path())),
            (None, None) => None,
            _ => return Err("client-certificate and client-key belong together: set both".to_owned()),
        };
        let files = Files {
            authorities: authorities.as_deref(),
            client,
        };
        if is_safe {
            options.set_transport(Transport::Tls(tls::configuration(files)?));
        } else if authorities.is_some() || client.is_some() {
            return Err(
                "certificates are set, but the uri is mqtt://, which is not encrypted: write mqtts://"
                    .to_owned(),
            );
        }
        let topic =
            Topic::new(&self.topic).map_err(|why| format!("topic '{}' does not do: {why}", self.topic))?;
        let status_topic = match self.status_topic.as_deref() {
            None => None,
            Some(status) => Some(
                Topic::new(status)
                    .map_err(|why| format!("status-topic '{status}' does not do: {why}"))?
                    .of_source(name),
            ),
        };
        if let Some(status) = &status_topic {
            options.set_last_will(LastWill::new(status, OFFLINE, QoS::AtLeastOnce, true));
        }
        Ok(Broker {
            options,
            address: format!("{host}:{port}"),
            topic,
            status_topic,
            qos: match self.qos {
                0 => QoS::AtMostOnce,
                1 => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            },
            retain: self.retain,
        })
    }

    /// How long the end of the stream waits for lines that are on their way.
    pub fn eos_timeout(&self) -> Duration {
        Duration::from_nanos(self.eos_timeout)
    }

    /// Takes the value of a property over. GObject has checked name, type and range.
    pub fn set(&mut self, name: &str, value: &glib::Value) {
        match name {
            "uri" => self.uri = text_of(value).unwrap_or_default(),
            "topic" => self.topic = text_of(value).unwrap_or_default(),
            "status-topic" => self.status_topic = text_of(value),
            "qos" => self.qos = value_of(value),
            "retain" => self.retain = value_of(value),
            "client-id" => self.client_id = text_of(value),
            "user" => self.user = text_of(value),
            "password" => self.password = text_of(value),
            "ca-file" => self.ca_file = text_of(value),
            "client-certificate" => self.client_certificate = text_of(value),
            "client-key" => self.client_key = text_of(value),
            "keep-alive" => self.keep_alive = value_of(value),
            "max-queued-lines" => self.max_queued_lines = value_of(value),
            "eos-timeout" => self.eos_timeout = value_of(value),
            name => unreachable!("no property '{name}'"),
        }
    }

    /// The value of a property that can be read.
    pub fn get(&self, name: &str) -> glib::Value {
        match name {
            "uri" => self.uri.to_value(),
            "topic" => self.topic.to_value(),
            "status-topic" => self.status_topic.to_value(),
            "qos" => self.qos.to_value(),
            "retain" => self.retain.to_value(),
            "client-id" => self.client_id.to_value(),
            "user" => self.user.to_value(),
            "ca-file" => self.ca_file.to_value(),
            "client-certificate" => self.client_certificate.to_value(),
            "client-key" => self.client_key.to_value(),
            "keep-alive" => self.keep_alive.to_value(),
            "max-queued-lines" => self.max_queued_lines.to_value(),
            "eos-timeout" => self.eos_timeout.to_value(),
            name => unreachable!("no property '{name}' to read"),
        }
    }

    /// The properties of the element but `stats`, as `gst-inspect-1.0` shows them.
    pub fn param_specs() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(param_specs);
        &SPECS
    }
}

/// Host, port, and whether the connection is encrypted.
fn address(uri: &str) -> Result<(String, u16, bool), String> {
    let wrong = |why: &str| format!("uri '{uri}' {why}: write mqtt://HOST, mqtt://HOST:PORT or mqtts://...");
    let url = Url::parse(uri).map_err(|error| wrong(&format!("is none ({error})")))?;
    let is_safe = match url.scheme() {
        "mqtt" => false,
        "mqtts" => true,
        _ => return Err(wrong("is of another kind")),
    };
    if !url.username().is_empty() || url.password().is_some() {
        // Without the uri: it holds a password.
        return Err("uri has a user or a password in it, where it would be logged: use the properties user and password".to_owned());
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("goes on behind the port"));
    }
    let host = url
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| wrong("names no host"))?;
    let port = url.port().unwrap_or(if is_safe { 8883 } else { 1883 });
    Ok((host.trim_matches(['[', ']']).to_owned(), port, is_safe))
}

fn param_specs() -> Vec<glib::ParamSpec> {
    let defaults = Settings::default();
    vec![
        text_spec(
            "uri",
            "Broker",
            "Address of the broker: mqtt://HOST:PORT, or mqtts://HOST:PORT with TLS; without a port 1883 or 8883",
            Some(&defaults.uri),
        ),
        text_spec(
            "topic",
            "Topic",
            "Topic of the lines; {source} in it stands for a line's source (img2posejson source=...), or for the name \
             of this element where a line has none",
            Some(&defaults.topic),
        ),
        text_spec(
            "status-topic",
            "Status topic",
            "Topic where the broker keeps 'online' or 'offline' for this element; {source} in it stands for the \
             element's name. Unset: it is not said",
            None,
        ),
        glib::ParamSpecUInt::builder("qos")
            .nick("Quality of service")
            .blurb("How sure a line arrives: 0 at most once, 1 at least once, 2 once")
            .maximum(2)
            .default_value(defaults.qos)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("retain")
            .nick("Retain")
            .blurb("Have the broker keep the last line of each topic for those who subscribe later")
            .default_value(defaults.retain)
            .mutable_ready()
            .build(),
        text_spec(
            "client-id",
            "Client id",
            "Name by which the broker knows this connection, another for each; unset: a random one",
            None,
        ),
        text_spec("user", "User", "Name to log in with; unset: none", None),
        glib::ParamSpecString::builder("password")
            .nick("Password")
            .blurb("Password to log in with; it cannot be read back")
            .write_only()
            .mutable_ready()
            .build(),
        text_spec(
            "ca-file",
            "Authorities",
            "PEM file with the certificate authorities that the broker's certificate may come from; unset: the \
             system's",
            None,
        ),
        text_spec(
            "client-certificate",
            "Client certificate",
            "PEM file with the certificate to log in with, followed by those between it and its authority",
            None,
        ),
        text_spec(
            "client-key",
            "Client key",
            "PEM file with the private key of client-certificate",
            None,
        ),
        glib::ParamSpecUInt::builder("keep-alive")
            .nick("Keep alive")
            .blurb("A connection on which nothing has come for one and a half times as many seconds is given up; 0: never")
            .maximum(65_535)
            .default_value(defaults.keep_alive)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("max-queued-lines")
            .nick("Maximum queued lines")
            .blurb(
                "Lines that may wait to be sent or acknowledged; beyond it the oldest that was not sent is dropped and \
                 counted in stats",
            )
            .minimum(1)
            .maximum(10_000_000)
            .default_value(defaults.max_queued_lines)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("eos-timeout")
            .nick("Timeout at the end")
            .blurb("How long in nanoseconds the end of the stream waits until the lines that are queued have arrived")
            .maximum(u64::MAX / 4)
            .default_value(defaults.eos_timeout)
            .mutable_ready()
            .build(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let good = [
            ("mqtt://broker", ("broker", 1883, false)),
            ("mqtt://10.0.0.7:1884/", ("10.0.0.7", 1884, false)),
            ("mqtts://broker.example", ("broker.example", 8883, true)),
            ("mqtts://[::1]:9", ("::1", 9, true)),
        ];
        for (uri, (host, port, is_safe)) in good {
            assert_eq!(address(uri), Ok((host.to_owned(), port, is_safe)), "{uri}");
        }
        for bad in [
            "",
            "broker",
            "http://broker",
            "mqtt://",
            "mqtt://a/topic",
            "mqtt://a:99999",
            "mqtt://a?x=1",
        ] {
            assert!(address(bad).unwrap_err().contains("mqtt"), "{bad}");
        }
        let error = address("mqtt://anna:secret@broker").unwrap_err();
        assert!(error.contains("password") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        let with = |changes: &[(&str, &str)]| {
            let mut settings = Settings::default();
            for (name, value) in changes {
                settings.set(name, &value.to_value());
            }
            settings.broker("sink0").map(|broker| broker.status_topic)
        };
        assert_eq!(with(&[]), Ok(None));
        assert_eq!(
            with(&[("status-topic", "status/{source}")]),
            Ok(Some("status/sink0".to_owned()))
        );
        for (changes, word) in [
            (&[("uri", "broker")][..], "uri"),
            (&[("topic", "a/#")], "topic"),
            (&[("status-topic", "+")], "status-topic"),
            (&[("password", "x")], "user"),
            (&[("ca-file", "/nowhere.pem")], "mqtts"),
            (
                &[("uri", "mqtts://a"), ("ca-file", "/nowhere.pem")],
                "/nowhere.pem",
            ),
            (
                &[("uri", "mqtts://a"), ("ca-file", "/etc/hostname")],
                "/etc/hostname",
            ),
            (
                &[("uri", "mqtts://a"), ("client-key", "/nowhere.pem")],
                "client-certificate",
            ),
        ] {
            let error = with(changes).unwrap_err();
            assert!(error.contains(word), "{changes:?}: {error}");
        }
    }
}
