"""A page from elsewhere gets nothing from the server, over HTTP or the WebSocket; our own gets everything."""

import http.client
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.datastructures import Headers
from streamlit import config

from engine.bench.server import Server, app_server, wait_until_up
from pages._ui.doorkeeper import refusal

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`streamlit run app.py`, as everybody starts it."""
    with app_server(tmp_path_factory.mktemp("served") / "workspace") as running:
        wait_until_up(running)
        yield running


def port_of(server: Server) -> int:
    return int(server.url.rpartition(":")[2])


def asked(
    server: Server, path: str, headers: dict[str, str], method: str = "GET"
) -> tuple[int, http.client.HTTPMessage, bytes]:
    """What the server at 127.0.0.1 answers to exactly these headers."""
    connection = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=20)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.headers, b"" if answer.status == 101 else answer.read()
    finally:
        connection.close()


def stream(server: Server, host: str, origin: str | None) -> int:
    headers = {"Host": host, **UPGRADE} | ({"Origin": origin} if origin else {})
    return asked(server, "/_stcore/stream", headers)[0]


@pytest.mark.parametrize("path", ["/", "/compare", "/_stcore/health", "/_stcore/host-config", "/static/nothing.js"])
def test_a_name_that_was_made_to_resolve_to_us_is_refused(server: Server, path: str) -> None:
    port = port_of(server)
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "user@127.0.0.1", ""):
        assert asked(server, path, {"Host": host})[0] in (400, 403), host
    assert asked(server, path, {})[0] in (400, 403)


def test_the_websocket_of_a_name_that_was_made_to_resolve_to_us_is_refused(server: Server) -> None:
    port = port_of(server)
    assert stream(server, f"evil.example:{port}", f"http://evil.example:{port}") == 403
    assert stream(server, f"evil.example:{port}", None) == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "https://evil.example:{port}", "null", "http://localhost:3000"]
)
def test_another_page_is_refused(server: Server, origin: str) -> None:
    host, origin = f"localhost:{port_of(server)}", origin.format(port=port_of(server))
    assert stream(server, host, origin) == 403
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        assert asked(server, "/_stcore/upload_file/a/b", {"Host": host, "Origin": origin}, method)[0] == 403


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_our_own_pages_are_served(server: Server, name: str) -> None:
    for port in (port_of(server), 9000):  # as through a tunnel, on another port
        host = f"{name}:{port}"
        status, headers, page = asked(server, "/", {"Host": host})
        assert (status, b"<head><script>" in page) == (200, True)
        assert headers["X-Frame-Options"] == "SAMEORIGIN"
        assert headers["Content-Security-Policy"] == "frame-ancestors 'self'"
        assert stream(server, host, f"http://{host}") == 101
    assert stream(server, name, None) == 101


def test_two_hosts_are_none(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", port_of(server)), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        assert connection.recv(100).split()[1] in (b"400", b"403")


def test_a_refused_page_makes_the_server_ask_nobody(server: Server) -> None:
    """Streamlit asks for this machine's external address where an Origin is not the Host's."""
    stream(server, f"localhost:{port_of(server)}", "http://evil.example")
    log = next(Path(server.process.environ()["TRACELAPSE_HOME"]).parent.glob("server-*.log"))
    assert "external IP" not in log.read_text(encoding="utf-8")
    assert all(used.raddr == () or used.raddr.ip == "127.0.0.1" for used in server.process.net_connections())


def ask(**headers: str) -> str:
    return refusal(Headers(headers))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the server was started as, by option."""
    options: dict[str, object] = {"server.address": "127.0.0.1", "browser.serverAddress": "127.0.0.1"}
    monkeypatch.setattr(config, "get_option", lambda name: options.get(name, []))
    return options


def test_who_is_answered_depends_on_how_it_was_started(started: dict[str, object]) -> None:
    assert ask(host="192.168.0.7:8501")
    started["server.address"] = "192.168.0.7"
    assert not ask(host="192.168.0.7:8501")
    assert ask(host="192.168.0.8:8501")
    started["server.address"] = "fe80::1"
    assert not ask(host="[fe80::1]:8501", origin="http://[fe80::1]:8501")
    for everywhere in ("0.0.0.0", "::", None):  # noqa: S104 - nothing is bound
        started["server.address"] = everywhere
        assert not ask(host="192.168.0.8:8501")
        assert not ask(host="[fe80::2]:8501")
        assert ask(host="evil.example")
    started["browser.serverAddress"] = "calc1.example"
    assert not ask(host="Calc1.example:80", origin="http://calc1.example:80")


def test_a_person_can_name_hosts_and_origins(started: dict[str, object]) -> None:
    started["server.allowedHosts"] = ["lab.example", "*.wide.example"]
    assert not ask(host="lab.example:443", origin="https://lab.example:443")
    assert not ask(host="a.wide.example")
    assert ask(host="wide.example")
    assert ask(host="notlab.example")
    assert ask(host="lab.example", origin="https://front.example")
    started["server.corsAllowedOrigins"] = ["https://front.example/"]
    assert not ask(host="lab.example", origin="https://front.example")
