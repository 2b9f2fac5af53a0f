"""The bundled demo: which runs it consists of, and a live one like them. Light: Home's first words wait for it."""

from engine.demo.live import live_request
from engine.demo.recipe import RUN_A, RUN_B
from engine.domain.jobs import JobRecord, Train
from engine.domain.numbers import duration
from engine.store.infos import RunInfo
from pages._ui.forms import free_name
from pages._ui.jobs.state import start_job
from pages._ui.session import jobs, store

CORPUS = "demo"
DEFAULT_A, DEFAULT_B = f"{RUN_A}@100%", f"{RUN_B}@100%"
LIVE_PARAM = "live"  # in Home's address: the live run that is watched
LIVE_S = 60.0  # what a live run takes on two laptop cores, until one has shown what it takes on this machine


def demo_runs() -> list[RunInfo]:
    """The two bundled runs in the order of the story (A as in Compare), where they are here."""
    bundled = {info.config.name: info for info in store().runs() if info.bundled}
    return [bundled[name] for name in (RUN_A, RUN_B) if name in bundled]


def run_live() -> str:
    """Train demo-lora's recipe again, watched, beside demo-tokens; the run's name. One that is under way is taken."""
    if active := next((job for job in jobs().active() if _is_live(job)), None):
        return _run_of(active)
    taken = {info.config.name for info in store().runs()}
    taken |= {job.request.config.name for job in jobs().snapshot() if isinstance(job.request, Train)}
    request = live_request(store(), free_name("live", taken))
    start_job(request)
    return request.config.name


def live_job(name: str) -> JobRecord | None:
    """The newest job that trains the run live; None where there is none."""
    return next((job for job in jobs().snapshot() if _is_live(job) and _run_of(job) == name), None)


def live_label() -> str:
    """Of the button: what a live run took here last time, else what it takes on two laptop cores."""
    records = jobs().snapshot()
    if any(_is_live(job) and job.state in ("queued", "running") for job in records):
        return "Watch the live run"
    times = [(job.started_at, job.finished_at) for job in records if _is_live(job) and job.state == "done"]
    took = next((end - start for start, end in times if start and end), LIVE_S)
    return f"Run it live (about {duration(round(took, -1) or 10)})"


def _is_live(job: JobRecord) -> bool:
    return isinstance(job.request, Train) and job.request.beside is not None


def _run_of(job: JobRecord) -> str:
    assert isinstance(job.request, Train)
    return job.request.config.name
