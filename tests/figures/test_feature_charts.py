"""Facts of features in words, as a chart and as HTML: what a person reads, and that texts stay texts."""

from html.parser import HTMLParser

import numpy as np
import pytest

from engine.domain.features import FeatureFacts, FeatureText
from engine.domain.numbers import signed
from engine.figures import palette
from engine.figures.feature_charts import activation_chart
from engine.figures.feature_html import _STRENGTH, facts_table
from engine.figures.feature_words import activity, bars, excerpt, paired

HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</table>", "'\" onmouseover=alert(1) x='", "&lt;",
    ":smile:", "**b**", "$x$", "<!--", "]]>", "javascript:alert(1)", "\u2028",
)  # fmt: skip


def text(*pairs: tuple[str, float]) -> FeatureText:
    return FeatureText(tuple(token for token, _ in pairs), np.array([value for _, value in pairs], np.float32))


def words(sentence: str, *values: float) -> FeatureText:
    return text(*zip(sentence.split(), values, strict=True))


def facts(*texts: FeatureText, highest: float = 4.0, counts: tuple[int, ...] = (100, 0, 1), **changes: object):
    given = {
        "layer": 2, "index": 17, "n_tokens": 5213, "n_active": sum(counts), "max_activation": highest,
        "counts": np.array(counts), "texts": texts, "promoted": (("smiles", 0.87),), "suppressed": ((".", -0.52),),
    }  # fmt: skip
    return FeatureFacts(**(given | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n_active", "says"),
    [
        (162, "active on 3.1% of 5,213 tokens, at most 4.00"),
        (5213, "active on 100% of 5,213 tokens, at most 4.00"),
        (1, "active on <0.1% of 5,213 tokens, at most 4.00"),
        (0, "active on none of 5,213 tokens"),
    ],
)
def test_activity_in_words(n_active: int, says: str) -> None:
    assert activity(facts(n_active=n_active)) == says


def test_signed_values_and_bars_of_text() -> None:
    assert [signed(value) for value in (0.866, -0.52, 0.0)] == ["+0.87", "−0.52", "0.00"]
    assert bars(np.array([0, 1, 1000])) == " ▁█"
    assert bars(np.zeros(3)) == "   "


def test_a_long_text_is_cut_around_its_peak() -> None:
    whole = text(*((f"w{n}", float(n == 30)) for n in range(40)))
    part = excerpt(whole, 9)
    assert part.tokens == tuple(f"w{n}" for n in range(24, 33))
    assert part.tokens[part.peak] == "w30"
    assert (part.cut_before, part.cut_after) == (True, True)
    for peak, first in ((0, 0), (3, 0), (39, 31)):
        part = excerpt(text(*((f"w{n}", float(n == peak)) for n in range(40))), 9)
        assert (len(part.tokens), part.tokens[0], part.tokens[part.peak]) == (9, f"w{first}", f"w{peak}")
    short = excerpt(words("the cat", 0, 1), 9)
    assert (short.tokens, short.cut_before, short.cut_after) == (("the", "cat"), False, False)


def test_texts_of_both_sides_stand_beside_each_other() -> None:
    first, second, third, fourth = (words(w, 1) for w in ("one", "two", "three", "four"))
    second_b = words("two", 3)
    assert paired((first, second), (third, second_b, fourth)) == [(second, second_b), (first, third), (None, fourth)]
    assert paired((), ()) == []


def test_the_chart_shows_every_active_token_on_a_logarithmic_scale() -> None:
    spec = activation_chart(facts()).to_dict()
    (rows,) = spec["datasets"].values()
    assert [(row["low"], row["high"], row["tokens"]) for row in rows] == [
        (0.0, pytest.approx(4 / 3), 100),
        (pytest.approx(8 / 3), 4.0, 1),
    ]
    assert rows[1]["activation"] == "2.67 to 4.00"
    assert spec["encoding"]["y"]["scale"]["type"] == "symlog"
    assert spec["encoding"]["y"]["scale"]["domain"] == [0, 100]
    assert "active on 1.9%" in spec["description"]


def test_charts_beside_each_other_have_the_same_axes() -> None:
    weak, strong = facts(highest=1.0, counts=(7,)), facts(highest=9.0, counts=(2, 1))
    domains = [
        [activation_chart(one, beside=other).to_dict()["encoding"][axis]["scale"]["domain"] for axis in "xy"]
        for one, other in ((weak, strong), (strong, weak))
    ]
    assert domains == [[[0, 9.0], [0, 7]]] * 2


def test_the_chart_of_a_feature_that_is_never_active_is_empty() -> None:
    spec = activation_chart(facts(highest=0.0, counts=(0, 0), n_active=0)).to_dict()
    assert all(rows == [] for rows in spec.get("datasets", {}).values())


class Seen(HTMLParser):
    """Tags with their attributes, and the text outside of the style sheet."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def test_the_table_reads_as_it_should() -> None:
    a = facts(words("the cat smiles", 0, 2, 4), words("a dog", 0, 1))
    b = facts(words("the cat smiles", 0, 0.5, 0), highest=0.5, promoted=(("smiles", 0.5),), suppressed=())
    seen = Seen(facts_table(a, b))
    assert seen.rows == [
        ["A", "B"],
        ["promotes smiles +0.87 ", "promotes smiles +0.50 "],
        ["suppresses . −0.52 ", ""],
        ["4.00the cat smiles, highest on “smiles”", "0.50the cat smiles, highest on “cat”"],
        ["1.00a dog, highest on “dog”", ""],
    ]
    shaded = [attrs for tag, attrs in seen.tags if tag == "span" and "style" in attrs]
    assert [attrs["title"] for attrs in shaded] == ["2.00", "4.00", "0.50", "1.00"]
    assert [float(attrs["style"].split(",")[-1].rstrip(") ")) for attrs in shaded] == pytest.approx(
        [_STRENGTH * (value / 4) ** 0.5 for value in (2, 4, 0.5, 1)], abs=1e-3
    )
    assert [attrs["title"] for attrs in shaded if "top" in attrs["class"].split()] == ["4.00", "0.50", "1.00"]


def test_tokens_that_are_equal_on_both_sides_stand_once() -> None:
    seen = Seen(facts_table(facts(), facts()))
    assert seen.rows[1:] == [["promotes smiles +0.87 "], ["suppresses . −0.52 "]]
    assert [attrs["colspan"] for tag, attrs in seen.tags if tag == "td"] == ["2", "2"]


def test_one_side_alone_and_nothing_at_all() -> None:
    assert Seen(facts_table(None, facts(words("a dog", 0, 1)))).rows[-1] == ["", "1.00a dog, highest on “dog”"]
    assert Seen(facts_table(facts(promoted=(), suppressed=()), None)).rows == [["A", "B"]]


@pytest.mark.parametrize("token", HOSTILE)
def test_a_hostile_token_is_text_wherever_it_stands(token: str) -> None:
    hostile = facts(text((token, 1.0), ("x", 0.5), (token, 0.0)), promoted=((token, 1.0),), suppressed=((token, -1.0),))
    harmless = facts(text(("y", 1.0), ("x", 0.5), ("y", 0.0)), promoted=(("y", 1.0),), suppressed=(("y", -1.0),))
    seen, expected = Seen(facts_table(hostile, None)), Seen(facts_table(harmless, None))
    assert seen.tags == expected.tags  # neither a tag nor an attribute more
    shown = token.strip() or "␣"
    assert seen.rows[1][0] == f"promotes {shown} +1.00 "
    assert seen.rows[3][0] == f"1.00{shown} x {shown}, highest on “{shown}”"


@pytest.mark.parametrize(("background", "ink"), [("#ffffff", "#1f2933"), ("#12161c", "#e6e9ee")])
def test_text_on_the_strongest_marker_can_be_read_in_both_themes(background: str, ink: str) -> None:
    behind, letters = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for c in (background, ink))
    mixed = behind + _STRENGTH * (np.array(palette.MARKER) / 255 - behind)
    lighter, darker = sorted((_luminance(mixed), _luminance(letters)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2, text


def _luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
