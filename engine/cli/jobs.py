"""`jobs`: what runs or ran in the workspace, in whichever process."""

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.context import store_of
from engine.cli.output import JsonFile, check_destination, say, show_table, write_json
from engine.cli.progress import progress
from engine.domain.errors import Canceled, InputError

if TYPE_CHECKING:
    from engine.jobs import JobManager

POLL_S = 0.2
_UNSEEN = "on another machine, cannot be seen from here; `jobs --ended ID` once it has ended"


def add_to(app: typer.Typer) -> None:
    app.command()(jobs)


def jobs(
    ctx: typer.Context,
    *,
    cancel: Annotated[str | None, typer.Option(metavar="ID", help="Ask a job to stop, also one of the app's.")] = None,
    resume: Annotated[str | None, typer.Option(metavar="ID", help="Resume a job that stopped early.")] = None,
    ended: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Say that a job of another machine has ended, which cannot be seen from here."),
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """List the jobs of the workspace, cancel one, or resume one."""
    from engine.jobs import JobManager

    check_destination(json_file)
    if sum(map(bool, (cancel, resume, ended))) > 1:
        raise InputError("Give one of --cancel, --resume and --ended.")
    manager = JobManager(store_of(ctx))
    if cancel:
        _cancel(manager, cancel)
    elif resume:
        _resume(manager, resume)
    elif ended:
        manager.say_ended(ended)
        say(f"“{manager.job(ended).title}” counts as interrupted and can be resumed.")
    else:
        _list(manager, json_file)


def _cancel(manager: "JobManager", job_id: str) -> None:
    from engine.domain.jobs import FINISHED

    job = manager.job(job_id)
    if job.state in FINISHED:
        raise InputError(
            f"The job “{job.title}” is {job.told_state} already; only a queued or running one can be canceled."
        )
    manager.cancel(job_id)
    say(f"“{job.title}” was asked to stop.")


def _resume(manager: "JobManager", job_id: str) -> None:
    """In this process, until it ends. Ctrl-C leaves it interrupted: it can be resumed again."""
    from engine.domain.jobs import FINISHED

    new_id = manager.resume(job_id)
    try:
        with progress(manager.job(new_id).title) as report:
            while (job := manager.job(new_id)).state not in FINISHED:
                report(job.progress.fraction, job.progress.message)
                time.sleep(POLL_S)
            report(job.progress.fraction, job.progress.message)
    finally:
        manager.close()
    if job.state == "failed":
        raise InputError(job.error)
    if job.state != "done":
        raise Canceled
    say(f"“{job.title}” is done: {job.result}")


def _list(manager: "JobManager", json_file: str | None) -> None:
    records = manager.snapshot()
    if json_file:
        write_json([record.model_dump(mode="json") for record in records], json_file)
    if json_file != "-":
        show_table(
            ("id", "job", "state", "done", "started", "note"),
            [
                (
                    r.id,
                    r.title,
                    r.told_state,
                    f"{r.progress.fraction:.0%}",
                    _clock(r.created_at),
                    r.error or (_UNSEEN if manager.may_have_ended(r) else r.progress.message),
                )
                for r in records
            ],
        )


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")
