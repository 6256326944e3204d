"""All filters together: their order means nothing, and what they keep together each keeps alone."""

from hypothesis import given
from hypothesis import strategies as st

from bandersnatch.filters.facts import ProjectDocument, ProjectFacts
from bandersnatch.filters.filters import Filters
from bandersnatch.filters.registry import FILTER_NAMES, PINNED_FILTERS, RELEASE_FILTERS
from bandersnatch.filters.selection import Selection
from bandersnatch.model import ProjectPage
from tests.support.builders import SAMPLE, encoded, named, unhurried
from tests.support.filtering import enabled, filters_of, kept_versions, lines, pages

SECTIONS = {
    "exclude_newer": "[exclude_newer]\ndate = 2020-01-01\n",
    "latest_release": "[latest_release]\nkeep = 2\n",
    "regex_project and regex_release": "[filter_regex]\nreleases = 2005\npackages =\n    .*-nightly\n    O\n",
    "prerelease_release": "[filter_prerelease]\npackages = Sample\n",
    "regex_project_metadata": lines("regex_project_metadata", "info.classifiers", "Python", "Topic"),
    "regex_release_file_metadata": lines("regex_release_file_metadata", "none:release_file.filename", ".*-0", ".*whl"),
    "size_project_metadata": "[size_project_metadata]\nmax_package_size = 3K\n",
    "version_range_project_metadata": lines("version_range_project_metadata", "info.requires_python", "3.9", "2.7"),
    "version_range_release_file_metadata": lines(
        "version_range_release_file_metadata", "release_file.requires_python", "3.9", "3.12"
    ),
    "versions_count_project_metadata": "[versions_count_project_metadata]\nmin_versions = 2\nmax_versions = 9\n",
    "lists": "[blocklist]\npackages =\n    sample==2.0\n    other\nplatforms = py2\n"
    "[allowlist]\npackages =\n    sample>=0.9\n    sample-nightly\nrequirements_path = {folder}\n"
    "requirements = *.txt\n",
}
PROJECTS = ("sample", "Sample", "sample-nightly", "Other")
REQUIREMENT_FILES = {"one.txt": "other\n", "two.txt": "sample>=0.9,<3\n"}
UNPINNED = {"one.txt": "other==1\n", "two.txt": "Sample\n"}

documents = st.fixed_dictionaries(
    {"classifiers": st.sampled_from([[], ["Python :: 3"], ["Private"]]), "requires_python": st.sampled_from(["", "<3"])}
)


def kept(filters: Filters, page: ProjectPage, document: ProjectDocument) -> set[str]:
    """Return the names of the files that stay, none where the whole project goes."""
    if not (filters.keeps_project(SAMPLE, "sample") and filters.metadata_of(ProjectFacts(page, document)).keeps):
        return set()
    kept_versions(filters, page, document)  # which checks what is told of them
    return {file.filename for file in Selection(filters, page, document).page.files}


@unhurried
@given(
    pages(),
    documents,
    st.permutations(sorted(FILTER_NAMES)),
    st.integers(1, len(FILTER_NAMES)),
    st.permutations(sorted(SECTIONS)),
    st.booleans(),
)
def test_the_order_of_filters_means_nothing(
    page: ProjectPage, info: dict[str, object], names: list[str], count: int, sections: list[str], is_pinned: bool
) -> None:
    chosen, files = names[:count], REQUIREMENT_FILES if is_pinned else UNPINNED
    document = ProjectDocument.parse(encoded({"info": info}))
    text = "".join(SECTIONS[each] for each in sections)
    one = filters_of(enabled(*chosen) + text, files)
    other = filters_of("".join(reversed([SECTIONS[each] for each in sections])) + enabled(*reversed(chosen)), files)
    assert one == other
    assert one.text == other.text
    for project in PROJECTS:
        assert one.keeps_project(named(project), project) == other.keeps_project(named(project), project)
        assert one.keeps_project(named(project), project) == all(
            filters_of(enabled(name) + text, files).keeps_project(named(project), project) for name in chosen
        )
    # Together they keep what each of them keeps alone. But the places of the latest go to what the others keep, and where
    # requirements pin the project, they alone decide on its releases.
    exceptions = {"latest_release"}
    if is_pinned and PINNED_FILTERS.keys() & set(chosen):
        exceptions |= RELEASE_FILTERS.keys()
    together = kept(one, page, document)
    alone = [kept(filters_of(enabled(name) + text, files), page, document) for name in set(chosen) - exceptions]
    everything = {file.filename for file in page.files}
    assert together <= everything.intersection(*alone)
    if not exceptions & set(chosen):
        assert together == everything.intersection(*alone)
