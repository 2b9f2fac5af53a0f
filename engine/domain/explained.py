"""What is explained: the logit of one output, the mean of several, or a contrast between outputs.

All of it is linear in the logits, so every measure of it is the same sum of measures of single logits.
"""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from engine.domain.record import Record
from engine.domain.words import listed


class ExplainedLogits(Record):
    """The mean logit of `answers`, minus that of `against`.

    Logits are taken minus the mean logit of all tokens, which a contrast does not depend on.
    """

    answers: Annotated[tuple[int, ...], Field(min_length=1)]  # token ids
    against: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _each_once(self) -> "ExplainedLogits":
        named = [*self.answers, *self.against]
        if len(set(named)) < len(named):
            raise ValueError(f"each token can be named once, and these are {named}")
        return self

    @property
    def tokens(self) -> tuple[int, ...]:
        """All that are named, the answers first."""
        return (*self.answers, *self.against)

    def weights(self, token_ids: Sequence[int]) -> np.ndarray:
        """(n,) float64 what the logit of each token counts; 0 of one that is not named."""
        of_token = dict.fromkeys(self.answers, 1 / len(self.answers))
        of_token |= {token: -1 / len(self.against) for token in self.against}
        return np.array([of_token.get(token, 0.0) for token in token_ids], np.float64)

    def text(self, words: Sequence[str]) -> str:
        """`happy`, `happy − bl`, `mean of happy and glad`; `words`: of `tokens`, in their order."""
        stripped = [word.strip() for word in words]
        sides = stripped[: len(self.answers)], stripped[len(self.answers) :]
        return " − ".join(f"mean of {listed(side)}" if len(side) > 1 else side[0] for side in sides if side)
