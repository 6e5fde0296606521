"""The text of an image leads back to it, whatever its path looks like."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from endoexit.images.reference import ImageRef

PIECES = st.lists(st.sampled_from(["#", "0", "1", "7", "a", ".", "/", "\n", "é", "\udcff"]))
FRAMES = st.one_of(st.just(0), st.integers(min_value=0, max_value=10**17))


@given(PIECES.map("".join), FRAMES)
@example("scan#3", 0)
@example("scan#3", 4)
@example("scan#03", 0)
@example("a/b#1/c", 0)
@example("#3", 0)
def test_every_reference_is_read_back_from_its_text(text: str, frame: int) -> None:
    reference = ImageRef(Path(text), frame)

    assert ImageRef.parse(str(reference)) == reference


@given(PIECES.map(lambda pieces: Path("".join(pieces))), PIECES.map(lambda p: Path("".join(p))))
def test_two_images_never_share_a_text(first: Path, second: Path) -> None:
    references = {ImageRef(path, frame) for path in (first, second) for frame in (0, 1, 3, 10)}

    assert len({str(reference) for reference in references}) == len(references)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (ImageRef(Path("polyps/a.jpg")), "polyps/a.jpg"),
        (ImageRef(Path("clip.mp4"), 120), "clip.mp4#120"),
        (ImageRef(Path("img#3.png")), "img#3.png"),
        (ImageRef(Path("scan#3")), "scan#3#0"),
    ],
)
def test_a_still_has_no_suffix_unless_its_path_looks_like_one(
    reference: ImageRef, text: str
) -> None:
    assert str(reference) == text


def test_a_reference_is_taken_from_a_root() -> None:
    assert ImageRef(Path("a.gif"), 2).under(Path("/data")) == ImageRef(Path("/data/a.gif"), 2)
