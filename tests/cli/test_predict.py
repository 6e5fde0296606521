"""`endoexit predict`, in this process where that will do, and as a user starts it."""

import csv
import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from endoexit import open as open_source
from endoexit.cli.main import app
from endoexit.errors import DataError, UsageError
from endoexit.policy import ExitPolicy, fixed_exit
from endoexit.policy.logits import LogitSet
from endoexit.policy.referral import Referral, Unlike
from endoexit.policy.table import ExitTable
from learned_gates import GATES, gate
from tiny import CLASSES, PREPROCESSING, save_photos, tiny_model, tiny_photos, tiny_run
from tiny_project import endoexit, endoexit_process, interruptible

ENDOEXIT = Path(sys.executable).with_name("endoexit")
COLUMNS = ["path", "label", "probability", "exit", *(f"p_{name}" for name in CLASSES),
           "milliseconds", "ms_1", "ms_2", "ms_3", "ms_4", "error"]  # fmt: skip
runner = CliRunner()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("runs") / "tiny").path


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return save_photos(tmp_path_factory.mktemp("photos"), count=6)


def predict(*arguments, **options):
    return runner.invoke(app, ["predict", *map(str, arguments), "--threads", "1"], **options)


def test_a_pipe_gets_csv_in_the_order_of_the_paths(run, photos):
    result = predict(run, photos, "--threshold", "0.75")
    assert result.exit_code == 0
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert list(rows[0]) == COLUMNS
    assert [row["path"] for row in rows] == [str(photos / f"{number}.png") for number in range(6)]
    for row in rows:
        probabilities = {name: float(row[f"p_{name}"]) for name in CLASSES}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert row["label"] == max(probabilities, key=probabilities.get)
        assert float(row["probability"]) == probabilities[row["label"]]
        # Whoever left early was sure; stages behind that exit took no time.
        assert int(row["exit"]) == 4 or float(row["probability"]) >= 0.75
        spent = [row[f"ms_{number}"] for number in range(1, 5)]
        assert [text != "" for text in spent] == [n <= int(row["exit"]) for n in range(1, 5)]
        assert sum(map(float, filter(None, spent))) == pytest.approx(
            float(row["milliseconds"]), abs=0.003
        )
    assert len({row["exit"] for row in rows}) > 1


def test_without_policy_and_threshold_the_last_exit_answers_and_a_warning_says_so(run, photos):
    result = predict(run, photos / "0.png")
    assert "has no exit policy, so no image exits early: try --threshold" in result.stderr
    assert next(csv.DictReader(io.StringIO(result.stdout)))["exit"] == "4"


def test_the_policy_of_the_run_decides(tmp_path, photos):
    run = tiny_run(tmp_path / "run").path
    fixed_exit(4, 2).write(run / "policy.json")
    document = json.loads(predict(run, photos, "--json").stdout)
    assert document["exits"] == {"2": 6}
    assert document["decided_by"] == f"{run / 'policy.json'}: fixed"


def test_a_single_exit_network_needs_no_policy(tmp_path, photos):
    result = predict(tiny_run(tmp_path / "run", "hifuse_nano").path, photos, "--json")
    assert json.loads(result.stdout)["exits"] == {"1": 6}
    assert result.stderr == ""


def test_json_is_one_document_on_stdout(run, photos):
    result = predict(run, photos / "0.png", photos / "1.png", "--json", "--batch-size", "2")
    document = json.loads(result.stdout)
    assert document["images"] == 2
    assert document["failed"] == 0
    assert document["exits"] == {"4": 2}
    assert document["precision"] == "torch-f32"
    assert (document["threads"], document["batch_size"]) == (1, 2)
    assert [list(row) for row in document["rows"]] == [COLUMNS, COLUMNS]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_an_output_file_and_a_summary(run, photos, tmp_path, suffix):
    out = tmp_path / "new" / f"results{suffix}"
    result = predict(run, photos, "--threshold", "0", "--out", out)
    assert "6 images: 6 at exit 1; " in result.stdout
    assert f"Written: {out}" in result.stdout
    if suffix == ".parquet":
        assert pq.read_table(out).column("exit").to_pylist() == [1] * 6
    else:
        assert len(out.read_text().splitlines()) == 6 + (suffix == ".csv")


def test_a_broken_file_becomes_a_row_and_the_exit_code_one(run, photos, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_text("no image")
    out = tmp_path / "results.jsonl"
    result = predict(run, photos / "0.png", broken, photos / "1.png", "--out", out)
    assert result.exit_code == 1
    assert "1 of 3 images could not be read: see their errors." in result.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["label"] is None for row in rows] == [False, True, False]
    assert "is not an image" in rows[1]["error"]


def test_a_deadline_has_a_column(run, photos):
    result = predict(run, photos, "--deadline-ms", "0.001")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {(row["exit"], row["deadline"]) for row in rows} == {("1", "missed")}
    summary = json.loads(predict(run, photos, "--deadline-ms", "60000", "--json").stdout)
    assert (summary["exits"], summary["batch_size"]) == ({"4": 6}, 1)
    assert {row["deadline"] for row in summary["rows"]} == {"kept"}


def test_a_terminal_gets_a_table(run, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("endoexit.cli.predict._on_terminal", lambda _: True)
    strange = tmp_path / "a\x1b[31mb.png"
    strange.write_bytes((photos / "0.png").read_bytes())
    result = predict(run, strange, tmp_path / "missing.png", "--threshold", "0")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["label", "prob.", "exit", "ms", "path"]
    assert lines[1].endswith(r"a\x1b[31mb.png")
    assert lines[2].startswith("-")
    assert "missing.png does not exist" in lines[2]
    assert "\x1b" not in result.stdout
    assert not result.stdout.startswith("path,")


def test_no_images_are_an_error(run, tmp_path):
    out = tmp_path / "results.csv"
    nothing = predict(run, "-", "--out", out, input="\n")
    assert isinstance(nothing.exception, DataError)
    assert "there is nothing to predict: no path came on standard input" in str(nothing.exception)
    (tmp_path / "empty").mkdir()
    empty = predict(run, tmp_path / "empty", "--out", out)
    assert isinstance(empty.exception, DataError)
    assert "holds no images" in str(empty.exception)
    assert not out.exists()


def test_an_unknown_suffix_is_refused_before_anything_is_loaded(tmp_path):
    result = predict(tmp_path / "no-such-run", "x.png", "--out", tmp_path / "results.xlsx")
    assert isinstance(result.exception, UsageError)
    assert "name it .csv, .jsonl or .parquet" in str(result.exception)


@pytest.mark.parametrize(
    "option", [("--threshold", "1.5"), ("--batch-size", "0"), ("--precision", "f8")]
)
def test_options_out_of_range_are_wrong_usage(run, photos, option):
    assert predict(run, photos, *option).exit_code == 2


def test_staged_output_equals_whole_output(run, photos):
    with torch.inference_mode():
        whole = tiny_model()(torch.from_numpy(PREPROCESSING.normalise(tiny_photos(6))))
    document = json.loads(predict(run, photos, "--json").stdout)
    probabilities = [[row[f"p_{name}"] for name in CLASSES] for row in document["rows"]]
    np.testing.assert_allclose(probabilities, whole[-1].softmax(1).numpy(), atol=2e-6)


def test_a_path_on_standard_input_that_is_no_text_is_a_row(run):
    result = predict(run, "-", "--json", input=b"caf\xe9.png\n")
    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)["rows"]
    assert row["path"] == r"caf\xe9.png"
    assert "does not exist" in row["error"]


def test_paths_from_standard_input_in_a_process(run, photos):
    lines = f"{photos / '3.png'}\n{photos / 'missing.png'}\n{photos / '1.png'}\n"
    result = endoexit_process(
        "predict", run, "-", "--threshold", "0", "--threads", "1", input=lines
    )
    assert result.returncode == 1
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [Path(row["path"]).name for row in rows] == ["3.png", "missing.png", "1.png"]
    assert [row["exit"] for row in rows] == ["1", "", "1"]
    assert result.stderr == "1 of 3 images could not be read: see their errors.\n"


def test_exit_codes_of_the_whole_command(run, photos, tmp_path):
    done = endoexit(
        "predict", run, f"{photos}/*.png", "--threads", "1", "--out", tmp_path / "a.csv"
    )
    assert done.returncode == 0
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 7
    failed = endoexit("predict", tmp_path / "nowhere", photos)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: there is no run folder")
    wrong = endoexit("predict", run, photos, "--out", tmp_path / "a.xlsx")
    assert wrong.returncode == 2
    assert "name it .csv, .jsonl or .parquet" in wrong.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ")
def test_ctrl_c_leaves_the_old_file_and_nothing_else(run, photos, tmp_path):
    out = tmp_path / "results.csv"
    out.write_text("precious\n")
    command = interruptible(ENDOEXIT, "predict", run, "-", "--threads", "1", "--out", out)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(f"{photos / '0.png'}\n".encode())
        process.stdin.flush()
        limit = time.monotonic() + 120
        while not list(tmp_path.glob(".results.csv.*.part")):
            assert time.monotonic() < limit, "prediction never began"
            time.sleep(0.05)
        time.sleep(0.5)  # by now it waits for more paths
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr.decode()
    assert b"Traceback" not in stderr
    assert b"Fatal" not in stderr
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_text() == "precious\n"


def test_answers_come_while_the_pipe_is_open(run, photos):
    command = [ENDOEXIT, "predict", run, "-", "--threshold", "0", "--threads", "1"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        for number in (1, 2):
            process.stdin.write(f"{photos / f'{number}.png'}\n")
            process.stdin.flush()
            if number == 1:
                assert process.stdout.readline().startswith("path,")
            assert process.stdout.readline().startswith(str(photos / f"{number}.png"))
        process.stdin.close()
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("names", ["index", "hash"])
def test_no_path_is_shown_where_names_are_kept(run, photos, tmp_path, names):
    folder = tmp_path / "Doe, Jane"
    folder.mkdir()
    (folder / "Jane.png").write_bytes((photos / "0.png").read_bytes())
    (folder / "Jane broken.png").write_bytes(b"")
    (folder / "Jane.txt").write_text("Jane")
    for more in ([], ["--json"], ["--out", tmp_path / "rows.jsonl"]):
        result = predict(run, folder, folder / "Jane gone.png", "--names", names, *more)
        assert result.exit_code == 1
        assert "1 .txt" in result.stderr
        assert "Jane" not in result.output
        assert "Jane" not in result.stderr
    written = (tmp_path / "rows.jsonl").read_text()
    assert "Jane" not in written
    rows = [json.loads(line) for line in written.splitlines()]
    assert len({row["path"] for row in rows}) == 3
    assert [row["error"] is None for row in rows].count(True) == 1
    gone = rows[-1]
    assert gone["error"] == f"image {gone['path']} does not exist: check the path."
    empty = tmp_path / "Jane empty"
    empty.mkdir()
    assert "Jane" not in str(predict(run, empty, "--names", names).exception)


def test_hashes_are_the_same_with_the_same_key_only(run, photos, tmp_path):
    (tmp_path / "key").write_bytes(bytes(range(32)))

    def name(*options):
        result = predict(run, photos / "0.png", "--names", "hash", *options)
        return next(csv.DictReader(io.StringIO(result.stdout)))["path"]

    kept = name("--names-key", tmp_path / "key")
    assert kept == name("--names-key", tmp_path / "key")
    assert len({kept, name(), name()}) == 3
    (tmp_path / "short").write_bytes(b"secret")
    short = predict(run, photos, "--names", "hash", "--names-key", tmp_path / "short")
    assert "has 6 bytes, not 16 to" in str(short.exception)
    assert "give both, or neither" in str(predict(run, photos, "--names-key", "k").exception)


def test_a_policy_may_refer_images_to_a_human(tmp_path, photos):
    run = tiny_run(tmp_path / "run").path
    unlike = Unlike(thresholds=(-1e9, 1e9, 1e9, 1e9), share=0.1)  # exit 1 finds all unlike
    fixed_exit(4, 4).replaced(referral=Referral(unlike=unlike)).write(run / "policy.json")
    document = json.loads(predict(run, photos, "--json").stdout)
    assert {
        (row["status"], row["reason"], row["label"], row["exit"]) for row in document["rows"]
    } == {("referred", "unlike", None, 1)}
    assert document["referred"] == {"unlike": document["images"]}
    out = tmp_path / "rows.csv"
    said = predict(run, photos, "--out", out).stdout
    assert f"referred to a human {document['images']} ({document['images']} unlike)" in said
    (answer,) = open_source(run).predict([np.zeros((50, 60, 3), np.uint8)])
    assert (answer.label, answer.referred, answer.exit) == (None, "unlike", 1)


@pytest.mark.parametrize("kind", GATES)
def test_learned_gates_decide_in_runs_as_on_whole_logits(tmp_path, kind):
    run = tiny_run(tmp_path / "run").path
    photos = tiny_photos(12)
    with torch.no_grad():
        whole = tiny_model()(torch.from_numpy(PREPROCESSING.normalise(photos)))
    logits, rule = torch.stack(tuple(whole)).numpy(), gate(kind, 4, 3)
    table = ExitTable(LogitSet("test", logits, np.zeros(12, int)), (1.0,) * 4, (1.0, 2.0, 3.0, 4.0))
    halves = tuple(np.median(rule.strengths(table), axis=1).tolist())
    policy = ExitPolicy(rule=rule.replaced(thresholds=halves), num_exits=4, temperatures=(1.0,) * 4)
    policy.write(run / "policy.json")
    answers = open_source(run).predict(list(photos))
    assert [answer.exit for answer in answers] == policy.assign(logits).tolist()
    assert len({answer.exit for answer in answers}) > 1
    (cut,) = open_source(run, deadline_ms=0.001).predict([photos[0]])
    assert cut.exit == 1  # the clock decides as well
