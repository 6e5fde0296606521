"""`endoexit reproduce kvasir` from an archive to its table, on phantoms and a tiny network."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from typer.testing import CliRunner

from endoexit.cli.main import app
from endoexit.errors import DataError, UsageError
from endoexit.evaluation.latency import keeping_threads
from endoexit.reproduction.document import Results
from kvasir_folders import KVASIR, as_zip, fold_file, hyperkvasir_files, kvasir_files, write
from tiny_project import command

RECIPE = """\
epochs: 1
batch_size: 16
image: {size: 32, canvas: 32, early_size: 32}
model: {width: 16, heads: [1, 2, 4, 8], depths: [1, 1, 1, 1], window: 4}
precision: 32-true
"""
runner = CliRunner()


def run(*arguments):
    """Run a command in this process, which has imported torch already."""
    with keeping_threads():
        return runner.invoke(app, [*map(str, arguments)])


def line(folder, out, *arguments):
    recipe = out.parent / "tiny.yaml"
    recipe.write_text(RECIPE)
    return ("reproduce", "kvasir", folder, "--out", out, "--model", "ee_hifuse_nano", "--recipe",
            recipe, "--threads", "1", *arguments)  # fmt: skip


def reproduce(folder, out, *arguments):
    return run(*line(folder, out, *arguments))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """An archive of Kvasir that went through `data` and `reproduce`."""
    folder = tmp_path_factory.mktemp("kvasir")
    files = kvasir_files(per_class=22)
    (folder / "a.zip").write_bytes(as_zip(files))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder))
        got = run("data", "kvasir-v1", "--from", folder / "a.zip", "--out", folder / "data",
                  "--accept-terms")  # fmt: skip
    assert got.exit_code == 0, got.output
    (folder / "data" / "folds.csv").write_bytes(fold_file(files))
    return reproduce(folder / "data", folder / "out"), folder


@pytest.mark.slow
def test_the_papers_table_is_printed_next_to_ours(done):
    process, folder = done
    assert process.exit_code == 0, process.output
    words = " ".join(process.stdout.split())
    for printed in ("86.6", "82.8", "88.1", "87.1", "0.337", "121.614", "18.142"):
        assert printed in words
    assert "test images have a near-copy (up to 15 bits)" in words
    assert "On this machine (CPU, 1 thread): about" in words
    assert "The authors' folds leak" in words
    assert max(map(len, process.stdout.splitlines()[:60])) <= 200
    results = Results.read(folder / "out" / "results.json")
    assert [split.name for split in results.splits] == ["random", "groups"]
    assert results.splits[1].leak.near == 0
    for split in results.splits:
        assert [row.name for row in split.evaluation.rows] == [
            "twin", "exit 1", "exit 2", "exit 3", "final", "adaptive",
        ]  # fmt: skip
        assert split.evaluation.timing is not None
        assert (folder / "out" / split.report).is_file()
        assert split.images["test"] == pytest.approx(0.2 * 176, abs=4)
    assert {count.name for count in results.counts} == {
        "twin", "exit 1", "exit 2", "exit 3", "final",
    }  # fmt: skip
    assert "\n| row | paper |" in (folder / "out" / "results.md").read_text()


@pytest.mark.slow
def test_again_nothing_is_done_again(done):
    _, folder = done
    out = folder / "out"
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("*") if path.is_file()}
    again = reproduce(folder / "data", out)
    assert again.exit_code == 0, again.output
    assert "Nothing is left to train." in again.stdout
    assert again.stdout.count(": done") == 7  # audit, four trainings, two evaluations
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_other_settings_or_images_are_refused(done):
    _, folder = done
    refused = reproduce(folder / "data", folder / "out", "--seed", "1")
    assert isinstance(refused.exception, UsageError)
    assert "choose another --out, or ask for the same to continue" in str(refused.exception)


@pytest.mark.slow
def test_two_reproductions_are_compared(done):
    _, folder = done
    out = folder / "out"
    process = run("compare", out, out / "results.json", "--json")
    assert process.exit_code == 0, process.output
    document = json.loads(process.stdout)
    assert set(document["comparisons"]) == {"random", "groups"}
    assert all(row["p_value"] == 1 for row in document["comparisons"]["groups"]["rows"])
    single = out / "runs" / "groups" / "ee_hifuse_nano"
    process = run("compare", single, out)
    assert process.exit_code == 0, process.output
    assert "Accuracy on groups" in process.stdout


@pytest.mark.slow
def test_a_kill_is_continued(tmp_path):
    folder = write(kvasir_files(per_class=22), tmp_path / "data")
    arguments = command(*line(folder, tmp_path / "out", "--split", "random"))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)  # fmt: skip
    last = tmp_path / "out/runs/random/hifuse_nano/model_card.md"
    for _ in range(2400):
        if last.is_file() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    card = last.stat().st_mtime_ns
    done = run(*line(folder, tmp_path / "out", "--split", "random"))
    assert done.exit_code == 0, done.output
    assert "Training of hifuse_nano on random: done" in done.stdout
    assert last.stat().st_mtime_ns == card


@pytest.mark.slow
def test_an_archive_of_hyperkvasir_with_its_folds_goes_to_its_table(tmp_path, monkeypatch):
    files, folder = hyperkvasir_files(per_class=22, classes=4), tmp_path / "data"
    (tmp_path / "a.zip").write_bytes(as_zip(files))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    got = run("data", "hyperkvasir", "--from", tmp_path / "a.zip", "--out", folder,
              "--accept-terms")  # fmt: skip
    assert got.exit_code == 0, got.output
    (folder / "2_fold_split.csv").write_bytes(fold_file(files))
    planned = reproduce(folder, tmp_path / "out", "--split", "groups", "--plan", "--json")
    assert planned.exit_code == 0, planned.output
    assert "hifuse_nano 1 epoch ×" in json.loads(planned.stdout)["plan"][0]
    assert "4 of 23 classes of HyperKvasir" in planned.stderr
    audit = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert audit["folds"]["images_without_fold"] == 0
    assert audit["folds"]["with_another_label"] == []
    assert not (tmp_path / "out" / "runs").exists()
    results = table_of(tmp_path / "out", reproduce(folder, tmp_path / "out", "--split", "groups"))
    assert results.release == "hyperkvasir"
    assert results.audit.folds is not None
    assert list(results.images_by_class.values()) == [22] * 4


@pytest.mark.slow
def test_a_renamed_copy_of_kvasir_with_a_split_of_its_own_goes_to_its_table(tmp_path):
    files = {}
    for number, (path, jpeg) in enumerate(kvasir_files("", per_class=22).items()):
        label = path.partition("/")[0].replace("-", "_").title()
        files[f"{'train' if number % 3 else 'test'}/{label}/{number}.jpg"] = jpeg
    folder = write(files, tmp_path / "data")
    results = table_of(tmp_path / "out", reproduce(folder, tmp_path / "out", "--split", "random"))
    assert sorted(results.images_by_class) == [name.replace("-", "_").title() for name in KVASIR]
    assert any("someone's own split" in note for note in results.notes)
    assert any("do not have the names of the authors" in note for note in results.notes)


def table_of(out, process):
    """Return the results of a reproduction of one split that went through."""
    assert process.exit_code == 0, process.output
    results = Results.read(out / "results.json")
    (split,) = results.splits
    assert {"twin", "exit 1", "final", "adaptive"} <= {row.name for row in split.evaluation.rows}
    for row in split.evaluation.rows:
        assert f"{100 * row.scores.accuracy.value:.1f}" in process.stdout
    return results


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda files: {"cats/1.jpg": b"", "dogs/1.jpg": b""}, "is no folder of Kvasir"),
        (lambda files: {p: b for p, b in files.items() if "polyps/" not in p}, "missing: "),
        (lambda files: files | {"polyp/1.jpg": b""}, "is in two folders"),
    ],
    ids=["no Kvasir", "missing classes", "doubled classes"],
)
def test_a_folder_that_does_not_fit_is_refused(tmp_path, change, words):
    folder = write(change(kvasir_files()), tmp_path / "data")
    refused = reproduce(folder, tmp_path / "out")
    assert isinstance(refused.exception, DataError)
    assert words in str(refused.exception)


def test_folds_of_another_release_are_refused_where_they_are_named(tmp_path):
    folder = write(kvasir_files(), tmp_path / "data")
    table = tmp_path / "folds.csv"
    table.write_bytes(fold_file({f"x/{name}.jpg": b"" for name in KVASIR}))
    refused = reproduce(folder, tmp_path / "out", "--folds", table)
    assert isinstance(refused.exception, DataError)
    assert "is of another release, or the images were renamed" in str(refused.exception)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    refused = reproduce(folder, tmp_path / "out", "--exclude", "polips")
    assert isinstance(refused.exception, UsageError)
    assert "did you mean 'polyps'" in str(refused.exception)
