"""No command but `data` opens a connection to another machine; none leaves an identifier behind."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from servers import Server, post, terminate

from tiny_project import write_recipe

# Of a few layers, because NNCF and the exporter of ONNX take long for each.
NETWORK = "b_lenet"
RECIPE = """\
epochs: 1
batch_size: 8
image: {size: 28, canvas: 28}
precision: 32-true
"""

# Watches each process from its start, those that a command starts too.
WATCH = """
import os
import sys

def watch(event, arguments):
    if event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.sendmsg"):
        return
    target = arguments[0] if event == "socket.getaddrinfo" else arguments[-1]
    host = target[0] if isinstance(target, tuple) else target
    if host in (None, "", "localhost", b"localhost", "127.0.0.1", "::1"):
        return
    if isinstance(host, (str, bytes)) and event != "socket.getaddrinfo" and "/" in str(host):
        return  # a socket of this machine, by the name of a file
    with open({log!r}, "a") as stream:
        stream.write(f"{{event}} {{target}} in {{sys.argv}}\\n")

sys.addaudithook(watch)
"""


@pytest.fixture
def watched(tmp_path: Path) -> tuple[dict[str, str], Path, Path]:
    """The environment of a watched user with an empty home; the home; what was noted."""
    log, home, hook = tmp_path / "connections.txt", tmp_path / "home", tmp_path / "hook"
    home.mkdir()
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(WATCH.format(log=str(log)))
    # Libraries keep quiet on the machines of a CI, which must not be what is tested.
    quiet = {"CI", "GITHUB_ACTIONS", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV",
             "DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}  # fmt: skip
    # The hook stands where that of the simulated processor would, so that one is not simulated.
    quiet.add("ONEDNN_MAX_CPU_ISA")
    environment = {name: value for name, value in os.environ.items() if name not in quiet}
    paths = [str(hook), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment |= {
        "HOME": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths),
        "HF_HUB_OFFLINE": "0",
    }  # fmt: skip
    return environment, home, log


def test_the_watch_sees_a_connection(watched):
    environment, _, log = watched
    code = (
        "import contextlib, socket\n"
        "with contextlib.suppress(OSError):\n"
        "    socket.create_connection(('192.0.2.1', 9), timeout=0.01)\n"
        "with contextlib.suppress(OSError):\n"
        "    socket.create_connection(('127.0.0.1', 9), timeout=0.01)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert "192.0.2.1" in log.read_text()
    assert "127.0.0.1" not in log.read_text()


# One process for all commands: each would take seconds to import torch.
RUN = """
import json
import sys

from endoexit.cli.main import main

for words in json.load(sys.stdin):
    sys.argv = ["endoexit", *words]
    print("#", *words, flush=True)
    try:
        main()
    except SystemExit as end:
        if end.code:
            sys.exit(end.code)
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_no_command_calls_out(watched, tiny_manifest, tmp_path):
    environment, home, log = watched
    images, run = tiny_manifest.parent / "images", tmp_path / "run"
    image = next(images.rglob("*.png"))
    commands = [
        ("audit", images),
        ("split", images, "--out", tmp_path / "m.csv"),
        ("train", tiny_manifest, "--model", NETWORK, "--recipe", write_recipe(tmp_path, RECIPE),
         "--out", run),
        ("calibrate", run, "--mean-exit-cost", "0.6"),
        ("evaluate", run, "--no-timing"),
        ("report", run),
        ("explain", run, image, "--out", tmp_path / "explained"),
        ("export", run, "--precision", "int8", "--accept-drop", "--json",
         "--out", tmp_path / "openvino"),
        ("export", run, "--backend", "onnx", "--out", tmp_path / "onnx"),
        ("predict", tmp_path / "openvino", image),
        ("predict", tmp_path / "onnx", image),
        ("bench", run, "--images", image, "--against", "onnx", "--rounds", "2"),
        ("models",),
        ("compare", run, run),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=json.dumps([[*map(str, words)] for words in commands]),
        check=False, capture_output=True, text=True, env=environment, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, *printed = re.split(r"^# ", done.stdout, flags=re.MULTILINE)
    assert [text.split()[0] for text in printed] == [words[0] for words in commands]
    (document,) = (text.partition("\n")[2] for text in printed if "int8" in text)
    assert json.loads(document)["bundle"]["precision"] == "int8"  # NNCF prints nothing into it
    server = Server(tmp_path / "openvino", "--threshold", "0.9", env=environment)
    try:
        with server.ready().client() as client:
            assert post(client, image.read_bytes()).status_code == 200
            assert client.get("/").status_code == 200
        assert terminate(server) == 0
    finally:
        server.close()
    assert not log.exists(), log.read_text()
    # ONNX Runtime calls out in native code, which no hook sees; it would leave an identifier.
    left = [path for path in home.rglob("*") if path.is_file()]
    assert not [path for path in left if {"intel", "Microsoft"} & set(path.parts)], left


@pytest.mark.parametrize("package", ["exporting", "runtime.backends", "bench"])
def test_a_program_that_uses_the_library_sends_no_telemetry(package, watched):
    """It never comes through the command line, which switches off more."""
    code = (
        f"import os, sys, endoexit.{package}\n"
        "print(sys.modules['openvino_telemetry'], os.environ['NNCF_CI'],"
        " os.environ['HF_HUB_OFFLINE'])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, env=watched[0],
                          capture_output=True, text=True)  # fmt: skip
    assert done.stdout.split() == ["None", "1", "0"], "downloads are the program's own matter"
