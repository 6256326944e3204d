"""A fake PyPI for tests: real HTTP on loopback, a story instead of a database.

It answers what PyPI's server answers where a mirror can see it, and misbehaves on
demand. Start with `FakePyPI`.
"""

from .fake import FakePyPI
from .faults import (
    Body,
    Call,
    Chunked,
    Drip,
    Edit,
    ExtraBytes,
    Fault,
    RateLimited,
    Reset,
    SerialHeader,
    ShortBody,
    Stall,
    Status,
    Unframed,
    WrongBytes,
    XmlFault,
)
from .model import UploadedFile
from .pages import Dialect
from .server import RecordedRequest

__all__ = [
    "Body",
    "Call",
    "Chunked",
    "Dialect",
    "Drip",
    "Edit",
    "ExtraBytes",
    "FakePyPI",
    "Fault",
    "RateLimited",
    "RecordedRequest",
    "Reset",
    "SerialHeader",
    "ShortBody",
    "Stall",
    "Status",
    "Unframed",
    "UploadedFile",
    "WrongBytes",
    "XmlFault",
]
