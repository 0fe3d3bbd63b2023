//! Many viewers, and slow ones.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::client::{connect, get, view};

/// Large enough that the system does not keep many of them for a viewer who does not read.
const BYTES: usize = 200_000;

fn picture(number: u32) -> Vec<u8> {
    let mut picture = vec![0; BYTES];
    picture[..4].copy_from_slice(&number.to_le_bytes());
    picture
}

fn number(picture: &[u8]) -> u32 {
    assert_eq!(picture.len(), BYTES);
    u32::from_le_bytes(picture[..4].try_into().unwrap())
}

#[test]
fn a_slow_viewer_loses_pictures_and_holds_nobody_up() {
    let view = view();
    view.picture(picture(0));
    let mut slow = get(view.address(), "/picture").pictures();
    let mut quick = get(view.address(), "/picture").pictures();
    assert_eq!(number(&quick.next()), 0);
    // 80 MB, of which the slow one reads nothing meanwhile. If it held the publisher or the other viewer up, this would not end.
    for sent in 1..=400 {
        view.picture(picture(sent));
        assert_eq!(number(&quick.next()), sent);
    }
    // What lay on its way to it is old; the newest comes right behind.
    let mut seen = vec![number(&slow.next())];
    while *seen.last().unwrap() != 400 {
        seen.push(number(&slow.next()));
    }
    assert!(seen.is_sorted_by(|one, next| one < next), "{seen:?}");
    assert!(seen.len() < 300, "{} pictures", seen.len());
}

#[test]
fn a_viewer_who_is_far_behind_is_told_how_many_lines_it_lost() {
    let view = view();
    let mut slow = get(view.address(), "/events").events();
    let mut quick = get(view.address(), "/events").events();
    let line = |frame: u32| format!("{{\"frame\":{frame},\"padding\":\"{}\"}}", "x".repeat(5000));
    // 15 MB.
    let count = 3000;
    for frame in 0..count {
        view.line(line(frame).as_bytes());
        assert_eq!(quick.next_of("line"), line(frame));
    }
    let (mut lines, mut lost) = (0, 0);
    while lines + lost < count {
        let (event, data) = slow.next().unwrap();
        match event.as_str() {
            "line" => {
                // Those that come are in their order, behind those that were lost.
                assert_eq!(data, line(lines + lost));
                lines += 1;
            }
            "lost" => lost += data.parse::<u32>().unwrap(),
            _ => {}
        }
    }
    assert_eq!(lines + lost, count);
    assert!(lost > 0);
}

#[test]
fn viewers_who_leave_are_not_counted() {
    let view = view();
    view.picture(picture(0));
    let mut viewers: Vec<_> = (0..10)
        .map(|_| get(view.address(), "/picture").pictures())
        .collect();
    for viewer in &mut viewers {
        viewer.next();
    }
    assert_eq!(view.viewers(), 10);
    drop(viewers);
    // A connection that is gone is noticed when something is to be sent.
    let mut sent = 0;
    while view.viewers() > 0 {
        sent += 1;
        view.picture(picture(sent));
        std::thread::yield_now();
    }
}

#[test]
fn above_so_many_connections_the_next_is_closed_and_the_others_stay() {
    let view = view();
    view.source("clip.mp4");
    let mut first = get(view.address(), "/events").events();
    first.next_of("status");
    // Half a request each: they stay open. They are accepted in their order, so the one that is tried comes after them.
    let mut open: Vec<TcpStream> = Vec::new();
    while is_served(&view) {
        assert!(open.len() < 1000, "nobody is refused");
        let mut stream = connect(view.address());
        stream
            .write_all(b"GET /picture.jpg HTTP/1.1\r\nHost: localhost\r\nA: ")
            .unwrap();
        open.push(stream);
    }
    assert!(open.len() >= 100, "{}", open.len());
    view.line(b"{}");
    assert_eq!(first.next_of("line"), "{}");
    // With room again the next is served.
    open.clear();
    while !is_served(&view) {
        std::thread::yield_now();
    }
}

/// Whether a request of its own is answered now.
fn is_served(view: &img2pose_view::View) -> bool {
    let mut stream = connect(view.address());
    let request = b"GET /picture.jpg HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = Vec::new();
    stream.write_all(request).is_ok() && stream.read_to_end(&mut answer).is_ok() && !answer.is_empty()
}
