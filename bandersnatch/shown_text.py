"""Text of others in our messages and log lines: short, on one line, and without credentials."""

import re

MAX_SHOWN_TEXT = 200

_CREDENTIALS = re.compile(r"://[^/?#\s]*@")


def shown(text: str, most: int = MAX_SHOWN_TEXT) -> str:
    """Return upstream's text shortened to ``most`` characters, with control characters escaped."""
    cut = text if len(text) <= most else f"{text[:most]}..."
    return printable(cut)


def printable(text: str) -> str:
    """Return the text with unprintable characters escaped, so that it can't forge a log line or move the cursor."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def without_credentials(url: str) -> str:
    """Return a URL, or a text that contains URLs, without user names and passwords, safe to log."""
    return _CREDENTIALS.sub("://", url)
