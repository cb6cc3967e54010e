"""Code that `@attention` adds to classes of the zoo: the refusal and docstrings."""

from __future__ import annotations

import copy
import inspect
import pickle
from pathlib import Path

import pytest
import torch
from module_files import HEAD, clean, write
from torch import nn

from nas_attn.attention import entries, get, user
from nas_attn.attention.decorated import SHAPE, complete_docstrings
from nas_attn.attention.residual import Scaled
from nas_attn.attention.zoo.acmix import ACmix
from nas_attn.attention.zoo.efficient_attention import EfficientAttention
from nas_attn.errors import SlotRefused, UserError

__all__ = ["clean", "write"]  # fixtures

REFUSED = r"^`head` must divide the channels, but got 4 and 18\.$"
REFUSING = """
@attention("mine")
class Mine(nn.Module):
    def __init__(self, dim: int, k: Annotated[int, Choice(3, 5)] = 3) -> None:
        super().__init__()
        self.k = k

    @classmethod
    def unsupported(cls, channels, *, k):
        {body}
"""


def registered(path: Path) -> type:
    """The class of a module file."""
    user.load(path)
    return get("mine").cls


def source(body: str) -> str:
    """The source of a module file with this body of the hook."""
    return HEAD + REFUSING.format(body=body)


class Narrow(ACmix):
    """A subclass with its own constructor."""

    def __init__(self, width: int) -> None:
        super().__init__(width, out_planes=width, head=4)


@pytest.mark.parametrize(
    "build",
    [
        lambda: ACmix(18, 18),
        lambda: ACmix(in_planes=16, out_planes=18, head=4),
        lambda: Narrow(18),
        lambda: Scaled("ACmix", 18, 18, 7, 4),
    ],
)
def test_a_constructor_refuses(build):
    with pytest.raises(SlotRefused, match=REFUSED):
        build()


def test_the_parser_of_ultralytics_refuses(tmp_path):
    from ultralytics.nn.tasks import parse_model

    rows = [[-1, 1, "Conv", [18, 3, 2]], [-1, 1, "nas_attn.ACmix", [18, 18, 7, 4]]]
    with pytest.raises(SlotRefused, match=REFUSED):
        parse_model({"nc": 1, "backbone": rows, "head": []}, 3, verbose=False)


def test_what_is_copied_and_unpickled_is_not_asked(monkeypatch):
    module = Narrow(16)
    monkeypatch.setattr(ACmix, "unsupported", classmethod(lambda cls, channels, **_: "never again"))
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(twin.conv1.weight, module.conv1.weight)
    with pytest.raises(SlotRefused, match="never again"):
        Narrow(16)


def test_the_signature_and_its_errors_stay():
    assert list(inspect.signature(ACmix).parameters)[:4] == ["in_planes", "out_planes", "kernel_att", "head"]
    with pytest.raises(TypeError, match=r"ACmix.__init__\(\) missing 1 required positional argument: 'out_planes'"):
        ACmix(18)


def test_wrong_arguments_are_the_hooks_to_refuse():
    with pytest.raises(TypeError):
        get("mhsa").cls(64, num_heads="x")


def test_a_class_of_a_user_stays_as_it_is(write):
    body = "return None if channels >= 32 else 'at least 32 channels'"
    cls = registered(write(source(body)))
    assert cls(8).k == 3 and cls.__doc__ is None and cls.unsupported.__doc__ is None
    assert get("mine").refusal(8, 1, 1, {"k": 3}) == "at least 32 channels"


def test_a_constructor_that_asks_itself_keeps_its_order():
    with pytest.raises(UserError, match=r"group_split.*\[4, 2\] for 8 heads"):
        EfficientAttention(64, 8, [4, 2], [3])


def test_docstrings_say_the_shape_once():
    for entry in entries():
        assert inspect.getdoc(entry.cls).count("Shape:\n    (N, ") == 1
        for hook in ("unsupported", "attention_logits"):
            assert inspect.getdoc(getattr(entry.cls, hook, entry.cls))
    whole = documented("Text.\n\n    Args:\n        dim: C.\n    Raises:\n        E: no.\n    ")
    assert whole == f"Text.\n\nArgs:\n    dim: C.\n{SHAPE}\nRaises:\n    E: no."
    assert documented("Text.") == f"Text.\n\n{SHAPE}" and documented(None) is None


def documented(text: str | None) -> str | None:
    """The docstring that `@attention` makes of this one."""
    cls = type("Documented", (nn.Module,), {"__doc__": text})
    complete_docstrings(cls)
    return cls.__doc__
