"""Who may ask the server anything: only a page that the server itself has served, under a name that is its own.

A page from elsewhere can have its own name resolve to 127.0.0.1 after it was loaded ("DNS rebinding"). The browser then
takes this server for that page's own, and its requests come with that name as Host. Streamlit's `server.allowedHosts`
looks at WebSockets alone, and for an Origin that is not the Host's it asks another machine for this one's external
address. So both headers are looked at in front of Streamlit, of every request:

- Host must be a name of this machine's loopback, the address that the server listens on, or one that a person named in
  `server.allowedHosts`. A server that listens everywhere also answers to any IP address, which nobody can rebind.
- Origin, where there is one, must be that of the Host, or in `server.corsAllowedOrigins`.

No other page may frame ours: a visitor would click what he does not see.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit import config

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_EVERYWHERE = {"", "0.0.0.0", "::"}  # noqa: S104 - only compared
_NOT_FRAMED = {"X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": "frame-ancestors 'self'"}
_POLICY_VIOLATION = 1008  # of WebSockets


def doorkeepers() -> list[Middleware]:
    """For `st.App`: in front of all that Streamlit serves."""
    return [Middleware(Doorkeeper)]


class Doorkeeper:
    """Refuses foreign requests before anything of Streamlit's sees them: 403, or a WebSocket that never opens."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        reason = refusal(Headers(scope=scope))
        if reason and scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": reason})
        elif reason:
            await PlainTextResponse(reason, 403, headers=_NOT_FRAMED)(scope, receive, send)
        else:
            await self._app(_as_own(scope), receive, _unframed(send))


def refusal(headers: Headers) -> str:
    """Why a request with these headers is not answered; empty where it is."""
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or not _is_ours(hosts[0]):
        return (
            f"This server is not called {_shown(hosts)}. Open it as localhost, or name the host in server.allowedHosts."
        )
    if len(origins) > 1 or not all(_is_own_page(origin, hosts[0]) for origin in origins):
        return f"Nothing is answered to a page from {_shown(origins)}. It could be named in server.corsAllowedOrigins."
    return ""


def _is_ours(host: str) -> bool:
    name = _name_of(host)
    if name is None:
        return False
    address = str(config.get_option("server.address") or "").lower()
    if name in _LOOPBACK or name == address or any(_matches(name, one) for one in _named("server.allowedHosts")):
        return True
    return address in _EVERYWHERE and (_is_address(name) or name == _browser_address())


def _is_own_page(origin: str, host: str) -> bool:
    if origin.rstrip("/") in _named("server.corsAllowedOrigins"):
        return True
    scheme, _, rest = origin.partition("://")
    return scheme in ("http", "https") and rest.lower() == host.lower()


def _name_of(host: str) -> str | None:
    """The name in a Host header, without port, brackets and a last dot; None where it is not a host at all."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    if parts.netloc != host or parts.username is not None or not parts.hostname:
        return None
    return parts.hostname.rstrip(".")


def _named(option: str) -> list[str]:
    return [str(one).strip().lower().rstrip("/") for one in config.get_option(option) or ()]


def _matches(name: str, pattern: str) -> bool:
    """As Streamlit reads `server.allowedHosts`: `*` is anybody, `*.example.com` what ends so."""
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern in ("*", name)


def _browser_address() -> str:
    return str(config.get_option("browser.serverAddress") or "").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _as_own(scope: Scope) -> Scope:
    """With the Host's own Origin: of another allowed one, Streamlit would ask another machine before it looks it up."""
    headers = MutableHeaders(scope=dict(scope))
    if scope["type"] == "websocket" and "origin" in headers:
        headers["origin"] = f"http://{headers['host']}"
        return {**scope, "headers": headers.raw}
    return scope


def _unframed(send: Send) -> Send:
    async def inner(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _NOT_FRAMED.items():
                headers[name] = value
        await send(message)

    return inner


def _shown(values: list[str]) -> str:
    return ", ".join(f"“{value[:80]}”" for value in values) or "nothing"
