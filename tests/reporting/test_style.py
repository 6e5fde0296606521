"""Figures do not depend on the user's settings of matplotlib."""

import os
import subprocess
import sys
from pathlib import Path

from endoexit.reporting.style import exit_style

DRAW = """
import hashlib
from endoexit.reporting.style import draw

def paint(figure):
    axes = figure.add_subplot()
    axes.plot([1, 2, 3], [1, 4, 9], label="accuracy")
    axes.imshow([[0.0, 1.0]], extent=(0, 1, 0, 1))
    axes.set(title="A figure", xlabel="cost", ylabel="%")
    axes.legend()

picture = draw("f", (4, 3), paint, alt="a", caption="c", source="s", synthetic=True)
print(hashlib.sha256(picture.svg).hexdigest(), hashlib.sha256(picture.png).hexdigest())
"""
HOSTILE = """\
backend: pgf
text.usetex: True
font.size: 30
axes.prop_cycle: cycler(color=['ff0000'])
axes.facecolor: 000000
figure.facecolor: 00ff00
savefig.bbox: tight
savefig.transparent: True
image.cmap: jet
lines.linestyle: --
path.sketch: 3, 100, 2
xtick.direction: in
svg.fonttype: none
"""


def drawn(folder: Path, **settings: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MPL")}
    done = subprocess.run(
        [sys.executable, "-c", DRAW], check=False, capture_output=True, text=True, cwd=folder,
        env=kept | settings,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_users_settings_change_no_figure(tmp_path):
    hostile, plain = tmp_path / "hostile", tmp_path / "plain"
    for folder in (hostile, plain):
        folder.mkdir()
    (hostile / "matplotlibrc").write_text(HOSTILE)
    figures = {
        drawn(plain, MPLCONFIGDIR=str(plain)),
        drawn(plain, MPLCONFIGDIR=str(hostile)),
        drawn(plain, MPLCONFIGDIR=str(plain), MATPLOTLIBRC=str(hostile / "matplotlibrc")),
        drawn(hostile, MPLCONFIGDIR=str(plain), MPLBACKEND="pdf"),
    }
    assert len(figures) == 1


def test_exits_are_told_apart_without_colour():
    styles = [exit_style(number) for number in range(1, 7)]
    for field in ("colour", "marker", "dash", "hatch"):
        assert len({getattr(style, field) for style in styles}) == 6
    assert exit_style(7) == exit_style(1)
