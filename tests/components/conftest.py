import pytest
from transformers import PreTrainedModel

from tests.components.micro import CONFIGS, made


@pytest.fixture(scope="module", params=list(CONFIGS))
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return made(CONFIGS[request.param])
