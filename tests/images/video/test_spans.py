"""Parts of a file as one stream: as the same bytes in memory, wherever one reads."""

import io

from hypothesis import given
from hypothesis import strategies as st

from endoexit.images.video.spans import Spans

CONTENT = bytes(range(200))


@given(
    st.lists(st.tuples(st.integers(0, 199), st.integers(0, 40)), max_size=5),
    st.lists(st.tuples(st.integers(-20, 120), st.integers(0, 2), st.integers(-1, 90)), max_size=8),
)
def test_it_reads_as_the_joined_parts_do(tmp_path_factory, spans, steps):
    path = tmp_path_factory.mktemp("spans") / "file"
    path.write_bytes(CONTENT)
    inside = [(start, min(length, 200 - start)) for start, length in spans]
    joined = io.BytesIO(b"".join(CONTENT[start : start + length] for start, length in inside))
    with Spans(path, inside) as stream:
        for offset, whence, size in steps:
            if whence == 0 and offset < 0:
                continue
            if whence:
                origin = joined.tell() if whence == 1 else len(joined.getvalue())
                joined.seek(max(0, origin + offset))
            else:
                joined.seek(offset)
            assert stream.seek(offset, whence) == joined.tell()
            assert stream.read(size) == joined.read(size)
            assert stream.tell() == joined.tell()


def test_a_file_that_is_cut_meanwhile_ends(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT[:50])
    with Spans(path, [(0, 200)]) as stream:
        assert stream.read() == CONTENT[:50]
