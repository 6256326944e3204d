"""What tests share: the fake PyPI, runs against it, and the check of a whole mirror."""
