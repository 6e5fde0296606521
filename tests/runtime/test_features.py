"""Features of an exit: means and deviations, whatever the layout."""

import numpy as np

from endoexit.runtime.features import from_bits, pooled

MAPS = np.random.default_rng(0).normal(size=(5, 3, 4, 4)).astype(np.float32)


def test_maps_have_the_means_and_deviations_of_their_channels():
    features = pooled(MAPS)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[:, :3], MAPS.mean(axis=(2, 3)), atol=1e-6)
    np.testing.assert_allclose(features[:, 3:], MAPS.std(axis=(2, 3)), atol=1e-6)


def test_the_layout_and_the_batch_change_no_bit():
    features = pooled(MAPS)
    last = np.ascontiguousarray(np.moveaxis(MAPS, 1, 3))
    assert np.array_equal(pooled(last), features)
    tokens = last.reshape(5, 16, 3)
    assert np.array_equal(pooled(tokens), features)
    assert np.array_equal(np.concatenate([pooled(MAPS[i : i + 1]) for i in range(5)]), features)


def test_vectors_stay_as_they_are():
    assert np.array_equal(pooled(MAPS[:, :, 0, 0]), MAPS[:, :, 0, 0])


def test_the_bits_of_bf16_are_numbers():
    values = np.array([1.0, -2.5, 0.0], dtype=np.float32)
    assert from_bits((values.view(np.uint32) >> 16).astype(np.uint16)).tolist() == [1.0, -2.5, 0.0]
    assert from_bits(values) is values
