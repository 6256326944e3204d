"""Formats counts and sizes for messages. Output for programs has plain numbers."""

_UNITS = ("kB", "MB", "GB", "TB", "PB")


def count_of(number: int, noun: str) -> str:
    """Return a count with its noun, such as ``1 project`` or ``20 projects``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size_of(size_bytes: int) -> str:
    """Return a size with its unit, such as ``917 bytes``, ``45.2 kB`` or ``2.1 GB``."""
    if size_bytes < 1000:
        return count_of(size_bytes, "byte")
    size, power = size_bytes / 1000, 0
    while size >= 999.95 and power < len(_UNITS) - 1:  # 999.95 would be rounded to 1000.0
        size, power = size / 1000, power + 1
    return f"{size:.1f} {_UNITS[power]}"
