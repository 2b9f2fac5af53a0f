"""Asking for a job: the button, what stands in its place, and what the top bar says of jobs elsewhere."""

import time
from collections.abc import Callable

import pytest
from page_texts import texts
from streamlit.testing.v1 import AppTest

from engine.domain.errors import InputError
from engine.domain.jobs import FINISHED, AnalyseRun, CancelToken, JobRecord, Progress, Report, Request, Train
from engine.domain.runs import RunConfig
from engine.jobs import JobManager, run_inline
from engine.store import Store
from pages._ui import session
from pages._ui.jobs.indicator import indicator_label
from pages._ui.jobs.progress import progress_text
from pages._ui.jobs.state import start_job

OpenPage = Callable[..., AppTest]


def _job(
    title: str = "Train live", *, state: str = "running", fraction: float = 0.45, eta_s: float = 20.0
) -> JobRecord:
    request = Train(config=RunConfig(name="live", corpus="demo"))
    progress = Progress(fraction=fraction, message="step 135 of 300", eta_s=eta_s)
    record = JobRecord(id="1", title="Train live", request=request, progress=progress, created_at=0.0)
    return record.model_copy(update={"state": state})


def test_the_top_bar_says_how_far_jobs_are_and_what_stopped() -> None:
    assert indicator_label([_job()], []) == "Train live · 45% · 20 s left"
    assert indicator_label([_job(state="queued"), _job()], []) == "2 jobs · 45%"
    assert indicator_label([_job(state="queued")], []) == "Train live · queued"
    assert indicator_label([], [_job(state="failed")]) == ":red[:material/error: Train live failed]"
    assert indicator_label([_job()], [_job(state="interrupted")]).endswith(" · :red[1 interrupted]")


def test_the_time_left_is_not_guessed_before_a_job_has_got_anywhere() -> None:
    assert progress_text(_job()) == "Step 135 of 300 · 20 s left"
    assert progress_text(_job(fraction=0.01, eta_s=7200.0)) == "Step 135 of 300"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("loading the model", "Loading the model"),
        ("mine@25%: scoring the edges", "mine@25%: scoring the edges"),
        ("mine@base, 10% of the tokens replaced: scoring", "mine@base, 10% of the tokens replaced: scoring"),
        ("“the cat”: what is asked", "“the cat”: what is asked"),
        ("", "Starting"),
    ],
)
def test_a_name_at_the_beginning_stays_as_it_is(message: str, shown: str) -> None:
    job = _job(fraction=0.0)
    told = job.model_copy(update={"progress": Progress(message=message)})
    assert progress_text(told) == shown


def _fail(_store: Store, _request: Request, _report: Report, _cancel: CancelToken) -> str:
    raise InputError("There is no room on the disk.")


def _failed(request: Request) -> None:
    manager = JobManager(Store.open(), run=_fail)
    job_id = manager.submit(request)
    while manager.job(job_id).state != "failed":
        time.sleep(0.01)
    manager.close()


def test_a_job_that_failed_is_told_once_and_can_be_tried_again(open_page: OpenPage) -> None:
    _failed(AnalyseRun(run="demo-lora", probe_kind="inference"))
    app = open_page("curves", runs="demo-lora", on="inference")
    assert not app.exception
    assert texts(app).count("There is no room on the disk.") == 1
    next(button for button in app.button if button.label == "Try again").click().run()
    assert not app.exception
    assert [job.state in FINISHED for job in session.jobs().snapshot()] == [False]  # in the failed one's place
    assert "no room" not in texts(app)


def test_the_top_bar_shows_several_jobs_at_once(open_page: OpenPage) -> None:
    open_page("home")
    for run in ("demo-lora", "demo-tokens"):
        session.jobs().submit(AnalyseRun(run=run))
    app = open_page("corpus")
    assert not app.exception
    assert "Something unexpected" not in texts(app)
    assert texts(app).count("Analyze demo-") == 2
    assert [button.label for button in app.button].count("Cancel") == 2


def test_the_top_bar_tells_of_jobs_that_the_page_shows_itself(open_page: OpenPage) -> None:
    _failed(AnalyseRun(run="demo-lora", probe_kind="inference"))
    _failed(AnalyseRun(run="demo-tokens"))
    app = open_page("curves", runs="demo-lora", on="inference")
    assert not app.exception
    assert texts(app).count("There is no room on the disk.") == 2  # one on the page, the other in the menu
    assert "1 more job is on this page." in texts(app)
    assert "more job" not in texts(open_page("corpus"))


def test_no_name_of_a_button_gives_two_places_one_key() -> None:
    script = """
from engine.domain.jobs import AnalyseRun
from pages._ui.jobs.button import job_button
for key in ("x", "row x", "room x", "row row x"):
    job_button(AnalyseRun(run="one"), label="Start", key=key)
"""
    assert not AppTest.from_string(script).run().exception


def test_what_failed_elsewhere_is_in_the_top_bar_until_it_is_dismissed(open_page: OpenPage) -> None:
    _failed(AnalyseRun(run="demo-lora"))
    assert texts(open_page("corpus")).count("There is no room on the disk.") == 1
    bar = AppTest.from_string("from pages._ui.jobs.indicator import job_indicator\njob_indicator()").run()
    next(button for button in bar.button if button.label == "Dismiss").click().run()
    assert not bar.exception
    assert texts(bar) == ""
    assert session.jobs().snapshot() == []


def test_several_that_stopped_are_dismissed_at_once(open_page: OpenPage) -> None:
    for run in ("demo-lora", "demo-tokens"):
        _failed(AnalyseRun(run=run))
    open_page("corpus")
    bar = AppTest.from_string("from pages._ui.jobs.indicator import job_indicator\njob_indicator()").run()
    next(button for button in bar.button if button.label == "Dismiss all that stopped").click().run()
    assert not bar.exception
    assert session.jobs().snapshot() == []


def test_a_job_started_again_takes_the_place_of_the_one_that_failed(open_page: OpenPage) -> None:
    open_page("home")
    request = AnalyseRun(run="demo-lora")
    _failed(request)
    job_id = start_job(request)
    assert [job.id for job in session.jobs().snapshot()] == [job_id]


def test_a_finished_job_is_news_in_passing_and_nothing_is_left_of_it(open_page: OpenPage) -> None:
    run_inline(Store.open(), AnalyseRun(run="demo-lora"), on_progress=lambda *_: None, run=lambda *_: "")
    app = open_page("corpus")
    assert "Analyze demo-lora on up to 10 pro…: done" in texts(app)
    assert not app.sidebar.children
