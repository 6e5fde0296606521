"""What a stage is fed while it is quantised."""

import numpy as np

from endoexit.exporting.int8_states import States


def test_each_stage_is_fed_what_the_stages_before_it_make_of_one_image():
    images = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)

    def halved(state):
        return [state[0] / 2, state[0].sum(axis=(1, 2)), np.zeros((1, 3))]  # logits last

    feeds = States(images, [halved], ["map", "vector"])
    assert len(feeds) == 2
    for image, feed in zip(images, feeds, strict=True):
        assert list(feed) == ["map", "vector"]
        np.testing.assert_array_equal(feed["map"], image[None].transpose(0, 2, 3, 1) / 2)
        np.testing.assert_array_equal(feed["vector"], image.sum(axis=(1, 2))[None])
    assert len(list(feeds)) == 2  # NNCF passes over them several times
