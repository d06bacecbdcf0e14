//! The request target (RFC 9112 section 3.2).

mod common;

use common::{accepted, all_refused, line, parse_with, status};
use http1::Limits;

#[test]
fn a_target_that_is_no_path_is_400() {
    let lines: [&[u8]; 10] = [
        b"GET foo/bar HTTP/1.1",
        b"GET example.com:443 HTTP/1.1",
        b"GET ?a HTTP/1.1",
        b"GET ftp://a/ HTTP/1.1",
        b"GET javascript:alert(1) HTTP/1.1",
        b"GET //a HTTP",
        b"GET http: HTTP/1.1",
        b"GET http:/ HTTP/1.1",
        b"GET http:// HTTP/1.1",
        b"GET http:///a HTTP/1.1",
    ];
    all_refused(400, lines.map(line));
}

#[test]
fn the_asterisk_is_for_options_alone() {
    assert_eq!(accepted(&line(b"OPTIONS * HTTP/1.1")).uri.path(), "*");
    let lines: [&[u8]; 4] =
        [b"GET * HTTP/1.1", b"POST * HTTP/1.1", b"OPTIONS *a HTTP/1.1", b"OPTIONS ** HTTP/1.1"];
    all_refused(400, lines.map(line));
}

#[test]
fn connect_is_501() {
    all_refused(501, [line(b"CONNECT example.com:443 HTTP/1.1"), line(b"CONNECT / HTTP/1.1")]);
}

#[test]
fn characters_that_end_a_target_for_some_reader_are_400() {
    for byte in (0..=b' ').chain([0x7f, b'#']) {
        for target in [&[b"/a", &[byte][..], b"b"].concat()[..], &[b"/?a", &[byte][..], b"b"].concat()] {
            let request = line(&[b"GET ", target, b" HTTP/1.1"].concat());
            assert_eq!(status(&request), 400, "{}", request.escape_ascii());
        }
    }
}

#[test]
fn characters_that_no_path_has_are_400_in_a_path_alone() {
    for byte in (0x80..=0xff).chain(*b"\\\"<>`") {
        for (place, expected) in
            [("/a", 400), ("/?a", 0), ("http://a/b", 400), ("http://a?b", 0), ("http://a/?", 0)]
        {
            let request = line(&[b"GET ", place.as_bytes(), &[byte], b" HTTP/1.1"].concat());
            assert_eq!(status(&request), expected, "{}", request.escape_ascii());
        }
    }
    all_refused(400, [line(b"GET http://a\\b/ HTTP/1.1"), line(b"GET http://a\"/?q HTTP/1.1")]);
}

#[test]
fn every_other_visible_character_is_kept() {
    let target = "/!$%25&'()*+,-./09:;=@AZ[]^_az{|}~?!$%&'()*+,-./09:;=?@AZ[]_az~";
    let head = accepted(&line(format!("GET {target} HTTP/1.1").as_bytes()));
    assert_eq!(head.target, target);
    assert_eq!(head.uri, target);
}

#[test]
fn escapes_in_the_path_that_are_read_in_two_ways_are_400() {
    let targets = [
        "/%00",
        "/a%00b",
        "/%",
        "/%a",
        "/%zz",
        "/%4",
        "/%%41",
        "/%+1",
        "/% 1",
        "/%-1",
        "/%c0%ae",
        "/%C0%AE%C0%AE/",
        "/%c1%81",
        "/%e0%80%af",
        "/%f0%80%80%af",
        "/%a?b",
        "/%c0%80",
    ];
    all_refused(400, targets.map(|target| line(format!("GET {target} HTTP/1.1").as_bytes())));
}

#[test]
fn ordinary_escapes_are_kept_as_sent() {
    for target in [
        "/%20",
        "/%2f",
        "/%2e%2e/",
        "/%C3%A9",
        "/%e9",
        "/caf%E9/x",
        "/%e0%a0%80",
        "/%f0%90%80%80",
        "/%c0x%ae",
        "/a%0d%0ab",
        "/%0A",
    ] {
        assert_eq!(accepted(&line(format!("GET {target} HTTP/1.1").as_bytes())).uri, target);
    }
}

#[test]
fn a_query_is_opaque() {
    for target in ["/?text=a%0D%0Ab", "/?q=100%", "/?q=%zz", "/?%e9", "/?q=%00", "/?a\\b`c^{d|e}?f"] {
        let head = accepted(&line(format!("GET {target} HTTP/1.1").as_bytes()));
        assert_eq!(
            (&head.uri, &head.target, head.query_is_encoded),
            (&target.parse().expect("a URI"), &target.into(), false)
        );
    }
}

#[test]
fn what_a_uri_cannot_hold_of_a_query_is_encoded_in_it_alone() {
    for (target, uri) in [
        (&b"/a%20b?q=\"<\\>%zz"[..], "/a%20b?q=%22%3C\\%3E%zz"),
        (b"/?q=\xc3\xa9", "/?q=%C3%A9"),
        (b"/?\xe9\xff\x80", "/?%E9%FF%80"),
        (b"http://a?\"", "/?%22"),
    ] {
        let head = accepted(&line(&[b"GET ", target, b" HTTP/1.1"].concat()));
        assert!(head.query_is_encoded);
        assert_eq!((head.uri.to_string(), &head.target[..]), (uri.to_owned(), target));
    }
}

#[test]
fn a_target_that_no_uri_can_be_is_414() {
    let limits = Limits { request_line: 200_000, head: 300_000, headers: 100 };
    let status = |target: &str| {
        let head = parse_with(limits, &line(format!("GET /{target} HTTP/1.1").as_bytes()));
        head.map_or_else(|rejection| rejection.status.as_u16(), |head| u16::from(head.is_none()))
    };
    assert_eq!(status(&"a".repeat(65_533)), 0);
    assert_eq!(status(&"a".repeat(65_534)), 414);
    assert_eq!(status(&format!("?{}", "\"".repeat(30_000))), 414);
}

#[test]
fn a_path_with_two_slashes_is_a_path_not_a_host() {
    let head = accepted(&line(b"GET //evil.example/a HTTP/1.1"));
    assert_eq!(head.uri.path(), "//evil.example/a");
    assert_eq!(head.uri.host(), None);
}

#[test]
fn an_absolute_target_is_reduced_to_its_path() {
    for (target, reduced) in [
        ("http://a/b?c", "/b?c"),
        ("http://b/b?c", "/b?c"),
        ("HTTP://A/b", "/b"),
        ("https://a", "/"),
        ("http://a?c", "/?c"),
        ("http://a/", "/"),
    ] {
        let head = accepted(&line(format!("GET {target} HTTP/1.1").as_bytes()));
        assert_eq!(head.uri, reduced);
        assert_eq!(head.uri.host(), None);
        assert_eq!(head.target, target);
    }
}

#[test]
fn the_host_of_an_absolute_target_replaces_host() {
    for (authority, version) in
        [("b", "1.1"), ("a:80", "1.1"), ("A", "1.1"), ("[::1]:", "1.0"), ("a,b", "1.1")]
    {
        let head = accepted(&line(format!("GET http://{authority}/ HTTP/{version}").as_bytes()));
        assert_eq!(head.headers.get_all("host").iter().collect::<Vec<_>>(), [authority]);
    }
    let head = accepted(b"GET http://b/ HTTP/1.0\r\n\r\n");
    assert_eq!(head.headers["host"], "b");
}

#[test]
fn an_absolute_target_without_a_host_is_400() {
    let lines: [&[u8]; 4] = [
        b"GET http://user@a/ HTTP/1.1",
        b"GET http://a@b/ HTTP/1.1",
        b"GET http://a%00/ HTTP/1.1",
        b"GET http://a..b/ HTTP/1.1",
    ];
    all_refused(400, lines.map(line));
}

#[test]
fn escapes_in_an_absolute_target_are_judged_as_in_a_path() {
    all_refused(400, [line(b"GET http://a/%00 HTTP/1.1"), line(b"GET http://a/%c0%ae HTTP/1.1")]);
}
