"""Another model in place of the one that answers, without a gap."""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path

from endoexit.errors import EndoexitError
from endoexit.serve.memory import NoMemoryError, check_memory
from endoexit.serve.model import Model, open_model
from endoexit.serve.problems import Problem
from endoexit.serve.service import Service
from endoexit.serve.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")
log = logging.getLogger("endoexit.serve")


class Reloads:
    """Changes the model of a service, one change at a time.

    Args:
        service: Service whose model is changed.
        read: Function that reads the settings again.
    """

    def __init__(self, service: Service, read: Callable[[], Settings]) -> None:
        self._service = service
        self._read = read
        self._lock = asyncio.Lock()

    @staticmethod
    def name_of(body: bytes) -> str:
        """Return the name of the model that a request asks for.

        Raises:
            Problem: The body is not `{"source": NAME}`.
        """
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise Problem("name.invalid") from None
        name = document.get("source") if isinstance(document, dict) else None
        if not isinstance(name, str) or not _NAME.fullmatch(name) or name in {".", ".."}:
            raise Problem("name.invalid")
        return name

    async def change(self, name: str) -> Model:
        """Open a model of the folder of models, and answer with it from now on.

        It is opened, hashed, warmed and asked about an image while the present model answers. If
        anything fails, the present model stays. Images inside end on the model with which they
        began.

        Raises:
            Problem: There is no folder of models, another change runs, or the model is refused.
        """
        folder = self._service.settings.models
        if folder is None:
            raise Problem("reload.off")
        path = folder / name
        if path.is_symlink():
            self._service.metrics.reloads.labels("refused").inc()
            log.error("the model before stays: %s is a link, copy the model into the folder", path)
            raise Problem("source.refused")
        return await self.open(path)

    async def again(self) -> None:
        """Read the limits and the tokens again, and open the audit log and the model again.

        What is wrong with one of them stays as it was, and so do those after it.
        """
        service = self._service
        try:
            settings = self._read()
            service.read_tokens()
            service.use_limits(settings.limits)
            if service.audit is not None:
                service.audit.reopen()
            if changed := service.settings.differing(settings):
                log.warning("changed by a restart only: %s", ", ".join(changed))
            await self.open(service.source)
        except (EndoexitError, Problem) as error:
            log.error("not reloaded: %s", error)  # noqa: TRY400  expected: no traceback

    async def open(self, path: Path) -> Model:
        """Open the model of a folder, and answer with it from now on; see `change`."""
        if self._lock.locked():
            raise Problem("reload.busy")
        service = self._service
        async with self._lock:
            try:
                model = await asyncio.to_thread(self._opened, path)
            except (EndoexitError, OSError, RuntimeError, MemoryError) as error:
                service.metrics.reloads.labels("refused").inc()
                log.error("the model before stays: %s", error)  # noqa: TRY400  expected
                full = isinstance(error, NoMemoryError)
                raise Problem("source.too_large" if full else "source.refused") from error
            _, worker = service.accepting()
            worker.swap(model.scheduler)
            service.use(model)
            service.source = path
            service.metrics.reloads.labels("changed").inc()
            log.info("changed to %s", model.identity)
            return model

    def _opened(self, path: Path) -> Model:
        settings = self._service.settings
        check_memory(path, settings.batch_size, settings.shares()[0])
        return open_model(path, settings, self._service.metrics.observe_stage)
