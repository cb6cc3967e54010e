"""The full training of a winner, with Ultralytics' own trainer."""
