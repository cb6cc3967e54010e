"""Data sets: checks, image lists, labels, named sets, downloads, the image cache, and the generated set."""
