"""Workers of fake runs that begin at once."""

import pytest

from tests.studies import fake_runs
from tests.warm import warm


@pytest.fixture
def fake_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of a study are fakes, done in processes that have imported them.

    Where the runs are real, the processes are as a study begins them: test_study_dask, test_cli_study.
    """
    context = warm()
    monkeypatch.setattr("engine.studies.execute.do_run", fake_runs.work)
    monkeypatch.setattr("engine.studies.workers.multiprocessing.get_context", lambda _method: context)
