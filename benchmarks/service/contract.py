"""Whether a service does what its `/openapi.json` says, by schemathesis with all its checks.

    python benchmarks/service/contract.py demo/bundle [--examples 200] [--seed 0]

Starts `endoexit serve` on a free port of loopback, with a token, and sends requests that fit the
schema and requests that do not. What schemathesis finds is printed; the exit code is 1 then. The
exceptions are in `schemathesis.toml`, with their reason.
"""

import argparse
import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

from asking import running

from endoexit.artifacts.bundle import open_source

EXCEPTIONS = Path(__file__).with_name("schemathesis.toml")
TOKEN = "of-this-test-alone"  # noqa: S105  no secret


def check(source: Path, examples: int, seed: int) -> int:
    """Return the exit code of schemathesis on a service: 0 if it finds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        tokens = Path(folder) / "tokens"
        digest = hashlib.sha256(TOKEN.encode()).hexdigest()
        tokens.write_text(f"test predict,admin,metrics {digest}\n")
        tokens.chmod(0o600)
        options = ["--token-file", tokens, "--models", folder, "--deadline-ms", "10000"]
        if open_source(source).kind == "run":
            options += ["--attention", source]  # then the last operation answers, too
        with running(source, *options) as (_, port):
            line = [
                sys.executable, "-m", "schemathesis.cli", "--config-file", EXCEPTIONS, "run",
                f"http://127.0.0.1:{port}/openapi.json", "--checks", "all",
                "--header", f"Authorization: Bearer {TOKEN}", "--max-examples", examples,
                "--seed", seed, "--continue-on-failure", "--request-timeout", 60, "--no-color",
            ]  # fmt: skip
            return subprocess.run(list(map(str, line)), check=False, cwd=folder).returncode


def main() -> None:
    """Check, and end as schemathesis does."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--examples", type=int, default=200, help="of each operation")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sys.exit(check(options.source, options.examples, options.seed))


if __name__ == "__main__":
    main()
