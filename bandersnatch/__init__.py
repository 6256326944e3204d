"""A mirror client for the Python Package Index: keeps a static, checked copy of it under ``web/``."""

__version__ = "9.0.0"
