//! What a head may cost: refused beyond the limit, and before it is complete.

mod common;

use common::parse_with;
use http1::{HeadParser, Limits, MAX_FIELDS};

fn status(limits: Limits, input: impl AsRef<[u8]>) -> u16 {
    match parse_with(limits, input.as_ref()) {
        Ok(Some(_)) => 0,
        Ok(None) => 1,
        Err(rejection) => rejection.status.as_u16(),
    }
}

#[test]
fn a_request_line_beyond_the_limit_is_414() {
    let limits = Limits { request_line: 100, ..Limits::default() };
    let line = |length: usize| format!("GET /{} HTTP/1.1", "a".repeat(length - 14));
    assert_eq!(status(limits, format!("{}\r\nHost: a\r\n\r\n", line(100))), 0);
    assert_eq!(status(limits, format!("{}\r\n", line(100))), 1);
    assert_eq!(status(limits, format!("{}\r\nHost: a\r\n\r\n", line(101))), 414);
    assert_eq!(status(limits, format!("{}\r\n", line(101))), 414);
    assert_eq!(status(limits, format!("GET /{}", "a".repeat(200))), 414);
    assert_eq!(status(limits, format!("\r\n{}\r\nHost: a\r\n\r\n", line(100))), 0);
}

#[test]
fn the_default_request_line_is_that_of_apache() {
    let line = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(length - 14));
    assert_eq!(status(Limits::default(), line(8190)), 0);
    assert_eq!(status(Limits::default(), line(8191)), 414);
}

#[test]
fn a_head_beyond_the_limit_is_431() {
    let limits = Limits { head: 200, ..Limits::default() };
    let head = |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(length - 32));
    assert_eq!(head(200).len(), 200);
    assert_eq!(status(limits, head(200)), 0);
    assert_eq!(status(limits, head(201)), 431);
    assert_eq!(status(limits, format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(200))), 431);
    assert_eq!(status(limits, format!("GET / HTTP/1.1\r\n{}", "X: a\r\n".repeat(40))), 431);
}

#[test]
fn more_fields_than_the_limit_are_431() {
    let limits = Limits { headers: 3, ..Limits::default() };
    let head = |fields: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(fields - 1));
    assert_eq!(status(limits, head(3)), 0);
    assert_eq!(status(limits, head(4)), 431);
    assert_eq!(status(limits, head(4).trim_end()), 1);
    assert_eq!(status(Limits::default(), head(100)), 0);
    assert_eq!(status(Limits::default(), head(101)), 431);
}

#[test]
fn dropped_fields_count() {
    let limits = Limits { headers: 3, ..Limits::default() };
    assert_eq!(status(limits, format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X_Y: a\r\n".repeat(3))), 431);
}

#[test]
fn no_limit_is_above_the_ceiling() {
    let limits = Limits { headers: usize::MAX, request_line: usize::MAX, head: usize::MAX };
    let head = |fields: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(fields - 1));
    assert_eq!(status(limits, head(MAX_FIELDS)), 0);
    assert_eq!(status(limits, head(MAX_FIELDS + 1)), 431);
    assert_eq!(status(limits, format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70_000))), 414);
}

#[test]
fn a_limit_of_nothing_refuses_everything() {
    let limits = Limits { headers: 0, request_line: 0, head: 0 };
    assert_eq!(status(limits, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 414);
    let limits = Limits { headers: 0, ..Limits::default() };
    assert_eq!(status(limits, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 431);
    assert_eq!(status(limits, "GET / HTTP/1.0\r\n\r\n"), 0);
}

#[test]
fn a_parser_that_refused_refuses_whatever_comes() {
    let mut parser = HeadParser::new(Limits::default());
    let rejection = parser.parse(&mut "GET /\r\n"[..].into()).expect_err("no version");
    let valid = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(parser.parse(&mut valid[..].into()).expect_err("it refused before"), rejection);
}
