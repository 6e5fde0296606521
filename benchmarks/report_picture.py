"""The picture of a report in the README: headline, figure and one card, of the phantom alone.

Usage: python benchmarks/report_picture.py demo/run
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from endoexit.phantom.origin import is_phantom
from endoexit.reporting.material import Absent
from endoexit.reporting.opening import open_material
from endoexit.reporting.write import write_report

OUT = Path(__file__).resolve().parents[1] / "docs" / "images" / "report.png"
WIDTH, COLOURS = 1120, 256
# What stays of the page: the picture shows what it looks like, not all of it.
KEEP = """() => {
    document.querySelector('nav').remove();
    for (const id of ['about', 'exits', 'shares', 'reliability', 'confusion', 'classes', 'audit',
                      'training', 'masks', 'provenance'])
        document.getElementById(id).remove();
    document.querySelectorAll('#headline > :not(h2, .tiles), #tradeoff .table, footer')
        .forEach(part => part.remove());
    document.querySelectorAll('#gallery > :not(h2)').forEach((part, place) => {
        if (place < 1 || place > 3) part.remove();
    });
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="evaluated run of `endoexit demo`")
    run = parser.parse_args().run
    material = open_material(run)
    if isinstance(material.images, Absent) or not is_phantom(material.images):
        sys.exit(f"{run} is not a run on the phantom: no picture of other images is published.")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = write_report(material, Path(folder)).page
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": WIDTH, "height": 800}, device_scale_factor=1)
        tab.goto(page.as_uri())
        tab.evaluate(KEEP)
        picture = Path(folder) / "picture.png"
        tab.screenshot(path=picture, full_page=True)
        browser.close()
        OUT.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(picture) as image:
            small = image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
            small.save(OUT, optimize=True)
    print(f"Written: {OUT} ({OUT.stat().st_size // 1024} KiB)")


if __name__ == "__main__":
    main()
