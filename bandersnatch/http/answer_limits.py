"""Limits for every answer, so that no server can keep a request busy for ever."""

MIN_BYTES_PER_SECOND = 1000
"""The average over one time-out. Twenty requests in flight on a line of 160 kbit/s have that each."""
MAX_HEAD_BYTES = 256 * 1024
"""Together with interim answers. PyPI's heads have about 2 KB."""
MAX_FRAMING_BYTES = 16 * 1024 * 1024
MAX_FRAMING_TIMES = 8
"""The framing of a body, such as the sizes of its chunks, may be so many times as large as the body, plus so many bytes."""
