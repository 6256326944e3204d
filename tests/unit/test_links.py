"""Links of a page are made absolute."""

import pytest

from tests.support.builders import FOLDER, WHEEL, wire_file, wire_page
from tests.support.parsed_pages import parse, parse_one_file


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("../../packages/x/y.whl", "https://index.example/packages/x/y.whl"),
        ("/packages/x/y.whl", "https://index.example/packages/x/y.whl"),
        ("//files.example/packages/x/y.whl", "https://files.example/packages/x/y.whl"),
        ("http://files.example:8080/packages/x/y.whl", "http://files.example:8080/packages/x/y.whl"),
        *(
            (link, link)
            for link in (f"http://{host}/packages/y.whl" for host in ("[::1]:80", "my_host", "h.", "é.example"))
        ),
    ],
)
def test_links_are_made_absolute(link: str, expected: str) -> None:
    assert parse_one_file(url=link).url == expected


def test_the_fragment_of_a_link_is_no_part_of_the_url() -> None:
    page = parse(wire_page(wire_file(url=f"../../packages/{FOLDER}/{WHEEL}#egg=sample")))
    assert page.files[0].url.endswith(f"/packages/{FOLDER}/{WHEEL}")
