"""HTTP: connections, routes, retries, and limits of size and time. No answer is trusted.

Errors of requests, urllib3 and libcurl become ours here. Nothing here knows what a project is.
"""
