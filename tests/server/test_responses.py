"""What goes out: framing, blocks as they come, and what is made of an application's mistakes."""

from __future__ import annotations

import pytest

from server.client import Ended
from server.process import wait_until


@pytest.mark.smoke
def test_head_is_answered_with_the_length_and_without_the_body(server):
    with server.client() as client:
        client.request("HEAD", "/hello")
        response = client.response("HEAD")
        assert (response.status, response.header("Content-Length")) == (200, "5")
        assert client.get("/hello").body == b"hello"


@pytest.mark.parametrize("path", ["/quick_generator", "/quick_list", "/quick_write", "/endless"])
def test_head_is_answered_without_the_body_of_any_application(server, path):
    with server.client() as client:
        client.request("HEAD", path)
        assert client.response("HEAD").status == 200
        assert client.get("/hello").body == b"hello"


def test_an_application_that_writes_on_after_head_is_stopped_without_a_traceback(serve):
    server = serve()
    with server.client() as client:
        client.request("HEAD", "/written_endlessly?name=head")
        assert client.response("HEAD").status == 200
        wait_until(lambda: "stopped head" in server.log)
        assert client.get("/hello").body == b"hello"
    assert "Traceback" not in server.log


@pytest.mark.smoke
@pytest.mark.parametrize("code", ["204", "304"])
@pytest.mark.parametrize("body", ["", "a+body+that+must+not+go+out"])
def test_a_status_without_body_is_sent_without_body(server, code, body):
    with server.client() as client:
        response = client.get(f"/status?code={code}&body={body}")
        assert response.status == int(code)
        assert response.header("Transfer-Encoding") is None
        assert response.header("X-Kept") == "yes"
        assert client.get("/hello").body == b"hello"


def test_204_has_no_content_length(server):
    with server.client() as client:
        assert client.get("/status?code=204&body=x").header("Content-Length") is None


@pytest.mark.parametrize(
    "code", ["100", "101", "103", "199", "600", "999", "099", "20", "2000", "abc", "-20"]
)
def test_a_status_that_is_no_final_one_is_the_applications_error(server, code):
    with server.client() as client:
        assert client.get(f"/status?code={code}").status == 500


@pytest.mark.smoke
@pytest.mark.parametrize("path", ["stepwise", "written_stepwise"])
def test_each_block_arrives_before_the_next_one_is_produced(server, tmp_path, path):
    server.get("/quick_write")
    check_steps(server, tmp_path, path)


def test_the_first_use_of_write_streams_as_well(serve, tmp_path):
    check_steps(serve(), tmp_path, "written_stepwise")


def check_steps(server, tmp_path, path):
    with server.client(timeout=3) as client:
        client.request("GET", f"/{path}?folder={tmp_path}")
        (tmp_path / "0").touch()
        assert client.head().header("Transfer-Encoding") == "chunked"
        assert client.chunk() == b"block 0"
        (tmp_path / "1").touch()
        assert client.chunk() == b"block 1"
        (tmp_path / "2").touch()
        assert client.chunk() == b"block 2"
        assert client.chunk() == b""


def test_blocks_go_out_one_by_one_to_http_1_0_as_well(server, tmp_path):
    with server.client() as client:
        client.request("GET", f"/stepwise?folder={tmp_path}", version="1.0")
        for number in range(3):
            (tmp_path / str(number)).touch()
            if number == 0:
                client.head()
            assert client.take(7) == f"block {number}".encode()
        assert client.rest() == b""


@pytest.mark.parametrize("how", ["list", "generator"])
def test_too_short_a_body_breaks_the_connection_off(server, how):
    with server.client() as client:
        client.request("GET", f"/underrun?how={how}")
        assert client.head().header("Content-Length") == "10"
        with pytest.raises(Ended):
            client.take(10)
    server.wait_for_line("missing|too short|less|fewer|Content-Length")


@pytest.mark.parametrize("how", ["list", "generator"])
def test_too_long_a_body_is_cut_and_told(server, how):
    with server.client() as client:
        response = client.get(f"/overrun?how={how}")
        assert response.body == b"12345"
        assert client.get("/hello").body == b"hello"
    server.wait_for_line("more body than its Content-Length")


@pytest.mark.smoke
def test_an_exception_before_the_response_is_a_500_with_its_traceback_in_the_log(serve):
    server = serve()
    with server.client() as client:
        response = client.get("/raises")
        assert response.status == 500
        assert b"at once" not in response.body
        assert client.get("/hello").body == b"hello"
    server.wait_for_line("Traceback")
    server.wait_for_line("ValueError: at once")


@pytest.mark.parametrize("query", ["", "?length=100"])
def test_an_exception_in_the_middle_never_looks_like_an_end(server, query):
    with server.client() as client:
        client.request("GET", f"/breaks_off{query}")
        assert client.head().status == 200
        received = b""
        with pytest.raises((Ended, ConnectionResetError)):
            while True:
                received += client.take(1)
    assert b"0\r\n" not in received
    server.wait_for_line("ValueError: in the middle")


def test_an_exception_in_the_middle_is_a_reset_where_only_the_close_ends_the_body(server):
    with server.client() as client:
        client.request("GET", "/breaks_off", version="1.0")
        with pytest.raises(ConnectionResetError):
            client.rest()


def test_an_exception_before_the_first_block_is_a_500(server):
    with server.client() as client:
        assert client.get("/breaks_off?after=0").status == 500


def test_an_iterable_that_breaks_off_is_closed(serve):
    server = serve()
    with server.client() as client:
        client.request("GET", "/breaks_off")
        server.wait_for_line("event: closed broken")


def test_a_head_may_be_replaced_until_the_first_byte(server):
    with server.client() as client:
        response = client.get("/late_head")
        assert (response.status, response.reason, response.body) == (503, "Sorry", b"sorry")
        assert (response.header("X-First"), response.header("X-Second")) == (None, "2")


@pytest.mark.parametrize("value", ["a%0d%0aX-Evil:%20b", "a%0ab", "a%0db", "aNULb", "a%07b", "a%7fb"])
def test_a_control_character_in_a_value_never_goes_out(server, value):
    with server.client() as client:
        response = client.get(f"/header?value={value}")
        assert (response.status, response.header("X-Evil")) == (500, None)


@pytest.mark.parametrize(
    "name", ["X%0d%0aX-Evil", "X%0aY", "X%3aY", "X+Y", "XNUL", "", "X%c3%a4", "%ef%bc%a1"]
)
def test_a_name_that_is_none_never_goes_out(server, name):
    with server.client() as client:
        response = client.get(f"/header?name={name or '%20'}")
        assert (response.status, response.header("X-Evil")) == (500, None)


@pytest.mark.parametrize(
    "status", ["200 OK%0d%0aX-Evil:%20b", "200 O%0aK", "200 ONULK", "200%0d", "200 %e2%82%ac"]
)
def test_a_control_character_in_a_status_never_goes_out(server, status):
    with server.client() as client:
        response = client.get(f"/header?status={status.replace(' ', '%20')}")
        assert (response.status, response.header("X-Evil")) == (500, None)


def test_text_beyond_latin_1_is_the_applications_error(server):
    with server.client() as client:
        assert client.get("/header?value=%e2%82%ac").status == 500


def test_latin_1_goes_out_as_bytes(server):
    with server.client() as client:
        assert client.get("/header?value=caf%c3%a9").header("X-Sent") == "caf\xe9"


@pytest.mark.parametrize(
    "name",
    ["Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Proxy-Authenticate"],
)
def test_a_hop_by_hop_header_is_the_applications_error(server, name):
    with server.client() as client:
        response = client.get(f"/header?name={name}&value=x")
        assert response.status == 500


@pytest.mark.parametrize("value", ["x", "-1", "+4", "4,4", "0x4", "4 4", "18446744073709551616"])
def test_a_length_that_is_none_is_the_applications_error(server, value):
    with server.client() as client:
        response = client.get(
            f"/header?name=Content-Length&value={value.replace(' ', '%20').replace('+', '%2b')}"
        )
        assert response.status == 500


def test_every_answer_has_date_and_server(server):
    with server.client() as client:
        for path in ("/hello", "/quick_generator", "/raises", "/status?code=304"):
            response = client.get(path)
            assert response.header("Date").endswith(" GMT")
            assert response.header("Server") == "onionskin"


def test_the_applications_date_and_server_stand(server):
    with server.client() as client:
        assert client.get("/header?name=Server&value=mine").header("Server") == "mine"
        assert client.get("/header?name=date&value=then").header("Date") == "then"
