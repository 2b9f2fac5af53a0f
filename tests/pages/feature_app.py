"""A page with nothing but the facts of one feature, for the browser tests and to look at (`streamlit run` this file).

Its tokens carry markup of every kind, which must come through as text.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import streamlit as st

from engine.domain.features import FeatureFacts, FeatureText
from pages._ui.compare.feature_facts import feature_view

HOSTILE = (
    "<script>window.hacked=1</script>", "<img src=x onerror=window.hacked=1>", "</td></table>", "' onclick='hacked=1",
    ":smile:", "**b**", "$x^2$", "&lt;", "href",
)  # fmt: skip


def facts(strength: float) -> FeatureFacts:
    values = strength * np.linspace(0, 1, len(HOSTILE), dtype=np.float32)
    return FeatureFacts(
        layer=0, index=7, n_tokens=1000, n_active=31, max_activation=float(values[-1]),
        counts=np.array([20, 0, 1, 10]), texts=(FeatureText(HOSTILE, values),),
        promoted=tuple((token, 0.5) for token in HOSTILE), suppressed=tuple((token, -strength) for token in HOSTILE),
    )  # fmt: skip


if __name__ == "__main__":
    st.set_page_config(layout="wide", page_title="A feature")
    feature_view(facts(1.0), facts(2.0), height=420)
