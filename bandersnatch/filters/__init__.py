"""The filters: they decide which projects, releases and files of the index the mirror has."""
