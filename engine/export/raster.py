"""SVG to PNG, and Altair charts to SVG and PNG, without a browser and without a network (vl-convert).

vl-convert carries its own JavaScript, fonts and renderer. It is heavy, so it is imported when something is drawn.
"""

from typing import TYPE_CHECKING, Any

from engine.domain.errors import InputError

if TYPE_CHECKING:
    import altair as alt

_NO_URLS: list[str] = []  # data of our charts is inline; whatever names an address is refused


def to_png(svg: str, *, scale: float = 2) -> bytes:
    """PNG of an SVG picture; `scale`: pixels of the PNG for each of the SVG's, 0.1 to 8. Raises InputError."""
    if not 0.1 <= scale <= 8:
        raise InputError(f"A picture cannot be drawn at {scale} times its size. Give a scale of 0.1 to 8.")
    import vl_convert

    return bytes(vl_convert.svg_to_png(svg, scale=scale))


def chart_svg(chart: "alt.TopLevelMixin") -> str:
    """The chart as it stands, on white. Raises ValueError where it names data of elsewhere."""
    import vl_convert

    return str(vl_convert.vegalite_to_svg(_spec(chart), allowed_base_urls=_NO_URLS, show_warnings=False))


def chart_png(chart: "alt.TopLevelMixin", *, scale: float = 2) -> bytes:
    """As `chart_svg`, as PNG."""
    return to_png(chart_svg(chart), scale=scale)


def _spec(chart: "alt.TopLevelMixin") -> dict[str, Any]:
    """Of the chart alone: no theme, renderer or data transformer that was switched on elsewhere."""
    return dict(chart.to_dict()) | {"background": "white"}
