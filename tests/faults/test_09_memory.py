"""9. Memory: a file is never held as a whole. (Peaks with very large answers: ``python -m benchmarks.memory``.)"""

import resource
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.memory import large_file, serving

FILE_BYTES = 500 * 1024**2
DATA_BYTES = 300 * 1024**2


def limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (DATA_BYTES, DATA_BYTES))


def test_file_larger_than_the_memory_is_mirrored(tmp_path: Path) -> None:
    config = tmp_path / "bandersnatch.conf"
    with serving(partial(large_file, FILE_BYTES)) as (url, _):
        text = f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {url}\nallow-non-https = true\nworkers = 4\n"
        config.write_text(text)
        command = [sys.executable, "-m", "bandersnatch", "--quiet", "-c", str(config), "mirror"]
        result = subprocess.run(command, preexec_fn=limit_memory, capture_output=True, text=True, timeout=100)
    assert (result.returncode, result.stderr) == (0, "")
    (stored,) = (tmp_path / "mirror/web/packages").rglob("*.tar.gz")
    assert stored.stat().st_size == FILE_BYTES
