"""The keyword `layers` of functions: files of the user's own layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def use_layers(files: str | Path | Sequence[str | Path] | None) -> None:
    """Load the layers in Python files, so that rows of a model YAML can name them; see `nas_attn.attention.layers`.

    Args:
        files: the files, or one file; None for none.

    Raises:
        ConfigError: all mistakes in these files.
    """
    given = [files] if isinstance(files, str | Path) else list(files or ())
    if given:
        from nas_attn.attention import trust, user
        from nas_attn.environment import prepare

        prepare()  # such a file may import ultralytics
        trust.remember_files(given)
        user.load_layers(given)
