"""One attention module a file: the class, its searchable settings, its paper."""
