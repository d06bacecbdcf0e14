//! The Host field (RFC 9110 section 7.2, RFC 9112 section 3.2).

mod common;

use common::{accepted, all_refused, bare};

#[test]
fn names_addresses_and_ports_are_accepted() {
    for host in [
        "example.com",
        "EXAMPLE.com",
        "localhost",
        "a:80",
        "a:65535",
        "127.0.0.1",
        "127.0.0.1:8000",
        "[::1]",
        "[::1]:8000",
        "[2001:db8::1]:443",
        "[::ffff:1.2.3.4]",
        "my_service:8000",
        "xn--bcher-kva.example",
        "example.com.",
        "a:",
        "[::1]:",
        "a,b",
        "a;b",
        "*",
        "!$&'()*+,;=~:80",
        "a%41",
        "b%C3%BCcher.example:8000",
    ] {
        assert_eq!(accepted(&bare(format!("Host: {host}\r\n").as_bytes())).headers["host"], host);
    }
}

#[test]
fn what_is_not_one_host_is_400() {
    let hosts: [&[u8]; 43] = [
        b"",
        b" ",
        b"a, b",
        b"a..b",
        b".a",
        b".",
        b"a..",
        b"..a:80",
        b"a b",
        b"user@a",
        b"user:pass@a",
        b"a/",
        b"a/b",
        b"a?b",
        b"a#b",
        b"http://a",
        b":80",
        b":",
        b"a:x",
        b"a:80x",
        b"a:-1",
        b"a:+1",
        b"a:65536",
        b"a:100000",
        b"a:80:80",
        b"::1",
        b"[::1",
        b"::1]",
        b"[]",
        b"[::g]",
        b"[::1%25eth0]",
        b"[v1.a]",
        b"[::1]a",
        b"[127.0.0.1]",
        b"a%4",
        b"a%zz",
        b"a%00",
        b"a%0d%0a",
        b"%",
        b"a\\b",
        b"a\xc3\xa9",
        b"a\tb",
        b"a\"b",
    ];
    all_refused(400, hosts.map(|host| bare(&[b"Host: ", host, b"\r\n"].concat())));
}

#[test]
fn http_1_1_needs_a_host_and_http_1_0_does_not() {
    all_refused(400, [bare(b""), bare(b"X: a\r\n"), b"GET http://a/ HTTP/1.1\r\n\r\n".to_vec()]);
    assert!(accepted(b"GET / HTTP/1.0\r\n\r\n").headers.is_empty());
}

#[test]
fn two_hosts_are_400_even_if_equal() {
    all_refused(
        400,
        [
            bare(b"Host: a\r\nHost: a\r\n"),
            bare(b"Host: a\r\nHost: b\r\n"),
            bare(b"Host: a\r\nhOsT: a\r\n"),
            b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n".to_vec(),
        ],
    );
}

#[test]
fn a_malformed_host_on_http_1_0_is_400() {
    all_refused(400, [b"GET / HTTP/1.0\r\nHost: a, b\r\n\r\n", b"GET / HTTP/1.0\r\nHost: us@b\r\n\r\n"]);
}
