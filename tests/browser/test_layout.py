"""Every widget in a page as it is often: narrow, beside an open side bar, light or dark."""

import json
import os

import pytest
from every_widget import CELLS, SETUP, make_run

import widgets

pytestmark = pytest.mark.browser

#: Elements within outputs that can be scrolled although they have no bounds of their own, or that reach out of them.
SCROLLED = """() => [...document.querySelectorAll('.jp-OutputArea-output, .jp-OutputArea-output *')].filter((one) => {
  if (one.matches('.an-rows') || one.matches('.widget-html:has(table)')) return false; // on purpose
  const { overflowX, overflowY } = getComputedStyle(one);
  const scrolls = (way) => way === 'auto' || way === 'scroll';
  return (scrolls(overflowY) && one.scrollHeight > one.clientHeight + 1 && one.clientHeight)
    || (scrolls(overflowX) && one.scrollWidth > one.clientWidth + 1 && one.clientWidth);
}).map((one) => `${one.className} ${one.scrollWidth}/${one.clientWidth} ${one.scrollHeight}/${one.clientHeight}`)"""
#: Contrast (WCAG 2) of texts with the page's ground, the worst first.
FAINT = """() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const over = ([r, g, b, a = 1], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a)];
  function ground(element) {
    if (!element) return [255, 255, 255];
    const own = numbers(getComputedStyle(element).backgroundColor);
    return own[3] === 0 ? ground(element.parentElement) : own[3] ? over(own, ground(element.parentElement)) : own;
  }
  const found = [];
  for (const one of document.querySelectorAll('.jp-OutputArea-output *')) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    const seen = one.getClientRects().length && !one.closest('[disabled], style, script');
    if (!own || !seen || one.textContent === '■') continue;
    const under = ground(one);
    const style = getComputedStyle(one);
    const ink = over(numbers(one instanceof SVGElement ? style.fill : style.color), under);
    const [high, low] = [light(ink), light(under)].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4) found.push([contrast.toFixed(1), one.textContent.trim().slice(0, 40)]);
  }
  return found.sort((a, b) => a[0] - b[0]).slice(0, 8);
}"""
#: Tool bars of plots that lie over a title or a legend.
COVERED = """() => [...document.querySelectorAll('.wb-plot')].flatMap((plot) => {
  const bar = plot.querySelector('.modebar').getBoundingClientRect();
  const texts = [...plot.querySelectorAll('.infolayer text, .legend, .annotation, .xtick, .ytick')];
  const beside = (box) => box.right <= bar.left || box.left >= bar.right;
  const over = (box) => box.width && box.bottom > bar.top && box.top < bar.bottom && !beside(box);
  return texts.filter((one) => over(one.getBoundingClientRect())).map((one) => one.textContent);
})"""
IDLE = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("made") / "run")


def test_every_widget_is_shown():
    assert list(CELLS) == [name for name in widgets.__all__ if name != "link"]


GROUPS = [["AdversaryExplorer", "AttentionExplorer", "FaceExplorer", "ProposalExplorer"],
          ["Annotator", "DatasetBrowser", "OcclusionLab", "RunMonitor"],
          ["DFVExplorer", "ErrorBrowser", "FocalLossExplorer", "PyramidExplorer"]]  # fmt: skip


@pytest.mark.parametrize("names", GROUPS)
def test_narrow_pages_light_and_dark(lab_page, run, names):
    lab = lab_page([f"import shutil; shutil.copytree({str(run)!r}, 'run'){SETUP}"])
    page, problems = lab.page, {}
    lab.command("application:toggle-left-area")
    for name in names:
        page.set_viewport_size({"width": 1400, "height": 900})
        lab.command("notebook:insert-cell-below")
        page.keyboard.press("Enter")
        page.keyboard.insert_text(f"w = widgets.{CELLS[name]}\nw")
        lab.command("notebook:run-cell")
        page.wait_for_function(IDLE)
        for width, theme in ((1000, "dark"), (800, "light")):
            page.set_viewport_size({"width": width, "height": 900})
            if page.evaluate("document.body.dataset.jpThemeLight") != str(theme == "light").lower():
                lab.theme(theme)
            page.wait_for_timeout(500)
            page.wait_for_function(IDLE)
            if os.environ.get("WORKBENCH_SCREENSHOTS"):
                output = page.locator(".jp-Cell.jp-mod-active .jp-OutputArea-output").first
                output.screenshot(path=lab.pictures / f"layout-{name}-{width}-{theme}.png")
            for what, ask in (("scrolled", SCROLLED), ("covered", COVERED), ("faint", FAINT)):
                if page.evaluate(ask):
                    page.wait_for_timeout(1500)  # a busy page may need longer to take its shape
                if found := page.evaluate(ask):
                    problems[f"{name}, {width} px, {theme}: {what}"] = found
        lab.command("notebook:delete-cell")
    assert not problems, json.dumps(problems, indent=1)
