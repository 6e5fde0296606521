"""The network of a run, asked where it looks in batches."""

from endoexit.reporting.attention import NetworkAttention
from tiny import tiny_photos, tiny_run


def test_a_run_is_asked_in_batches(tmp_path):
    run = tiny_run(tmp_path / "run")
    photos = tiny_photos(11)  # more than one batch
    attention = NetworkAttention(run.load_model, run.config.preprocessing)
    assert [look.maps.shape[0] for look in attention(photos)] == [11] * 4
