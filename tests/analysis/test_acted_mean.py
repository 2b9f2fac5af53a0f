"""Where training acted over many probes: means of means by hand, tables that add up, and one probe that is itself."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from engine.analysis.acted import acted_record
from engine.analysis.acted_mean import acted_mean, mean_record, mean_sentence, mean_table
from engine.domain.errors import ComparisonRefused, InputError
from tests.acted_means import measured, parts, probe, three_words

TABLES = (("role",), ("layer",), ("layer", "role"), ("matrix",), ("step",), ("step", "role"))


def test_means_over_words_of_means_over_probes() -> None:
    mean = three_words()
    assert mean.words == ("blarf", "gleem", "zephyr")
    assert mean.n_probes == (2, 1, 1)
    assert mean.change.tolist() == [9.0, 12.0, 9.0]
    rows = {row["role"]: row for row in mean_table(mean, "role").to_dict("records")}
    assert list(rows) == ["noun", "new word", "last"]  # in the order of the prompt, and only where anything changed
    assert rows["new word"]["part"] == pytest.approx(2.0)  # of 2, 4 and 0, not of 3, 1, 4 and 0
    half = stats.t.ppf(0.975, 2) * np.std([2, 4, 0], ddof=1) / np.sqrt(3)
    assert (rows["new word"]["low"], rows["new word"]["high"]) == pytest.approx((2 - half, 2 + half))
    assert {role: row["of_change"] for role, row in rows.items()} == pytest.approx(
        {"noun": 1 / 30, "new word": 0.2, "last": 23 / 30}
    )
    layers = mean_table(mean, "layer")
    assert layers["layer"].tolist() == [2, 0, -1]  # the largest first
    assert layers["part"].tolist() == pytest.approx([23 / 3, 2.0, 1 / 3])
    assert set(mean_table(mean, "matrix")["matrix"]) == {"mlp.up_proj", "lm_head", "embed_tokens"}


def test_a_share_is_told_with_its_interval_over_words() -> None:
    """Of words that all make one third at the last token, whatever their change, the interval is that third."""
    same = acted_mean([measured(probe(f"w{n}"), parts(w=2.0 * n, e=1.0 * n)) for n in (2, 3, 4)])
    row = mean_table(same, "role").set_index("role").loc["last"]
    assert row[["of_change", "of_change_low", "of_change_high"]].tolist() == pytest.approx([1 / 3] * 3)
    assert row["low"] < row["part"] < row["high"]


def test_no_share_of_what_is_no_change_beyond_the_spread() -> None:
    mean = acted_mean([measured(probe(f"w{n}"), parts(w=change)) for n, change in enumerate((3.0, -2.0, 1.0))])
    table = mean_table(mean, "role")
    assert np.isfinite(table[["part", "low", "high"]].to_numpy()).all()
    assert table[["of_change", "of_change_low", "of_change_high"]].isna().all(axis=None)
    assert "of it" not in mean_sentence(mean)


@pytest.mark.parametrize("by", TABLES)
def test_every_table_adds_up(by: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    mean = acted_mean([measured(probe(word), *rng.normal(size=(2, 4, 6))) for word in ("blarf", "gleem", "zephyr")])
    table = mean_table(mean, *by)
    assert table["part"].sum() == pytest.approx(mean.sum.mean())
    assert mean.sum == pytest.approx(mean.change, abs=1e-5)
    assert table["of_change"].sum() == pytest.approx(1.0, abs=1e-4) or table["of_change"].isna().all()


def test_a_mean_of_one_probe_is_that_probe() -> None:
    rng = np.random.default_rng(1)
    pair = measured(probe("blarf"), *rng.normal(size=(2, 4, 6)))
    mean, alone = mean_record(acted_mean([pair])), acted_record(pair[1])
    for name in ("before", "after", "sum", "left"):
        assert mean[name]["mean"] == pytest.approx(alone[name], abs=1e-6)
        assert np.isnan(mean[name]["low"])
    role = dict(enumerate(("beginning", "other", "noun", "other", "new word", "last")))
    wanted: dict[tuple[int, str], float] = {}
    for row in alone["places"]:
        place = row["layer"], role[row["position"]]
        wanted[place] = wanted.get(place, 0.0) + row["part"]
    assert {(row["layer"], row["role"]): row["part"] for row in mean["places"]} == pytest.approx(wanted)
    assert [step["sum"]["mean"] for step in mean["steps"]] == pytest.approx([step["sum"] for step in alone["steps"]])
    assert [(step["a"], step["b"]) for step in mean["steps"]] == [("run@0", "run@1"), ("run@1", "run@2")]
    for step in mean["steps"]:
        assert sum(row["part"] for row in step["roles"]) == pytest.approx(step["sum"]["mean"])


def test_the_first_stretches_alone_are_a_mean_of_their_own() -> None:
    """As if training had ended there."""
    asked = [probe(word) for word in ("blarf", "gleem", "zephyr")]
    rng = np.random.default_rng(2)
    stretches = [rng.normal(size=(3, 4, 6)) for _ in asked]
    whole = acted_mean([measured(one, *parts) for one, parts in zip(asked, stretches, strict=True)])
    short = acted_mean([measured(one, *parts[:2]) for one, parts in zip(asked, stretches, strict=True)])
    assert mean_sentence(whole.until(2)) == mean_sentence(short)
    assert whole.until(2).parts.tolist() == short.parts.tolist()
    assert whole.until(2).probability.shape == (3, 3)


def test_another_phrasing_is_laid_by_role() -> None:
    """The new word at another position, and one that ends the prompt and so is the last."""
    wide, narrow = np.zeros((4, 7)), np.zeros((4, 4))
    wide[1, 3], narrow[1, 3] = 5.0, 7.0
    mean = acted_mean(
        [
            measured(probe("blarf", template="look , {w} is the {n}"), wide),
            measured(probe("gleem", template="a {n} {w}"), narrow),
        ]
    )
    assert mean_table(mean, "role").set_index("role")["part"].to_dict() == {"new word": 2.5, "last": 3.5}


def test_the_sentence_says_what_was_made_where() -> None:
    said = mean_sentence(three_words())
    for words in ("+10.00", "3 words", "(4 prompts)", "+7.67 at the last token (0.77 of it", "+2.00 at the new word"):
        assert words in said


def test_the_sentence_says_that_of_several_tokens_the_first_counts() -> None:
    assert "first token" not in mean_sentence(three_words())
    asked, found = measured(probe("blarf"), parts(w=3, e=7))
    longer = asked.model_copy(update={"answer": "happy and glad"})
    said = mean_sentence(acted_mean([(longer, found)]))
    assert said.endswith(" Of 1 answer of several tokens the first token counts.")


def test_probes_of_different_kinds_or_checkpoints_are_no_mean() -> None:
    one, other = measured(probe("blarf"), parts(w=1)), measured(probe("gleem", kind="recall"), parts(w=1))
    with pytest.raises(ComparisonRefused, match="kinds"):
        acted_mean([one, other])
    moved = one[1].key.model_copy(update={"hashes": ("x", "y")})
    with pytest.raises(ComparisonRefused, match="states"):
        acted_mean([one, (one[0], replace(one[1], key=moved))])
    with pytest.raises(InputError):
        acted_mean([])


def test_rounding_is_told_as_the_same_answers() -> None:
    """Bound: 1e-5 of a logit of 1."""
    pairs = [measured(probe(word), parts(w=1e-7, e=-2e-7)) for word in ("blarf", "gleem")]
    mean = acted_mean(pairs)
    assert mean.is_same
    assert "give the same answers to these prompts" in mean_sentence(mean)
    assert "at the new word" not in mean_sentence(mean)
    assert mean_record(mean)["same"]
    assert not acted_mean([measured(probe("blarf"), parts(w=1e-3, e=-1e-3))]).is_same
