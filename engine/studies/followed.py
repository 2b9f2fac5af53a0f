"""When and where a study's run learned: what `change` tells of it, word by word."""

from engine.analysis.acted_mean import ROLE_NAMES, ActedMean
from engine.domain.errors import InputError
from engine.domain.jobs import CancelToken, Report
from engine.domain.studies import ACTED_ROLES, ActedWord
from engine.store import Store
from engine.workflows.learned import learned, learning_of

N_PROBES = 10  # paraphrases of each constraint type


def acted_words(store: Store, run: str, report: Report, cancel: CancelToken) -> tuple[ActedWord, ...]:
    """Of each new word of the run's corpus. Raises InputError (a corpus without such probes), NotFound, Damaged."""
    from engine.workflows.where import where_probes

    found = learned(store, run, "paraphrase", N_PROBES)
    if not found.n_probes:
        raise InputError(f"The corpus of “{run}” has no paraphrase probes, so no answer can be followed.")
    if found.missing:
        where_probes(store, learning_of(store.checkpoints(run), found.missing), report, cancel)
        found = learned(store, run, "paraphrase", N_PROBES)
    return tuple(word for mean in found.means.values() for word in words_of(mean, found.steps))


def words_of(mean: ActedMean, steps: tuple[int, ...]) -> list[ActedWord]:
    """`steps`: of the mean's checkpoints."""
    by_role = mean.parts.sum((2, 4))  # (n_words, n_stretches, n_roles)
    assert len(ACTED_ROLES) == len(ROLE_NAMES)
    return [
        ActedWord(
            constraint_type=mean.constraint_type,
            constraint=word,
            n_probes=mean.n_probes[place],
            steps=steps,
            changes=tuple(mean.step_changes[place].tolist()),
            roles={role: tuple(by_role[place, :, column].tolist()) for column, role in enumerate(ACTED_ROLES)},
        )
        for place, word in enumerate(mean.words)
    ]
