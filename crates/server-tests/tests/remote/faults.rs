//! What goes wrong while batches run.

use std::time::{Duration, Instant};

use bytes::Bytes;
use img2pose::frame::Frame;
use img2pose::{Detector, Error};
use server_tests::proto::{InferResponse, TensorContents};
use server_tests::{FakeServer, Infer};

use super::support::*;

/// Runs batches until one succeeds; what failed before must have been the outage with this number.
fn until_it_is_back(detector: &mut Detector, outage: u64) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        match detect(detector, 1) {
            Ok(faces) => {
                assert_same(&detect(&mut local(), 1).unwrap(), &faces);
                return;
            }
            Err(Error::Outage { number, .. }) => assert_eq!(number, outage),
            Err(other) => panic!("{other}"),
        }
        assert!(Instant::now() < until, "it does not come back");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn short(server: &FakeServer) -> Detector {
    connect(self::server(&server.url()).with_timeout(SHORT)).unwrap_or_else(|_| {
        // On a loaded machine the trial may take longer.
        connect(self::server(&server.url()).with_timeout(5 * SHORT)).unwrap()
    })
}

fn outage(done: Result<Vec<Vec<img2pose::Face>>, Error>) -> (u64, String) {
    match done {
        Err(Error::Outage { number, reason, .. }) => (number, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_passes_is_tried_again() {
    let server = FakeServer::start(served());
    let mut detector = remote(&server);
    let expected = detect(&mut local(), 1).unwrap();
    let before = server.batches().len();
    server.tell(|behaviour| {
        behaviour.next.extend([
            Infer::Status(14, "not now".to_owned()),
            Infer::HangUp,
            Infer::Status(1, "Timeout expired".to_owned()),
            // While it is updated.
            Infer::Status(5, "no available versions".to_owned()),
            Infer::Late(Duration::from_millis(5)),
        ]);
    });
    assert_same(&expected, &detect(&mut detector, 1).unwrap());
    assert_eq!(server.batches().len() - before, 5);
}

#[test]
fn a_server_that_is_restarted_in_time_is_not_noticed() {
    let server = FakeServer::start(served());
    let mut detector = remote(&server);
    let expected = detect(&mut detector, 1).unwrap();
    let port = server.kill();
    std::thread::scope(|scope| {
        let found = scope.spawn(|| detect(&mut detector, 1).unwrap());
        let _server = FakeServer::start_on(port, served());
        assert_eq!(found.join().unwrap(), expected);
    });
}

#[test]
fn a_server_that_is_gone_is_an_outage_until_it_is_back() {
    let server = FakeServer::start(served());
    let mut detector = short(&server);
    let mut twin = detector.twin(model()).unwrap();
    let port = server.kill();
    let (number, reason) = outage(detect(&mut detector, 1));
    assert_eq!(number, 1);
    assert!(!reason.is_empty());
    // From now on nothing waits for the time of an answer, in the twin neither.
    let began = Instant::now();
    let mut failed = 0;
    while failed < 200 {
        assert_eq!(outage(detect(&mut twin, 1)).0, 1);
        failed += 1;
    }
    assert!(began.elapsed() < 100 * SHORT, "{:?}", began.elapsed());
    let server = FakeServer::start_on(port, served());
    until_it_is_back(&mut detector, 1);
    until_it_is_back(&mut twin, 1);
    drop(server);
    assert_eq!(outage(detect(&mut twin, 1)).0, 2);
}

/// As a process that was stopped is: it takes what it is sent, and says nothing.
#[test]
fn a_server_that_falls_silent_is_an_outage() {
    let server = FakeServer::start(served());
    let mut detector = short(&server);
    server.tell(|behaviour| behaviour.then = Infer::Silence);
    let (number, reason) = outage(detect(&mut detector, 1));
    assert_eq!(number, 1);
    assert!(!reason.is_empty());
    server.tell(|behaviour| behaviour.then = Infer::Answer);
    until_it_is_back(&mut detector, 1);
}

#[test]
fn a_server_that_comes_back_with_another_model_is_refused() {
    let server = FakeServer::start(served());
    let mut detector = short(&server);
    let port = server.kill();
    outage(detect(&mut detector, 1));
    let other = std::sync::Arc::new(server_tests::Served::open(
        &test_support::shipped_model_in_8_bits(),
    ));
    let _server = FakeServer::start_on(port, &other);
    let until = Instant::now() + Duration::from_secs(60);
    let text = loop {
        match detect(&mut detector, 1) {
            Err(Error::Outage { .. }) => assert!(Instant::now() < until),
            Err(error) => break error.to_string(),
            Ok(_) => panic!("faces of another model"),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(
        text.contains("contract") && text.contains("serve-model"),
        "{text}"
    );
}

#[test]
fn waiting_is_cancelled_at_once() {
    let server = FakeServer::start(served());
    let mut detector = connect(self::server(&server.url()).with_timeout(Duration::from_secs(3600))).unwrap();
    let canceller = detector.canceller();
    for what in [Infer::Silence, Infer::Status(14, "not now".to_owned())] {
        server.tell(|behaviour| behaviour.then = what.clone());
        let before = server.batches().len();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| detect(&mut detector, 1));
            server.wait_for_batches(before + 1);
            canceller.cancel();
            assert!(
                matches!(waiting.join().unwrap(), Err(Error::Cancelled)),
                "{what:?}"
            );
        });
        // Before it begins, too.
        assert!(matches!(detect(&mut detector, 1), Err(Error::Cancelled)));
        canceller.reset();
    }
    server.tell(|behaviour| behaviour.then = Infer::Answer);
    assert_same(
        &detect(&mut local(), 1).unwrap(),
        &detect(&mut detector, 1).unwrap(),
    );
    // A connection that waits for nothing ends at once.
    drop(detector);
}

#[test]
fn what_does_not_pass_is_told_at_once() {
    let server = FakeServer::start(served());
    let mut detector = connect(self::server(&server.url()).with_timeout(Duration::from_secs(3600))).unwrap();
    for (code, text, cure) in [
        (3, "unexpected shape for input", "unexpected shape"),
        (8, "received message larger than max", "batch size"),
        (13, "Internal server error", "Internal"),
        (16, "token expired", "headers"),
    ] {
        server.tell(|behaviour| behaviour.next.push_back(Infer::Status(code, text.to_owned())));
        let error = detect(&mut detector, 1).unwrap_err();
        assert!(matches!(error, Error::Server { .. }));
        let words = error.to_string();
        assert!(words.contains(cure) && words.contains(&server.url()), "{words}");
    }
    detect(&mut detector, 1).unwrap();
}

type Change = fn(&mut InferResponse);

/// The place of an output among those of the answer.
const PROPOSALS: usize = 0;
const FRAMES: usize = 1;
const SCORES: usize = 2;
const POSES: usize = 3;
const CONTRACT: usize = 4;

#[test]
fn answers_are_not_believed() {
    let server = FakeServer::start(served());
    let mut detector = remote(&server);
    let expected = detect(&mut detector, 1).unwrap();
    let cases: [(&str, Change); 12] = [
        ("'proposals' of FP64", |r| {
            "FP64".clone_into(&mut r.outputs[PROPOSALS].datatype)
        }),
        ("'proposals' of shape", |r| r.outputs[PROPOSALS].shape[1] = 5),
        ("'proposals' of shape", |r| r.outputs[PROPOSALS].shape[0] = -1),
        ("'proposals' of shape", |r| {
            r.outputs[PROPOSALS].shape = vec![i64::MAX, i64::MAX]
        }),
        ("'class_scores' of shape", |r| {
            r.outputs[SCORES].shape[0] -= 1;
            let bytes = r.raw_output_contents[SCORES].clone();
            r.raw_output_contents[SCORES] = bytes.slice(4..);
        }),
        ("'class_scores' with infinity or not-a-number", |r| {
            let mut bytes = r.raw_output_contents[SCORES].to_vec();
            bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
            r.raw_output_contents[SCORES] = Bytes::from(bytes);
        }),
        ("no 'pose_regression'", |r| {
            r.outputs.remove(POSES);
            r.raw_output_contents.remove(POSES);
        }),
        ("'pose_regression' of shape", |r| {
            let rows = r.outputs[POSES].shape[0];
            r.outputs[POSES].shape[0] = rows + 1;
            let mut bytes = r.raw_output_contents[POSES].to_vec();
            bytes.extend([0; 24]);
            r.raw_output_contents[POSES] = Bytes::from(bytes);
        }),
        ("'proposal_frames' with 1 in it", |r| {
            let mut bytes = r.raw_output_contents[FRAMES].to_vec();
            bytes[..8].copy_from_slice(&1_i64.to_le_bytes());
            r.raw_output_contents[FRAMES] = Bytes::from(bytes);
        }),
        ("'img2pose_contract' of shape", |r| {
            r.raw_output_contents[PROPOSALS] = Bytes::new()
        }),
        ("the model there has contract", |r| {
            let mut bytes = r.raw_output_contents[CONTRACT].to_vec();
            bytes[7] ^= 1;
            r.raw_output_contents[CONTRACT] = Bytes::from(bytes);
        }),
        ("'img2pose_contract' of shape", |r| r.raw_output_contents.clear()),
    ];
    for (words, change) in cases {
        server.tell(|behaviour| behaviour.next.push_back(Infer::changed(change)));
        let text = detect(&mut detector, 1).unwrap_err().to_string();
        assert!(
            text.contains(words) && text.contains(&server.url()),
            "'{words}' is not in: {text}"
        );
        // The batch behind it is not touched by it.
        assert_eq!(detect(&mut detector, 1).unwrap(), expected);
    }
}

/// As MLServer answers: elements in lists, and rows of one.
#[test]
fn elements_may_stand_in_lists_and_numbers_in_rows() {
    let server = FakeServer::start(served());
    let mut detector = remote(&server);
    let expected = detect(&mut detector, 1).unwrap();
    server.tell(|behaviour| {
        behaviour.then = Infer::changed(|response| {
            for (output, bytes) in response.outputs.iter_mut().zip(&response.raw_output_contents) {
                if output.shape.len() == 1 && output.name != "img2pose_contract" {
                    output.shape.push(1);
                }
                let mut contents = TensorContents::default();
                match output.datatype.as_str() {
                    "FP32" => {
                        let numbers = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b));
                        contents.fp32_contents = numbers.collect();
                    }
                    "INT64" => {
                        let numbers = bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b));
                        contents.int64_contents = numbers.collect();
                    }
                    _ => contents.uint_contents = bytes.iter().map(|&byte| byte.into()).collect(),
                }
                output.contents = Some(contents);
            }
            response.raw_output_contents.clear();
        });
    });
    assert_eq!(detect(&mut detector, 1).unwrap(), expected);
}

/// As Triton answers when nothing is a face: the elements of a tensor without any are not in the list.
#[test]
fn tensors_without_elements_may_be_left_out_of_the_list() {
    let behaviour = server_tests::Behaviour {
        then: Infer::changed(|response| {
            let shapes: Vec<_> = response
                .outputs
                .iter()
                .map(|output| output.shape.clone())
                .collect();
            let mut shapes = shapes.iter();
            response
                .raw_output_contents
                .retain(|_| !shapes.next().unwrap().contains(&0));
        }),
        ..Default::default()
    };
    let server = FakeServer::start_with(served(), behaviour);
    // The trial shows nobody.
    let mut detector = remote(&server);
    assert_same(
        &detect(&mut local(), 1).unwrap(),
        &detect(&mut detector, 1).unwrap(),
    );
}

#[test]
fn regions_are_refused() {
    let server = FakeServer::start(served());
    let mut detector = remote(&server);
    let mut batch = detector.new_region_batch(SIDE, 1).unwrap();
    let pixels = picture(0, SIDE, SIDE);
    let frame = Frame::rgb(&pixels, SIDE, SIDE);
    batch
        .push(&frame, &[img2pose::frame::Region::whole(&frame.layout)])
        .unwrap();
    let error = detector.detect_regions_into(&batch, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("whole frames"), "{error}");
}
