"""A report as files, and where they go."""

from pathlib import Path

import pytest

from endoexit.artifacts.bundle import Bundle
from endoexit.errors import UsageError
from endoexit.reporting.write import report_folder, write_report
from report_material import make_material


def test_every_figure_is_a_file_twice_and_the_page_holds_them(tmp_path):
    written = write_report(make_material(images=12), tmp_path / "out")
    assert written.page == tmp_path / "out" / "report.html"
    assert set(written.figures) == set((tmp_path / "out" / "figures").iterdir())
    assert {file.suffix for file in written.figures} == {".svg", ".png"}
    names = {file.stem for file in written.figures}
    assert {"accuracy-cost", "exit-shares", "confusion-final", "sensitivity"} <= names
    page = written.page.read_text(encoding="utf-8")
    assert all(f">{name}</th>" in page for name in names)
    assert "endoexit report runs/made-up --out" in page
    assert "No audit." in written.notes


def test_the_report_is_in_the_run_and_never_in_a_bundle(tmp_path):
    run = make_material().source
    assert report_folder(run) == run.path / "report"
    assert report_folder(run, Path("elsewhere")) == Path("elsewhere")
    bundle = Bundle(tmp_path / "bundle", None)
    assert report_folder(bundle) == tmp_path / "bundle-evaluation" / "report"
    with pytest.raises(UsageError):
        report_folder(bundle, bundle.path / "report")
