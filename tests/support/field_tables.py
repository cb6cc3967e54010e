"""The tables of a configuration's fields in studies/README.md; `python tests/support/field_tables.py` renews them."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from nas_attn.study.ablation_config import AblationConfig
from nas_attn.study.config import MAY_CHANGE, StudyConfig

PAGE = Path(__file__).resolve().parents[2] / "studies" / "README.md"
FIELDS: dict[str, tuple[type[BaseModel], list[str]]] = {
    "decide what a trial measures": (StudyConfig, [n for n in StudyConfig.model_fields if n not in MAY_CHANGE]),
    "may change": (StudyConfig, [n for n in StudyConfig.model_fields if n in MAY_CHANGE]),
    "ablation": (AblationConfig, list(AblationConfig.model_fields)),
}
_PLACE = re.compile(r"(<!-- fields: ([a-z ]+);[^\n]*-->\n).*?(<!-- end of fields -->)", re.DOTALL)


def renewed(page: str) -> str:
    """The text of a page with its tables as the configurations are now."""
    return _PLACE.sub(lambda found: f"{found[1]}\n{table(*FIELDS[found[2]])}\n{found[3]}", page)


def places(page: str) -> list[str]:
    """The tables that a page has."""
    return [found[2] for found in _PLACE.finditer(page)]


def table(config: type[BaseModel], names: list[str]) -> str:
    """A Markdown table with a row for each field."""
    rows = [f"| `{n}` | {_default(config, n)} | {config.model_fields[n].description} |\n" for n in names]
    return "".join(["| field | default | meaning |\n|---|---|---|\n", *rows])


def _default(config: type[BaseModel], name: str) -> str:
    default = config.model_fields[name].default
    if default is None or default is PydanticUndefined:
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
