"""Asks servers, and believes nothing: connections, routes, retries, limits of size and of time.

Errors of requests and urllib3 become ours here. Nothing here knows what a project is.
"""
