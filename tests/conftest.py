"""Shared fixtures: the real images, where they are present."""

import os
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

import tiny_project
from bundle_makers import BundleMaker
from ray_cluster import RayCluster

ROOT = Path(__file__).resolve().parents[1]

# The processor without bf16 that `make test-without-bf16` asks for: here and in subprocesses.
if os.environ.get("ENDOEXIT_TEST_NO_BF16"):
    _FOLDER = ROOT / "tests" / "without_bf16"
    runpy.run_path(str(_FOLDER / "sitecustomize.py"))
    _PATHS = (str(_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")]))
    os.environ["PYTHONPATH"] = os.pathsep.join(_PATHS)

# An example may take long on a machine that does other work as well.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests of a file that share a fixture on one worker, where it is made once."""
    if not isinstance(item, pytest.Function) or item.get_closest_marker("xdist_group"):
        return
    named = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009
    module = item.nodeid.partition("::")[0]
    if any(
        each.scope == "module" and each.baseid == module for made in named.values() for each in made
    ):
        item.add_marker(pytest.mark.xdist_group(module))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the real images (ENDOEXIT_DATA, else shared/data beside the checkout)."""
    folder = Path(os.environ.get("ENDOEXIT_DATA", ROOT.parent / "shared" / "data"))
    for name in ("colonoscopy", "otoscopy"):
        if not (folder / name).is_dir():
            pytest.skip(f"no {name} images in {folder}; set ENDOEXIT_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def prototype_splits() -> Path:
    """Folder with the groups and roles of the real images, as the benchmarks use them."""
    return ROOT / "benchmarks" / "splits"


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[RayCluster]:
    """A cluster of Ray with two nodes; its tests have the group "ray", so it is started once."""
    cluster = RayCluster()
    yield cluster
    cluster.close()


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the tests' decoded images and checksums out of the user's folders."""
    os.environ["ENDOEXIT_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def tiny_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 3 classes × 20 small pictures, all five roles, each image a group."""
    return tiny_project.make_manifest(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_run(tiny_manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: a network of width 16 trained for two epochs on `tiny_manifest`."""
    return tiny_project.train(tiny_manifest, tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="session")
def bundles(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> BundleMaker:
    """Makes bundles of the tiny run; tests copy those that they change."""
    return BundleMaker(tiny_run, tmp_path_factory.mktemp("bundles"))
