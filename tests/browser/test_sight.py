"""The page for every kind of eye: colours apart, contrast, zoom, narrow windows, no movement where none is wanted."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from regard.looking.record import Recording
from regard.page.export import save_page

from .conftest import Open
from .planted import VIEWS, at, go, settled

STATE = {"layer": 1, "head": 2, "row": 9, "column": 3, "position": 6, "edits": "z:1.2"}


# colour vision

MACHADO = {  # Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; for linear light
    "all cones": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
APART = 10.0
"""CIELAB difference (1976) between neighbouring marks of a scale; about 2.3 can just be told apart side by side."""
Array = np.ndarray[Any, Any]


def linear(colour: Sequence[float]) -> Array:
    share = np.asarray(colour, float)[:3] / 255
    found: Array = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return found


def lab(light: Array) -> Array:
    """CIELAB of linear sRGB under D65."""
    to_xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                       [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip
    xyz = to_xyz @ np.clip(light, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


BARS = """(marks) => [...document.querySelectorAll('.page-bar, .cells-bar, .heads-bar')].map((bar) => {
    const pen = bar.getContext('2d');
    return marks.map((share) => [...pen.getImageData(Math.round(share * (bar.width - 1)), 0, 1, 1).data]);
})"""


@pytest.mark.parametrize("eye", MACHADO)
def test_neighbouring_marks_of_each_scale_stay_apart(proven_page: str, open_page: Open, eye: str) -> None:
    """Five marks of cividis, and five of the blue-orange map, as the page itself draws them."""
    page = open_page(at(proven_page, view="matrix", what="scores", **STATE))
    marks = [0, 0.25, 0.5, 0.75, 1]
    bars = page.evaluate(BARS, marks)
    assert len(bars) == 2
    for bar in bars:
        seen = [lab(MACHADO[eye] @ linear(colour)) for colour in bar]
        apart = [float(np.linalg.norm(a - b)) for a, b in pairwise(seen)]
        assert min(apart) >= APART, apart
    signed = [lab(MACHADO[eye] @ linear(bars[1][mark])) for mark in (0, 2, 4)]
    for a, b in ((0, 1), (1, 2), (0, 2)):  # both ends of the signed map, and its middle
        assert float(np.linalg.norm(signed[a] - signed[b])) > 3 * APART


# contrast

LOOKS = """() => {
    const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return [r, g, b, a]; };
    const over = ([r, g, b, a], below) => [r, g, b].map((x, k) => a * x + (1 - a) * below[k]);
    const behind = (node) => {
        const chain = [];
        for (let one = node; one; one = one.parentElement) chain.push(parse(getComputedStyle(one).backgroundColor));
        return chain.reverse().reduce((below, colour) => over(colour, below), [255, 255, 255]);
    };
    const visible = (node) => node.checkVisibility({opacityProperty: true, visibilityProperty: true}) &&
        node.getClientRects().length > 0 && !node.closest('.visually-hidden');
    const name = (node) => `${node.tagName}.${node.className} "${(node.textContent ?? '').trim().slice(0, 30)}"`;
    const found = {text: [], control: []};
    for (const node of document.querySelectorAll('body *')) {
        if (!visible(node) || node.closest('[disabled], option') || node.tagName === 'CANVAS') continue;
        const style = getComputedStyle(node), below = behind(node);
        const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
        if (own || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName))
            found.text.push([over(parse(style.color), below), below, name(node)]);
        if (/^(BUTTON|SELECT|TEXTAREA)$/.test(node.tagName) || (node.tagName === 'INPUT' && node.type !== 'range')) {
            const edge = parse(style.borderBottomColor);
            const around = behind(node.parentElement); // keys inside tables show their edge when they are pressed
            if (edge[3] > 0) found.control.push([over(edge, around), around, name(node)]);
        }
    }
    return found;
}"""


def contrast(a: Sequence[float], b: Sequence[float]) -> float:
    """WCAG 2.2's ratio of two colours, 1 to 21."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    dark, bright = sorted(float(weights @ linear(colour)) for colour in (a, b))
    return (bright + 0.05) / (dark + 0.05)


def test_contrast_is_worked_out_as_the_guidelines_do() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21)
    assert contrast((119, 119, 119), (255, 255, 255)) == pytest.approx(4.478, abs=1e-3)  # their own example, #777


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_controls_have_contrast_in_every_view(proven_page: str, open_page: Open, scheme: Any) -> None:
    """Colours as the style sheets give them to each visible element, over what is really behind it."""
    page = open_page(at(proven_page, view="heads", **STATE, tour=2), color_scheme=scheme)
    page.locator(".page-notes summary").click()
    for view in VIEWS:
        go(page, view=view, **STATE, tour=2)
        settled(page, view)
        looks = page.evaluate(LOOKS)
        assert len(looks["text"]) > 20
        assert looks["control"]
        for least, kind in ((4.5, "text"), (3, "control")):
            shown = [(round(contrast(ink, paper), 2), name) for ink, paper, name in looks[kind]]
            assert not [one for one in shown if one[0] < least], (view, kind)


LINES = {"--line": ("--paper", "--pale"), "--accent": ("--paper", "--pale", "--accent-pale"), "--wrong": ("--paper",)}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_of_canvases_have_contrast(proven_page: str, open_page: Open, scheme: Any) -> None:
    """Those that canvases draw with: the hatch, axes, rings and marks."""
    page = open_page(at(proven_page, view="matrix", **STATE), color_scheme=scheme)
    named = {name: page.evaluate("(name) => getComputedStyle(document.documentElement).getPropertyValue(name)", name)
             for name in (*LINES, "--paper", "--pale", "--accent-pale")}  # fmt: skip
    colours = {name: [int(two, 16) for two in re.findall("..", value.strip().removeprefix("#"))]
               for name, value in named.items()}  # fmt: skip
    for line, papers in LINES.items():
        for paper in papers:
            assert contrast(colours[line], colours[paper]) >= 3, (
                line,
                paper,
            )


# zoom, narrow windows

CUT = """() => {
    const wide = document.documentElement.clientWidth, found = [];
    const mayCut = '.token, .matrix-stage'; // long tokens end in an ellipsis; the picture of a matrix is moved
    const scrolls = (node) => { for (let one = node; one && one !== document.body; one = one.parentElement)
        if (/(auto|scroll)/.test(getComputedStyle(one).overflowX)) return true; return false; };
    for (const node of document.querySelectorAll('main *')) {
        if (!node.checkVisibility({visibilityProperty: true}) || node.closest('.visually-hidden, option')) continue;
        const box = node.getBoundingClientRect(), style = getComputedStyle(node);
        if (box.width === 0 || scrolls(node.parentElement)) continue;
        const named = `${node.tagName}.${node.className}`;
        if (box.right > wide + 1 || box.left < -1) found.push(`${named} from ${box.left} to ${box.right} of ${wide}`);
        if (/hidden|clip/.test(style.overflowX) && node.scrollWidth > node.clientWidth + 1 && !node.matches(mayCut))
            found.push(`${named} shows ${node.clientWidth} of ${node.scrollWidth}`);
    }
    return found;
}"""
WINDOWS = {"360 pixels": {"viewport": {"width": 360, "height": 740}},
           "200 % zoom": {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2}}  # fmt: skip


@pytest.mark.parametrize("window", WINDOWS)
def test_nothing_is_cut_and_the_page_does_not_scroll_sideways(proven_page: str, open_page: Open, window: str) -> None:
    page = open_page(at(proven_page, view="heads", **STATE), **WINDOWS[window])
    for view in VIEWS:
        for tour in ("", 2):
            go(page, view=view, **STATE, tour=tour)
            settled(page, view)
            assert page.evaluate("document.documentElement.scrollWidth") <= WINDOWS[window]["viewport"]["width"], view
            assert page.evaluate(CUT) == [], view


# movement

MOVING = """() => [...document.querySelectorAll('*')].map((node) => getComputedStyle(node)).filter((style) =>
    /[1-9]/.test(style.transitionDuration) || style.animationName !== 'none' ||
    style.scrollBehavior === 'smooth').length"""


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_where_less_motion_is_wanted_no_step_is_animated(proven: Recording, open_page: Open, tmp_path: Any,
                                                         motion: Any) -> None:  # fmt: skip
    """A saved page into which movement was put: it moves, but not for who does not want it."""
    save_page(proven, tmp_path / "page.html", overwrite=True)
    page = open_page(f"{(tmp_path / 'page.html').as_uri()}#view=matrix&row=5&column=2", reduced_motion=motion,
                     bypass_csp=True)  # fmt: skip
    assert page.evaluate(MOVING) == 0 or motion == "no-preference"
    page.add_style_tag(content="html { scroll-behavior: smooth } .view { transition: opacity 3s } "
                               "@keyframes turn { to { opacity: 0 } } h1 { animation: turn 3s }")  # fmt: skip
    assert (page.evaluate(MOVING) == 0) == (motion == "reduce")


@pytest.mark.parametrize("view", ["matrix", "lines", "lookup"])
def test_a_step_is_drawn_at_once(proven_page: str, open_page: Open, view: str) -> None:
    """After a key one picture takes the place of another: nothing glides through what lies between."""
    page = open_page(at(proven_page, view=view, **STATE), reduced_motion="reduce")
    canvas = {"matrix": ".matrix-cells", "lines": ".lines-canvas", "lookup": ".bars-strip"}[view]
    page.locator(canvas).first.wait_for()
    settled(page, view)
    page.keyboard.press("l")
    frames = page.evaluate(FRAMES, canvas)
    assert 1 <= frames <= 4  # the old picture, the new one, and what stands beside it when it is there
    assert "head=3" in page.url
    assert page.evaluate("document.getAnimations().length") == 0


FRAMES = """async (name) => {
    const seen = new Set(), frame = () => new Promise((done) => requestAnimationFrame(done));
    for (let k = 0; k < 40; k++) { await frame(); seen.add(document.querySelector(name).toDataURL()); }
    return seen.size;
}"""
