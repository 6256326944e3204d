"""The filters: which projects, releases and files of the index the mirror has, as its configuration says."""
