//! Who may see it.

use img2pose_view::{Error, Token, View};

use crate::client::{get, get_with, view, view_with_token};

const TOKEN: &str = "a-token-of-letters_123";

#[test]
fn at_loopback_it_answers_for_no_other_name() {
    let view = view();
    let port = view.address().port();
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "localhost:9",
        &format!("127.0.0.1:{port}"),
    ] {
        let answer = get_with(view.address(), "/", &format!("Host: {host}\r\n"));
        assert_eq!(answer.status, 200, "{host}");
    }
    for host in [
        "example.com",
        "example.com:80",
        "localhost.example.com",
        "10.0.0.1",
        "",
    ] {
        for path in ["/", "/picture", "/events"] {
            let answer = get_with(view.address(), path, &format!("Host: {host}\r\n"));
            assert_eq!(answer.status, 403, "{host}{path}");
        }
    }
    assert_eq!(get_with(view.address(), "/events", "").status, 403);
}

#[test]
fn with_a_token_nothing_is_seen_without_it() {
    let view = view_with_token(TOKEN);
    let address = view.address();
    for path in [
        "/",
        "/picture",
        "/picture.jpg",
        "/events",
        "/page/view.js",
        "/nowhere",
    ] {
        assert_eq!(get(address, path).status, 401, "{path}");
        let wrong = format!("{path}?token={}", &TOKEN[1..]);
        assert_eq!(get(address, &wrong).status, 401, "{path}");
    }
    assert_eq!(view.url(), format!("http://{address}/?token={TOKEN}"));
    // The page's address loses it, and the browser keeps it.
    let answer = get(address, &format!("/?token={TOKEN}"));
    assert_eq!((answer.status, answer.header("location")), (303, "/"));
    let cookie = answer.header("set-cookie").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    for path in ["/", "/events", "/page/view.js"] {
        let headers = format!("Host: localhost\r\nCookie: other=1; {pair}\r\n");
        assert_eq!(get_with(address, path, &headers).status, 200, "{path}");
        let headers = format!("Host: localhost\r\nCookie: {pair}x\r\n");
        assert_eq!(get_with(address, path, &headers).status, 401, "{path}");
    }
    // Programs that keep no cookies name it each time.
    assert_eq!(get(address, &format!("/events?token={TOKEN}")).status, 200);
}

#[test]
fn beyond_loopback_there_is_a_token_and_any_name() {
    let open = "0.0.0.0:0".parse().unwrap();
    assert!(matches!(View::start(open, None), Err(Error::Open(_))));
    let view = View::start(open, Some(Token::random().unwrap())).unwrap();
    let here = format!("127.0.0.1:{}", view.address().port()).parse().unwrap();
    let query = view.url().split_once('?').unwrap().1.to_owned();
    let host = "Host: camera.example.com:8477\r\n";
    assert_eq!(get_with(here, "/events", host).status, 401);
    assert_eq!(get_with(here, &format!("/events?{query}"), host).status, 200);
}

#[test]
fn tokens_are_long_and_fit_into_an_address() {
    for text in [
        "",
        "short",
        "with a space in it",
        "with-a-line\nbreak",
        "ünverständlich",
    ] {
        assert!(Token::new(text).is_err(), "{text}");
    }
    let [one, other] = [(); 2].map(|()| Token::random().unwrap());
    assert_eq!(one.text().len(), 32);
    assert_ne!(one.text(), other.text());
    assert!(Token::new(one.text()).is_ok());
    assert!(!format!("{one:?}").contains(one.text()));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let first = view();
    let error = View::start(first.address(), None).err().unwrap().to_string();
    assert!(
        error.contains(&first.address().to_string()) && error.contains("another port"),
        "{error}"
    );
    // It is free again at once.
    let address = first.address();
    drop(first);
    View::start(address, None).unwrap();
}
