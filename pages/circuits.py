"""Circuits: which heads and MLPs an answer depends on at two checkpoints, and which edges between them changed."""

import streamlit as st

from engine.domain.numbers import step_name
from engine.domain.runs import Checkpoint
from pages._ui.frame import show
from pages._ui.session import store


def main() -> None:
    runs = [info.config.name for info in store().runs() if info.steps]
    if not runs:
        st.title("Circuits")
        st.info("There is no run yet. Train one, then find and compare the component circuits of its checkpoints.")
        st.page_link("pages/train.py", label="Train a run", icon=":material/model_training:")
        return
    # pandas and NumPy are imported only when there is something to draw.
    from engine.workflows.component_queries import without_curve
    from pages._ui.circuits.choice import choose, default_run
    from pages._ui.circuits.data import found_for, keys_by_step, settings_for
    from pages._ui.circuits.jobs import Remaining, offer_to_find
    from pages._ui.circuits.measures import measures
    from pages._ui.circuits.pairs import without_pairs
    from pages._ui.circuits.sides import sides_of
    from pages._ui.circuits.view import alone, circuits

    chosen = choose(runs, default=default_run(runs))
    if not chosen.pairs:
        without_pairs(store(), chosen.run)
        return
    found = found_for(store(), chosen.run, chosen.pairs, chosen.metric, chosen.n_steps)
    keys = keys_by_step(found) if found else {}
    checkpoints = store().checkpoints(chosen.run)
    no_curve = without_curve(store(), found) if found else ()
    missing = [one for one in checkpoints if one.step not in keys]
    left = Remaining(missing, [one for one in checkpoints if one.ref in no_curve])
    settings = settings_for(found, chosen.metric)
    if not keys or chosen.a.step not in keys or chosen.b.step not in keys:
        there = next((one for one in (chosen.b, chosen.a) if one.step in keys), None)
        _name_missing(chosen.a, chosen.b, keys, there)
        offer_to_find(chosen.run, left, chosen.pairs, settings, others_found=bool(keys))
        if there:
            alone(chosen, there, keys)
        return
    sides_of(chosen, keys)  # an error of a side is shown here, once
    circuits(chosen, keys)
    assert found is not None
    measures(chosen, found, n_missing=len(missing))
    if not {chosen.a.ref, chosen.b.ref} >= set(left.refs):  # of A and B alone it is offered where it is missing
        # Last, so that nothing moves when it goes.
        offer_to_find(chosen.run, left, chosen.pairs, settings, others_found=True)


def _name_missing(a: Checkpoint, b: Checkpoint, keys: object, there: Checkpoint | None) -> None:
    """Which of both sides has no circuit, where the other checkpoints have. `there`: the side that has one."""
    lacking = [step_name(one.step) for one in (a, b) if keys and one.step not in keys]  # type: ignore[operator]
    if lacking:
        other = f" That of {step_name(there.step)} is below." if there else ""
        st.info(f"The circuit of {' and '.join(dict.fromkeys(lacking))} has not been found yet.{other}")


show(main)
