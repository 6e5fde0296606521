"""What is said of starting weights."""

from endoexit.models.origin import Origin


def test_what_is_not_known_is_not_said():
    assert Origin(source="mine.pth", sha256="ab" * 32, read=3).lines() == [
        ("starting weights", f"mine.pth, SHA-256 {'ab' * 32}"),
        ("their origin", "not stated"),
        ("their licence", "not stated"),
        ("read of them", "3 tensors"),
    ]


def test_what_is_known_is_said():
    origin = Origin(
        source="pip:lite0", origin="ImageNet", licence="Apache-2.0", size=224,
        mean=(0.485, 0.456, 0.406), std=(0.25, 0.5, 1.0), interpolation="bicubic",
        read=2, left_out=("classifier.weight",),
    )  # fmt: skip
    assert origin.lines()[3:] == [
        ("their images", "224×224 pixels, mean 0.485 0.456 0.406, deviation 0.25 0.5 1, bicubic"),
        ("read of them", "2 tensors; left out: classifier.weight"),
    ]
    assert origin.lines()[0] == ("starting weights", "pip:lite0, SHA-256 unknown")
