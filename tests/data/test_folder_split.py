"""A folder is split as a whole: options that fit each other, and what the sidecar says of them."""

from pathlib import Path

import pytest

from endoexit.data.folder_split import SplitOptions, split_folder
from endoexit.data.manifest import read_manifest, sidecar_path
from endoexit.errors import UsageError
from endoexit.files import read_json
from pictures import picture_folder


def test_what_is_returned_is_what_was_written(tmp_path: Path) -> None:
    folder = picture_folder(tmp_path / "data", {"a": 6, "b": 6})
    options = SplitOptions(roles="train=.5,test=.5", seed=3, licence=" CC0 ")
    made = split_folder(folder, tmp_path / "manifest.csv", options)
    read = read_manifest(tmp_path / "manifest.csv")
    assert read.rows == made.split.rows == made.manifest.rows
    assert read.sha256 == made.manifest.sha256
    sidecar = read_json(sidecar_path(tmp_path / "manifest.csv"))
    for name, value in made.facts.items():
        assert sidecar[name] == value
    assert (sidecar["seed"], sidecar["roles"]) == (3, {"train": 0.5, "test": 0.5})
    assert sidecar["licence"] == "CC0"
    assert "licence" not in sidecar["options"]


def test_folders_that_are_roles_have_no_shares_unless_they_are_asked_for() -> None:
    assert SplitOptions(from_folders=True).shares is None
    assert SplitOptions(from_folders=True, roles="train=.9,val=.1").shares == {
        "train": 0.9,
        "val": 0.1,
    }
    assert sum((SplitOptions().shares or {}).values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_column": "patient"}, "--group-column says how to use --groups"),
        ({"accept_leak": True}, "--accept-leak says how to use --from-folders"),
        ({"from_folders": True, "drop_leaks": True, "accept_leak": True}, "exclude each other"),
        ({"licence": "  "}, "--licence is empty"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SplitOptions(**options)
