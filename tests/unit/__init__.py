"""Each module alone, or with the few that it needs; a folder for each package."""
