"""The page part: what stands there with facts of both sides, of one, of none."""

from streamlit.testing.v1 import AppTest


def script(which: str) -> None:
    import numpy as np

    from engine.domain.features import FeatureFacts, FeatureText
    from pages._ui.compare.feature_facts import feature_view

    def facts(n_active: int, token: str) -> FeatureFacts:
        text = FeatureText(("the", token), np.array([0.0, 2.0], np.float32))
        return FeatureFacts(
            layer=0, index=7, n_tokens=200, n_active=n_active, max_activation=2.0 if n_active else 0.0,
            counts=np.array([n_active, 0]), texts=(text,) if n_active else (), promoted=((token, 0.5),), suppressed=(),
        )  # fmt: skip

    sides = {
        "both": (facts(3, "cat"), facts(4, "<b>:smile:</b>")),
        "one": (facts(3, "cat"), None),
        "none": (None, None),
        "silent": (facts(0, "cat"), facts(0, "cat")),
    }
    feature_view(*sides[which], height=300)


def opened(which: str) -> AppTest:
    app = AppTest.from_function(script, args=(which,)).run()
    assert not app.exception
    return app


def captions(app: AppTest) -> list[str]:
    return [caption.value for caption in app.caption]


def test_both_sides() -> None:
    app = opened("both")
    assert captions(app) == [
        "**A** · active on 1.5% of 200 tokens, at most 2.00",
        "**B** · active on 2.0% of 200 tokens, at most 2.00",
    ]
    assert len(app.get("vega_lite_chart")) + len(app.get("arrow_vega_lite_chart")) == 2
    (table,) = app.get("html")
    body = table.proto.body
    assert "&lt;b&gt;:smile:&lt;/b&gt;" in body
    assert "<b>" not in body


def test_a_side_that_was_not_looked_up() -> None:
    app = opened("one")
    assert captions(app)[1] == "**B** · not looked up yet"
    assert len(app.get("html")) == 1


def test_nothing_yet_says_what_to_press() -> None:
    app = opened("none")
    assert captions(app) == ["Not looked up yet. Press “Look it up”: it takes seconds."]
    assert len(app.get("html")) == 0


def test_a_feature_that_is_active_nowhere() -> None:
    app = opened("silent")
    assert captions(app) == ["**A** · active on none of 200 tokens", "**B** · active on none of 200 tokens"]
    assert len(app.get("vega_lite_chart")) + len(app.get("arrow_vega_lite_chart")) == 0
