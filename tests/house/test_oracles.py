"""Nothing that the app runs loads another tracer: it would cost seconds, and hold transformers where it is."""

import subprocess
import sys

_PROGRAM = """
import importlib, pkgutil, sys
import engine.attribution, engine.components, engine.models, engine.training, engine.workflows
for room in (engine.attribution, engine.components, engine.models, engine.training, engine.workflows):
    for module in pkgutil.walk_packages(room.__path__, room.__name__ + "."):
        importlib.import_module(module.name)
sys.stdout.write(" ".join(sorted({"transformer_lens", "nnsight"} & set(sys.modules))))
"""


def test_no_other_tracer_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == ""
