"""What a page says, as text."""

from streamlit.testing.v1 import AppTest

_KINDS = ("title", "subheader", "markdown", "caption", "info", "warning", "error", "success", "text")


def texts(app: AppTest) -> str:
    """All that the page says, with the escapes and joiners of Markdown taken out."""
    parts = [element.value for kind in _KINDS for element in getattr(app, kind)]
    return "\n".join(str(part) for part in parts).replace("\\", "").replace("\u2060", "")
