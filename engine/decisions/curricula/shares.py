"""From how much each constraint type needs to its share of the sampling."""

from collections.abc import Mapping


def shares(needs: Mapping[str, float], *, least_share: float) -> dict[str, float]:
    """Proportional to the needs (0 or more), none below `least_share` of the even share; sum 1. No needs: even.

    The smallest are lifted to that share, and the others give it in proportion, until none is below.
    """
    if not needs:
        return {}
    least, top = least_share / len(needs), max(needs.values())
    if top <= 0 or least_share >= 1:
        return dict.fromkeys(needs, 1 / len(needs))
    needs = {name: need / top for name, need in needs.items()}  # so that tiny needs do not overflow
    lifted: set[str] = set()
    while True:
        rest = {name: need for name, need in needs.items() if name not in lifted}
        scale = (1 - least * len(lifted)) / sum(rest.values())
        low = {name for name, need in rest.items() if need * scale < least}
        if not low or low == rest.keys():  # all of them: by rounding alone
            return {name: least if name in lifted else need * scale for name, need in needs.items()}
        lifted |= low
