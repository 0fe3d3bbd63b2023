//! The numbers of `many_cameras` for Prometheus.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::examples::{Running, clip, command, example, plugins};

/// Long enough for a loaded machine.
const LIMIT: Duration = Duration::from_secs(100);

/// Head and body of the answer to a request.
fn ask(address: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    write!(stream, "{request}\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

/// The values by `name{labels}`, of which each family is described before.
fn values(text: &str) -> BTreeMap<String, f64> {
    let mut described = ("", "");
    let mut values = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                assert!(help.ends_with('.'), "{line}");
                described = (name, "");
            }
            ["#", "TYPE", name, kind] => {
                assert_eq!(described.0, name);
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                described.1 = kind;
            }
            [series, value] => {
                let (name, label) = series.split_once('{').unwrap();
                assert_eq!(name, described.0);
                assert!(["counter", "gauge"].contains(&described.1), "{line}");
                assert!(label.starts_with("camera=\"") && label.ends_with("\"}"), "{line}");
                let before = values.insert(series.to_owned(), value.parse().unwrap());
                assert!(before.is_none(), "twice: {line}");
            }
            _ => panic!("not in the format: {line}"),
        }
    }
    values
}

#[test]
fn many_cameras_have_metrics() {
    let test = "many_cameras_have_metrics";
    let Some(program) = example("many_cameras", test) else {
        return;
    };
    let plugins = plugins("metrics", &[]);
    // The lost one keeps the program alive.
    let mut child = command(&program, &plugins)
        .args(["--metrics", "127.0.0.1:0"])
        .arg(format!("file://{}", clip(&plugins, 0).display()))
        .arg("file:///nonexistent.mkv")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let _running = Running(child);
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let address = line
        .trim()
        .strip_prefix("metrics at http://")
        .and_then(|rest| rest.strip_suffix("/metrics"))
        .unwrap_or_else(|| panic!("no address in '{line}'"));
    // Nobody waits for one who says nothing.
    let _silent = TcpStream::connect(address).unwrap();

    let began = Instant::now();
    let found = loop {
        let (head, body) = ask(address, "GET /metrics HTTP/1.1");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
        let found = values(&body);
        if found["img2pose_frames_total{camera=\"0\"}"] == 6.0
            && found["img2pose_camera_up{camera=\"0\"}"] == 0.0
            && found["img2pose_camera_restarts_total{camera=\"1\"}"] > 0.0
        {
            break found;
        }
        assert!(began.elapsed() < LIMIT, "{body}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let value = |name: &str, camera: u8| found[&format!("img2pose_{name}{{camera=\"{camera}\"}}")];
    assert_eq!(value("inferred_frames_total", 0), 6.0);
    assert_eq!(value("batch_frames_total", 0), 6.0);
    // Of two frames at most, one for each camera.
    assert!((3.0..=6.0).contains(&value("batches_total", 0)), "{found:?}");
    assert!(value("batch_seconds_total", 0) > 0.0);
    for name in ["unreached_frames_total", "outages_total", "late_frames_total"] {
        assert_eq!(value(name, 0), 0.0, "{name}");
    }
    for name in ["frames_total", "faces_total", "queued_frames"] {
        assert_eq!(value(name, 1), 0.0, "{name}");
    }

    let (head, body) = ask(address, "GET / HTTP/1.1");
    assert!(
        head.starts_with("HTTP/1.1 404 ") && body.contains("/metrics"),
        "{head}"
    );
    let (head, _) = ask(address, "POST /metrics HTTP/1.1");
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
}
