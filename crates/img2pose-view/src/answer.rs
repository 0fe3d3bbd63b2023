//! What is where.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::Stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, Request, Response, StatusCode};

use crate::access::{Access, Verdict};
use crate::events::events;
use crate::feed::Feed;
use crate::pictures::{self, pictures};

type Body = UnsyncBoxBody<Bytes, Infallible>;

const TEXT: &str = "text/plain; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// The files of the page: where, of what type, and what.
const FILES: [(&str, &str, &str); 8] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page/style.css", STYLE, include_str!("page/style.css")),
    ("/page/view.js", SCRIPT, include_str!("page/view.js")),
    ("/page/faces.js", SCRIPT, include_str!("page/faces.js")),
    ("/page/plot.js", SCRIPT, include_str!("page/plot.js")),
    ("/page/space.js", SCRIPT, include_str!("page/space.js")),
    ("/page/pose.js", SCRIPT, include_str!("page/pose.js")),
    ("/page/icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];
/// With every answer: nothing is kept, nothing but this server is asked for anything, and pages of others get none of it.
const HEADERS: [(HeaderName, &str); 6] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'self'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Answers a request.
pub fn answer(request: Request<Incoming>, access: &Access, feed: &Arc<Feed>) -> Response<Body> {
    let (request, _) = request.into_parts();
    let mut response = answered(&request, access, feed);
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn answered(request: &hyper::http::request::Parts, access: &Access, feed: &Arc<Feed>) -> Response<Body> {
    let path = request.uri.path();
    match access.verdict(request) {
        Verdict::Yes => {}
        Verdict::Keep(cookie) if path == "/" => {
            // Without the token in its address, which is on the screen.
            let mut response = text(StatusCode::SEE_OTHER, "the page\n");
            let headers = response.headers_mut();
            headers.insert(LOCATION, HeaderValue::from_static("/"));
            headers.insert(
                SET_COOKIE,
                cookie.try_into().expect("a token has letters, digits, - and _"),
            );
            return response;
        }
        Verdict::Keep(_) => {}
        Verdict::Foreign => {
            return text(
                StatusCode::FORBIDDEN,
                "This page is for browsers that reach it as localhost or 127.0.0.1.\n",
            );
        }
        Verdict::Unknown => {
            return text(
                StatusCode::UNAUTHORIZED,
                "The address of this page ends with ?token=...; img2pose run has printed it.\n",
            );
        }
    }
    if request.method != Method::GET && request.method != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "There is nothing but GET here.\n");
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if let Some(&(_, kind, file)) = FILES.iter().find(|(name, ..)| *name == path) {
        return whole(StatusCode::OK, kind, Bytes::from_static(file.as_bytes()));
    }
    match path {
        // Hyper sends no body to HEAD, and drops the stream.
        "/picture" => endless(pictures::TYPE, pictures(feed)),
        "/events" => endless("text/event-stream", events(feed)),
        "/picture.jpg" => match feed.newest() {
            Some(jpeg) => whole(StatusCode::OK, "image/jpeg", jpeg),
            None => text(StatusCode::NOT_FOUND, "There was no picture yet.\n"),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "Here are /, /picture, /picture.jpg and /events.\n",
        ),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    whole(status, TEXT, Bytes::from_static(text.as_bytes()))
}

fn whole(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes).boxed_unsync());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn endless(kind: &'static str, parts: impl Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    let frames = parts.map(|bytes| Ok(Frame::data(bytes)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
