"""Record logs that no search wrote, with every case that a reader may meet; written by `RecordLog` itself."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

from nas_attn.evaluate import Evaluation
from nas_attn.space import Architecture
from nas_attn.study.records import RecordLog

HOSTILE = """<b>CUDA</b> out of memory & "no luck" </script><script>window.hacked = 1</script>"""
BASE = "p3=none p4=none p5=none"
CONV = "p3=conv p4=conv p5=conv"
FAILED = "p3=acmix(head=8,kernel_att=9) p4=none p5=none"
REFUSED = "p3=acmix(head=8,kernel_att=9) p4=acmix(head=8,kernel_att=9) p5=none"
FLAGGED = "p3=none p4=efficient_attention(group_split=[2,2,4],window_size=4) p5=none"
RUNNING = "p3=none p4=none p5=acmix(head=1,kernel_att=3)"
GENES = (
    "none",
    "none",
    "conv",
    "acmix(head=4,kernel_att=7,residual=scaled)",
    "lska(k_size=23)",
    "lska_trivial(k_size=11)",
    "efficient_attention(group_split=[4,4],residual=scaled,window_size=2)",
    "lka(k_size=7,residual=scaled)",
)
GMACS = {"none": 0.0, "conv": 0.019, "acmix": 0.148, "lska": 0.031, "lska_trivial": 0.026, "lka": 0.057}
GMACS["efficient_attention"] = 0.083
SHARE = {"p3": 1.0, "p4": 0.7, "p5": 0.4}


def header(name: str = "bccd", **config) -> dict:
    """Fields of a `study` record."""
    settings = {
        "name": name,
        "model": "yolo11n.yaml",
        "data": "blood <cells> & more/data.yaml",
        "start": "scratch",
        "sampler": "tpe",
        "trials": 48,
        "epochs": 15,
        "imgsz": 160,
        "final_imgsz": 640,
        "live_threshold": 0.003,
    }
    return {
        "name": name,
        "version": "0.1.0",
        "config": settings | config,
        "base": "yolo11n",
        "slots": [],
        "base_cost": cost(Architecture.parse(BASE)),
        "fingerprints": {},
        "aliases": {"p5": {"lska(k_size=35)": "lska(k_size=23)", "lska(k_size=53)": "lska(k_size=23)"}},
    }


def cost(architecture: Architecture) -> dict[str, float]:
    """A plausible cost: a base plus a sum over slots."""
    extra = math.fsum(GMACS[gene.module] * SHARE[slot] for slot, gene in architecture)
    gmacs = 3.305 + extra
    return {
        "gmacs": gmacs,
        "gmacs_fvcore_default": gmacs - 0.01,
        "gflops_torch": 2 * gmacs,
        "params_m": 2.624 + 0.8 * extra,
    }


def evaluation(map50_95: float, seed: int, *, flags: tuple[str, ...] = (), epochs: int = 15) -> Evaluation:
    """An evaluation whose curve rises to `map50_95`."""
    curve = tuple(
        {
            "epoch": e,
            "loss": 2.0 + 4.0 * math.exp(-e / 5),
            "lr": 0.002 * (1 - e / epochs),
            **({"map50_95": map50_95 * (1 - math.exp(-e / 4)) / (1 - math.exp(-epochs / 4))} if e % 3 == 0 else {}),
        }
        for e in range(1, epochs + 1)
    )
    return Evaluation(
        map50_95=map50_95,
        map50=min(1.0, 1.6 * map50_95),
        curve=curve,
        seconds=41.5 + seed,
        seed=seed,
        epochs=epochs,
        imgsz=160,
        flags=flags,
        test_map50_95=map50_95 - 0.01,
        versions={"torch": "2.15.0", "ultralytics": "8.4.190"},
    )


class Fabricator:
    """Writes trials into a run folder, one after another.

    Args:
        folder: run folder; created if it does not exist.
        name: the study's name; `config` goes into its configuration.
    """

    def __init__(self, folder: Path, name: str = "bccd", **config) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.log, self.number = folder, RecordLog(folder), 0
        self.log.append("study", **header(name, **config))

    def slots(self) -> None:
        """Record liveness: p3 and p4 live, p5 dead."""
        self.log.append(
            "slots",
            intact=0.305,
            zeroed={"p3": 0.002, "p4": 0.136, "p5": 0.3045},
            live=["p3", "p4"],
            drop={"p3": 0.303, "p4": 0.169, "p5": 0.0005},
            searched=["p3", "p4"],
            trials=[0],
        )

    def start(self, architecture: str, *, seed: int = 0, role: str = "search") -> int:
        """Start a trial and leave it running."""
        parsed = Architecture.parse(architecture)
        number, self.number = self.number, self.number + 1
        self.log.append(
            "started", number=number, role=role, architecture=str(parsed), seed=seed, cost=cost(parsed), sampled={}
        )
        return number

    def complete(
        self, architecture: str, map50_95: float, *, seed: int = 0, role: str = "search", flags=(), **changed
    ) -> int:
        """Record a trial that succeeded; `changed` are other fields of its evaluation."""
        number = self.start(architecture, seed=seed, role=role)
        result = replace(evaluation(map50_95, seed, flags=tuple(flags)), **changed).as_dict()
        self.log.append("finished", number=number, state="complete", evaluation=result)
        return number

    def fail(self, architecture: str, reason: str) -> int:
        """Record a trial that failed."""
        number = self.start(architecture)
        self.log.append("finished", number=number, state="failed", reason=reason)
        return number

    def refuse(self, architecture: str, reason: str) -> int:
        """Record an architecture that was refused because of a limit."""
        parsed = Architecture.parse(architecture)
        number, self.number = self.number, self.number + 1
        self.log.append(
            "refused", number=number, role="search", architecture=str(parsed), seed=0, cost=cost(parsed), reason=reason
        )
        return number


def fabricate(folder: Path, candidates: int = 30, *, name: str = "bccd", **config) -> Fabricator:
    """A study with controls, `candidates` searched architectures (some with three seeds), and every kind of failure."""
    study = Fabricator(folder, name, **config)
    rng = random.Random(7)
    luck = {seed: rng.gauss(0, 0.004) for seed in range(3)}
    for seed in luck:
        study.complete(BASE, 0.300 + luck[seed], seed=seed, role="base")
    study.slots()
    for seed in luck:
        study.complete(CONV, 0.299 + luck[seed] + rng.gauss(0, 0.002), seed=seed, role="conv")
    seen = {BASE, CONV, FAILED, FLAGGED, RUNNING}
    while len(seen) < candidates + 5:
        architecture = " ".join(f"{slot}={rng.choice(GENES)}" for slot in SHARE)
        if architecture in seen:
            continue
        seen.add(architecture)
        gain = 0.12 * (cost(Architecture.parse(architecture))["gmacs"] - 3.305) + rng.gauss(0, 0.012)
        for seed in range(3 if len(seen) % 6 == 0 else 1):
            study.complete(architecture, 0.300 + gain + luck[seed] + rng.gauss(0, 0.003), seed=seed)
    study.fail(FAILED, HOSTILE)
    study.refuse(REFUSED, "3.552 GMACs, more than --max-gmacs 3.5 <allows>")
    study.complete(FLAGGED, 0.333, flags=("batch halved",))
    study.start(RUNNING)
    return study
