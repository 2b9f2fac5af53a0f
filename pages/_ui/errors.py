"""What a page shows when something goes wrong: a message, never a traceback."""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from engine.domain.errors import CorpusRefused, TracelapseError
from pages._ui.text import plain

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
    except Exception:
        reference = uuid.uuid4().hex[:8]
        logger.exception("Unexpected error %s", reference)
        st.error(
            f"Something went wrong that should not have (reference {reference}). Nothing that was saved is lost. "
            f"Reload the page; if it comes again, the log of the server has the details under {reference}.",
            icon=":material/error:",
        )


def show(error: TracelapseError) -> None:
    """One error in its own words; a refused corpus with every bad line."""
    if isinstance(error, CorpusRefused):
        st.error(
            plain(f"{error.source}: {len(error.bad_lines)} line(s) cannot be taken. Nothing was taken in."),
            icon=":material/error:",
        )
        st.dataframe(
            {"line": [bad.number for bad in error.bad_lines], "why": [bad.reason for bad in error.bad_lines]},
            hide_index=True,
            height=min(300, 38 + 35 * len(error.bad_lines)),
        )
    else:
        st.error(plain(str(error)), icon=":material/error:")
