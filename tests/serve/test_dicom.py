"""DICOM objects as bodies of requests."""

import io

import numpy as np
import pytest
from PIL import Image
from servers import form, post

from canary_forms import forms_of
from dicom_makers import content, dataset, encapsulated, jpeg, picture

DICOM = {"content-type": "application/dicom"}
FRAMES = np.stack([picture(seed=seed) for seed in range(3)])
PATIENT = "Canary^Zebedee"


def png(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def ask(client, made, **query):
    return client.post("/v1/predict", content=content(made), headers=DICOM, params=query)


def probabilities(response):
    assert response.status_code == 200, response.text
    (answer,) = response.json()["results"]
    return answer["probabilities"]


def test_a_baseline_jpeg_is_answered_as_its_file_is(client):
    pixels = picture(96, 128, seed=4)
    file = jpeg(pixels)
    alone = client.post("/v1/predict", content=file, headers={"content-type": "image/jpeg"})
    assert probabilities(ask(client, encapsulated([file], (96, 128)))) == probabilities(alone)


def test_a_frame_is_answered_as_its_pixels_are(client):
    made = dataset(FRAMES)
    answers = [probabilities(ask(client, made, frame=number)) for number in range(3)]
    assert answers == [probabilities(post(client, png(pixels))) for pixels in FRAMES]
    assert answers[0] != answers[1]
    assert probabilities(ask(client, dataset(FRAMES[:1]))) == answers[0]


def test_a_frame_of_a_codec_is_decoded(client):
    made = dataset(FRAMES[:1])
    made.compress("1.2.840.10008.1.2.5")  # RLE
    assert probabilities(ask(client, made)) == probabilities(ask(client, dataset(FRAMES[:1])))


def test_objects_and_files_share_a_form(client):
    files = form([content(dataset(FRAMES[:1])), png(FRAMES[1])])
    results = client.post("/v1/predict", files=files).json()["results"]
    assert [result["status"] for result in results] == ["answered", "answered"]


@pytest.mark.parametrize(
    ("frames", "query", "status", "code"),
    [
        (3, {}, 422, "image.frames"),
        (3, {"frame": 3}, 422, "image.no_frame"),
        (1, {"frame": 1}, 422, "image.no_frame"),
        (1, {"frame": "first"}, 400, "frame.invalid"),
        (1, {"frame": -1}, 400, "frame.invalid"),
        (1, {"frame": 100_000}, 400, "frame.invalid"),
    ],
)
def test_frames_that_are_not_there(client, frames, query, status, code):
    response = ask(client, dataset(FRAMES[:frames]), **query)
    assert (response.status_code, response.json()["code"]) == (status, code)


def without_pixels():
    made = dataset(FRAMES[:1])
    del made.PixelData
    return made


@pytest.mark.parametrize(
    ("made", "code"),
    [
        (without_pixels(), "image.unsupported"),
        (dataset(FRAMES[:1], SOPClassUID="1.2.840.10008.5.1.4.1.1.2"), "image.unsupported"),
        (dataset(FRAMES[:1], Rows=20_001), "image.too_large"),
        (dataset(FRAMES[:1], PixelData=bytes(10)), "image.damaged"),
    ],
)
def test_objects_that_are_no_images(client, made, code):
    response = ask(client, made)
    assert (response.status_code, response.json()["code"]) == (422, code)


def test_a_file_that_is_cut_off_is_damaged(client):
    whole = content(dataset(FRAMES[:1]))
    response = client.post("/v1/predict", content=whole[:200], headers=DICOM)
    assert (response.status_code, response.json()["code"]) == (422, "image.damaged")


def test_nothing_of_the_patient_is_told_to_anyone(server, client):
    named = {"PatientName": PATIENT, "PatientID": "canary-17", "InstitutionName": "Canary House"}
    good = ask(client, dataset(FRAMES[:1], **named))
    bad = ask(client, dataset(FRAMES[:1], PixelData=bytes(10), **named))
    assert (good.status_code, bad.status_code) == (200, 422)
    told = good.content + bad.content + client.get("/metrics").content + server.log.encode()
    for text in (PATIENT, "Zebedee", "canary-17", "Canary House"):
        assert not [coded for coded in forms_of(text) if coded in told]
