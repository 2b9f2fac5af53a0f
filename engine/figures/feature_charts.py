"""The activation histogram of a feature as an Altair chart. Pure: facts in, chart out."""

from itertools import pairwise

import altair as alt
import numpy as np
import pandas as pd

from engine.domain.features import FeatureFacts
from engine.figures import palette
from engine.figures.feature_words import activity


def activation_chart(facts: FeatureFacts, *, beside: FeatureFacts | None = None, height: int = 60) -> alt.Chart:
    """How many tokens have which activation, counts on a logarithmic scale; empty where it is never active.

    `beside`: the facts whose chart stands next to it; both then have the same axes.
    """
    rows = activation_rows(facts)
    both = [facts, beside] if beside is not None else [facts]
    highest = max(one.max_activation for one in both)
    most = max(int(one.counts.max(initial=0)) for one in both)
    # “symlog” is linear near 0, so that an empty bin and a bin of one token are both what they are.
    y = alt.Y(
        "tokens:Q",
        title=None,
        scale=alt.Scale(type="symlog", domain=[0, max(most, 1)], nice=False),
        axis=alt.Axis(
            values=[n for n in (1, 10, 100, 1_000, 10_000, 100_000) if n == 1 or n <= most / 2], format=",d", grid=False
        ),
    )
    x = alt.X(
        "low:Q",
        title=None,
        scale=alt.Scale(domain=[0, highest or 1], nice=False),
        axis=alt.Axis(grid=False, tickCount=4, labelPadding=3),
    )
    return (
        alt.Chart(
            rows,
            height=height,
            padding={"left": 0, "right": 6, "top": 2, "bottom": 0},
            description=f"Histogram of the activations: {activity(facts)}",  # read out by screen readers
        )
        .mark_bar(color=palette.ACTIVATION, binSpacing=1)
        .encode(
            x=x,
            x2="high:Q",
            y=y,
            y2=alt.datum(0),
            tooltip=[alt.Tooltip("activation:N"), alt.Tooltip("tokens:Q", format=",")],
        )
    )


def activation_rows(facts: FeatureFacts) -> pd.DataFrame:
    """low, high (of the bin), tokens, activation (the bin in words): the bins with tokens in them."""
    edges = np.linspace(0, facts.max_activation, len(facts.counts) + 1)
    rows = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "tokens": facts.counts})
    rows["activation"] = [f"{low:.2f} to {high:.2f}" for low, high in pairwise(edges)]
    return rows[rows["tokens"] > 0].reset_index(drop=True)
