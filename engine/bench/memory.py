"""Peak memory of the app: its server's resident memory over a live run and a comparison, sampled all along."""

import time

from engine.bench.peak import MemorySampler
from engine.bench.row import BenchRow, at_most
from engine.bench.server import app_server, browser_page, wait_idle, wait_until_up
from engine.bench.setting import Setting
from engine.domain.errors import InputError

LIVE = "Run it live"  # Home's button
RUN_LIMIT_S = 900.0
SAMPLE_S = 0.1


def measure(setting: Setting) -> list[BenchRow]:
    """MB at the highest sample."""
    store = setting.store
    with (
        browser_page() as page,
        app_server(store.workspace) as server,
        MemorySampler(server.memory_mb, every_s=SAMPLE_S) as peak,
    ):
        wait_until_up(server)
        before = {info.name for info in store.runs()}
        page.goto(server.url)
        page.click(f"button:has-text('{LIVE}')")
        run = _finished_run(setting, before)
        prompt = next(probe.text for probe in store.corpus(store.run(run).corpus).probes if probe.kind == "inference")
        page.goto(f"{server.url}/compare?a={run}@base&b={run}@100%25&prompt={prompt.replace(' ', '+')}")
        wait_idle(page)
        page.click("button:has-text('Trace')")
        page.wait_for_selector("canvas", timeout=1e3 * RUN_LIMIT_S)
        wait_idle(page)
    return [at_most("peak memory of the app: a live run, then a new comparison", peak.mb, "MB", limit=1500)]


def _finished_run(setting: Setting, before: set[str]) -> str:
    """The name of the new run, once its last checkpoint is there."""
    end = time.monotonic() + RUN_LIMIT_S
    while time.monotonic() < end:
        for info in setting.store.runs():
            if info.name not in before and info.finished:
                return info.name
        time.sleep(0.5)
    raise InputError(f"The live run was not finished after {RUN_LIMIT_S:.0f} s; is something else using the machine?")
