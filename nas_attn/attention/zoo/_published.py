"""`PublishedNames`: lets a module load weights under the names that its published code uses."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class PublishedNames(nn.Module):
    """Base class of modules that also load weights under their published names. They save weights under our names.

    All other names stay in the dictionary, and `load_state_dict` reports them.

    Attributes:
        published: pairs (start of a published name, start of our name), for names that differ.
        derived: names of published buffers that follow from the settings and need not be loaded.
    """

    published: tuple[tuple[str, str], ...] = ()
    derived: tuple[str, ...] = ()

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        own = self.state_dict(keep_vars=True)
        for key in [key for key in state_dict if key.startswith(prefix)]:
            given = key.removeprefix(prefix)
            name = next((ours + given[len(s) :] for s, ours in self.published if given.startswith(s)), given)
            if given in self.derived:
                del state_dict[key]
            elif name in own and (name == given or prefix + name not in state_dict):
                value = state_dict.pop(key)
                state_dict[prefix + name] = _as_convolution(value) if own[name].dim() == 4 else value
        super()._load_from_state_dict(state_dict, prefix, *args)


def _as_convolution(weight: Tensor) -> Tensor:
    """The weights of a published layer as those of a 2-D convolution, if it was another layer."""
    if weight.dim() == 2:  # nn.Linear
        return weight[:, :, None, None]
    if weight.dim() == 5:  # nn.Conv3d on a single slice: only the middle taps met data
        return weight[:, :, weight.shape[2] // 2]
    return weight
