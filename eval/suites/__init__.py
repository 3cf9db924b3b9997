"""The suites, one object each, and their registry."""
