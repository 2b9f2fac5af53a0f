"""The first trace in a fresh process, imports included, against circuit-tracer's on its TransformerLens backend."""

import subprocess
import sys

from engine.bench.row import BenchRow, faster
from engine.bench.setting import PROMPT, ROOT, TRANSCODERS, Setting
from engine.bench.timing import medians

ROUNDS = 3
_LOAD = f"""
from engine.models.libraries import load_libraries
load_libraries()
from engine.domain.models import DEMO_MODEL
from engine.models.base import encode, load_base
from engine.models.transcoders import load_transcoders
from engine.store import Store
from pathlib import Path
import runpy, sys, warnings
store = Store(Path(sys.argv[1]))
loaded = load_base(DEMO_MODEL, store.base_folder(DEMO_MODEL))
transcoders = load_transcoders(store.transcoder_folder({TRANSCODERS!r}), loaded)
"""
_OURS = f"""{_LOAD}
from engine.attribution.trace import trace_graph
from engine.domain.graphs import GraphKey
from engine.models.replacement import Replacement
from engine.models.threads import job, use_share
key = GraphKey(checkpoint="a@base", checkpoint_hash="", prompt={PROMPT!r}, transcoders="t", transcoders_hash="")
with job():  # with the threads that the app and the command line give it
    use_share(loaded.model.num_parameters())
    trace_graph(Replacement(loaded, transcoders), key=key)
"""
_THEIRS = f"""{_LOAD}
from circuit_tracer import attribute
lens_llama = runpy.run_path("engine/bench/lens.py")["lens_llama"]  # without the rest of the bench
warnings.filterwarnings("ignore")
attribute(encode(loaded, {PROMPT!r})[0], lens_llama(loaded.model, transcoders, loaded.tokenizer), batch_size=64)
"""


def measure(setting: Setting) -> list[BenchRow]:
    """Seconds from the start of the process to its end."""

    def run(program: str) -> None:
        command = [sys.executable, "-c", program, str(setting.folder / "workspace")]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603  our own program

    ours, theirs = medians((lambda: run(_OURS), lambda: run(_THEIRS)), rounds=ROUNDS)
    return [faster("first trace in a fresh process", ours, "s", than=theirs, times=2)]
