"""Sets on the Hugging Face hub in circuit-tracer's form, by id, with a folder and a revision: `owner/name/folder@main`.

"gemma" and "llama" are circuit-tracer's short names for two of them. What circuit-tracer has put into its own cache is
taken from there.
"""

import logging
from pathlib import Path

from circuit_tracer.utils.caching import get_cached_path, is_cached
from circuit_tracer.utils.hf_utils import HfUri

from engine.domain.errors import ModelUnavailable, TracelapseError
from engine.models.base import LoadedModel
from engine.models.formats import tracer
from engine.models.formats.layout import AnyTranscoders
from engine.models.hub import published_file, published_files

_log = logging.getLogger(__name__)
_SHORT = {"gemma": "mwhanna/gemma-scope-transcoders", "llama": "mntss/transcoder-Llama-3.2-1B"}


def read(name: str, loaded: LoadedModel) -> AnyTranscoders:
    """Download what is not here yet, and read it. Raises ModelUnavailable, and what reading a folder raises."""
    try:
        uri = HfUri.from_str(_SHORT.get(name, name))
        folder = get_cached_path(name) if is_cached(name) else _downloaded(uri)
        return tracer.read(folder, loaded, name=uri.repo_id)
    except TracelapseError:
        raise
    # The hub's client passes on whatever it or the network raises.
    except Exception as error:
        _log.warning("Transcoders “%s” could not be loaded", name, exc_info=True)
        raise ModelUnavailable(
            f"Transcoders “{name}” could not be loaded: {tracer.first_line(error)}. If this is a folder, check its "
            "path. If it is a published set, connect to the network (and, if it is gated, run `huggingface-cli "
            "login`), or download it elsewhere with `huggingface-cli download` and give the folder. Or leave "
            "transcoders empty: a shared set is then trained here."
        ) from error


def _downloaded(uri: HfUri) -> Path:
    """The folder with the config and the files beside it. Files that the config lists come when it is read."""
    path = published_file(uri.repo_id, "config.yaml", folder=uri.file_path, revision=uri.revision)
    config = tracer.config_of(path.parent, name=uri.repo_id)  # what is refused is refused before gigabytes are fetched
    if config.transcoders:
        return path.parent
    below = f"{uri.file_path}/" if uri.file_path else ""
    kind = "*" if config.model_kind == "cross_layer_transcoder" else "layer_*"
    patterns = [f"{below}config.yaml", f"{below}{kind}.safetensors"]
    whole = published_files(uri.repo_id, patterns, revision=uri.revision)
    return Path(whole, below)
