"""What the layout tests measure in a page: layout shifts, and the size and contrast of its text."""

from typing import Any

from playwright.sync_api import Page

# Every shift since the page was opened. Entries within half a second of a click or key count as well: a button that
# pushes the page about when it is pressed is no better than a job that does.
WATCH_SHIFTS = """
window.layoutShifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries())
    window.layoutShifts.push({
      value: entry.value,
      moved: entry.sources.slice(0, 3).map(({ node, previousRect, currentRect }) =>
        `${node?.className || node?.nodeName} ${previousRect.y}->${currentRect.y}`),
    });
}).observe({ type: "layout-shift", buffered: true });
"""
_TEXTS = """
() => {
  const parse = (text) => {
    const canvas = (window.measuring ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true }));
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return { r, g, b, a: a / 255 };
  };
  const over = (top, under) => {
    const mix = (name) => top[name] * top.a + under[name] * (1 - top.a);
    return { r: mix("r"), g: mix("g"), b: mix("b"), a: 1 };
  };
  const luminance = ({ r, g, b }) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [R, G, B] = [r, g, b].map((c) => linear(c / 255));
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  const parent = (node) => node.parentElement ?? node.getRootNode().host ?? null;
  const chain = (node) => { const all = []; for (let at = node; at; at = parent(at)) all.push(at); return all; };
  const holds = (element, text) => { // a label may hang out of a small parent, as a slider's value does
    const box = element.getBoundingClientRect();
    return box.width >= text.width && box.height >= text.height;
  };
  const behind = (elements) => {
    const layers = [];
    const place = elements[0].getBoundingClientRect();
    for (const element of elements) {
      if (!holds(element, place)) continue;
      const color = parse(getComputedStyle(element).backgroundColor);
      if (color.a > 0) layers.push(color);
      if (color.a > 0.999) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), { r: 255, g: 255, b: 255, a: 1 });
  };
  const found = new Map();
  const note = (element, text, style, inSvg) => {
    const elements = chain(element);
    const opacity = elements.reduce((all, one) => all * Number(getComputedStyle(one).opacity), 1);
    const color = parse(inSvg ? style.fill : style.color);
    color.a *= opacity * (inSvg ? Number(style.fillOpacity) : 1);
    if (color.a === 0) return;
    const background = behind(elements);
    const [p, q] = [luminance(over(color, background)), luminance(background)].sort((one, other) => other - one);
    const scale = inSvg && element.getScreenCTM ? element.getScreenCTM().a : 1;
    const size = parseFloat(style.fontSize) * (inSvg ? Math.min(1, Math.abs(scale) || 1) : 1);
    const ratio = (p + 0.05) / (q + 0.05);
    const where = elements.map((one) => one.dataset?.testid || one.className?.baseVal || "").find(Boolean) ?? "";
    found.set(`${where} ${size} ${ratio.toFixed(2)}`, { where, text: text.trim().slice(0, 40), size, ratio });
  };
  const isSeen = (element) =>
    element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
    !element.closest("[disabled], [aria-disabled=true], [data-testid=stIconMaterial], [data-testid=stStatusWidget]");
  const walk = (root) => {
    for (const element of root.querySelectorAll("*")) {
      if (element.shadowRoot) walk(element.shadowRoot);
      const own = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
      const field = element.matches("input:not([type=checkbox]):not([type=radio]):not([type=range]), textarea");
      if ((!own.length && !field) || element.matches("script, style, title, noscript, option")) continue;
      if (!isSeen(element)) continue;
      const box = element.getBoundingClientRect();
      if (box.width < 2 || box.height < 2) continue; // for screen readers alone
      const inSvg = element instanceof SVGElement;
      if (own.length) note(element, own.map((node) => node.data).join(" "), getComputedStyle(element), inSvg);
      else if (element.value) note(element, element.value, getComputedStyle(element), false);
      else if (element.placeholder)
        note(element, element.placeholder, getComputedStyle(element, "::placeholder"), false);
    }
  };
  walk(document);
  return [...found.values()];
}
"""


def texts(page: Page) -> list[dict[str, Any]]:
    """All text that is seen: `where`, `text`, `size` in px, `ratio` of contrast to what is behind it (WCAG 2).

    Not measured: what is drawn on a canvas (tables, graphs), disabled controls (WCAG exempts them), icons.
    """
    return list(page.evaluate(_TEXTS))


def shifts(page: Page) -> list[dict[str, Any]]:
    """The layout shifts since `WATCH_SHIFTS` began, or since the last call."""
    return list(page.evaluate("() => window.layoutShifts.splice(0)"))


def still(page: Page) -> None:
    """Until nothing has moved for half a second: charts come after the script has ended."""
    page.wait_for_function(
        """() => {
            const now = performance.now();
            if (window.layoutShifts.length !== window.lastCount) [window.lastCount, window.since] =
                [window.layoutShifts.length, now];
            return now - window.since > 500;
        }"""
    )
