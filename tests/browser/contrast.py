"""How well texts stand out: the contrast of WCAG 2.1, of what a page really draws."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

# https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio, over the nearest backgrounds that are painted.
_LOW = r"""([selector, least]) => {
    const parse = text => {
        const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
        return text.startsWith('color(srgb') ? [r * 255, g * 255, b * 255, a] : [r, g, b, a];
    };
    const over = (top, below) => {
        const alpha = top[3];
        return [0, 1, 2].map(i => top[i] * alpha + below[i] * (1 - alpha)).concat(1);
    };
    const behind = node => {
        const layers = [];
        for (let at = node; at; at = at.parentElement) {
            const colour = parse(getComputedStyle(at).backgroundColor);
            if (colour[3] > 0) {
                layers.push(colour);
                if (colour[3] === 1) {
                    break;
                }
            }
        }
        return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
    };
    const luminance = colour => {
        const [r, g, b] = colour.slice(0, 3).map(value => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const low = [];
    for (const root of document.querySelectorAll(selector)) {
        for (const node of [root, ...root.querySelectorAll('*')]) {
            const text = [...node.childNodes]
                .filter(child => child.nodeType === Node.TEXT_NODE)
                .map(child => child.textContent.trim()).join('');
            if (text === '' || !node.checkVisibility() || node.disabled) {
                continue;
            }
            const background = behind(node);
            const colour = over(parse(getComputedStyle(node).color), background);
            const [bright, dark] = [luminance(colour), luminance(background)].sort((a, b) => b - a);
            const ratio = (bright + 0.05) / (dark + 0.05);
            if (ratio < least) {
                low.push([text.slice(0, 60), Number(ratio.toFixed(2))]);
            }
        }
    }
    return low;
}"""


def low_contrasts(page: Page, selector: str, least: float) -> list[Any]:
    """Return each text below a selector whose contrast is less than this, with its contrast.

    What is disabled need not stand out.
    """
    found = page.evaluate(_LOW, [selector, least])
    return sorted({tuple(one) for one in found})
