// Colours of amounts: equal steps of amount are equal steps of lightness (OKLab), so order is seen without the legend,
// also by who sees no hues. More is further from the page's ground in either theme.

function oklch(lightness, chroma, hue) {
    const a = chroma * Math.cos(hue * Math.PI / 180), b = chroma * Math.sin(hue * Math.PI / 180);
    const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
    const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
    const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
    const channel = (linear) => {
        const value = linear <= 0.0031308 ? 12.92 * linear : 1.055 * Math.pow(linear, 1 / 2.4) - 0.055;
        return Math.round(clamp(value, 0, 1) * 255);
    };
    return [channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
        channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
        channel(-0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s)];
}

const rgb = (parts) => "rgb(" + parts.join(",") + ")";

function isDark() {
    const theme = document.documentElement.dataset.theme;
    return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// part 0..1
function heatColour(part) {
    part = clamp(part, 0, 1);
    if (isDark())
        return rgb(oklch(0.3 + 0.65 * part, 0.07 + 0.1 * Math.sin(Math.PI * (0.15 + 0.75 * part)), 300 + 150 * part));
    return rgb(oklch(0.94 - 0.68 * part, 0.06 + 0.12 * Math.sin(Math.PI * (0.1 + 0.75 * part)), 90 - 125 * part));
}

// part -1 (less) .. 1 (more); 0 is the ground's grey
function differenceColour(part) {
    part = clamp(part, -1, 1);
    const strength = Math.sqrt(Math.abs(part)), hue = part < 0 ? 250 : 35;
    return rgb(isDark() ? oklch(0.42 + 0.25 * strength, 0.15 * strength, hue)
        : oklch(0.92 - 0.24 * strength, 0.15 * strength, hue));
}

// A colour that stays with a name.
function nameColour(name, dimmed) {
    let hash = 7;
    for (let i = 0; i < name.length; i++)
        hash = (hash * 31 + name.charCodeAt(i)) >>> 0;
    const hue = 20 + hash % 70, step = (hash >>> 8) % 5 * 0.015;
    if (dimmed)
        return rgb(isDark() ? oklch(0.36, 0.01, hue) : oklch(0.92, 0.01, hue));
    return rgb(isDark() ? oklch(0.5 + step, 0.085, hue) : oklch(0.83 + step, 0.085, hue));
}

// The same over all hues, for things that lie side by side.
function laneColour(name) {
    let hash = 7;
    for (let i = 0; i < name.length; i++)
        hash = (hash * 31 + name.charCodeAt(i)) >>> 0;
    const hue = hash * 137 % 360;
    return rgb(isDark() ? oklch(0.48, 0.085, hue) : oklch(0.82, 0.085, hue));
}

// From values to 0..1, by their logarithms. Zero is none: -1.
function logScale(values) {
    let least = Infinity, most = 0;
    for (const value of values) {
        if (value > 0 && value < least)
            least = value;
        if (value > most)
            most = value;
    }
    if (most <= 0)
        return { least: 0, most: 0, at: () => -1 };
    least = Math.max(least, most / 1e6); // the rest is as good as nothing
    const span = Math.log(most / least) || 1;
    return { least, most, at: (value) => value <= 0 ? -1 : clamp(Math.log(value / least) / span, 0, 1) };
}

function legendElement(scale, shown) {
    if (scale.most <= 0)
        return el("span", { class: "hint" }, "nothing to show");
    const steps = 6, box = el("span", { class: "scale", role: "img",
        "aria-label": "Colours from " + shown(scale.least) + " to " + shown(scale.most) });
    for (let i = 0; i < steps; i++) {
        const bar = el("i");
        bar.style.background = heatColour(i / (steps - 1));
        box.append(el("span", {}, bar, shown(scale.least * (scale.most / scale.least) ** (i / (steps - 1)))));
    }
    return box;
}
