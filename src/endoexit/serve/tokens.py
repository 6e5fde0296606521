"""Tokens: their file of hashes, and whether a request has one."""

import hashlib
import hmac
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from endoexit.errors import UsageError, unknown_name

Scope = Literal["predict", "admin", "metrics"]
_LINE = "a line is: NAME SCOPE[,SCOPE] SHA256, such as `ward3 predict 9f86d081…`"


@dataclass(frozen=True)
class Token:
    """One token, by its hash.

    Attributes:
        name: Name of whoever has it.
        scopes: What it allows.
        digest: SHA-256 of the token, 32 bytes.
    """

    name: str
    scopes: frozenset[Scope]
    digest: bytes


class Tokens:
    """The tokens of a service.

    Args:
        tokens: All of them.
    """

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens

    def of(self, authorization: str | None) -> Token | None:
        """Return the token of a header `Authorization: Bearer …`; None if it is none of these.

        Every token is compared in constant time, so that a guess learns nothing from the time.
        """
        kind, _, secret = (authorization or "").partition(" ")
        if kind.lower() != "bearer":
            return None
        digest = hashlib.sha256(secret.strip().encode("utf-8", "surrogateescape")).digest()
        matching = [token for token in self._tokens if hmac.compare_digest(token.digest, digest)]
        return matching[0] if matching else None


def read_tokens(path: Path) -> Tokens:
    """Read a file of tokens: lines of a name, scopes and the hexadecimal SHA-256 of a token.

    Raises:
        UsageError: It cannot be read, others may read it, or a line does not fit.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the tokens {path} cannot be read ({error}): check the path.") from error
    if mode & 0o077:
        raise UsageError(f"others may read the tokens {path}: run `chmod 600 {path}`.")
    tokens = tuple(
        _token(path, number, line)
        for number, line in enumerate(lines, start=1)
        if line.strip() and not line.lstrip().startswith("#")
    )
    if not tokens:
        raise UsageError(f"{path} has no token: {_LINE}.")
    return Tokens(tokens)


def _token(path: Path, number: int, line: str) -> Token:
    parts = line.split()
    if len(parts) != 3:
        raise UsageError(f"{path}, line {number}: {_LINE}.")
    name, names, digest = parts
    known: tuple[Scope, ...] = get_args(Scope)
    scopes = names.split(",")
    for scope in scopes:
        if scope not in known:
            raise unknown_name("scope", scope, known)
    try:
        value = bytes.fromhex(digest)
    except ValueError:
        value = b""
    if len(value) != 32:
        raise UsageError(f"{path}, line {number}: the hash needs 64 hexadecimal digits; {_LINE}.")
    return Token(name, frozenset(scope for scope in known if scope in scopes), value)
