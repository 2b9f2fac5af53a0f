"""Modules of their own over tensors that are shared."""

import copy
from typing import TypeVar

from torch import nn

from engine.models.base import BUILDING

Module = TypeVar("Module", bound=nn.Module)


def sharing_copy(model: Module) -> Module:
    """The same modules again, hooks and modes of their own, over the very same parameters and buffers."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    with BUILDING:
        return copy.deepcopy(model, shared)
