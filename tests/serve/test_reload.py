"""Changes while a service runs: its model, its limits, its tokens. A fault changes nothing."""

import asyncio
import contextlib
import hashlib
import logging

import pytest
from servers import PHOTOS, make_run

from endoexit.errors import UsageError
from endoexit.serve import memory
from endoexit.serve.problems import Problem
from endoexit.serve.reload import Reloads
from endoexit.serve.service import Service
from endoexit.serve.settings import read_settings


@contextlib.asynccontextmanager
async def running(source, config):
    """Yield a service without its socket, and what reloads it."""

    def read():
        return read_settings(config, {"threads": 1, "decoders": 1, "batch_size": 16})

    service = Service(source, read())
    await service.start()
    try:
        yield service, Reloads(service, read)
    finally:
        await service.close()


async def ask(service):
    loop = asyncio.get_running_loop()
    slot = service.gate.enter("test", len(PHOTOS[0]), 10)
    try:
        async for result in service.answers(service.model, PHOTOS[:1], slot, loop.time() + 60):
            return result
    finally:
        service.gate.close(slot)


def refused(service):
    return service.metrics.registry.get_sample_value(
        "endoexit_reloads_total", {"result": "refused"}
    )


def test_changes_of_a_running_service(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "endoexit.serve")
    first, second = make_run(tmp_path / "first"), make_run(tmp_path / "second", seed=1)
    link = tmp_path / "model"
    link.symlink_to(first)
    config, tokens = tmp_path / "serve.yaml", tmp_path / "tokens"
    tokens.write_text(f"ward3 predict {hashlib.sha256(b'a').hexdigest()}\n")
    tokens.chmod(0o600)
    settings = f"models: {tmp_path}\ntoken_file: {tokens}\n"
    config.write_text(settings + "limits: {files: 4, images_inside: 20}\n")

    async def walk():
        async with running(link, config) as (service, reloads):
            first_weights = service.model.identity["weights"]
            # There is no memory: the model stays, and the log says what is missing.
            with monkeypatch.context() as patch:
                patch.setattr(memory, "free_memory", lambda: 2**20)
                with pytest.raises(Problem) as problem:
                    await reloads.change("second")
            assert (problem.value.code, problem.value.status) == ("source.too_large", 422)
            assert "1 MiB are free" in caplog.text
            assert service.model.identity["weights"] == first_weights
            assert refused(service) == 1
            assert (await ask(service)).label
            # A link in the folder of models could be anywhere.
            with pytest.raises(Problem, match=r"source\.refused"):
                await reloads.change("model")

            # Limits, tokens and the model at the end of the link are read again.
            link.unlink()
            link.symlink_to(second)
            tokens.write_text(f"ward4 predict {hashlib.sha256(b'b').hexdigest()}\n")
            config.write_text(settings + "port: 9\nlimits: {files: 7, images_inside: 300}\n")
            await reloads.again()
            assert service.model.name == "second"
            assert service.model.identity["weights"] != first_weights
            assert service.settings.limits.files == service.gate.limits.files == 7
            assert service.decoders.limits.images_inside == 300
            assert service.settings.port == 8080
            assert "changed by a restart only: port" in caplog.text
            assert service.tokens.of("Bearer a") is None
            assert service.tokens.of("Bearer b").name == "ward4"
            assert (await ask(service)).label
            # More images than the pools of the start had room for.
            slot = service.gate.enter("test", 1, 10)
            results = [
                answer
                async for answer in service.answers(
                    service.model, PHOTOS * 2, slot, asyncio.get_running_loop().time() + 60
                )
            ]
            service.gate.close(slot)
            assert all(hasattr(answer, "label") for answer in results)

            # A file that does not fit changes nothing.
            config.write_text("limits: {flies: 1}\n")
            await reloads.again()
            assert "did you mean 'files'" in caplog.text
            assert service.settings.limits.files == 7

    asyncio.run(walk())


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"source": 1}', b'{"source": ".."}',
                                  b'{"source": "a/b"}', b"[" * 100_000])  # fmt: skip
def test_names_that_are_none(body):
    with pytest.raises(Problem, match=r"name\.invalid"):
        Reloads.name_of(body)


def test_a_limit_that_does_not_fit_the_batch_is_refused(served_run):
    service = Service(served_run, read_settings(None, {}))
    with pytest.raises(UsageError, match="less than a batch"):
        service.use_limits(service.settings.limits.replaced(images_inside=1))
