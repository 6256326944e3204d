"""Pages as upstream's JSON has them, parsed."""

from bandersnatch.json_documents import parse_project_page
from bandersnatch.model import DistributionFile, ProjectPage
from tests.support.builders import PAGE_URL, SAMPLE, encoded, wire_file, wire_page


def parse(value: object) -> ProjectPage:
    return parse_project_page(encoded(value), SAMPLE, PAGE_URL)


def parse_one_file(**fields: object) -> DistributionFile:
    return parse(wire_page(wire_file(**fields))).files[0]  # type: ignore[arg-type]  # wrong types are the point
