//! The request target (RFC 9112 section 3.2).

mod common;

use common::{accepted, all_refused, line, status};

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
fn characters_that_no_target_has_are_400() {
    let refused = (0..=b' ').chain([0x7f]).chain(0x80..=0xff).chain(*b"#\\\"<>`");
    for byte in refused {
        for target in [&[b"/a", &[byte][..], b"b"].concat()[..], &[b"/?a", &[byte][..], b"b"].concat()] {
            let request = line(&[b"GET ", target, b" HTTP/1.1"].concat());
            assert_eq!(status(&request), 400, "{}", request.escape_ascii());
        }
    }
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
        "/%0d%0a",
        "/%0D",
        "/%0A",
        "/%0a",
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
    ] {
        assert_eq!(accepted(&line(format!("GET {target} HTTP/1.1").as_bytes())).uri, target);
    }
}

#[test]
fn a_query_is_opaque_but_for_nul() {
    for target in ["/?text=a%0D%0Ab", "/?q=100%", "/?q=%zz", "/?%e9"] {
        assert_eq!(accepted(&line(format!("GET {target} HTTP/1.1").as_bytes())).uri, target);
    }
    assert_eq!(status(&line(b"GET /?q=%00 HTTP/1.1")), 400);
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
fn an_absolute_target_for_another_host_is_400() {
    let lines: [&[u8]; 7] = [
        b"GET http://b/ HTTP/1.1",
        b"GET http://a:80/ HTTP/1.1",
        b"GET http://a.b/ HTTP/1.1",
        b"GET http://user@a/ HTTP/1.1",
        b"GET http://a@b/ HTTP/1.1",
        b"GET http://a%00/ HTTP/1.1",
        b"GET http://a,b/ HTTP/1.1",
    ];
    all_refused(400, lines.map(line));
}

#[test]
fn escapes_in_an_absolute_target_are_judged_as_in_a_path() {
    all_refused(400, [line(b"GET http://a/%00 HTTP/1.1"), line(b"GET http://a/%c0%ae HTTP/1.1")]);
}
