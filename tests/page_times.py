"""How long each page takes to be drawn first, and again, in a workspace, in seconds of a processor.

`python -m tests.page_times FOLDER [PAGE …]`: a process a page, as a server's first visitor has it, with all imports
done by a first drawing in an empty workspace. “Open” is what a server does once, when it starts. MB: what drawing takes
at most, beyond what was there before. Linux.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

PAGES = {
    "home": {},
    "compare": {},
    "curves": {},
    "circuits": {},
    "tour": {},
    "methods": {},
    "methods of one's own": {"from": "your runs"},
    "findings": {},
    "models": {},
    "models import": {"view": "import"},
    "train": {},
    "train, a run": {"run": "copy-7"},
    "corpus": {},
    "corpus, a late one": {"corpus": "corpus-3"},
    "compare, two runs": {"a": "copy-3@base", "b": "copy-3@100%"},
    "circuits, a run": {"runs": "copy-3"},
    "curves, two runs": {"runs": "copy-3,copy-4"},
}
LARGE = {  # of the workspace that tests/large_comparison.py makes
    "compare, large": {"a": "demo-lora@base", "b": "demo-lora@100%", "prompt": "large", "view": "graphs"},
    "compare, large whole": {"a": "demo-lora@base", "b": "demo-lora@100%", "prompt": "large", "view": "graphs",
                             "nodes": "1", "edges": "1"},
    "compare, large whole table": {"a": "demo-lora@base", "b": "demo-lora@100%", "prompt": "large", "view": "table",
                             "nodes": "1", "edges": "1"},
}  # fmt: skip


def time_page(name: str) -> dict[str, float]:
    """Seconds: of opening the workspace, of the first drawing (imports left out) and of the second; MB of memory."""
    import psutil
    from streamlit.testing.v1 import AppTest

    from engine.store.kept import kept_values
    from pages._ui.serving import open_workspace

    def draw(page: str, params: dict[str, str]) -> tuple[float, AppTest]:
        app = AppTest.from_file(str(Path("app.py").resolve()), default_timeout=300)
        for key, value in params.items():
            app.query_params[key] = value
        app.switch_page(f"pages/{page}.py")
        started = time.process_time()
        app.run()
        took = time.process_time() - started
        assert not app.exception, app.exception
        return took, app

    import streamlit as st

    page = name.split(",")[0].split(" ")[0]
    workspace = os.environ["TRACELAPSE_HOME"]
    os.environ["TRACELAPSE_HOME"] = str(Path(workspace).with_name("page-times-empty"))
    draw(page, {})  # in an empty workspace: imports are done
    st.cache_resource.clear()
    kept_values().clear()
    os.environ["TRACELAPSE_HOME"] = workspace
    started = time.process_time()
    open_workspace()
    opened = time.process_time() - started
    before = psutil.Process().memory_info().rss
    first, app = draw(page, {**PAGES, **LARGE}[name])
    started = time.process_time()
    app.run()
    again = time.process_time() - started
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # KiB on Linux
    return {"opened": opened, "first": first, "again": again, "MB": (most - before) / 1e6}


def main() -> None:
    folder, *names = sys.argv[1:]
    if names[:1] == ["--one"]:
        sys.stdout.write(json.dumps(time_page(names[1])) + "\n")
        return
    sys.stdout.write(f"{'page':24}{'open s':>9}{'first s':>9}{'again s':>9}{'MB':>8}\n")
    for name in names or PAGES:
        done = subprocess.run(
            [sys.executable, "-m", "tests.page_times", folder, "--one", name], text=True, capture_output=True,
            env={**os.environ, "TRACELAPSE_HOME": folder},
        )  # fmt: skip
        if done.returncode:
            sys.stdout.write(f"{name:24}{done.stderr.strip().splitlines()[-1][:300]}\n")
            continue
        took = json.loads(done.stdout.splitlines()[-1])
        cells = "".join(f"{took[part]:9.2f}" for part in ("opened", "first", "again"))
        sys.stdout.write(f"{name:24}{cells}{took['MB']:8.0f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
