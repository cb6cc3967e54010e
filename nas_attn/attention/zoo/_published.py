"""`PublishedNames`: weights load under the names of the code in which a module was published."""

from __future__ import annotations

from typing import Any

from torch import nn


class PublishedNames(nn.Module):
    """A module that also loads weights under their published names; it saves them under its own.

    Names of neither kind stay in the dictionary, and `load_state_dict` reports them.

    Attributes:
        published: (start of a published name, start of our name) for each that differs.
        derived: published buffers that follow from the settings, so that nothing has to be loaded.
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
                linear = value.dim() == 2 and own[name].dim() == 4  # published as a layer of pixels, here a convolution
                state_dict[prefix + name] = value[:, :, None, None] if linear else value
        super()._load_from_state_dict(state_dict, prefix, *args)
