"""What is wrong with spec files, and what is allowed but fails in practice.

`finding` has the words, `file` puts all checks together; `practice`, `host` and `releases` are lists of checks, plain
functions over a spec; `report` writes the findings out. Nothing here knows how cdictl was called.
"""
