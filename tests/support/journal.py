"""Reads the static journal of a mirror as a follower of another make would."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any


def read_index(web: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((web / "changes" / "index.json").read_bytes())
    return document


def read_journal(web: Path) -> list[dict[str, Any]]:
    """Return all lines, in order; nothing may be missing or torn."""
    index = read_index(web)
    lines: list[dict[str, Any]] = []
    digest = index["digest"]
    for file in index["files"]:
        body = (web / "changes" / f"{file['first']}-{file['last']}.jsonl").read_bytes()
        assert len(body) == file["size"] <= 1_000_000
        for line in body.splitlines(keepends=True):
            digest = sha256(digest.encode() + line).hexdigest()
            lines.append(json.loads(line))
        assert digest == file["digest"]
    assert [line["number"] for line in lines] == list(range(index["begin"] + 1, index["end"] + 1))
    assert all(line["serial"] <= index["newest"] for line in lines)
    return lines


def told(web: Path) -> list[tuple[str, str, int]]:
    """Return what each line says of a project: its name, what became of it, and its serial."""
    return [(line["name"], line["change"], line["serial"]) for line in read_journal(web)]


def write_journal(web: Path, lines: list[dict[str, Any]], **changed: Any) -> None:
    """Write a journal with these lines in one file, whose digests are right, and an index with some fields changed."""
    index = {**read_index(web), "files": []}
    digest, body = index["digest"], b""
    for line in lines:
        body += (json.dumps(line, separators=(",", ":")) + "\n").encode()
        digest = sha256(digest.encode() + body.splitlines(keepends=True)[-1]).hexdigest()
    if lines:
        first, last = index["begin"] + 1, index["begin"] + len(lines)
        index["files"] = [{"first": first, "last": last, "size": len(body), "digest": digest}]
        (web / "changes" / f"{first}-{last}.jsonl").write_bytes(body)
    index["end"] = index["begin"] + len(lines)
    (web / "changes" / "index.json").write_text(json.dumps({**index, **changed}))
