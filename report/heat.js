// The heat maps: time by P, and time by length of delay. What is behind a selection is added up from the tables of its
// cells; a table that had no room for all says how far it may be off, and so does what is shown here.

const heat = {
    // Where time ranges of other views begin and end in columns.
    column(ns) { return clamp(Math.floor(ns / D.heat.width), 0, D.heat.columns - 1); },
    start(column) { return column * D.heat.width; },
};

const MEASURES = {
    wait: { title: "goroutines waiting", words: (v) => v < 0.0995 ? v.toPrecision(2) : v >= 100 ? count(v) : v.toFixed(v < 10 ? 2 : 1),
        value: (row, c) => row.wait[c] / D.heat.width },
    longest: { title: "longest delay", words: duration, value: (row, c) => row.longest[c] },
    begun: { title: "delays that began", words: count, value: (row, c) => row.begun[c] },
    busy: { title: "P busy", words: (v) => percent(v, 1) || "0 %", value: (row, c) => row.busy[c] / D.heat.width, linear: true },
};

const rowName = (row) => row.p < 0 ? "no P" : "P" + row.p;

/* ---- What is behind a selection ---- */

// Adds tables up: key -> { weight, least, most }. Each is [floor, key, weight, error, ...] and counts for `share`.
class Merge {
    constructor() {
        this.keys = new Map();
        this.floors = 0;
    }
    add(table, share) {
        const floor = table[0] * share;
        this.floors += floor;
        for (let i = 1; i < table.length; i += 3) {
            const entry = this.keys.get(table[i]) || { key: table[i], weight: 0, error: 0, floors: 0 };
            entry.weight += table[i + 1] * share;
            entry.error += table[i + 2] * share;
            entry.floors += floor;
            this.keys.set(table[i], entry);
        }
    }
    list() {
        return [...this.keys.values()].map((entry) => ({ key: entry.key, weight: entry.weight,
            least: entry.weight - entry.error, most: entry.weight + this.floors - entry.floors,
        })).sort((a, b) => b.weight - a.weight);
    }
}

// Of rows and columns [c0, c1).
function heatBehind(rows, c0, c1) {
    const behind = { wait: 0, busy: 0, begun: 0, longest: 0, hogs: new Merge(), victims: new Merge(), wakers: new Merge() };
    const columns = D.heat.columns;
    for (const row of rows) {
        for (let c = c0; c < c1; c++) {
            behind.wait += row.wait[c];
            behind.busy += row.busy[c];
            behind.begun += row.begun[c];
            behind.longest = Math.max(behind.longest, row.longest[c]);
        }
        for (const [c, list] of row.hogs)
            if (c >= c0 && c < c1)
                behind.hogs.add(list, 1);
        for (const [node, victims, wakers] of row.nodes) {
            const level = Math.floor(Math.log2(node)), wide = columns / 2 ** level, first = (node - 2 ** level) * wide;
            const common = Math.min(first + wide, c1) - Math.max(first, c0);
            if (common <= 0)
                continue;
            behind.victims.add(victims, common / wide);
            behind.wakers.add(wakers, common / wide);
        }
    }
    return behind;
}

function lengthsBehind(c0, c1, l0, l1) {
    const behind = { count: 0, total: 0, victims: new Merge(), wakers: new Merge() };
    for (const [c, length, times, victims, wakers] of D.heat.lengths) {
        if (c < c0 || c >= c1 || length < l0 || length >= l1)
            continue;
        behind.count += times;
        for (let i = 2; i < victims.length; i += 3)
            behind.total += victims[i];
        behind.victims.add(victims, 1);
        behind.wakers.add(wakers, 1);
    }
    return behind;
}

/* ---- How it is told ---- */

function weightWords(entry) {
    const close = (entry.most - entry.least) <= Math.abs(entry.weight) * 0.005;
    return close ? duration(entry.weight) : duration(Math.max(0, entry.least)) + " – " + duration(entry.most);
}

function hogElement(key) {
    const [kind, fn, create, from, to, ended] = D.heat.hogs[key];
    if (kind !== 3 && kind !== 4)
        return [el("div", {}, HOG_KINDS[key === 0 ? 0 : kind]), kind === 1 ? el("div", { class: "hint" },
            "a thread was being woken, or the machine ran something else") : null];
    const how = to ? null : el("div", { class: "soft" }, "until " + cause(ended));
    if (kind === 4)
        return [el("div", {}, el("b", { class: "code" }, text(fn) || "?"), " in a blocking call"),
            stackElement(from, "at"), stackElement(create, "started at")];
    return [el("div", {}, el("b", { class: "code" }, text(fn) || "?"), " ran"),
        from && from === to ? stackElement(from, "from one wait to the next at")
            : [stackElement(from, "from"), to ? stackElement(to, "to") : null], how, stackElement(create, "started at")];
}

function victimElement(key) {
    const [fn, create, stack, by] = D.heat.victims[key];
    if (key === 0)
        return [el("div", {}, "others")];
    return [el("div", {}, el("b", { class: "code" }, text(fn) || "?"), el("span", { class: "soft" }, " " + cause(by))),
        stackElement(stack, by === EVENTS.syscall_exit ? "called at" : "had waited at"), stackElement(create, "started at")];
}

function wakerElement(key) {
    const [fn, stack, by] = D.heat.wakers[key];
    if (key === 0)
        return [el("div", {}, "others")];
    const itself = { go_yield: "it gave way", go_preempt: "its slice was over", go_preempt_async: "a signal stopped it",
        syscall_exit: "it came from a blocking call", go_attach_wait: "it came back after it lost its P" };
    const nobody = Object.keys(itself).find((name) => EVENTS[name] === by);
    const who = fn ? el("b", { class: "code" }, text(fn)) : nobody ? "nobody: " + itself[nobody]
        : by === EVENTS.go_was ? "not known" : by === EVENTS.go_create ? "the program's start" : "a timer or the network";
    return [el("div", {}, who, fn ? el("span", { class: "soft" }, by === EVENTS.go_create ? " started them" : " woke them") : null),
        stackElement(stack, "at")];
}

function contributors(title, hint, merge, whole, element) {
    const list = merge.list().filter((entry) => entry.weight > 0), shown = list.slice(0, 12);
    const inexact = shown.some((entry) => entry.most - entry.least > entry.weight * 0.005);
    return el("section", {}, el("h3", {}, title), el("p", { class: "hint" }, hint, inexact
        ? " Ranges: more took part than each cell keeps, and this is as far as the sums may be off." : ""),
        shown.length ? table(["", "share#", "time#"], shown.map((entry) => el("tr", {},
            el("td", { class: "wide" }, element(entry.key)), shareCell(entry.weight, whole),
            el("td", { class: "number" }, weightWords(entry)))))
            : el("p", { class: "soft" }, "none"),
        list.length > shown.length ? el("p", { class: "hint" }, "and " + plural(list.length - shown.length, "other")) : null);
}

function rangeLinks(from, to) {
    const t = rangeText(from, to);
    return el("p", {}, link("Flame graph of this time", "flame", { a: t, type: "sched" }), " · ", link("timeline of it", "timeline", { t }));
}

/* ---- The view ---- */

function heatScope(params) {
    const zoom = timeRange(params.t), c0 = zoom ? heat.column(zoom.from) : 0;
    const c1 = zoom ? Math.max(c0 + 1, heat.column(Math.max(zoom.to - 1, 0)) + 1) : D.heat.columns;
    return { c0, c1 };
}

// Whether it is the kernel's run queue.
const kernelShown = (params) => KERNEL && (params.mode === "cpu" ? KERNEL.cpus : params.show === "queue" ? KERNEL.ps : []).length > 0;

// The grid of a mode: how many lines, what a cell's value is, and how it is named. Line 0 is at the top.
function heatGrid(params) {
    if (params.mode === "length") {
        let low = 127, high = 0;
        for (const [, length] of D.heat.lengths) {
            low = Math.min(low, length);
            high = Math.max(high, length);
        }
        if (high < low)
            low = high = 0;
        const lines = high - low + 1, cells = new Map();
        for (const [c, length, times] of D.heat.lengths)
            cells.set(c * 128 + length, times);
        const lengthOf = (line) => high - line;
        return { lines, length: true, words: (v) => count(v) + "×", title: "delays", lengthOf,
            value: (line, c) => cells.get(c * 128 + lengthOf(line)) || 0,
            name: (line) => duration(D.heat.floors[lengthOf(line)]),
            full: (line) => "delays of " + duration(D.heat.floors[lengthOf(line)]) + " to " +
                duration(D.heat.floors[lengthOf(line) + 1] || 0) };
    }
    if (kernelShown(params))
        return kernelGrid(params.mode === "cpu" ? KERNEL.cpus : KERNEL.ps);
    const measure = MEASURES[params.show] || MEASURES.wait, rows = D.heat.rows;
    return { lines: rows.length, measure, words: measure.words, title: measure.title, linear: measure.linear,
        value: (line, c) => measure.value(rows[line], c), name: (line) => rowName(rows[line]),
        full: (line) => rowName(rows[line]) };
}

// s=c0-c1,l0-l1: columns and lines, both ends included
function heatSelection(params, grid) {
    const parts = /^(\d+)-(\d+),(\d+)-(\d+)$/.exec(params.s || "");
    if (!parts)
        return null;
    const [c0, c1, l0, l1] = parts.slice(1).map(Number);
    if (c0 > c1 || l0 > l1 || c1 >= D.heat.columns || l1 >= grid.lines)
        return null;
    return { c0, c1, l0, l1 };
}
const selectionText = (s) => s.c0 + "-" + s.c1 + "," + s.l0 + "-" + s.l1;

function heatDraw(canvas, grid, scope, selection, hover) {
    const lineHeight = clamp(Math.floor(330 / grid.lines), 7, 40), bottom = 26, left = 58;
    const plotHigh = grid.lines * lineHeight, columns = scope.c1 - scope.c0;
    const values = [];
    for (let line = 0; line < grid.lines; line++)
        for (let c = scope.c0; c < scope.c1; c++)
            values.push(grid.value(line, c));
    const scale = grid.linear ? { least: 0.001, most: 1, at: (v) => v > 0 ? clamp(v, 0, 1) : -1 } : logScale(values);
    let geometry;
    canvasDraw(canvas, plotHigh + bottom, (context, width) => {
        const right = width - 4, cell = (right - left) / columns;
        geometry = { left, right, lineHeight, plotHigh, cell };
        context.fillStyle = css("--empty");
        context.fillRect(left, 0, right - left, plotHigh);
        for (let line = 0; line < grid.lines; line++)
            for (let c = 0; c < columns; c++) {
                const part = scale.at(values[line * columns + c]);
                if (part < 0)
                    continue;
                context.fillStyle = heatColour(part);
                const x = Math.floor(left + c * cell), next = Math.ceil(left + (c + 1) * cell);
                context.fillRect(x, line * lineHeight, next - x, lineHeight - (lineHeight > 9 ? 1 : 0));
            }
        context.fillStyle = css("--soft");
        context.textAlign = "right";
        const every = Math.ceil(14 / lineHeight);
        for (let line = 0; line < grid.lines; line += every)
            context.fillText(grid.name(line), left - 6, line * lineHeight + lineHeight / 2);
        const mark = (area, colour, wide) => {
            const a = Math.max(area.c0, scope.c0), b = Math.min(area.c1 + 1, scope.c1);
            if (a >= b)
                return;
            const x = left + (a - scope.c0) * cell, w = (b - a) * cell;
            context.lineWidth = wide + 2;
            context.strokeStyle = css("--ground");
            context.strokeRect(x - 1, area.l0 * lineHeight, w + 2, (area.l1 - area.l0 + 1) * lineHeight - 1);
            context.lineWidth = wide;
            context.strokeStyle = colour;
            context.strokeRect(x - 1, area.l0 * lineHeight, w + 2, (area.l1 - area.l0 + 1) * lineHeight - 1);
        };
        if (hover)
            mark({ c0: hover.c, c1: hover.c, l0: hover.line, l1: hover.line }, css("--text"), 1);
        if (selection)
            mark(selection, css("--focus"), 2.5);
        context.lineWidth = 1;
        timeAxis(context, heat.start(scope.c0), Math.min(heat.start(scope.c1), Math.max(D.meta.end, 1)), left, right, plotHigh);
    });
    return { scale, geometry };
}

function heatCellWords(grid, line, c) {
    if (grid.kernel)
        return kernelCellWords(grid, line, c);
    const words = [grid.full(line) + ", " + rangeWords(heat.start(c), heat.start(c + 1))];
    if (grid.length)
        return words.concat(plural(grid.value(line, c), "delay")).join("\n");
    const row = D.heat.rows[line];
    words.push(MEASURES.wait.words(MEASURES.wait.value(row, c)) + " goroutines waiting on average",
        "longest delay " + duration(row.longest[c]) + ", " + plural(row.begun[c], "delay") + " began",
        "busy " + (percent(row.busy[c], D.heat.width) || "0 %"));
    const hogs = row.hogs.find(([column]) => column === c);
    if (hogs && hogs[1].length > 1) {
        const merge = new Merge();
        merge.add(hogs[1], 1);
        const top = merge.list()[0], hog = D.heat.hogs[top.key];
        words.push((percent(top.weight, row.wait[c]) || "") + " of the waiting while: " +
            (hog[0] >= 3 && hog[0] <= 4 ? text(hog[1]) : HOG_KINDS[hog[0]]));
    }
    return words.join("\n");
}

function heatDetails(params, grid, scope, selection) {
    const area = selection || { c0: scope.c0, c1: scope.c1 - 1, l0: 0, l1: grid.lines - 1 };
    const from = heat.start(area.c0), to = Math.min(heat.start(area.c1 + 1), Math.max(D.meta.end, 1));
    if (grid.kernel)
        return kernelDetails(grid, area, from, to, selection);
    const panel = el("section", { class: "panel", id: "behind", "aria-live": "polite" });
    const title = (words) => el("h2", {}, words, " ", el("span", { class: "soft" }, "· " + rangeWords(from, to)));
    const rows = grid.length ? D.heat.rows : D.heat.rows.slice(area.l0, area.l1 + 1);
    const behind = heatBehind(rows, area.c0, area.c1 + 1);
    const tile = (value, words) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, words));
    if (!grid.length) {
        put(panel, title(selection ? "Behind the selection: " + (rows.length === D.heat.rows.length ? "all Ps"
            : rowName(rows[0]) + (rows.length > 1 ? " to " + rowName(rows[rows.length - 1]) : "")) : "Behind all of it"),
        el("div", { class: "tiles" }, tile(duration(behind.wait), "waited, of all goroutines together"),
            tile(MEASURES.wait.words(behind.wait / (to - from)), "waiting at a time, on average"),
            tile(duration(behind.longest), "longest delay that touches it"), tile(count(behind.begun), "delays began"),
            tile(percent(behind.busy, (to - from) * rows.filter((row) => row.p >= 0).length) || "0 %", "of the Ps' time busy")));
    } else {
        const lengths = lengthsBehind(area.c0, area.c1 + 1, grid.lengthOf(area.l1), grid.lengthOf(area.l0) + 1);
        behind.victims = lengths.victims;
        behind.wakers = lengths.wakers;
        behind.total = lengths.total;
        put(panel, title(selection ? "Behind the selection: delays of " +
            duration(D.heat.floors[grid.lengthOf(area.l1)]) + " to " + duration(D.heat.floors[grid.lengthOf(area.l0) + 1] || 0)
            : "Behind all delays"),
        el("div", { class: "tiles" }, tile(count(lengths.count), "delays ended by running"),
            tile(duration(lengths.total), "long together"),
            tile(lengths.count ? duration(lengths.total / lengths.count) : "–", "on average")));
    }
    put(panel, rangeLinks(from, to), el("div", { class: "columns" },
        contributors("What ran meanwhile", "The waiting time of all goroutines, by what the P did that they waited for" +
            (grid.length ? ": on all Ps in this time, whatever the length of the delay." : "."), behind.hogs, behind.wait, hogElement),
        contributors("Who waited", "Runnable, but not running.", behind.victims, grid.length ? behind.total : behind.wait,
            victimElement),
        contributors("Who woke them", "Whoever made them runnable.", behind.wakers, grid.length ? behind.total : behind.wait,
            wakerElement)));
    return panel;
}

views.push({
    name: "heat", title: "Heat map", order: 2,
    show(main, params) {
        const grid = heatGrid(params), scope = heatScope(params), selection = heatSelection(params, grid);
        const mode = params.mode === "length" ? "length" : grid.kernel && params.mode === "cpu" ? "cpu" : "p";
        const show = grid.kernel ? "queue" : MEASURES[params.show] ? params.show : "wait";
        const canvas = el("canvas", { class: "pick", id: "heatmap", tabindex: "0", role: "application",
            "aria-label": "Heat map of " + grid.title + ". Arrow keys move, with Shift they extend the selection, plus and minus zoom, Escape clears.",
            "aria-describedby": "said" });
        const said = el("p", { class: "said", id: "said", "aria-live": "polite" }), legend = el("span", {});
        const bar = el("div", { class: "bar" },
            el("span", { class: "group", role: "group", "aria-label": "Rows" },
                el("button", { type: "button", id: "mode-p", "aria-pressed": String(mode === "p"), onclick: () => go({ mode: "", s: "" }) }, "Time × P"),
                el("button", { type: "button", id: "mode-length", "aria-pressed": String(mode === "length"), onclick: () => go({ mode: "length", s: "" }) }, "Time × delay"),
                KERNEL && KERNEL.cpus.length ? el("button", { type: "button", id: "mode-cpu", "aria-pressed": String(mode === "cpu"), onclick: () => go({ mode: "cpu", s: "" }) }, "Time × CPU") : null),
            mode === "p" ? el("label", {}, "colour", el("select", { id: "show", onchange: (event) => go({ show: event.target.value, s: "" }) },
                Object.entries(MEASURES).map(([key, measure]) => el("option", { value: key, selected: key === show }, measure.title)),
                KERNEL && KERNEL.ps.length ? el("option", { value: "queue", selected: show === "queue" }, "kernel's run queue") : null)) : null,
            el("button", { type: "button", id: "zoom", disabled: !selection, onclick: () => zoom(selection) }, "Zoom to selection"),
            el("button", { type: "button", id: "all", disabled: !params.t && !params.s, onclick: () => go({ t: "", s: "" }) }, "Show all"),
            legend);
        put(main, bar, el("div", { class: "chart" }, canvas), said,
            el("p", { class: "hint" }, "Drag or click, or use the arrow keys with Shift, to select cells and see what is behind them. " +
                (grid.kernel ? "In the kernel's run queue is a thread that could run and got no CPU; it counts for the " +
                    (mode === "cpu" ? "CPU that it then got." : "P that it had, or for none.")
                    : "A delay is the time from when a goroutine could run until it ran; it counts for the P it was queued at.")),
            heatDetails(params, grid, scope, selection));
        let current = selection, hover = null, drawn = null;
        const draw = () => { drawn = heatDraw(canvas, grid, scope, current, hover); };
        draw();
        legend.append(legendElement(drawn.scale, grid.words));
        const tell = (s) => {
            said.textContent = s ? (s.c0 === s.c1 && s.l0 === s.l1 ? heatCellWords(grid, s.l0, s.c0).replace(/\n/g, "; ")
                : rangeWords(heat.start(s.c0), heat.start(s.c1 + 1)) + ", " + grid.name(s.l0) + (s.l1 > s.l0 ? " to " + grid.name(s.l1) : "")) : "";
        };
        tell(current);
        const cellAt = ({ x, y }) => ({ c: clamp(scope.c0 + Math.floor((x - drawn.geometry.left) / drawn.geometry.cell), scope.c0, scope.c1 - 1),
            line: clamp(Math.floor(y / drawn.geometry.lineHeight), 0, grid.lines - 1) });
        const zoom = (s) => s && go({ t: rangeText(heat.start(s.c0), heat.start(s.c1 + 1)) });
        const spanned = (a, b) => ({ c0: Math.min(a.c, b.c), c1: Math.max(a.c, b.c), l0: Math.min(a.line, b.line), l1: Math.max(a.line, b.line) });
        let anchor = null;
        pointerWatch(canvas, {
            down: (at) => {
                anchor = cellAt(at);
                current = spanned(anchor, anchor);
                draw();
            },
            move: (at, pressed) => {
                const cell = cellAt(at), inside = at.y < drawn.geometry.plotHigh && at.x >= drawn.geometry.left;
                hover = inside ? cell : null;
                if (pressed && anchor) {
                    current = spanned(anchor, cell);
                    tell(current);
                }
                draw();
                tip(at.event, inside && !pressed ? heatCellWords(grid, cell.line, cell.c) : "");
            },
            up: () => {
                anchor = null;
                go({ s: selectionText(current) });
            },
            leave: () => {
                hover = null;
                draw();
            },
        });
        canvas.addEventListener("keydown", (event) => {
            const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
            const middle = Math.floor((scope.c0 + scope.c1) / 2);
            if (moves) {
                const by = event.ctrlKey || event.altKey ? Math.max(1, Math.floor((scope.c1 - scope.c0) / 16)) : 1;
                let s = current;
                if (!s)
                    s = { c0: middle, c1: middle, l0: 0, l1: 0 };
                else if (event.shiftKey)
                    s = { c0: s.c0, l0: s.l0, c1: clamp(s.c1 + moves[0] * by, s.c0, scope.c1 - 1), l1: clamp(s.l1 + moves[1], s.l0, grid.lines - 1) };
                else {
                    const c = clamp((moves[0] > 0 ? s.c1 : s.c0) + moves[0] * by, scope.c0, scope.c1 - 1);
                    const line = clamp((moves[1] > 0 ? s.l1 : s.l0) + moves[1], 0, grid.lines - 1);
                    s = { c0: c, c1: c, l0: line, l1: line };
                }
                go({ s: selectionText(s) }, true);
            } else if (event.key === "+" || event.key === "=") {
                zoom(current || { c0: Math.floor((scope.c0 + middle) / 2), c1: Math.floor((scope.c1 + middle) / 2) - 1 });
            } else if (event.key === "-") {
                const wide = scope.c1 - scope.c0, c0 = Math.max(0, scope.c0 - Math.ceil(wide / 2));
                const c1 = Math.min(D.heat.columns, scope.c1 + Math.ceil(wide / 2));
                go({ t: c0 === 0 && c1 === D.heat.columns ? "" : rangeText(heat.start(c0), heat.start(c1)) });
            } else if (event.key === "Home" || event.key === "End") {
                const c = event.key === "Home" ? scope.c0 : scope.c1 - 1, line = current ? current.l0 : 0;
                go({ s: selectionText({ c0: c, c1: c, l0: line, l1: line }) }, true);
            } else if (event.key === "Escape") {
                go({ s: "" });
            } else {
                return;
            }
            event.preventDefault();
        });
    },
});
