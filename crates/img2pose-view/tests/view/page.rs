//! The page and what belongs to it.

use crate::client::{ask, get, view};

#[test]
fn the_page_and_all_that_it_names_is_here_and_nothing_else_is_asked_for() {
    let view = view();
    let mut open = vec!["/".to_owned()];
    let mut seen = Vec::new();
    while let Some(path) = open.pop() {
        if seen.contains(&path) {
            continue;
        }
        let answer = get(view.address(), &path);
        assert_eq!(answer.status, 200, "{path}");
        let policy = answer.header("content-security-policy").to_owned();
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
        let kind = answer.header("content-type").to_owned();
        let wanted = match path.rsplit('.').next().unwrap() {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(kind, wanted, "{path}");
        let text = answer.text();
        let foreign = text.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !foreign.contains("http://") && !foreign.contains("https://"),
            "{path}"
        );
        // href="...", src="...", from "./..."
        for quoted in text
            .split('"')
            .filter(|quoted| !quoted.contains(char::is_whitespace))
        {
            if quoted.starts_with("/page/") {
                open.push(quoted.to_owned());
            } else if let Some(name) = quoted.strip_prefix("./") {
                open.push(format!("/page/{name}"));
            }
        }
        seen.push(path);
    }
    // The page, its style, its icon, and every script by way of the first.
    assert_eq!(seen.len(), 8, "{seen:?}");
}

#[test]
fn what_is_not_here_is_said() {
    let view = view();
    for path in ["/nowhere", "/page/", "/page/../Cargo.toml", "//", "/picture.jpg"] {
        assert_eq!(get(view.address(), path).status, 404, "{path}");
    }
    let answer = ask(
        view.address(),
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
    );
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
    let answer = ask(view.address(), "HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(answer.status, 200);
}

#[test]
fn nonsense_is_refused_and_the_next_is_answered() {
    let view = view();
    for nonsense in [
        "\r\nnothing\r\n\r\n",
        "GET\r\n\r\n",
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "GET / SMTP/1.1\r\n\r\n",
    ] {
        assert_eq!(ask(view.address(), nonsense).status, 400, "{nonsense:?}");
    }
    assert_eq!(get(view.address(), "/").status, 200);
}
