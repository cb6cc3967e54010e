"""The real training of a winner, with Ultralytics' own trainer."""
