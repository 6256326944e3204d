"""What a misspelt name was probably meant to be."""

import pytest

from bandersnatch.inifile.suggestions import suggestion

KNOWN = ("directory", "digest_name", "hash-index", "max-removals", "stop-on-error", "workers")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("wokers", "workers"),
        ("Workers", "workers"),
        ("hash_index", "hash-index"),
        ("MAX_REMOVAL", "max-removals"),
        ("stop", "stop-on-error"),
        ("digest-nam", "digest_name"),
    ],
)
def test_the_most_similar_name_is_suggested(name: str, meant: str) -> None:
    assert suggestion(name, KNOWN) == f' (did you mean "{meant}"?)'


@pytest.mark.parametrize("name", ["", "x", "proxy", "directory-of-all-that-there-is"])
def test_nothing_is_suggested_where_nothing_is_similar(name: str) -> None:
    assert suggestion(name, KNOWN) == ""


def test_a_beginning_that_several_names_share_suggests_none_of_them() -> None:
    assert suggestion("hash", ("hash-index", "hash-files")) == ""


def test_how_similar_is_enough_is_for_the_caller_to_say() -> None:
    assert suggestion("worms", KNOWN) == ""
    assert suggestion("worms", KNOWN, 0.5) == ' (did you mean "workers"?)'
