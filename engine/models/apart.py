"""Python in a process of its own, for what could hang, crash or fill the memory: it is ended, and this one goes on."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any, Final

_WAITS: Final = 10  # times the processor time that it has; a busy machine gives it slowly
# Only what is asked for runs there. Its own limits come first, where the system has them.
_PRELUDE: Final = """
import json, sys
sys.set_int_max_str_digits(0)
about = json.load(sys.stdin)
try:
    import resource
    limits = {"RLIMIT_CORE": 0, "RLIMIT_CPU": about["cpu_s"], "RLIMIT_AS": about["n_bytes"]}
    for name, most in limits.items():
        if most is not None:
            resource.setrlimit(getattr(resource, name), (most, most))
except (ImportError, AttributeError, ValueError, OSError):
    pass
given = about["given"]
"""


@dataclass(frozen=True)
class Ended:
    """How it went. `said`: what it printed, as JSON; None where it printed nothing of the kind."""

    said: Any
    why: str  # it ended before its end; empty: it came to it


def apart(code: str, given: object, *, limit_s: float, n_bytes: int | None = None, packages: bool = False) -> Ended:
    """Run `code`, which finds `given` under that name, in at most `limit_s` seconds.

    With `packages` those seconds are the processor's, rounded up, and it may import what is installed; without, Python
    alone starts at once and the clock counts. `n_bytes`: of memory, addresses counted. Raises OSError where no process
    can be started.
    """
    about = {"given": given, "cpu_s": math.ceil(limit_s) if packages else None, "n_bytes": n_bytes}
    try:
        done = subprocess.run(  # noqa: S603  Python itself; what it is given is data
            [sys.executable, *(("-P",) if packages else ("-I", "-S")), "-c", _PRELUDE + code],
            input=json.dumps(about), capture_output=True, text=True, encoding="utf-8", errors="replace", check=False,
            timeout=limit_s * (_WAITS if packages else 1),
            env=os.environ | {"RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "MALLOC_ARENA_MAX": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Ended(None, _TOO_LONG.format(limit_s))
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return Ended(None, _TOO_LONG.format(limit_s))
    if done.returncode:
        last = next(iter(reversed(done.stderr.strip().splitlines())), "")
        ended = f"by signal {-done.returncode}" if done.returncode < 0 else f"with code {done.returncode}"
        return Ended(None, f"it ended a process {ended}{f': {last[:200]}' if last else ''}")
    try:
        return Ended(json.loads(done.stdout), "")
    except ValueError:
        return Ended(None, "")


_TOO_LONG: Final = "it takes longer than {:g} s"
