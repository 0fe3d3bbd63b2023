//! A real server, which the command in `IMG2POSE_TEST_SERVER` starts on the port that it is given, and which is stopped, killed and
//! started again. `scripts/test-servers.sh` runs this with NVIDIA Triton.

#[path = "../remote/support.rs"]
#[allow(dead_code, reason = "the tests of detectors use the rest")]
mod support;

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use img2pose::frame::Frame;
use img2pose::{Detector, DetectorOptions, Error, Face, ServerOptions};
use test_support::{CASES, golden, images};

use support::{SIDE, assert_same, batches_of_one_to_eight, local, model, options, picture};

/// Name of the model that the server has.
const NAME: &str = "img2pose";
/// How long a server may take to start.
const LIMIT: Duration = Duration::from_secs(120);

struct Server {
    child: Child,
}

impl Server {
    fn start(command: &str, port: u16) -> Self {
        let child = Command::new(command)
            .arg(port.to_string())
            .stdin(Stdio::null())
            .spawn();
        Self {
            child: child.unwrap_or_else(|error| panic!("{command}: {error}")),
        }
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill")
            .arg(name)
            .arg(self.child.id().to_string())
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(port: u16, options: DetectorOptions, timeout: Duration) -> Result<Detector, Error> {
    let server = ServerOptions::new(format!("grpc://127.0.0.1:{port}"), NAME).with_timeout(timeout);
    Detector::load(model(), options.with_server(server))
}

fn detect(detector: &mut Detector) -> Result<Vec<Vec<Face>>, Error> {
    detector.detect(&[Frame::rgb(&picture(1, SIDE, SIDE), SIDE, SIDE)])
}

/// Runs batches until one has faces again, which must be `expected`.
fn until_it_is_back(detector: &mut Detector, expected: &[Vec<Face>]) {
    let began = Instant::now();
    loop {
        match detect(detector) {
            Ok(found) => {
                assert_same(expected, &found);
                return;
            }
            Err(Error::Outage { .. }) => assert!(began.elapsed() < LIMIT, "it does not come back"),
            Err(other) => panic!("{other}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_real_server_gives_the_same_faces_and_may_be_stopped_killed_and_restarted() {
    let Ok(command) = std::env::var("IMG2POSE_TEST_SERVER") else {
        test_support::skip(
            "server-tests real",
            "no command in IMG2POSE_TEST_SERVER; scripts/test-servers.sh sets it",
        );
        return;
    };
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = Server::start(&command, port);
    // It is waited for until it is ready.
    let mut there = connect(port, options(), LIMIT).unwrap();
    let mut here = local();
    batches_of_one_to_eight(&mut here, &mut there, |_| ());
    let wrong = ServerOptions::new(format!("grpc://127.0.0.1:{port}"), "cars");
    let error = Detector::load(model(), options().with_server(wrong)).unwrap_err();
    println!("another name: {error}");
    assert!(error.to_string().contains("cars"));

    if let Some(golden) = golden("server-tests real") {
        let plain = || DetectorOptions::default().with_min_size(240);
        let mut there = connect(port, plain(), LIMIT).unwrap();
        let mut here = Detector::load(model(), plain()).unwrap();
        let mut faces = 0;
        for (_, image, _) in images(&golden, CASES[0].1[0]) {
            let frames = [Frame::rgb(&image.pixels, image.width, image.height)];
            faces += assert_same(&here.detect(&frames).unwrap(), &there.detect(&frames).unwrap());
        }
        println!("{faces} real faces are the same");
    }

    let expected = detect(&mut here).unwrap();
    let mut hasty = connect(port, options(), Duration::from_secs(5)).unwrap();
    server.signal("-STOP");
    let error = detect(&mut hasty).unwrap_err();
    println!("stopped: {error}");
    assert!(matches!(error, Error::Outage { number: 1, .. }));
    server.signal("-CONT");
    until_it_is_back(&mut hasty, &expected);

    drop(server);
    let error = detect(&mut hasty).unwrap_err();
    println!("killed: {error}");
    assert!(matches!(error, Error::Outage { number: 2, .. }));
    let server = Server::start(&command, port);
    until_it_is_back(&mut hasty, &expected);
    // One that waits long enough notices nothing of a server that ends in order and is started again.
    assert_same(&expected, &detect(&mut there).unwrap());
    server.signal("-TERM");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| detect(&mut there).unwrap());
        drop(server);
        let _server = Server::start(&command, port);
        assert_same(&expected, &waiting.join().unwrap());
    });
}
