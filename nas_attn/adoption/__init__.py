"""Adoption: a community's model YAML is read, compared with the base it was made from, and repaired if that is safe.

`article` reads a file, `arguments` reads its arguments as settings, `lineage` finds the base, `wiring` compares the
sources of rows, `placing` finds the slots, and `adopt` combines the results. This file imports nothing.
"""
