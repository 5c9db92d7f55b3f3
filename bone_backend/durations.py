"""Times in words: what was measured, and what is estimated.

In:  seconds.
Out: a text with the units that matter.
"""

from __future__ import annotations


def measured(seconds: float, *, steady: bool = False) -> str:
    """A time that has gone by. steady: for a text that is renewed in its place, and should not jump.

    >>> measured(4.26), measured(59.97), measured(119.7), measured(3725)
    ('4.3 s', '1 min 0 s', '2 min 0 s', '1 h 2 min')
    >>> [measured(seconds, steady=True) for seconds in (12.2, 257, 245, 7325)]
    ['12 s', '4 min 17 s', '4 min 05 s', '2 h 02 min']
    """
    if steady:
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        if hours:
            return f"{hours} h {minutes:02} min"
        return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes} min"


def estimated(seconds: float) -> str:
    """A time to come, exact enough for a plan.

    >>> estimated(0.8), estimated(75), estimated(200), estimated(4000), estimated(200_000)
    ('1 s', '75 s', '3 min', '1 h 7 min', '2 d 7 h')
    """
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
