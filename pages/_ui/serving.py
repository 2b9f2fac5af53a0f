"""What the server does beside Streamlit's own: two lines of script before the front end loads; opening the browser and
the workspace; and importing the libraries of jobs in an idle moment.

*Where the app lives.* Streamlit's front end, opened at /compare, takes /compare for the app's own address first: it
asks for /compare/_stcore/health and /compare/_stcore/host-config, is refused, and only then goes one level up. Each
bookmark so began with two errors in the browser's console and a wasted round trip. The front end asks nowhere else when
`window.__streamlit.BACKEND_BASE_URL` is set before it loads. Answering below /compare instead would be wrong: the front
end would then take all its requests there.

*One press of Back a page or view.* The front end adds a history entry for each change of the address. Of those only a
change of the page, or of its view, is worth a press: assets/history.js replaces the entry for the others.
"""

import logging
import threading
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
from engine.store.memory import keep_freed, share_arenas
from pages._ui.session import jobs

# Relative to the address, as the front end's own files are: it holds below a proxy's prefix too.
_ORIGIN = 'window.__streamlit = {BACKEND_BASE_URL: new URL(".", location.href).href};'
_log = logging.getLogger(__name__)
_HISTORY = Path(__file__).parents[2] / "assets" / "history.js"


def page_routes(names: Iterable[str]) -> list[Route]:
    """The front end at the address of the app and of each page."""
    return [Route(f"/{name}", _front_end) for name in ("", *names)]


@asynccontextmanager
async def start_up(_app: st.App) -> AsyncIterator[None]:
    """Opens the browser, as `streamlit run` does it for a plain script but not for an `st.App`; and the workspace,
    before anybody asks for a page of it; and gets ready to import what jobs need as soon as nobody waits for a page.
    Memory is shared out before there are threads."""
    share_arenas()
    keep_freed()
    warm_up.start()
    threading.Thread(target=open_workspace, name="open workspace", daemon=True).start()
    if not config.get_option("server.headless"):
        webbrowser.open(f"http://{_own_address()}:{config.get_option('server.port')}")
    yield


def open_workspace() -> None:
    """A large one is looked through for a second, once; a page that is asked for meanwhile waits for what is left."""
    try:
        jobs()
    except Exception as error:  # noqa: BLE001 - the first page tries again, and says so
        _log.warning("The workspace could not be opened in advance: %s", error)


def _own_address() -> str:
    """Where the server listens, as an address has it; where that is everywhere, what it is to be called."""
    address = str(config.get_option("server.address") or "")
    if address in ("", "0.0.0.0", "::"):  # noqa: S104 - only compared
        return str(config.get_option("browser.serverAddress"))
    return f"[{address}]" if ":" in address else address


async def _front_end(_request: Request) -> HTMLResponse:
    return HTMLResponse(_index(), headers={"Cache-Control": "no-cache"})


@cache
def _index() -> str:
    page = Path(get_static_dir(), "index.html").read_text(encoding="utf-8")
    script = f"<script>{_ORIGIN}{_HISTORY.read_text(encoding='utf-8')}</script>"
    return page.replace("<head>", "<head>" + script, 1)
