"""The header fields of an answer. They are parsed only when one is read, since those of most answers are not."""

import re
from collections.abc import Iterator, Mapping, Sequence

_FIELD = re.compile(r"([^:\r\n]+):[ \t]*([^\r\n]*)")
_CONTENT_ENCODING = re.compile(rb"\ncontent-encoding:([^\r\n]*)", re.IGNORECASE)


class HeadFields(Mapping[str, str]):
    """The fields, by names in any case; the values of several lines are joined by commas (RFC 9110, section 5.2)."""

    def __init__(self, lines: Sequence[bytes] = ()) -> None:
        self._head = b"".join(lines)
        self._fields: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        return self._parsed()[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parsed())

    def __len__(self) -> int:
        return len(self._parsed())

    @property
    def size_bytes(self) -> int:
        """The size of the head, with its status line."""
        return len(self._head)

    @property
    def content_encodings(self) -> str:
        """The encodings of the body, in small letters. This alone does not parse all fields."""
        return b",".join(_CONTENT_ENCODING.findall(self._head)).decode("latin-1").strip().lower()

    def _parsed(self) -> dict[str, str]:
        if self._fields is None:
            fields: dict[str, str] = {}
            _, _, lines = self._head.decode("latin-1").partition("\n")  # without the status line
            for name, value in _FIELD.findall(lines):
                key = name.strip().lower()
                fields[key] = f"{fields[key]}, {value.rstrip()}" if key in fields else value.rstrip()
            self._fields = fields
        return self._fields
