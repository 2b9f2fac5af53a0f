"""Models that read pictures as well as words: the plain language model inside them, by the names of its parts.

On words alone it computes what the whole does, so it is what is loaded, traced and compared. Without torch.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from engine.domain.model_families import WITH_PICTURES

_OF_PICTURES = re.compile(r"(^|\.)(vision_tower|vision_model|multi_modal_projector)\.")
# As transformers wrote and writes the body, and the output matrix beside it.
_INNER: Final = ((re.compile(r"(^|\.)(model\.language_model|language_model\.model)\."), r"\1model."),
                 (re.compile(r"(^|\.)language_model\.lm_head\."), r"\1lm_head."))  # fmt: skip


def text_fields(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of a config.json the fields of its language model: all, or `text_config` where it reads pictures, too."""
    inner, usual = config.get("text_config"), WITH_PICTURES.get(str(config.get("model_type")))
    if usual is None or not isinstance(inner, dict):
        return dict(config)
    return {"model_type": usual} | {key: value for key, value in inner.items() if key != "architectures"}


def text_name(name: str) -> str:
    """What the language model alone calls a tensor (or an adapter's for it); empty where it belongs to pictures."""
    if _OF_PICTURES.search(name):
        return ""
    for pattern, own in _INNER:
        name, n_found = pattern.subn(own, name, count=1)
        if n_found:
            break
    return name
