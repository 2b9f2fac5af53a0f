"""Tokens and texts of a feature as one HTML table, A beside B. Every text is escaped: nothing of it is ever read.

The marker behind a token shows its activation; the number before a text, the frame around its most active token, and
words for screen readers say the same without colour.
"""

from collections.abc import Sequence
from html import escape

from engine.domain.features import FeatureFacts, FeatureText
from engine.domain.numbers import signed
from engine.figures import palette
from engine.figures.feature_words import Weighted, excerpt, paired
from engine.figures.names import visible

_STRENGTH = 0.5  # of the marker at the highest activation: text on it stays readable on light and dark
_MARKER = ",".join(map(str, palette.MARKER))
_CSS = f"""
.tl-feature {{ width: 100%; table-layout: fixed; border-collapse: collapse; font-size: 0.86rem; line-height: 1.45; }}
.tl-feature th, .tl-feature td {{ padding: 1px 10px 3px 0; border: 0; text-align: left; vertical-align: top;
  overflow-wrap: anywhere; font-weight: 400; }}
.tl-feature td:nth-child(2) {{ padding-left: 8px; }}
.tl-feature .lead {{ opacity: 0.72; }}
.tl-feature .n {{ display: inline-block; min-width: 2.6em; opacity: 0.72; font-variant-numeric: tabular-nums; }}
.tl-feature .k {{ border-radius: 3px; padding: 0 1px; }}
.tl-feature .top {{ outline: 1.5px solid rgb({_MARKER}); font-weight: 600; }}
.tl-feature .chip {{ display: inline-block; border-radius: 9px; padding: 0 7px; margin: 1px 4px 1px 0; }}
.tl-feature .chip small {{ opacity: 0.8; font-variant-numeric: tabular-nums; }}
.tl-feature .up {{ background: rgba(27, 135, 65, 0.2); }}
.tl-feature .down {{ background: rgba(140, 70, 160, 0.24); }}
.tl-feature .sr {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }}
"""


def facts_table(a: FeatureFacts | None, b: FeatureFacts | None) -> str:
    """Promoted and suppressed tokens, then the texts on which the feature is most active; a column a side.

    Tokens that both sides have with the same values stand once, across both columns.
    """
    highest = max((side.max_activation for side in (a, b) if side), default=0.0)
    body = [
        _tokens("promotes", "up", [side.promoted if side else () for side in (a, b)]),
        _tokens("suppresses", "down", [side.suppressed if side else () for side in (a, b)]),
    ]
    rows = paired(a.texts if a else (), b.texts if b else ())
    body += [_row([_text(text, highest) for text in row]) for row in rows]
    head = "<thead class='sr'><tr><th scope='col'>A</th><th scope='col'>B</th></tr></thead>"
    return f"<style>{_CSS}</style><table class='tl-feature'>{head}<tbody>{''.join(body)}</tbody></table>"


def _tokens(verb: str, kind: str, sides: Sequence[Weighted]) -> str:
    cells = [f"<span class='lead'>{verb}</span> {_chips(pairs, kind)}" if pairs else "" for pairs in sides]
    if cells[0] == cells[1]:
        return f"<tr><td colspan='2' title='the same in A and B'>{cells[0]}</td></tr>" if cells[0] else ""
    return _row(cells)


def _row(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _chips(pairs: Weighted, kind: str) -> str:
    return "".join(
        f"<span class='chip {kind}'>{escape(visible(token))} <small>{signed(by)}</small></span> " for token, by in pairs
    )


def _text(text: FeatureText | None, highest: float) -> str:
    if text is None:
        return ""
    part = excerpt(text)
    words = [
        _token(token, value, value / highest if highest else 0.0, most=place == part.peak)
        for place, (token, value) in enumerate(zip(part.tokens, part.activation, strict=True))
    ]
    peak = escape(visible(part.tokens[part.peak]))
    return (
        f"<span class='n'>{part.activation[part.peak]:.2f}</span>{'… ' if part.cut_before else ''}{' '.join(words)}"
        f"{' …' if part.cut_after else ''}<span class='sr'>, highest on “{peak}”</span>"
    )


def _token(token: str, value: float, share: float, *, most: bool) -> str:
    shown = escape(visible(token))
    if value <= 0:
        return f"<span class='k'>{shown}</span>"
    strength = _STRENGTH * min(1.0, share) ** 0.5  # of the root, so that a tenth of the highest is seen
    return (
        f"<span class='k{' top' if most else ''}' title='{value:.2f}' "
        f"style='background: rgba({_MARKER}, {strength:.3f})'>{shown}</span>"
    )
