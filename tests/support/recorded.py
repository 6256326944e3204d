"""Where the answers lie that PyPI itself gave."""

from pathlib import Path

RECORDED = Path(__file__).parents[1] / "data" / "recorded"
