"""The bounds of every answer, so that no server holds a request for as long as it likes."""

LEAST_BYTES_PER_SECOND = 1000
"""On average over a time-out. Twenty workers on a line of 160 kbit/s have that each."""
MOST_HEAD_BYTES = 256 * 1024
"""Interim answers included; PyPI's heads have about 2 KB."""
MOST_FRAMING_BYTES = 16 * 1024 * 1024
MOST_FRAMING_TIMES = 8
"""What comes around a body, such as the sizes of its chunks, may be so many times as much, and so many bytes more."""
