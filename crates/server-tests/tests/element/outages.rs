//! A server that does not answer, and one that is not what is needed.

use std::time::Instant;

use gst::prelude::*;
use server_tests::FakeServer;

use super::support::{assert_same, detect, local, served};
use super::*;

/// In nanoseconds: long enough for the trial on a loaded machine.
const SHORT: u64 = 2_000_000_000;

#[test]
fn frames_pass_an_outage_with_one_warning() {
    let server = FakeServer::start(served());
    let element = element(&server);
    element.set_property("server-timeout", SHORT);
    let (mut harness, bus) = harness(&element);
    let mut next = 0;
    let two = |harness: &mut gst_check::Harness, next: &mut u64| {
        let first = *next;
        for index in [first, first + 1] {
            harness.push(frame(index)).unwrap();
        }
        *next += 2;
        [first, first + 1].map(|index| pull(harness, index))
    };
    assert!(two(&mut harness, &mut next).iter().all(Option::is_some));

    let port = server.kill();
    for _ in 0..10 {
        assert_eq!(two(&mut harness, &mut next), [None, None]);
    }
    let warnings = texts(&bus, gst::MessageType::Warning);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    for part in ["does not answer", "without faces", &port.to_string()] {
        assert!(warnings[0].contains(part), "no '{part}' in {}", warnings[0]);
    }
    let counts = ["unreached", "outages", "inferred"].map(|name| count(&element, name));
    assert_eq!(counts, [20, 1, 2]);

    let _server = FakeServer::start_on(port, served());
    let began = Instant::now();
    let found = loop {
        let first = next;
        if let [Some(one), Some(other)] = two(&mut harness, &mut next) {
            break (first, [one, other]);
        }
        within_limit(began);
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut local = local();
    for (index, faces) in (found.0..).zip(found.1) {
        assert_same(&detect(&mut local, index as usize % 5).unwrap(), &[faces]);
    }
    assert_eq!(
        (count(&element, "frames-in"), count(&element, "frames-out")),
        (next, next)
    );
    assert!(
        texts(&bus, gst::MessageType::Warning).is_empty(),
        "one for each outage"
    );
    assert!(texts(&bus, gst::MessageType::Error).is_empty());
}

#[test]
fn an_outage_is_an_error_where_that_is_wanted() {
    let server = FakeServer::start(served());
    let element = element(&server);
    element.set_property("server-timeout", SHORT);
    element.set_property_from_str("on-outage", "error");
    let (mut harness, bus) = harness(&element);
    server.kill();
    for index in 0..2 {
        harness.push(frame(index)).unwrap();
    }
    for index in 0..2 {
        assert_eq!(pull(&mut harness, index), None);
    }
    let errors = texts(&bus, gst::MessageType::Error);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains("does not answer"), "{errors:?}");
}

/// What `element` says when it cannot start.
fn refused(element: &gst::Element) -> String {
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let began = Instant::now();
    assert!(element.set_state(gst::State::Paused).is_err());
    within_limit(began);
    element.set_state(gst::State::Null).unwrap();
    texts(&bus, gst::MessageType::Error).join(" ")
}

#[test]
fn it_says_why_it_cannot_start() {
    let server = FakeServer::start(served());
    let with = |name: &str, value: &str| {
        let element = element(&server);
        element.set_property_from_str(name, value);
        let text = refused(&element);
        assert!(!text.contains("secret"), "{text}");
        text
    };
    for (name, value, parts) in [
        (
            "execution-provider",
            "cpu",
            ["execution-provider is cpu", "server-url"],
        ),
        (
            "whole-frame-interval",
            "15",
            ["whole-frame-interval is 15", "inference-interval"],
        ),
        (
            "server-client-key",
            "/a.key",
            ["server-client-certificate", "set both"],
        ),
        ("server-headers", "secret", ["server-headers", "NAME=VALUE"]),
        ("server-url", "grpc://me:secret@host:1", ["server url", "headers"]),
        ("server-model", "cars", ["unknown model", "'cars'"]),
        ("server-ca-file", "/a.pem", ["grpcs://", "not encrypted"]),
        ("precision", "int8", ["contract", "serve-model"]),
    ] {
        let text = with(name, value);
        for part in parts {
            assert!(text.contains(part), "{name}: no '{part}' in {text}");
        }
    }
    let gone = element(&server);
    gone.set_property("server-timeout", 300_000_000u64);
    server.kill();
    let text = refused(&gone);
    assert!(text.contains("Is it running"), "{text}");
}

#[test]
fn elements_that_share_a_model_ask_one_server_in_one_way() {
    let server = FakeServer::start(served());
    let shared = |name: &str, value: &str| {
        let element = element(&server);
        element.set_property("model-instance-id", "cameras");
        element.set_property("server-headers", "token=secret");
        element.set_property_from_str(name, value);
        element
    };
    let first = shared("on-outage", "error");
    first.set_state(gst::State::Paused).unwrap();
    let same = shared("on-outage", "pass");
    same.set_state(gst::State::Paused).unwrap();
    for (name, value) in [("server-requests", "3"), ("server-headers", "token=other")] {
        let text = refused(&shared(name, value));
        assert!(text.contains(name) && text.contains("cameras"), "{text}");
        assert!(!text.contains("secret") && !text.contains("=other"), "{text}");
    }
    for element in [first, same] {
        element.set_state(gst::State::Null).unwrap();
    }
}
