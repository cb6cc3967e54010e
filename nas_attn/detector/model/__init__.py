"""A base model as a value: its rows and YAML, the names in it, and whether Ultralytics can build it."""
