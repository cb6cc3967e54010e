"""Checks, by fingerprints in the header, that a continued study is the same search on the same data."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from nas_attn.errors import StudyChanged
from nas_attn.study.config import StudyConfig
from nas_attn.study.recorded_space import same_space


def check_unchanged(stored: dict[str, Any], header: dict[str, Any]) -> None:
    """Refuse to continue a study if its search or its data has changed.

    Args:
        stored: header of the study in the run folder.
        header: header of the study as it is asked for now.

    Raises:
        StudyChanged: something has changed; the message lists all changes.
    """
    fingerprints = {**header["fingerprints"]}
    found = {
        kind: [f.get(kind) or {} for f in (fingerprints, stored["fingerprints"])] for kind in ("modules", "layers")
    }
    for kind in found:
        fingerprints.pop(kind, None)
    differences = [
        f"the {name}"
        for name, value in fingerprints.items()
        if (not same_space(stored, header) if name == "space" else stored["fingerprints"].get(name) != value)
    ]
    differences += [
        f"the source of {kind.removesuffix('s')} `{name}` (digest {old_code[name]} then, {digest} now)"
        for kind, (new_code, old_code) in found.items()
        for name, digest in new_code.items()
        if old_code.get(name, digest) != digest
    ]
    old, new = (StudyConfig.model_validate(h["config"]).identity() for h in (stored, header))
    for name in new:
        if name not in ("data", "weights") and old[name] != new[name]:
            differences.append(f"{name} ({old[name]} then, {new[name]} now)")
    if stored.get("format") != header["format"]:
        differences.append("the record format")
    if differences:
        raise StudyChanged(
            "a study must stay the same search on the same data",
            got=f"other values of {', '.join(differences)}",
            where=f"study '{stored['name']}'",
            remedy="Continue it with its own settings and files, or start another under a new name.",
        )


def file_digest(path: str | None) -> str | None:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path else None
