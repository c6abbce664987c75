"""Plain tables and quantities for people."""

from collections.abc import Sequence


def render(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Align rows under their columns, numbers to the right; nothing where there are no rows."""
    if not rows:
        return ""
    cells = [columns, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    is_number = [isinstance(cell, int | float) for cell in rows[0]]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines)


def memory(byte_count: float) -> str:
    """Return bytes as MiB or GiB."""
    mib = byte_count / (1 << 20)
    return f"{mib / 1024:.2f} GiB" if mib >= 1024 else f"{mib:.1f} MiB"


def duration(seconds: float) -> str:
    """Return seconds as a person says them: ``2 h 5 min``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
