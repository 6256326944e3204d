"""The header fields of an answer. They are parsed when somebody asks for one, since most answers are not asked."""

import re
from collections.abc import Iterator, Mapping, Sequence

_FIELD = re.compile(r"([^:\r\n]+):[ \t]*([^\r\n]*)")
_CONTENT_ENCODING = re.compile(rb"\ncontent-encoding:([^\r\n]*)", re.IGNORECASE)


class HeadFields(Mapping[str, str]):
    """The fields by their names, in any case; what stands in several lines is one value with commas."""

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
        """How long the head is, with its status line."""
        return len(self._head)

    @property
    def content_encodings(self) -> str:
        """How the body is compressed, in small letters; the rest of the fields is not parsed for it."""
        return b",".join(_CONTENT_ENCODING.findall(self._head)).decode("latin-1").strip().lower()

    def _parsed(self) -> dict[str, str]:
        if self._fields is None:
            fields: dict[str, str] = {}
            _, _, lines = self._head.decode("latin-1").partition("\n")  # the first one is the status line
            for name, value in _FIELD.findall(lines):
                key = name.strip().lower()
                fields[key] = f"{fields[key]}, {value.rstrip()}" if key in fields else value.rstrip()
            self._fields = fields
        return self._fields
