"""`endoexit serve`: its document, and what it says without its libraries."""

import json
import subprocess
import sys

import httpx
from servers import make_run

from tiny_project import command


def test_the_document_has_the_address(tmp_path):
    run = make_run(tmp_path / "run")
    line = command("serve", run, "--port", 0, "--threads", 1, "--json")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            text = b""
            while not text.endswith(b"}\n"):
                text += process.stdout.readline()
            document = json.loads(text)
            assert document["source"] == str(run)
            live = httpx.get(document["url"] + "/livez", trust_env=False)
            assert live.json() == {"status": "ok"}
        finally:
            process.terminate()
            assert process.wait(60) == 0


def test_without_its_libraries_the_extra_is_named():
    code = (
        "import sys\n"
        "sys.modules['fastapi'] = None\n"
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name == 'fastapi' else find(name)\n"
        "sys.argv = ['endoexit', 'serve', 'nowhere']\n"
        "from endoexit.cli.main import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'endoexit[serve]'" in done.stderr
