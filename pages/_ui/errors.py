"""What a page shows when something goes wrong: a message, never a traceback."""

import csv
import io
import logging
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from engine.domain.errors import N_SHOWN, BadLine, CorpusRefused, TracelapseError
from engine.domain.numbers import count, plural
from pages._ui.text import message, plain

logger = logging.getLogger(__name__)


@contextmanager
def guarded() -> Iterator[None]:
    """Around a page, a fragment or a part of a page (also as a decorator): what fails shows here, the rest stays.

    An error that a user can mend is shown with its own words. Any other goes to the log under a reference, and the
    reference is shown. Streamlit's own control flow (rerun, stop) passes through.
    """
    try:
        yield
    except TracelapseError as error:
        show(error)
    except Exception:  # told under a reference, and logged with it
        reference = uuid.uuid4().hex[:8]
        logger.exception("Unexpected error %s", reference)
        st.error(
            f"Something unexpected went wrong (reference {reference}). Nothing that was saved is lost. "
            f"Reload the page. If it happens again, the server log has the details under {reference}.",
            icon=":material/error:",
        )


def show(error: TracelapseError) -> None:
    """One error in its own words; a refused corpus with its problems."""
    if isinstance(error, CorpusRefused):
        _show_refused(error)
    else:
        st.error(message(str(error)), icon=":material/error:")


def _show_refused(error: CorpusRefused) -> None:
    """The first problems, whole; all of them as a file."""
    bad = error.bad_lines
    problems = plural(len(bad), "problem")
    st.error(
        plain(
            f"{error.source} cannot be used: it has {problems}. Nothing was imported. Fix the file and choose it again."
        ),
        icon=":material/error:",
    )
    st.markdown("\n".join(f"- **Line {count(one.number)}**: {plain(one.reason)}" for one in bad[:N_SHOWN]))
    if len(bad) > N_SHOWN:
        st.caption(f"These are the first {N_SHOWN} problems; there are {count(len(bad) - N_SHOWN)} more.")
    st.download_button(
        f"Download all {problems}" if len(bad) > 1 else "Download the problem", _as_csv(bad),
        file_name=f"{Path(error.source).stem}-problems.csv", mime="text/csv", icon=":material/download:",
        on_click="ignore",
    )  # fmt: skip


def _as_csv(bad: Sequence[BadLine]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([("line", "problem"), *((one.number, one.reason) for one in bad)])
    return out.getvalue()
