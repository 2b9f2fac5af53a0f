"""The methods that the form offers are the methods that there are."""

from engine.domain.methods import METHOD_INFOS
from engine.training.methods import METHODS


def test_every_method_is_offered_under_its_own_name_and_learning_rate() -> None:
    offered = {name: (info.name, info.default_learning_rate) for name, info in METHOD_INFOS.items()}
    assert offered == {name: (name, method.default_learning_rate) for name, method in METHODS.items()}
