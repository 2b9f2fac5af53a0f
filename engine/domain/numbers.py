"""How a number is written for people: one form everywhere, with a true minus sign and never a negative zero.

For files and JSON the numbers themselves are written, not these texts.
"""

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal

MISSING = "–"
FEW = 30  # of fewer, a share says more than was measured
_HALF_UP = Context(prec=800, rounding=ROUND_HALF_UP)


def rounded(value: float, digits: int = 2) -> float:
    """As it is written: of what lies exactly between two, the one further from zero, as browsers write it (12.5 is 13
    in pictures, too; Python alone would write 12)."""
    return float(f"{_fixed(value, digits):.{digits}f}")


def _fixed(value: float, digits: int) -> float | Decimal:
    """What Python then writes as it should: the value, but where it may lie exactly between two."""
    if value * 10**digits % 1 != 0.5:
        return value
    return Decimal(float(value)).quantize(Decimal(1).scaleb(-digits), context=_HALF_UP)


def decimal(value: float | None, digits: int = 2) -> str:
    """`0.87`, `−1.20`, `0.00`; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{_fixed(value, digits):,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def below(value: float, limit: float, digits: int = 2) -> str:
    """As `decimal`, but what is below the limit never reads as the limit: 0.7996 below 0.8 is `0.79`."""
    text = decimal(value, digits)
    if value < limit <= rounded(value, digits):
        text = decimal(limit - 10**-digits, digits)
    return text


def signed(value: float | None, digits: int = 2) -> str:
    """`+0.87`, `−0.52`; `0.00` has no sign."""
    text = decimal(value, digits)
    return text if text[0] in f"−{MISSING}" or float(text.replace(",", "")) == 0 else f"+{text}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share from 0 to 1: `82%`. What is not quite nothing, or not quite all, does not read as it: `<1%`, `>99%`."""
    if share is None or not math.isfinite(share):
        return MISSING
    hundredths = float(100 * Decimal(str(float(share))))  # 0.145 as 14.5, not as 14.499999999999998
    text = f"{_fixed(hundredths, digits):.{digits}f}".removeprefix("-")
    smallest = f"{10**-digits:g}"
    if 0 < share < 1:
        if float(text) == 0:
            return f"<{smallest}%"
        if float(text) == 100:
            return f">{100 - 10**-digits:g}%"
    return f"{'−' if share < 0 and float(text) else ''}{text}%"


def share_of(share: float | None, n: int, said: Callable[[float | None], str] = percent) -> str:
    """What is right of `n`: of few how many, `2 of 4`; of more the share, as `said` writes it."""
    if share is None or not math.isfinite(share) or n >= FEW:
        return said(share)
    return f"{round(share * n)} of {n}"


def count(n: int) -> str:
    """`12,345`."""
    return f"{n:,}"


def plural(n: int, noun: str, nouns: str = "") -> str:
    """`1 run`, `2 runs`, `3 analyses` (with `nouns`)."""
    return f"{count(n)} {noun if n == 1 else nouns or noun + 's'}"


def memory(n_bytes: int) -> str:
    """`340 MB`, `1.6 GB`."""
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 0.95e9 else f"{max(1, round(n_bytes / 1e6))} MB"


def duration(seconds: float) -> str:
    """As one says it: `8 s`, `3 min`, `1.5 h`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def step_name(step: int) -> str:
    """A checkpoint in a list or a title: `base`, `step 75`."""
    return "base" if step == 0 else f"step {count(step)}"
