"""Community model YAMLs made to build: read, compared with the base that they came from, and repaired if that is safe.

`article` reads a file, `arguments` reads its arguments as settings, `lineage` finds the base, `wiring` compares the
sources of rows, `placing` finds the slots, and `adopt` puts it together. Nothing is imported here.
"""
