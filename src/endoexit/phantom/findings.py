"""What a phantom scene shows: one painter for each of the eight classes.

Each mirrors a class of Kvasir by what a person would name: the colour of the
organ, the shape of its opening, the finding. With growing difficulty the finding
gets smaller, fainter, and closer to the class that it is mistaken for.
"""

from collections.abc import Callable

import numpy as np

from endoexit.phantom.surface import (
    Array,
    Colour,
    Surface,
    carve_tube,
    paint_mucosa,
    paint_vessels,
    step,
)

Painter = Callable[[Surface], None]

COLON: Colour = (0.88, 0.50, 0.38)
STOMACH: Colour = (0.88, 0.50, 0.36)
OESOPHAGUS: Colour = (0.90, 0.68, 0.60)
DYE: Colour = (0.13, 0.27, 0.62)
LIFTED: Colour = (0.88, 0.54, 0.48)
HOLLOW: Colour = (0.76, 0.78, 0.86)
PALE: Colour = (0.84, 0.64, 0.63)  # what LIFTED and HOLLOW come to when they are hard to tell


def _colon(surface: Surface, redness: float = 0.5, vessels: float = 0.5) -> None:
    paint_mucosa(surface, COLON, redness)
    paint_vessels(surface, vessels * surface.between(0.5, 1))
    carve_tube(surface, surface.place(0.1, 0.65), surface.between(0.12, 0.3), 0.8, corners=3)
    _clutter(surface)


def _clutter(surface: Surface) -> None:
    """Leave what any colon may show and no class owns: residue, and reddened patches."""
    if surface.random.random() < surface.eased(0.15, 0.6):
        residue = step(surface.noise(6, 3) - surface.between(1.5, 2.2), 0.25)
        surface.tint((0.80, 0.68, 0.36), 0.75 * residue)
    if surface.random.random() < surface.eased(0.15, 0.6):
        rubbed = step(surface.noise(4, 3) - surface.between(0.8, 1.5), 0.5)
        surface.tint((0.72, 0.24, 0.20), 0.55 * rubbed)


def _between(plain: Colour, hard: Colour, share: float) -> Colour:
    red, green, blue = (a + (b - a) * share for a, b in zip(plain, hard, strict=True))
    return red, green, blue


def _mound(surface: Surface, centre: tuple[float, float], radius: float, rise: float) -> Array:
    """Raise a dome with an uneven outline; return its relative distance: 0 middle, 1 rim."""
    distance, angle = surface.polar(centre, surface.between(1.0, 1.35))
    outline = radius * (1 + 0.10 * surface.wobble(angle, 2, 5))
    reach = distance / outline
    surface.height += rise * np.clip(1 - reach**2, 0, None) ** 0.75
    return reach


def _contact_shadow(surface: Surface, reach: Array, depth: float) -> None:
    """Darken the ground right next to a mound."""
    surface.light *= 1 - depth * step(reach - 0.98, 0.05) * np.exp(
        -np.clip(reach - 1, 0, None) / 0.2
    )


def paint_polyp(surface: Surface) -> None:
    """Colon with a rounded lump, redder than its ground; hard ones are small and flat."""
    _colon(surface)
    radius = surface.eased(0.42, 0.13) * surface.between(0.85, 1.15)
    reach = _mound(surface, surface.place(0.1, 0.5), radius, radius * surface.eased(0.95, 0.45))
    body = step(1 - reach, 0.06)
    hue: Colour = (0.86, 0.36, 0.30) if surface.random.random() < 0.6 else (0.95, 0.64, 0.55)
    surface.light += (1.0 - surface.light) * body * 0.75
    surface.tint(hue, body * surface.eased(0.85, 0.25))
    surface.height += body * 0.006 * surface.noise(22, 2)
    surface.albedo *= 1 - (0.10 * body * step(surface.noise(26), 0.8))[..., None]
    _contact_shadow(surface, reach, surface.eased(0.6, 0.3))


def _stain(surface: Surface, centre: tuple[float, float], radius: float) -> None:
    """Let dye soak the ground around a point: patchy, fading outwards."""
    distance, _ = surface.polar(centre)
    soaked = step(radius - distance + 0.16 * surface.noise(4, 3), 0.30)
    surface.tint(DYE, soaked * surface.between(0.7, 0.9))
    surface.tint((0.05, 0.09, 0.26), 0.5 * soaked * step(surface.noise(6, 2) - 0.8, 0.5))


def paint_dyed_lifted_polyp(surface: Surface) -> None:
    """A blue cushion of injected fluid with polyp tissue on its top."""
    _colon(surface, vessels=0.25)
    centre = surface.place(0.0, 0.4)
    radius = surface.eased(0.68, 0.48) * surface.between(0.9, 1.1)
    _stain(surface, centre, radius * 1.05)
    cushion = _mound(surface, centre, radius, radius * surface.eased(0.55, 0.22))
    inside = step(1 - cushion, 0.10)
    surface.light += (0.9 - surface.light) * inside * 0.6
    _contact_shadow(surface, cushion, surface.eased(0.5, 0.2))
    shift = surface.place(0.0, 0.3 * radius)
    top = (centre[0] + shift[0], centre[1] + shift[1])
    tissue = radius * surface.eased(0.55, 0.38)
    reach = _mound(surface, top, tissue, tissue * surface.eased(0.5, 0.12))
    body = step(1 - reach + 0.06 * surface.noise(9, 2), 0.10)
    surface.tint(_between(LIFTED, PALE, surface.eased(0, 1)), body * surface.eased(0.95, 0.7))
    surface.tint(DYE, 0.35 * body * step(surface.noise(16, 2) - 0.3, 0.7))
    surface.height += body * 0.008 * surface.noise(20, 2)


def paint_dyed_resection_margin(surface: Surface) -> None:
    """Dyed ground with the pale hollow that a removed polyp left, and its cut rim."""
    _colon(surface, vessels=0.25)
    centre = surface.place(0.0, 0.4)
    radius = surface.eased(0.48, 0.32) * surface.between(0.9, 1.1)
    _stain(surface, centre, radius * 1.5)
    distance, angle = surface.polar(centre, surface.between(1.0, 1.5))
    reach = distance / (radius * (1 + 0.14 * surface.wobble(angle, 2, 6)))
    hollow = step(1 - reach, 0.07)
    surface.light += (0.85 - surface.light) * step(1.5 - reach, 0.3) * 0.6
    surface.height -= radius * surface.eased(0.42, 0.10) * hollow
    fibres = step(surface.noise(18, 2), 1.0)
    surface.tint(_between(HOLLOW, PALE, surface.eased(0, 1)), hollow * surface.eased(0.9, 0.7))
    surface.tint((0.42, 0.53, 0.78), hollow * surface.eased(1, 0.5) * (0.25 + 0.45 * fibres))
    rim = np.exp(-(((reach - 1.08) / 0.10) ** 2))
    surface.height += 0.05 * surface.eased(1.0, 0.3) * rim
    surface.tint((0.90, 0.60, 0.54), rim * surface.eased(0.75, 0.45))
    burnt = rim * step(surface.noise(8, 2) - 0.7, 0.4)
    surface.tint((0.32, 0.15, 0.09), burnt * surface.eased(0.8, 0.3))
    bleeding = hollow * step(surface.noise(11, 2) - 1.5, 0.3)
    surface.tint((0.62, 0.06, 0.06), bleeding * surface.eased(0.8, 0.3))


def _junction(surface: Surface) -> tuple[Array, Array, Array]:
    """Paint where the pale oesophagus meets the red stomach.

    Returns:
        Distance outwards from the line (negative inside), angle around the lumen,
        and a map that is 1 on the oesophagus' side.
    """
    paint_mucosa(surface, OESOPHAGUS, 0.25)
    centre = surface.place(0.0, 0.35)
    _, angle = surface.polar(centre)
    spokes = surface.noise(3)
    angle = np.arctan2(surface.y - centre[1], surface.x - centre[0])
    streaks = np.clip(surface.wobble(angle + 0.1 * spokes, 20, 40), 0, 1.5) ** 2
    surface.tint((0.70, 0.25, 0.22), 0.10 * streaks)  # they run away from the lumen
    distance = carve_tube(surface, centre, surface.between(0.10, 0.18), 0.25, corners=0)
    line = surface.between(0.36, 0.52) * (1 + 0.14 * surface.wobble(angle, 2, 5))
    line += 0.05 * surface.wobble(angle, 6, 14) + 0.02 * surface.noise(14)
    beyond = distance - line
    outside = step(beyond, 0.025)
    surface.tint((0.80, 0.37, 0.28), (1 - outside) * surface.between(0.75, 0.95))
    surface.height += 0.004 * (1 - outside) * surface.noise(30)
    return beyond, angle, outside


def paint_z_line(surface: Surface) -> None:
    """The healthy junction; hard ones have red tongues that are not inflamed."""
    _, _, outside = _junction(surface)
    patches = step(surface.noise(5, 2) - surface.eased(2.2, 1.2), 0.4)
    surface.tint((0.82, 0.45, 0.38), 0.5 * patches * outside)


def paint_esophagitis(surface: Surface) -> None:
    """The junction with red breaks that run up the oesophagus, coated yellow-white."""
    beyond, angle, outside = _junction(surface)
    count = int(surface.random.integers(2, 4)) + round(surface.eased(3, 0))
    start = surface.between(0, 2 * np.pi)
    drift = 0.25 * surface.noise(3)
    for streak in range(count):
        at = start + 2 * np.pi * (streak + surface.between(-0.25, 0.25)) / count
        apart = np.abs((angle + drift * np.clip(beyond, 0, 1) - at + np.pi) % (2 * np.pi) - np.pi)
        length = surface.eased(0.55, 0.20) * surface.between(0.7, 1.2)
        width = surface.eased(0.20, 0.09) * surface.between(0.8, 1.2)
        taper = np.clip(1 - beyond / length, 0, 1) * step(beyond + 0.06, 0.05)
        core = taper * step(width * taper - apart + 0.02 * surface.noise(20), 0.05)
        coat = core * step(surface.noise(12, 2) - 0.5, 0.3) * (apart < 0.6 * width)
        surface.tint((0.70, 0.12, 0.10), core * surface.eased(0.9, 0.35))
        surface.tint((0.93, 0.86, 0.66), coat * surface.eased(0.9, 0.45))
    surface.tint((0.84, 0.40, 0.34), outside * surface.eased(0.35, 0.05))


def paint_pylorus(surface: Surface) -> None:
    """The stomach's round outlet: a dark hole in a smooth ring, soft folds running to it."""
    paint_mucosa(surface, _between(STOMACH, COLON, surface.between(0, 1)), 0.35)
    centre = surface.place(0.0, surface.eased(0.25, 0.55))
    hole = surface.between(0.10, 0.17) * surface.eased(1.1, 0.7)
    distance, angle = surface.polar(centre, surface.between(1.0, surface.eased(1.2, 1.7)))
    reach = distance / (hole * (1 + 0.08 * surface.wobble(angle, 2, 4)))
    surface.light *= 0.55 + 0.45 * step(distance - 0.45, 0.45)
    folds = surface.wobble(angle, 3, 6) * np.exp(-(((distance - 3 * hole) / (2.2 * hole)) ** 2))
    surface.height += 0.045 * folds
    surface.height += surface.eased(0.09, 0.05) * np.exp(-(((reach - 1.9) / 0.75) ** 2))
    surface.light *= 1 + surface.eased(0.5, 0.2) * np.exp(-(((reach - 1.6) / 0.5) ** 2))
    surface.light *= 1 - 0.93 * step(1 - reach, 0.18)


def paint_cecum(surface: Surface) -> None:
    """The colon's blind end: a wide pouch, a clear vessel net, the slit of the appendix."""
    paint_mucosa(surface, COLON, 0.35)
    paint_vessels(surface, surface.eased(0.85, 0.5), cells=4)
    centre = surface.place(0.0, 0.45)
    carve_tube(surface, surface.place(0.0, 0.3), surface.between(0.10, 0.2), 0.2, corners=3)
    surface.light += 0.35 * (1 - surface.light)
    _, around = surface.polar(centre)
    bend = around + 0.5 * surface.noise(2)
    three = np.abs((bend * 3 / (2 * np.pi) + surface.between(0, 1)) % 1 - 0.5)
    away = np.hypot(surface.x - centre[0], surface.y - centre[1])
    ridge = np.exp(-((three * (0.4 + away) / 0.09) ** 2)) * step(away - 0.28, 0.12)
    surface.height += 0.09 * ridge
    surface.light *= 1 - 0.25 * np.exp(-(((three - 0.16) * (0.4 + away) / 0.08) ** 2))
    slit, angle = surface.polar(centre, surface.between(1.6, 2.6))
    reach = slit / (surface.eased(0.085, 0.05) * (1 + 0.1 * surface.wobble(angle, 2, 4)))
    surface.height += surface.eased(0.05, 0.02) * np.exp(-(((reach - 1.9) / 0.7) ** 2))
    surface.height += surface.eased(0.03, 0.01) * np.exp(-(((reach - 4.0) / 0.8) ** 2))
    surface.light *= 1 - surface.eased(0.9, 0.6) * step(1 - reach, 0.25)


def paint_ulcerative_colitis(surface: Surface) -> None:
    """Colon without vessels: red, grainy, with blood spots and yellow-white ulcers."""
    _colon(surface, redness=0.6, vessels=surface.eased(0.0, 0.25))
    inflamed = surface.eased(0.75, 0.2)
    surface.tint((0.74, 0.22, 0.18), inflamed * step(surface.noise(4, 3) + 0.4, 1.2))
    grain = surface.noise(26, 2)
    surface.height += surface.eased(0.009, 0.003) * grain
    surface.albedo *= 1 + surface.eased(0.12, 0.03) * grain[..., None]
    blood = step(surface.noise(12, 2) - surface.eased(1.3, 2.4), 0.25)
    surface.tint((0.50, 0.03, 0.04), blood * surface.eased(0.85, 0.5))
    field = surface.noise(5, 4)
    ulcer = step(field - surface.eased(1.2, 2.3), 0.35) * (0.8 + 0.2 * step(surface.noise(15), 1))
    margin = step(field - surface.eased(0.8, 1.9), 0.3) - ulcer
    surface.tint((0.60, 0.10, 0.09), np.clip(margin, 0, 1) * surface.eased(0.6, 0.3))
    surface.tint((0.93, 0.86, 0.62), ulcer * surface.eased(0.9, 0.55))
    surface.height -= 0.02 * ulcer


PAINTERS: dict[str, Painter] = {
    "dyed-lifted-polyps": paint_dyed_lifted_polyp,
    "dyed-resection-margins": paint_dyed_resection_margin,
    "esophagitis": paint_esophagitis,
    "normal-cecum": paint_cecum,
    "normal-pylorus": paint_pylorus,
    "normal-z-line": paint_z_line,
    "polyps": paint_polyp,
    "ulcerative-colitis": paint_ulcerative_colitis,
}
