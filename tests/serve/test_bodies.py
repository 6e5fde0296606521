"""Bodies: whatever comes is images, or one of a few problems."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endoexit.serve.bodies import FORM, GoneError, images_of, media_type, read_body
from endoexit.serve.problems import Problem
from endoexit.serve.settings import Limits

LIMITS = Limits(files=3, file_bytes=100, body_bytes=400)
OPTIONS = {b"boundary": b"xyz"}


def form(*files, end=b"--xyz--\r\n", name=b"file"):
    disposition = b'form-data; filename="PATIENT"; name="' + name + b'"'
    head = b"--xyz\r\nA: b\r\ncontent-DISPOSITION: " + disposition + b"\r\n\r\n"
    return b"".join(head + file + b"\r\n" for file in files) + end


def code_of(call, *arguments):
    with pytest.raises(Problem) as caught:
        call(*arguments)
    return caught.value.code


@given(files=st.lists(st.binary(max_size=90).filter(lambda b: b"\r\n--xyz" not in b), max_size=3))
def test_a_form_gives_its_files_back(files):
    if not files:
        return
    assert images_of(form(*files), FORM, OPTIONS, LIMITS) == files


@given(body=st.binary(max_size=300) | st.binary(max_size=100).map(lambda b: form(b)[: len(b)]))
def test_any_bytes_are_files_or_a_problem(body):
    code = None
    try:
        files = images_of(body, FORM, OPTIONS, LIMITS)
    except Problem as problem:
        code = problem.code
    if code is None:
        assert 1 <= len(files) <= 3
    else:
        assert code.startswith("form.") or code == "file.too_large"


@pytest.mark.parametrize(
    ("body", "options", "code"),
    [
        (form(b"1", b"2", b"3", b"4"), OPTIONS, "form.too_many"),
        (form(b"a" * 101), OPTIONS, "file.too_large"),
        (form(b"1", end=b""), OPTIONS, "form.invalid"),
        (form(b"1"), {}, "form.invalid"),
        (b"--xyz--\r\n", OPTIONS, "form.empty"),
        (form(b"1", name=b"age"), OPTIONS, "form.field"),
        (form(b"1", end=form(b"2", name=b"")), OPTIONS, "form.field"),
        (b"--xyz\r\n\r\n1\r\n--xyz--\r\n", OPTIONS, "form.field"),
        (form(b"1"), {b"boundary": b"b" * 1000}, "form.invalid"),
    ],
)
def test_forms_that_do_not_fit(body, options, code):
    assert code_of(images_of, body, FORM, options, LIMITS) in {code, "form.invalid"}


def test_one_image():
    assert images_of(b"abc", "image/png", {}, LIMITS) == [b"abc"]
    assert code_of(images_of, b"a" * 101, "image/png", {}, LIMITS) == "file.too_large"


def test_types():
    assert media_type("Image/PNG; q=1")[0] == "image/png"
    assert media_type('multipart/form-data; boundary="a b"')[1] == {b"boundary": b"a b"}
    for wrong in (None, "", "text/plain", "image/svg+xml", "application/json", "image/*"):
        assert code_of(media_type, wrong) == "type.unknown"


def reading(*messages, limits=LIMITS):
    waiting = list(messages)

    async def receive():
        if not waiting:
            await asyncio.sleep(3600)
        return waiting.pop(0)

    return asyncio.run(read_body(receive, limits))


def part(content, more=True):
    return {"type": "http.request", "body": content, "more_body": more}


def test_a_body_in_parts():
    assert reading(part(b"ab"), part(b"cd", more=False)) == b"abcd"


def test_a_body_that_is_longer_than_it_said():
    assert code_of(reading, part(b"a" * 300), part(b"a" * 101)) == "body.too_large"


def test_a_body_that_stops_half_way():
    limits = LIMITS.replaced(body_s=0.05)
    with pytest.raises(Problem) as caught:
        reading(part(b"ab"), limits=limits)
    assert (caught.value.status, caught.value.limit) == (408, ("body_s", 0.05))


def test_a_client_that_hangs_up():
    with pytest.raises(GoneError):
        reading(part(b"ab"), {"type": "http.disconnect"})
