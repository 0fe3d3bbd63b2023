//! Lines, numbers, state and pictures, as a viewer gets them.

use img2pose_view::Numbers;

use crate::client::{get, view};

fn line(frame: u32) -> String {
    format!("{{\"pts\":{frame},\"frame\":{frame},\"faces\":[]}}")
}

#[test]
fn whoever_comes_late_is_given_what_was_and_then_what_comes() {
    let view = view();
    let mut early = get(view.address(), "/events").events();
    assert!(early.next_of("status").contains("\"state\":\"waiting\""));
    view.source("a \"b\"\n.mp4");
    let status = early.next_of("status");
    assert!(
        status.contains("\"state\":\"running\"") && status.contains(r#""source":"a \"b\"\n.mp4""#),
        "{status}"
    );
    view.line(format!("{}\n", line(0)).as_bytes());
    view.numbers(&Numbers {
        frames: 1,
        batch_size: 8,
        ..Numbers::default()
    });
    let mut late = get(view.address(), "/events").events();
    assert_eq!(late.next_of("status"), status);
    let numbers = late.next_of("numbers");
    assert!(
        numbers.contains("\"frames\":1") && numbers.contains("\"latency_ms\":null"),
        "{numbers}"
    );
    assert_eq!(late.next_of("line"), line(0));
    for frame in 1..50 {
        view.line(line(frame).as_bytes());
    }
    view.ended();
    // Both see every line once, in order, and then the end.
    let mut expected = 0;
    for (viewer, first) in [(&mut early, 0), (&mut late, 1)] {
        for frame in first..50 {
            assert_eq!(viewer.next_of("line"), line(frame));
            expected += 1;
        }
        assert!(viewer.next_of("status").contains("\"state\":\"ended\""));
    }
    assert_eq!(expected, 99);
    // The end is still there for who comes after it, and so is what was.
    let mut after = get(view.address(), "/events").events();
    assert!(after.next_of("status").contains("\"state\":\"ended\""));
    for frame in 0..50 {
        assert_eq!(after.next_of("line"), line(frame));
    }
    // With the next source that is forgotten.
    view.source("b.mp4");
    assert!(after.next_of("status").contains("b.mp4"));
    let mut fresh = get(view.address(), "/events").events();
    assert!(fresh.next_of("status").contains("b.mp4"));
    view.line(line(7).as_bytes());
    assert_eq!(fresh.next_of("line"), line(7));
}

#[test]
fn viewers_learn_why_it_has_ended_before_it_is_gone() {
    let view = view();
    view.source("rtsp://camera");
    let mut viewer = get(view.address(), "/events").events();
    viewer.next_of("status");
    view.failed("rtsp://camera: no route to host");
    drop(view);
    assert!(viewer.next_of("status").contains("no route to host"));
    assert_eq!(viewer.next(), None);
}

#[test]
fn pictures_replace_each_other() {
    let view = view();
    view.picture(b"first".to_vec());
    assert_eq!(get(view.address(), "/picture.jpg").text(), "first");
    let mut viewer = get(view.address(), "/picture").pictures();
    // The newest at once, also where no other follows.
    assert_eq!(viewer.next(), b"first");
    assert_eq!(view.viewers(), 1);
    for picture in ["second", "\r\n--picture\r\n", ""] {
        view.picture(picture.as_bytes().to_vec());
        assert_eq!(viewer.next(), picture.as_bytes());
    }
}
