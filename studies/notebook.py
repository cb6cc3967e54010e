"""From a module of your own to a model that trains: a search in Python, cell by cell.

Open this file in VS Code or Jupyter (each `# %%` begins a cell), or run it: `python studies/notebook.py`. It uses the
generated demo data and takes about five minutes on two CPU cores. For your own data give `data="data.yaml"` and
`model="yolo11n.yaml"` to `run_search`.
"""

# %% A module of your own, next to three of the zoo
from typing import Annotated

from torch import Tensor, nn

import nas_attn as na


@na.register
class ContrastGate(nn.Module):
    """x times a gate from its difference to a local mean."""

    def __init__(self, dim: int, k_size: Annotated[int, na.Choice(3, 5, 7)] = 5) -> None:
        super().__init__()
        self.mean = nn.AvgPool2d(k_size, 1, k_size // 2)
        self.mix = nn.Conv2d(dim, dim, 1)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) -> (N, C, H, W)
        return x * self.mix(x - self.mean(x)).sigmoid()


MODULES = ["contrast_gate", "acmix", "lska", "eca", "conv"]

# %% Where can a module stand, and what does it cost? Nothing is trained yet
print(na.slots("yolo11n.yaml", names="p*"))
print(na.costs_of(["", "p3=contrast_gate(k_size=7)", "p3=acmix(head=4) p5=lska(k_size=23)"], model="yolo11n.yaml"))

# %% The search: controls with several seeds first, then what the sampler proposes
study = na.run_search("demo", trials=16, modules=MODULES)

# %% What it found, and what its own noise hides
print(study.slots())
print(study.front())
print(study.effects())
study.frame().to_csv("notebook.csv", index=False)
study.plot().write_html("notebook.html")

# %% A search suggests, an ablation claims: fresh seeds, paired, corrected. This one is the smallest that tests
best = study.pick("best", attention=True)
ablation = na.ablate(study, base=best, kinds="leave-one-out", seeds=3)
print(ablation.summary())
print(ablation.table())

# %% The winner as a YAML for Ultralytics, and as a model in this process
study.export(best, "best.yaml", force=True)
model = study.model(best)
print(f"{best.architecture}: {sum(p.numel() for p in model.model.parameters()):,} parameters")
# model.train(data="data.yaml", epochs=300)
