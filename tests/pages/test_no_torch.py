"""The first pages are quick: none of them imports torch, with data to show or without."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from functools import cache
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
# as in conftest.py
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)
pages = ("home", "corpus", "train", "compare", "curves", "circuits", "methods", "findings")
for page in (*pages, *(f"tour {step}" for step in range(1, 8))):
    app = AppTest.from_file("app.py", default_timeout=60)
    name, _, app.query_params["step"] = page.partition(" ")
    app.switch_page(f"pages/{name}.py")
    app.run()
    assert not app.exception and not app.error, (page, app.exception, app.error)
heavy = {"torch", "transformers", "peft", "circuit_tracer", "transformer_lens"} & set(sys.modules)
assert not heavy, heavy
"""


def test_no_page_imports_torch() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-3000:]
