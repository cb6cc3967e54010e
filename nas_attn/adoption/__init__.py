"""Community model YAMLs made to build: read, set beside the base that they came from, repaired where that is certain.

`article` reads a file, `arguments` knows how communities write them, `lineage` finds the base, `wiring`
compares who reads whom, `placing` finds the slots, and `adopt` puts it together. Nothing is imported here.
"""
