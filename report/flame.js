// Flame graphs: a tree of functions for each type of profile, of any part of the time, and the difference of two. Below
// the strip of time parts each of which knows its own sums, so that any two ranges of parts can be compared.

const FLAME_WORDS = {
    sched: "where goroutines waited before they could run and did not", block: "where goroutines waited for one another",
    mutex: "where goroutines waited for locks", net: "where goroutines waited for the network", sleep: "where goroutines slept",
    syscall: "blocking calls", preempt: "what was made to give way", create: "where goroutines were started",
    wall: "all time of all goroutines, by what they did", goroutine: "goroutines that were there at the end of the range",
    steal: "which P took goroutines from which", cpu: "where goroutines were as samples were taken of what ran",
};
const FLAME_PARTS = 64;

const flame = {
    // The sums of each part of the time, for the strip.
    strip(type, value) {
        const wide = 2 + type.values.length, sums = new Array(FLAME_PARTS).fill(0);
        for (let i = 0; i < type.samples.length; i += wide)
            sums[type.samples[i + 1]] += type.samples[i + 2 + value];
        return sums;
    },
    // self and total of each node over parts [b0, b1); of a moment only the last part counts.
    sums(type, value, b0, b1) {
        const wide = 2 + type.values.length, nodes = type.parents.length + 1;
        const self = new Float64Array(nodes), total = new Float64Array(nodes);
        if (type.moment)
            b0 = b1 - 1;
        for (let i = 0; i < type.samples.length; i += wide)
            if (type.samples[i + 1] >= b0 && type.samples[i + 1] < b1)
                self[type.samples[i]] += type.samples[i + 2 + value];
        total.set(self);
        for (let node = nodes - 1; node > 0; node--)
            total[type.parents[node - 1]] += total[node];
        return { self, total };
    },
    children(type) {
        if (!type.children) {
            type.children = Array.from({ length: type.parents.length + 1 }, () => []);
            type.parents.forEach((parent, i) => type.children[parent].push(i + 1));
        }
        return type.children;
    },
    name: (type, node) => node === 0 ? "all" : text(D.frames[type.frames[node - 1]][0]),
    place(type, node) {
        if (node === 0)
            return "";
        return text(D.frames[type.frames[node - 1]][1]);
    },
};

// a=from-to in ns -> parts [b0, b1)
function flameParts(value) {
    const range = timeRange(value);
    if (!range)
        return null;
    const b0 = clamp(Math.floor(range.from / D.flame_bucket_ns), 0, FLAME_PARTS - 1);
    return { b0, b1: clamp(Math.ceil(range.to / D.flame_bucket_ns), b0 + 1, FLAME_PARTS) };
}
const partsRange = (p) => rangeText(p.b0 * D.flame_bucket_ns, p.b1 * D.flame_bucket_ns);
const partsWords = (p) => rangeWords(p.b0 * D.flame_bucket_ns, Math.min(p.b1 * D.flame_bucket_ns, Math.max(D.meta.end, 1)));

function stripDraw(canvas, sums, a, b) {
    canvasDraw(canvas, 62, (context, width) => {
        const cell = (width - 8) / FLAME_PARTS, most = Math.max(...sums, 1e-9), high = 40;
        sums.forEach((value, i) => {
            context.fillStyle = css("--sunk");
            context.fillRect(4 + i * cell, 0, cell - 1, high);
            const inside = (p) => p && i >= p.b0 && i < p.b1;
            context.fillStyle = inside(a) ? css("--bar") : inside(b) ? css("--accent") : css("--waiting");
            const h = value > 0 ? Math.max(1.5, value / most * (high - 2)) : 0;
            context.fillRect(4 + i * cell, high - h, cell - 1, h);
        });
        for (const [range, colour, letter] of [[b, "--accent", "B"], [a, "--bar", "A"]]) {
            if (!range)
                continue;
            context.strokeStyle = css(colour);
            context.lineWidth = 2;
            context.strokeRect(4 + range.b0 * cell, 1, (range.b1 - range.b0) * cell - 1, high - 1);
            context.fillStyle = css("--text");
            context.textAlign = "left";
            if (b)
                context.fillText(letter, 8 + range.b0 * cell, 9);
        }
        context.lineWidth = 1;
        timeAxis(context, 0, FLAME_PARTS * D.flame_bucket_ns, 4, width - 4, high + 2);
    });
}

// Boxes of all nodes that are wide enough to see, below the zoomed one; those above it are full width.
function flameLayout(type, total, zoomed) {
    const boxes = [], children = flame.children(type), path = [];
    for (let node = zoomed; ; node = type.parents[node - 1]) {
        path.unshift(node);
        if (node === 0)
            break;
    }
    path.slice(0, -1).forEach((node, depth) => boxes.push({ node, depth, x: 0, w: 1, above: true }));
    const walk = [{ node: zoomed, depth: path.length - 1, x: 0, w: 1 }];
    while (walk.length) {
        const box = walk.pop();
        boxes.push(box);
        let x = box.x;
        const list = children[box.node].filter((child) => total[child] > 0).sort((p, q) => total[q] - total[p]);
        for (const child of list) {
            const w = box.w * total[child] / total[box.node];
            if (w > 0.0006)
                walk.push({ node: child, depth: box.depth + 1, x, w });
            x += w;
        }
    }
    return boxes;
}

function flameMatch(search) {
    if (!search)
        return null;
    try {
        const expression = new RegExp(search, "i");
        return (name) => expression.test(name);
    } catch {
        return (name) => name.toLowerCase().includes(search.toLowerCase());
    }
}

views.push({
    name: "flame", title: "Flame graph", order: 4,
    show(main, params) {
        const usable = D.flame.filter((type) => type.samples.length);
        if (!usable.length) {
            put(main, el("p", {}, "There is nothing to show in this trace."));
            return;
        }
        const type = usable.find((t) => t.name === params.type) || usable.find((t) => t.name === "sched") || usable[0];
        const value = type.values[+params.value] ? +params.value : type.shown, unit = type.values[value][1];
        const a = flameParts(params.a) || { b0: 0, b1: FLAME_PARTS }, b = flameParts(params.b);
        const up = params.up === "1", edits = params.edit === "b" ? "b" : "a";
        const ofA = flame.sums(type, value, a.b0, a.b1), ofB = b ? flame.sums(type, value, b.b0, b.b1) : null;
        const shown = ofB || ofA; // a difference has the widths of B
        const lengthA = type.moment ? 1 : a.b1 - a.b0, lengthB = b ? (type.moment ? 1 : b.b1 - b.b0) : 1;
        const zoomed = +params.node > 0 && +params.node < shown.total.length && shown.total[+params.node] > 0 ? +params.node : 0;
        const words = (v) => amount(v, unit), whole = shown.total[0];

        const strip = el("canvas", { class: "pick", id: "strip", tabindex: "0", role: "application",
            "aria-label": "Time. Drag, or arrow keys with Shift, choose range " + edits.toUpperCase() });
        const canvas = el("canvas", { id: "flame", tabindex: "0", role: "application",
            "aria-label": "Flame graph. Arrow keys move between functions, Enter zooms, Escape zooms out." });
        const said = el("p", { class: "said", id: "said", "aria-live": "polite" });
        const search = el("input", { id: "search", type: "search", placeholder: "search functions", value: params.q || "", "aria-label": "Search functions" });
        const matched = el("span", { class: "soft" });
        const button = (id, label, pressed, act) => el("button", { type: "button", id, "aria-pressed": pressed === null ? null : String(pressed), onclick: act }, label);
        put(main, el("div", { class: "bar" },
            el("label", {}, "profile", el("select", { id: "type", onchange: (e) => go({ type: e.target.value, value: "", node: "" }) },
                usable.map((t) => el("option", { value: t.name, selected: t === type }, t.name)))),
            type.values.length > 1 ? el("label", {}, "of", el("select", { id: "value", onchange: (e) => go({ value: e.target.value }) },
                type.values.map((v, i) => el("option", { value: i, selected: i === value }, v[0])))) : null,
            el("span", { class: "group" }, button("icicle", "Icicle", !up, () => go({ up: "" })), button("flames", "Flames", up, () => go({ up: "1" }))),
            b ? el("span", { class: "group", role: "group", "aria-label": "What the strip chooses" },
                button("edit-a", "Range A", edits === "a", () => go({ edit: "" })), button("edit-b", "Range B", edits === "b", () => go({ edit: "b" }))) : null,
            b ? button("single", "No comparison", null, () => go({ b: "", edit: "" }))
                : button("compare", "Compare two ranges", null, () => {
                    const half = a.b1 - a.b0 > 1 ? Math.floor((a.b0 + a.b1) / 2) : a.b1;
                    const first = half > a.b0 && half < a.b1 ? { b0: a.b0, b1: half } : a;
                    const second = half < a.b1 ? { b0: half, b1: a.b1 } : { b0: clamp(a.b1, 0, FLAME_PARTS - 1), b1: FLAME_PARTS };
                    go({ a: partsRange(first), b: partsRange(second), edit: "b" });
                }),
            button("whole", "All time", null, () => go({ a: "", b: "", edit: "" })), search, matched),
        el("p", {}, FLAME_WORDS[type.name] ? FLAME_WORDS[type.name][0].toUpperCase() + FLAME_WORDS[type.name].slice(1) + ": " : "",
            el("b", {}, words(ofA.total[0])), b ? [" in A, ", el("b", {}, words(ofB.total[0])), " in B"] : null,
            el("span", { class: "soft" }, " · " + (b ? "A " : "") + partsWords(a) + (b ? ", B " + partsWords(b) : "")),
            " · ", link("heat map of this time", "heat", { t: partsRange(edits === "b" && b ? b : a) })),
        el("div", { class: "chart" }, strip), el("div", { class: "chart" }, canvas), said,
        b ? el("p", { class: "legend" }, [[-1, "less in B, per time"], [0, "the same"], [1, "more in B, or only there"]].map(([part, title]) => {
            const patch = el("i");
            patch.style.background = differenceColour(part);
            return el("span", {}, patch, title);
        }), el("span", {}, "Widths are those of B.")) : null);

        const shift = (node) => {
            const before = ofA.total[node] / lengthA, now = ofB.total[node] / lengthB;
            return before + now > 0 ? (now - before) / Math.max(before, now) : 0;
        };
        const boxes = flameLayout(type, shown.total, zoomed), depths = 1 + Math.max(...boxes.map((box) => box.depth));
        const high = 19;
        let current = zoomed, hover = null;
        const match = flameMatch(params.q);
        const draw = () => canvasDraw(canvas, depths * high + 2, (context, width) => {
            for (const box of boxes) {
                const name = flame.name(type, box.node), x = box.x * width, w = box.w * width;
                const y = (up ? depths - 1 - box.depth : box.depth) * high;
                const hit = !match || match(name);
                context.fillStyle = match ? (hit ? css("--bar") : nameColour(name, true)) : b ? differenceColour(box.node ? shift(box.node) : 0)
                    : box.node === 0 ? css("--sunk") : nameColour(name, box.above);
                context.fillRect(x, y, Math.max(w - 1, 0.5), high - 1);
                if (box === hover || box.node === current) {
                    context.strokeStyle = box.node === current && document.activeElement === canvas ? css("--focus") : css("--text");
                    context.lineWidth = 2;
                    context.strokeRect(x + 1, y + 1, Math.max(w - 3, 1), high - 3);
                }
                if (w > 26) {
                    context.save();
                    context.beginPath();
                    context.rect(x + 3, y, w - 7, high);
                    context.clip();
                    context.fillStyle = match && hit ? (isDark() ? "#fff" : "#111") : css("--text");
                    context.textAlign = "left";
                    context.fillText(name, x + 4, y + high / 2);
                    context.restore();
                }
            }
        });
        const tell = (node) => {
            const lines = [flame.name(type, node) + (flame.place(type, node) ? "  " + flame.place(type, node) : ""),
                words(shown.total[node]) + " (" + (percent(shown.total[node], whole) || "0 %") + "), of itself " + words(shown.self[node])];
            if (b) {
                const change = shift(node);
                lines.push("in A " + words(ofA.total[node]) + (change === 0 ? ", the same" : ", per time " +
                    (ofA.total[node] ? Math.abs((ofB.total[node] / lengthB) / (ofA.total[node] / lengthA) - 1) * 100 : Infinity).toFixed(0).replace("Infinity", "∞") +
                    " % " + (change > 0 ? "more" : "less") + " in B"));
            }
            return lines.join("\n");
        };
        const boxAt = ({ x, y }) => {
            const row = Math.floor(y / high), depth = up ? depths - 1 - row : row, part = x / canvas.clientWidth;
            return boxes.find((box) => box.depth === depth && part >= box.x && part < box.x + box.w) || null;
        };
        pointerWatch(canvas, {
            move: (at) => {
                hover = boxAt(at);
                draw();
                tip(at.event, hover ? tell(hover.node) : "");
            },
            up: (at) => {
                const box = boxAt(at);
                if (box)
                    go({ node: box.node || "" });
            },
            leave: () => {
                hover = null;
                draw();
            },
        });
        canvas.addEventListener("focus", draw);
        canvas.addEventListener("blur", draw);
        canvas.addEventListener("keydown", (event) => {
            const box = boxes.find((candidate) => candidate.node === current) || boxes[0];
            const below = { ArrowDown: up ? -1 : 1, ArrowUp: up ? 1 : -1 }[event.key];
            let next = null;
            if (below === 1)
                next = boxes.filter((other) => other.depth === box.depth + 1 && (other.above || type.parents[other.node - 1] === box.node))[0];
            else if (below === -1)
                next = boxes.find((other) => box.node > 0 && other.node === type.parents[box.node - 1]);
            else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
                const level = boxes.filter((other) => other.depth === box.depth).sort((p, q) => p.x - q.x);
                next = level[level.indexOf(box) + (event.key === "ArrowRight" ? 1 : -1)];
            } else if (event.key === "Enter")
                go({ node: current || "" });
            else if (event.key === "Escape")
                go({ node: "" });
            else
                return;
            event.preventDefault();
            if (next) {
                current = next.node;
                said.textContent = tell(current).replace(/\n/g, "; ");
                draw();
            }
        });
        search.addEventListener("input", () => {
            const at = search.selectionStart;
            go({ q: search.value }, true);
            const field = document.getElementById("search");
            field.focus();
            field.setSelectionRange(at, at);
        });
        if (match) {
            let part = 0;
            const covered = new Set();
            for (let node = 1; node < shown.total.length; node++) { // parents come before children
                if (covered.has(type.parents[node - 1]))
                    covered.add(node);
                else if (match(flame.name(type, node))) {
                    covered.add(node);
                    part += shown.total[node];
                }
            }
            matched.textContent = "matched: " + (percent(part, whole) || "0 %");
        }
        draw();
        said.textContent = tell(zoomed).replace(/\n/g, "; ");
        flameTable(main, type, shown, ofA, b ? { lengthA, lengthB } : null, words);

        const sums = flame.strip(type, value);
        stripDraw(strip, sums, a, b);
        const partAt = ({ x }) => clamp(Math.floor((x - 4) / (strip.clientWidth - 8) * FLAME_PARTS), 0, FLAME_PARTS - 1);
        let anchor = null, range = edits === "b" && b ? b : a;
        const choose = (next, replace) => go({ [edits]: partsRange(next) }, replace);
        pointerWatch(strip, {
            down: (at) => { anchor = partAt(at); },
            move: (at, pressed) => {
                const part = partAt(at);
                if (pressed && anchor !== null) {
                    range = { b0: Math.min(anchor, part), b1: Math.max(anchor, part) + 1 };
                    stripDraw(strip, sums, edits === "a" ? range : a, edits === "b" ? range : b);
                }
                tip(at.event, partsWords({ b0: part, b1: part + 1 }) + "\n" + words(sums[part]));
            },
            up: (at) => {
                const part = partAt(at);
                choose({ b0: Math.min(anchor, part), b1: Math.max(anchor, part) + 1 });
            },
        });
        strip.addEventListener("keydown", (event) => {
            const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
            if (!by)
                return;
            const wide = range.b1 - range.b0, b0 = event.shiftKey ? range.b0 : clamp(range.b0 + by, 0, FLAME_PARTS - wide);
            choose({ b0, b1: event.shiftKey ? clamp(range.b1 + by, b0 + 1, FLAME_PARTS) : b0 + wide }, true);
            event.preventDefault();
        });
    },
});

// The same as a list: what each function has of itself.
function flameTable(main, type, shown, ofA, lengths, words) {
    const byFrame = new Map();
    for (let node = 1; node < shown.self.length; node++) {
        const name = flame.name(type, node), place = flame.place(type, node), key = name + "\n" + place;
        const entry = byFrame.get(key) || { name, place, self: 0, before: 0 };
        entry.self += shown.self[node];
        entry.before += ofA.self[node];
        byFrame.set(key, entry);
    }
    const change = (entry) => entry.self / lengths.lengthB - entry.before / lengths.lengthA;
    const list = [...byFrame.values()].filter((entry) => entry.self > 0 || (lengths && entry.before > 0))
        .sort((p, q) => lengths ? Math.abs(change(q)) - Math.abs(change(p)) : q.self - p.self).slice(0, 25);
    put(main, el("h2", {}, lengths ? "Functions by how much they changed" : "Functions by what they have of themselves"),
        table(lengths ? ["function", "in A#", "in B#"] : ["function", "of itself#", "share#"], list.map((entry) => el("tr", {},
            el("td", { class: "wide code" }, entry.name + " ", el("span", { class: "soft" }, entry.place)),
            lengths ? el("td", { class: "number" }, words(entry.before)) : null,
            el("td", { class: "number" }, words(entry.self)),
            lengths ? null : shareCell(entry.self, shown.total[0])))));
}
