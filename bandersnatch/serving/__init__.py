"""A small web server for the folder ``web/`` of a mirror: for laptops, tests, and rooms without a network.

It only reads, and needs nothing but that folder. Large sites use nginx or the like, as README shows.
"""
