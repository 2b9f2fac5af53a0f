"""What the prompt box offers: traced prompts first, means of more than one prompt, a text of the user's own."""

from engine.store import Store
from engine.workflows.prompt_groups import ProbeGroup, probe_groups
from pages._ui.compare.data import probes_of
from pages._ui.compare.prompt_box import group_options, options

TRACED = "the cat feels blarf and"


def test_options_in_their_order(demo_store: Store) -> None:
    probes = probes_of(demo_store, "demo-lora", "demo-tokens")
    groups = group_options(probe_groups(demo_store, "demo-lora@100%", "demo-tokens@100%"), 12)
    offered = options(probes, groups, [TRACED], "<b>my own</b>")
    assert [option["text"] for option in offered[:3]] == [
        "<b>my own</b>", TRACED, "Mean of simple mapping · recall",
    ]  # fmt: skip
    assert offered[0]["note"] == "your text"
    assert offered[1]["note"] == "inference · simple mapping · traced"
    assert offered[2]["note"] == "12 of 40 prompts"
    assert len({option["value"] for option in offered}) == len(offered)
    assert options(probes, groups, [TRACED], TRACED)[0]["text"] == TRACED


def test_all_of_a_group_is_said_only_where_it_is_all(demo_store: Store) -> None:
    group = probe_groups(demo_store, "demo-lora@100%", "demo-tokens@100%")[0]
    of_five = ProbeGroup(group.constraint_type, group.kind, group.probes[:5])
    single = ProbeGroup(group.constraint_type, group.kind, group.probes[:1])
    notes = [note for _, note in group_options([group, of_five], 12).values()]
    assert notes == ["12 of 40 prompts", "all 5 prompts"]
    assert group_options([single], 12) == {}  # one prompt has no mean
