"""The network of a run or a bundle, whole, behind LitServe: what `peer.py` compares with.

python benchmarks/service/peer_server.py SOURCE --port 8000 --workers 1 --threads 2
"""

import argparse
from pathlib import Path
from typing import Annotated, Any

import litserve
import numpy as np
from fastapi import Body

from endoexit.policy import fixed_exit
from endoexit.runtime.engine import Engine, Images
from endoexit.runtime.prediction import Prediction
from endoexit.runtime.session import open_session


class Whole(litserve.LitAPI):
    """Every image goes through the whole network as one piece, in batches of LitServe.

    Args:
        source: Run or bundle.
        threads: Number of threads of the network.
        options: Options of LitServe.
    """

    def __init__(self, source: Path, threads: int, **options: Any) -> None:
        super().__init__(**options)
        self._source = source
        self._threads = threads

    def setup(self, device: str) -> None:
        """Open the network in this worker, and warm it."""
        del device
        session = open_session(self._source, threads=self._threads)
        backend, preprocessing = session.engine.backend, session.preprocessing
        last = backend.num_stages
        backend.expect(self.max_batch_size)
        self._engine = Engine(backend, fixed_exit(last, last), preprocessing, fused=True)
        self._classes = session.classes
        side = preprocessing.size
        for images in (1, self.max_batch_size):
            self._engine.predict(np.zeros((images, side, side, 3), np.uint8))

    def decode_request(self, request: Annotated[bytes, Body()]) -> Images:
        """Return the network's square of an image, uint8 (S, S, 3)."""
        return self._engine.preprocessing.load(request)

    def batch(self, inputs: list[Images]) -> Images:
        """Return images (n, S, S, 3)."""
        return np.stack(inputs)

    def predict(self, x: Images) -> list[Prediction]:
        """Return the answers for a batch, or for one image."""
        return self._engine.predict(x if x.ndim == 4 else x[None])

    def unbatch(self, output: list[Prediction]) -> list[Prediction]:
        """Return the answers one by one."""
        return output

    def encode_response(self, output: Prediction) -> dict[str, Any]:
        """Return an answer as a document."""
        probabilities = [round(float(value), 6) for value in output.probabilities]
        return {
            "label": self._classes[output.label],
            "probabilities": dict(zip(self._classes, probabilities, strict=True)),
        }


def main() -> None:
    """Serve until a signal ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    api = Whole(
        options.source, options.threads, max_batch_size=16, batch_timeout=0.005,
        api_path="/v1/predict",
    )  # fmt: skip
    server = litserve.LitServer(
        api, accelerator="cpu", devices=1, workers_per_device=options.workers
    )
    server.run(host="127.0.0.1", port=options.port, num_api_servers=1,
               generate_client_file=False, access_log=False)  # fmt: skip


if __name__ == "__main__":
    main()
