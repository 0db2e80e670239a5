"""Numbers as people read them: thin thousands separators, decimal units, addresses."""

from __future__ import annotations

from datetime import timedelta

#: U+202F, a narrow no-break space: groups digits without looking like a decimal mark in any language.
THIN_SPACE = "\u202f"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def grouped(number: int) -> str:
    """``1234567`` as ``1 234 567`` with thin spaces."""
    return f"{number:,}".replace(",", THIN_SPACE)


def readable_bytes(size: int) -> str:
    """A size with the decimal unit that leaves one to three digits before the point: ``203.7 MB``."""
    value, unit = float(size), 0
    while abs(value) >= 999.95 and unit < len(_UNITS) - 1:
        value /= 1000
        unit += 1
    if unit == 0:
        return f"{size}{THIN_SPACE}B"
    digits = 2 if abs(value) < 9.995 else 1
    return f"{value:.{digits}f}{THIN_SPACE}{_UNITS[unit]}"


def percent(part: float, whole: float) -> str:
    """``part`` of ``whole`` in per cent, with one digit below 10 and never a false ``0`` or ``100``."""
    if whole <= 0 or part <= 0:
        return "0"
    share = 100 * part / whole
    if share < 0.1:
        return "<0.1"
    if share >= 99.95 and part < whole:
        return ">99.9"
    return f"{share:.1f}" if share < 99.95 else "100"


def address(value: int) -> str:
    """An address as debuggers write it: lower-case hexadecimal with ``0x``."""
    return f"0x{value:x}"


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min 5 s``, ``2 h 10 min``, ``4 days``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if hours == 0:
        return f"{minutes} min {rest} s"
    days = timedelta(hours=hours).days
    return f"{hours} h {minutes} min" if days < 2 else f"{days} days"
