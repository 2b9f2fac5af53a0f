"""What the server does beside Streamlit's own: it tells the front end where the app lives, opens the browser, and
imports the libraries of jobs in an idle moment.

Streamlit's front end, opened at /compare, takes /compare for the app's own address first: it asks for
/compare/_stcore/health and /compare/_stcore/host-config, is refused, and only then goes one level up. Each bookmark
so began with two errors in the browser's console and a wasted round trip. The front end asks nowhere else when
`window.__streamlit.BACKEND_BASE_URL` is set before it loads, so our pages are served with that one line. Answering
below /compare instead would be wrong: the front end would then take all its requests there.
"""

import webbrowser
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route
from streamlit import config
from streamlit.file_util import get_static_dir

from engine.jobs import warm_up

# Relative to the address, as the front end's own files are: it holds below a proxy's prefix too.
_ORIGIN = '<script>window.__streamlit = {BACKEND_BASE_URL: new URL(".", location.href).href}</script>'


def page_routes(names: Iterable[str]) -> list[Route]:
    """The front end at the address of each page."""
    return [Route(f"/{name}", _front_end) for name in names]


@asynccontextmanager
async def start_up(_app: st.App) -> AsyncIterator[None]:
    """Opens the browser, as `streamlit run` does it for a plain script but not for an `st.App`; and gets ready to
    import what jobs need as soon as nobody waits for a page."""
    warm_up.start()
    if not config.get_option("server.headless"):
        webbrowser.open(f"http://{config.get_option('browser.serverAddress')}:{config.get_option('server.port')}")
    yield


async def _front_end(_request: Request) -> HTMLResponse:
    return HTMLResponse(_index(), headers={"Cache-Control": "no-cache"})


@cache
def _index() -> str:
    page = Path(get_static_dir(), "index.html").read_text(encoding="utf-8")
    return page.replace("<head>", "<head>" + _ORIGIN, 1)
