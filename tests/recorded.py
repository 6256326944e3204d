"""Where the answers lie that PyPI itself gave."""

from pathlib import Path

RECORDED = Path(__file__).parent / "data" / "recorded"
