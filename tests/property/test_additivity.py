"""The cost table equals a full count of the built model, as exact integers.

`pytest --soak 1 -o timeout=3600` counts every (slot, gene) cell of yolo11n alone in a full model, and 20 random
architectures of each other base. The default counts a tenth of this, drawn from a seed.
"""

from __future__ import annotations

import random

import pytest

from nas_attn.attention import registry
from nas_attn.cost import CostTable
from nas_attn.cost.counter import count
from nas_attn.detector.model.base_model import build_yaml
from nas_attn.detector.neck.slots import all_slots
from nas_attn.detector.neck.surgery import architecture_yaml
from nas_attn.space import Architecture, SearchSpace

IMGSZ = 640


def space_of(base, slots, imgsz=IMGSZ):
    modules = {entry.name: None for entry in registry.entries() if not entry.is_none}
    return SearchSpace.build(base.name, slots, modules, imgsz=imgsz)


def full_count(base, slots, architecture, imgsz=IMGSZ):
    """The count of fvcore on the whole built model, plus the declared costs of the modules in its YAML."""
    model = build_yaml(architecture_yaml(base, slots, architecture)[0])
    return count(model, imgsz, imgsz)


def table_for(base, slots, architectures, imgsz=IMGSZ):
    genes = {s: [a[s.name] for a in architectures] for s in slots}
    return CostTable.build(base.build(), genes, imgsz)


def test_every_cell_of_yolo11n(known_base, soak):
    base, slots = known_base("yolo11n")
    space = space_of(base, slots)
    cells = [(s.slot.name, gene) for s in space.slots for gene in s.genes]
    none = Architecture.none(space.names)
    chosen = [none.with_gene(*cell) for cell in cells]
    if soak < 1:  # a share of the cells, with one cell of each slot at a time
        rng = random.Random(2)
        columns = [rng.sample(s.genes, max(1, round(soak * len(s.genes)))) for s in space.slots]
        chosen = [
            Architecture.of({n: c[i % len(c)] for n, c in zip(space.names, columns, strict=True)})
            for i in range(max(map(len, columns)))
        ]
    table = table_for(base, slots, chosen)
    wrong = {str(a): (table.cost(a), full) for a in chosen if (full := full_count(base, slots, a)) != table.cost(a)}
    assert len(chosen) >= soak * len(cells) / len(slots) - 1
    assert wrong == {}


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolo12n", "yolo26n", "yolo11s"])
def test_random_architectures(name, known_base, soak):
    base, slots = known_base(name)
    space = space_of(base, slots)
    rng = random.Random(name)
    chosen = [
        Architecture.of({s.slot.name: rng.choice(s.genes) for s in space.slots})
        for _ in range(max(2, round(20 * soak)))
    ]
    table = table_for(base, slots, chosen)
    for architecture in chosen:
        assert table.cost(architecture) == full_count(base, slots, architecture), str(architecture)
    assert [tuple(row) for row in table.many(chosen)] == [table.cost(a).as_tuple() for a in chosen]


@pytest.mark.parametrize("name", ["yolov5n", "yolov8n", "yolo11n", "yolo12n", "yolo26n"])
def test_slots_of_every_kind(name, known_base, soak):
    """All slots at once, some with ACmix, whose products fvcore cannot count; at `--soak 1`, ACmix is at every slot."""
    imgsz = 64
    base, _ = known_base(name)
    slots = all_slots(base)
    space = space_of(base, slots, imgsz)
    rng = random.Random(name)
    chosen = [
        Architecture.of({s.slot.name: rng.choice(s.genes[1:]) for s in space.slots})
        for _ in range(round(10 * soak) if soak > 0.1 else 0)
    ]
    acmix = {s.slot.name: [g for g in s.genes if g.module == "acmix"] for s in space.slots}
    assert all(acmix.values())
    mixed = {s.slot.name: rng.choice(s.genes[1:] if i % 3 else acmix[s.slot.name]) for i, s in enumerate(space.slots)}
    chosen += [
        Architecture.of(mixed),
        *([Architecture.of({n: rng.choice(g) for n, g in acmix.items()})] * (soak > 0.1)),
    ]
    table = table_for(base, slots, chosen, imgsz)
    for architecture in chosen:
        assert table.cost(architecture) == full_count(base, slots, architecture, imgsz), str(architecture)
    one = chosen[-1]
    for slot in slots:  # a gene adds the same cost alone as among the others
        alone = Architecture.of({slot.name: one[slot.name]})
        if soak > 0.1 or rng.random() < 1 / len(slots):
            assert table.cost(alone) == full_count(base, slots, alone, imgsz), str(alone)
