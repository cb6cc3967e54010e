"""Setup of all tests: a private place for Ultralytics' settings, and base models that are built once.

`pytest` alone spreads the files of the whole suite over two processes; `pytest FILES` runs them in one.
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = 2  # each takes up to 2 GB
_HOME = Path(tempfile.mkdtemp(prefix="nas_attn-tests-"))

# before anything imports Ultralytics, here or in a process that a test starts: no network, no files in anyone's home
os.environ.update(
    YOLO_OFFLINE="1",
    YOLO_AUTOINSTALL="0",
    YOLO_VERBOSE="0",
    YOLO_CONFIG_DIR=str(_HOME / "yolo"),
    NAS_ATTN_CACHE=str(_HOME / "cache"),
    MPLCONFIGDIR=str(_HOME / "matplotlib"),
)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors: threads would mostly wait for one another
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

# the same examples in every run, no files left behind, and no verdict that depends on how busy the machine is
settings.register_profile("nas_attn", derandomize=True, database=None, deadline=None)
settings.load_profile("nas_attn")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", type=float, default=0.1, help="share of the long checks to run, 0 to 1 (default 0.1)")
    parser.addoption("--matrix-seed", type=int, help="draws the contract cases of modules (default: a new one)")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist looks at its options
def pytest_cmdline_main(config: pytest.Config) -> None:
    if (given := getattr(config, "workerinput", None)) is not None:  # one of the two processes
        config.option.matrix_seed = given["matrix_seed"]
        return
    if config.option.matrix_seed is None:
        config.option.matrix_seed = random.randrange(100_000)
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.markexpr  # -m gpu: one GPU
    if whole and getattr(config.option, "numprocesses", 0) is None and not config.option.usepdb:
        config.option.numprocesses, config.option.dist = PROCESSES, "loadfile"  # fixtures of a file are made once
        config.option.loadscopereorder = False  # it would leave the longest files, which have few tests, to the end


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_configure_node(node: Any) -> None:
    node.workerinput["matrix_seed"] = node.config.option.matrix_seed


def _matrix(config: pytest.Config) -> str:
    share = config.option.soak
    return (
        f"contract cases: all, --soak {share:g}"
        if share >= 1
        else (f"contract cases: --soak {share:g} --matrix-seed {config.option.matrix_seed}")
    )


def pytest_report_header(config: pytest.Config) -> str:
    return _matrix(config)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    if exitstatus == pytest.ExitCode.TESTS_FAILED:
        terminalreporter.write_line(_matrix(config))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("onnx")`: the test is skipped if that library is not installed."""
    for mark in item.iter_markers("needs"):
        for library in mark.args:
            if importlib.util.find_spec(library) is None:
                pytest.skip(f"missing part: {library}, pip install -e '.[ci]'")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Where `NAS_ATTN_REQUIRE_PARTS` is set, a part that is missing is a failure: nothing may go untested unseen."""
    report = yield
    if os.environ.get("NAS_ATTN_REQUIRE_PARTS") and report.skipped and "missing part:" in str(report.longrepr):
        report.outcome = "failed"
    return report


def pytest_sessionstart(session: pytest.Session) -> None:
    # Ultralytics looks for this font online unless a file of its name is there
    from matplotlib import get_data_path

    folder = _HOME / "yolo" / "Ultralytics"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", folder / "Arial.ttf")


def pytest_sessionfinish(session: pytest.Session) -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> float:
    """Share of the long checks to run."""
    return pytestconfig.getoption("--soak")


@pytest.fixture
def one_seeded_thread() -> Iterator[None]:
    """Torch with one thread, as maps here are too small for more, and the same random numbers in each test."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(7)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def known_base() -> Callable[[str], tuple[Any, tuple[Any, ...]]]:
    """name -> (base model, its slots), each found once."""
    from nas_attn.detector.model.base_model import load_base
    from nas_attn.detector.neck.slots import find_slots

    known: dict[str, tuple[Any, tuple[Any, ...]]] = {}

    def get(name: str) -> tuple[Any, tuple[Any, ...]]:
        if name not in known:
            base = load_base(name)
            known[name] = base, find_slots(base)
        return known[name]

    return get
