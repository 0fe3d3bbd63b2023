//! The random sequences of `tests/detect_storm` with the network at a server that answers late, refuses, hangs up, or never answers.
//!
//! `IMG2POSE_RANDOM_CASES` says how many sequences with each server (150 unless set), `IMG2POSE_RANDOM_SEED` the number of the first.

#[path = "../../../../tests/detect_storm/cases.rs"]
mod cases;
#[path = "../../../../tests/detect_storm/downstream.rs"]
mod downstream;
#[path = "../../../../tests/detect_storm/expect.rs"]
mod expect;
#[path = "../../../../tests/detect_storm/frames.rs"]
mod frames;
#[path = "../../../../tests/detect_storm/make.rs"]
mod make;
#[path = "../../../../tests/detect_storm/operation.rs"]
mod operation;
#[path = "../../../../tests/detect_storm/rig.rs"]
mod rig;
#[path = "../../../../tests/detect_storm/streamer.rs"]
mod streamer;
#[path = "../../../../tests/detect/support/mod.rs"]
#[allow(dead_code)] // Written for the other tests.
mod support;
#[path = "../../../../tests/detect_storm/walk.rs"]
mod walk;
#[path = "../../../../tests/detect_storm/watchdog.rs"]
mod watchdog;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gst::prelude::*;
use server_tests::{Behaviour, FakeServer, Infer, MODEL, Served};

use cases::{from_environment, run_cases};
use frames::Network;
use rig::Setup;

/// Numbers that look random.
struct Random(Mutex<u64>);

impl Random {
    fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.lock().unwrap();
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 33) % limit
    }
}

/// How often a server did what it is there for.
#[derive(Default)]
struct Counts {
    answered: AtomicU64,
    failed: AtomicU64,
    lost: AtomicU64,
}

/// A server whose batches meet faults that pass, and where it `loses` some whose answer never comes.
fn server(seed: u64, loses: bool, counts: &Arc<Counts>) -> FakeServer {
    static SERVED: LazyLock<Arc<Served>> = LazyLock::new(|| Arc::new(Served::open(support::model())));
    let (random, counts) = (Random(Mutex::new(seed)), counts.clone());
    let choose = move |_: &[i64]| {
        let (count, what) = match random.below(16) {
            0 => (&counts.failed, Infer::Status(14, "not now".to_owned())),
            1 => (&counts.failed, Infer::Status(1, "Timeout expired".to_owned())),
            2 => (&counts.failed, Infer::HangUp),
            3 if loses => (&counts.lost, Infer::Silence),
            3..7 => (
                &counts.answered,
                Infer::Late(Duration::from_millis(random.below(30))),
            ),
            _ => (&counts.answered, Infer::Answer),
        };
        count.fetch_add(1, Ordering::Relaxed);
        what
    };
    let behaviour = Behaviour {
        then: Infer::chosen(choose),
        ..Behaviour::default()
    };
    FakeServer::start_with(&SERVED, behaviour)
}

/// Runs sequences with elements that ask `server` and wait for an answer so long.
fn storm(server: &FakeServer, network: Network, timeout: Duration) {
    let url = server.url();
    let timeout = u64::try_from(timeout.as_nanos()).unwrap();
    let setup = Setup {
        network,
        prepare: Box::new(move |element| {
            element.set_property("server-url", &url);
            element.set_property("server-model", MODEL);
            element.set_property("server-timeout", timeout);
        }),
    };
    let first = from_environment("IMG2POSE_RANDOM_SEED", 1);
    let cases = from_environment("IMG2POSE_RANDOM_CASES", 150);
    let began = std::time::Instant::now();
    run_cases(first..first + cases, |sequence| {
        let mut sequence = sequence.clone();
        // A server takes whole frames.
        sequence.start.whole_frame_interval = 1;
        rig::run(&sequence, &setup)
    });
    println!("{cases} sequences from {first} on in {:?}", began.elapsed());
}

#[test]
fn every_frame_has_its_faces_whatever_passes() {
    support::init();
    let counts = Arc::default();
    let server = server(1, false, &counts);
    storm(&server, Network::Server, Duration::from_secs(3600));
    let [answered, failed] = [&counts.answered, &counts.failed].map(|count| count.load(Ordering::Relaxed));
    println!("{answered} batches answered, {failed} refused or cut off");
    assert!(answered > 0 && failed > 0);
}

#[test]
fn frames_pass_in_their_order_what_is_not_answered() {
    support::init();
    let counts = Arc::default();
    let server = server(2, true, &counts);
    storm(&server, Network::LostServer, Duration::from_millis(250));
    let [answered, failed, lost] =
        [&counts.answered, &counts.failed, &counts.lost].map(|count| count.load(Ordering::Relaxed));
    println!("{answered} batches answered, {failed} refused or cut off, {lost} never answered");
    assert!(answered > 0 && failed > 0 && lost > 0);
}
