"""Files of INI sections, and what in them is none."""

from pathlib import Path

from bandersnatch.ini import read_ini


def test_indented_duplicates(tmp_path: Path) -> None:
    path, problems = tmp_path / "bandersnatch.conf", list[str]()
    path.write_text("[mirror]\n  workers = 4\n  json = true\n  workers = 9\n")
    read_ini(path, problems)
    assert problems == [f"{path}: line 4: [mirror] workers stands there twice"]
