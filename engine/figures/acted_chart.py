"""Where training acted, as a heat map of layers and tokens."""

from typing import Any

import altair as alt
import pandas as pd

from engine.analysis.acted import layer_name
from engine.figures import palette
from engine.figures.chart_theme import themed

_CELL_PX, _AROUND_PX = 30, 110  # a layer's row; axis and legend
_MOST_PX = 480


def map_height(n_layers: int) -> int:
    """Pixels of the whole: embeddings, layers, output."""
    return min(_MOST_PX, _CELL_PX * (n_layers + 2) + _AROUND_PX)


def acted_map(places: pd.DataFrame, tokens: tuple[str, ...], n_layers: int) -> Any:
    """places: of `place_table`. Orange raised the logit, blue lowered it; embeddings stand below, the output on top."""
    words = [f"{position} {token.strip() or '␣'}" for position, token in enumerate(tokens)]
    rows = pd.DataFrame(
        {
            "token": [words[position] for position in places["position"]],
            "layer": [layer_name(layer, n_layers) for layer in places["layer"]],
            "part": places["part"],
        }
    )
    most = max(0.01, float(rows["part"].abs().max()) if len(rows) else 0.0)
    # Nothing changed is no color at all, so that one scale serves the light and the dark page.
    colors = [palette.STATUS["vanished"], "rgba(138,148,160,0.06)", palette.GAINED]
    scale = alt.Scale(domain=[-most, 0, most], interpolate="rgb", range=colors)
    legend = alt.Legend(title="part of the logit's change", format="+.2f", gradientLength=150, orient="bottom",
                        titleOrient="left", titleLimit=300, tickCount=3)  # fmt: skip
    layers = [layer_name(layer, n_layers) for layer in range(n_layers, -2, -1)]
    chart = (
        alt.Chart(rows, height=map_height(n_layers))
        .mark_rect()
        .encode(
            x=alt.X("token:N", title=None, sort=words, scale=alt.Scale(domain=words), axis=_axis(labelAngle=-35)),
            y=alt.Y("layer:N", title=None, sort=layers, scale=alt.Scale(domain=layers), axis=_axis(labelOverlap=True)),
            color=alt.Color("part:Q", scale=scale, legend=legend),
            tooltip=[
                alt.Tooltip("token:N", title="token"),
                alt.Tooltip("layer:N", title="layer"),
                alt.Tooltip("part:Q", title="part", format="+.3f"),
            ],
        )
    )
    return themed(chart)


def _axis(**more: Any) -> alt.Axis:
    return alt.Axis(ticks=False, grid=False, labelPadding=4, labelLimit=110, **more)
