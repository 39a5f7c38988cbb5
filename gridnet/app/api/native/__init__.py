"""The native JSON API, one router a file."""
