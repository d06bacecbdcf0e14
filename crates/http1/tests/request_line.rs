//! The request line (RFC 9112 section 3).

mod common;

use common::{accepted, all_refused, line, parse, status};
use http::{Method, Version};

#[test]
fn an_ordinary_request_line_is_understood() {
    let head = accepted(&line(b"GET /a/b?c=d HTTP/1.1"));
    assert_eq!(head.method, Method::GET);
    assert_eq!((head.uri.path(), head.uri.query()), ("/a/b", Some("c=d")));
    assert_eq!(head.target, "/a/b?c=d");
    assert_eq!(head.version, Version::HTTP_11);
}

#[test]
fn registered_and_own_methods_are_accepted() {
    for method in [
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "PATCH",
        "PROPFIND",
        "M-SEARCH",
        "X",
        "QUERY",
        "get",
        "-BLARGH",
        "Get",
        "!#$%&'*+-.^_`|~",
        "0",
    ] {
        let head = accepted(&line(format!("{method} / HTTP/1.1").as_bytes()));
        assert_eq!(head.method.as_str(), method);
    }
}

#[test]
fn a_malformed_method_is_400() {
    let lines: [&[u8]; 10] = [
        b"bla:rgh / HTTP/1.1",
        b"GET: / HTTP/1.1",
        b"GET\xc3\x9f / HTTP/1.1",
        b"GET\xdf / HTTP/1.1",
        b"GET\0 / HTTP/1.1",
        b" GET / HTTP/1.1",
        b"\tGET / HTTP/1.1",
        b"GET\t/ HTTP/1.1",
        b"GET\x0b/ HTTP/1.1",
        b"\"GET\" / HTTP/1.1",
    ];
    all_refused(400, lines.map(line));
}

#[test]
fn an_overlong_method_is_501_and_a_long_one_is_not() {
    assert_eq!(status(&line(&[b"A".repeat(33), b" / HTTP/1.1".to_vec()].concat())), 501);
    assert_eq!(status(&b"A".repeat(33)), 501);
    assert_eq!(status(&line(&[b"A".repeat(32), b" / HTTP/1.1".to_vec()].concat())), 0);
}

#[test]
fn spaces_and_tabs_beyond_the_two_spaces_are_400() {
    let lines: [&[u8]; 9] = [
        b"GET  / HTTP/1.1",
        b"GET /  HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET\t/\tHTTP/1.1",
        b"GET /\tHTTP/1.1",
        b"GET \t/ HTTP/1.1",
        b"GET / \tHTTP/1.1",
        b"GET / HTTP/1.1\t",
        b"GET /a b HTTP/1.1",
    ];
    all_refused(400, lines.map(line));
}

#[test]
fn a_line_without_target_or_version_is_400() {
    let lines: [&[u8]; 6] = [b"GET HTTP/1.1", b"GET", b"GET /", b"GET / ", b"GET  HTTP/1.1", b"GET / HTTP"];
    all_refused(400, lines.map(line));
}

#[test]
fn http_0_9_is_400_as_soon_as_its_line_ends() {
    assert_eq!(status(b"GET /\r\n"), 400);
}

#[test]
fn line_ends_in_the_middle_are_400() {
    let inputs: [&[u8]; 5] = [
        b"GET\n/\nHTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET\r\n/\r\nHTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\rHTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\rHost: a\r\n\r\n",
        b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    all_refused(400, inputs);
}

#[test]
fn a_malformed_version_is_400() {
    let lines: [&[u8]; 14] = [
        b"GET / FTP/1.1",
        b"GET / HTTP/111",
        b"GET / HTTP/0.99",
        b"GET / HTTP/1.10",
        b"GET / HTTP/01.1",
        b"GET / http/1.1",
        b"GET / HTTP/1,1",
        b"GET / HTTP/1.",
        b"GET / HTTP/.1",
        b"GET / HTTP/-1.1",
        b"GET / HTTP/1.1x",
        b"GET / HTTP /1.1",
        b"GET / HTTP/1.\x01",
        b"GET / HTTP/1.1\x0b",
    ];
    all_refused(400, lines.map(line));
}

#[test]
fn another_well_formed_version_is_505() {
    let lines: [&[u8]; 4] = [b"GET / HTTP/2.0", b"GET / HTTP/0.9", b"GET / HTTP/3.0", b"GET / HTTP/9.1"];
    all_refused(505, lines.map(line));
}

#[test]
fn a_higher_minor_version_is_read_as_1_1() {
    for version in ["HTTP/1.2", "HTTP/1.9"] {
        let head = accepted(&line(format!("GET /?\"{version} {version}").replace("\"HTTP", "\"").as_bytes()));
        assert_eq!((head.version, head.keep_alive), (Version::HTTP_11, true));
    }
    assert_eq!(status(b"POST / HTTP/1.2\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 0);
    assert_eq!(status(b"GET / HTTP/1.2\r\n\r\n"), 400);
}

#[test]
fn the_preface_of_http_2_is_505() {
    assert_eq!(status(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    assert_eq!(status(b"PRI * HTTP/2.0\r\n"), 505);
}

#[test]
fn what_cannot_become_a_request_is_refused_at_its_first_bytes() {
    let starts: [&[u8]; 6] = [b"\x16", b"\x16\x03\x01\x02\x00", b"\0", b"{", b"<", b"GE\x01"];
    all_refused(400, starts);
}

#[test]
fn an_empty_buffer_and_the_beginning_of_a_request_are_waited_on() {
    let starts: [&[u8]; 6] =
        [b"", b"G", b"GET ", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r"];
    for start in starts {
        assert!(matches!(parse(start), Ok(None)), "{}", start.escape_ascii());
    }
}

#[test]
fn one_empty_line_before_the_request_is_skipped_and_no_second() {
    assert_eq!(accepted(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").uri, "/");
    assert_eq!(status(b"\r"), 1);
    let inputs: [&[u8]; 5] =
        [b"\r\n\r\nGET / HTTP/1.1\r\n", b"\n", b"\nGET / HTTP/1.1\r\n", b"\rG", b"\r\r\n"];
    all_refused(400, inputs);
}
