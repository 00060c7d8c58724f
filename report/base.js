// The data of the page, and how its values are shown. Nothing here knows of a view.

const D = JSON.parse(document.getElementById("data").textContent);

const views = []; // see route.js; each file of a view adds its own

const STATES = [
    ["unknown", "--lost"], ["runnable", "--runnable"], ["running", "--running"], ["waiting", "--waiting"],
    ["in a blocking call", "--syscall"], ["ended", "--lost"], ["running without a P", "--detached"],
];
const STATE_ORDER = [2, 6, 1, 4, 3, 0]; // as they are stacked, from the ground
const EVENTS = D.events; // codes by name, as the program that wrote the page has them
const CAUSE_WORDS = {
    go_was: "was there before", go_create: "started", go_start: "ran", go_yield: "gave way", go_preempt: "its slice was over", go_block: "waited",
    go_unblock: "woken", go_exit: "ended", go_preempt_async: "stopped by a signal", syscall_begin: "entered a blocking call",
    syscall_end: "left a blocking call", syscall_resume: "left a blocking call", syscall_exit: "left a blocking call, found no P",
    go_detach: "lost its P", go_attach: "got a P again", go_attach_wait: "came back, found no P", go_labels: "changed its labels",
};
const CAUSES = new Map(Object.entries(EVENTS).map(([name, code]) => [code, CAUSE_WORDS[name] || name]));
CAUSES.set(0, "the trace's end");
const HOG_KINDS = ["others", "no thread had the P", "the scheduler: nothing ran", "ran", "blocking call that kept the P",
    "queued for no P in particular"];

const text = (number) => D.strings[number] || "";
const cause = (event) => CAUSES.get(event) || "event " + event;
const reason = (number) => text(D.totals.reasons[number]) || "wait";

function frameParts(number) {
    const [name, file, line] = D.frames[number];
    return { name: text(name), place: file ? text(file) + (line ? ":" + line : "") : "" };
}

function frameText(number) {
    const parts = frameParts(number);
    return parts.place ? parts.name + " " + parts.place : parts.name;
}

// "servant hogged.c:48", of the innermost of the user's frames.
function stackText(stack) {
    const frames = D.stacks[stack];
    return frames && frames.length ? frameText(frames[0]) : "";
}

function round3(value) {
    return value >= 100 ? String(Math.round(value)) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function duration(ns) {
    const sign = ns < 0 ? "−" : "";
    ns = Math.abs(ns);
    if (ns === 0)
        return "0";
    if (ns < 999.5)
        return sign + (Number.isInteger(ns) ? ns : round3(ns)) + "\u00a0ns";
    if (ns < 999.5e3)
        return sign + round3(ns / 1e3) + "\u00a0µs";
    if (ns < 999.5e6)
        return sign + round3(ns / 1e6) + "\u00a0ms";
    if (ns < 120e9)
        return sign + round3(ns / 1e9) + "\u00a0s";
    const minutes = Math.round(ns / 60e9);
    return sign + (minutes < 120 ? minutes + " min" : Math.floor(minutes / 60) + " h " + minutes % 60 + " min");
}

// A moment, exactly enough to tell it from one a step later.
function moment(ns, step) {
    const [unit, name] = D.meta.end >= 2e9 ? [1e9, "s"] : D.meta.end >= 2e6 ? [1e6, "ms"] : [1e3, "µs"];
    const digits = step > 0 ? Math.max(0, Math.min(9, Math.ceil(-Math.log10(step / unit)) + 1)) : 3;
    return (ns / unit).toFixed(digits) + "\u00a0" + name;
}

const count = (number) => Math.round(number).toLocaleString("en-US");
const percent = (part, whole) => whole > 0 ? (part / whole * 100 >= 9.95 ? Math.round(part / whole * 100)
    : (part / whole * 100).toFixed(1)) + " %" : "";
const plural = (number, word) => count(number) + " " + word + (number === 1 ? "" : "s");
const amount = (value, unit) => unit === "nanoseconds" ? duration(value) : count(value);
const sum = (list) => list.reduce((a, b) => a + b, 0);
const clamp = (value, least, most) => Math.min(most, Math.max(least, value));

// An element: el("td", { class: "number", onclick: f }, "text", child, [children], null).
function el(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
        if (key.startsWith("on"))
            element.addEventListener(key.slice(2), value);
        else if (value !== null && value !== undefined && value !== false)
            element.setAttribute(key, value === true ? "" : value);
    }
    for (const child of children.flat(9))
        if (child !== null && child !== undefined)
            element.append(child);
    return element;
}

// As append, but what is null is left out.
function put(parent, ...children) {
    parent.append(...children.flat(9).filter((child) => child !== null && child !== undefined));
}

function css(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// A stack, the innermost frame shown and the others on demand.
function stackElement(stack, lead) {
    const frames = D.stacks[stack] || [];
    if (!frames.length)
        return null;
    const first = [lead ? el("span", { class: "soft" }, lead + " ") : null, el("code", {}, frameText(frames[0]))];
    if (frames.length === 1)
        return el("div", {}, first);
    return el("details", {}, el("summary", {}, first),
        el("ol", { class: "stack code" }, frames.map((frame) => el("li", {}, frameText(frame)))));
}

function shareCell(part, whole, label) {
    const fill = el("i");
    fill.style.width = (whole > 0 ? clamp(part / whole * 100, 0, 100) : 0) + "%";
    return el("td", { class: "share" }, label === undefined ? percent(part, whole) : label, el("div", { class: "fill" }, fill));
}

function table(head, rows) {
    return el("div", { class: "scroll" }, el("table", {},
        el("thead", {}, el("tr", {}, head.map((title) =>
            el("th", title.endsWith("#") ? { class: "number" } : {}, title.replace(/#$/, ""))))),
        el("tbody", {}, rows)));
}

function tip(event, words) {
    const box = document.getElementById("tip");
    box.hidden = !words;
    if (!words)
        return;
    box.textContent = words;
    const wide = box.offsetWidth, high = box.offsetHeight;
    box.style.left = clamp(event.clientX + 14, 4, innerWidth - wide - 4) + "px";
    box.style.top = (event.clientY + 18 + high > innerHeight ? event.clientY - high - 10 : event.clientY + 18) + "px";
}
