"""The forms in which transcoder sets are read. A format is one file with a `Format`, and one line here."""

from pathlib import Path

from engine.models.formats.gemma_scope import GEMMA_SCOPE, GEMMA_SCOPE_2
from engine.models.formats.layout import Format
from engine.models.formats.ours import OURS
from engine.models.formats.saelens import SAELENS
from engine.models.formats.sparsify import SPARSIFY
from engine.models.formats.tracer import TRACER

FORMATS: tuple[Format, ...] = (OURS, TRACER, GEMMA_SCOPE, GEMMA_SCOPE_2, SAELENS, SPARSIFY)


def format_of(folder: Path) -> Format | None:
    """The first that recognises the folder."""
    return next((form for form in FORMATS if form.recognises(folder)), None)
