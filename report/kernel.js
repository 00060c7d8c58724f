// What the kernel did with threads: the times in which they had no CPU. A layer of the heat map, the thin rows of the
// timeline with what is behind a time, and how the time of goroutines is split.

const KERNEL = D.kernel && (D.kernel.tier === "perf" || D.kernel.tier === "bpf") ? D.kernel : null; // others tell of no single times
const OFF = 14; // members of a time without a CPU in the page's data: see cli/report_slices.c
const DOING = new Map([[0, "no goroutine"], [2, "running"], [4, "in a blocking call"]]); // enum gmpt_kernel_doing
const OFF_PARTS = [["blocked", "--off-blocked"], ["in the run queue", "--off-queued"], ["preempted", "--off-preempted"]];

// What the kernel counts of all threads together, where that was recorded.
const usageWords = ([span, ran, queued, times]) => span ? " All threads together, in " + duration(span) + ": on a CPU " + duration(ran) +
    ", in the kernel's queue " + duration(queued) + ", " + plural(times, "time") + "." : "";

// What is known of it, and what is not.
function kernelHint() {
    const unknown = { off: "", proc: "Which goroutines met it, each time without a CPU, and who had it then are not known.", bpf: "",
        perf: "How long who was blocked was in queue then, the system calls, who had the CPU, and who woke a thread are not known." };
    return el("p", { class: "hint" }, !D.kernel || D.kernel.tier === "off" ? "What the kernel did with threads was not recorded (gmptrace record --kernel)."
        : "The kernel's side was recorded by " + D.kernel.tier + ". " + unknown[D.kernel.tier] + usageWords(D.kernel.usage) +
            (D.kernel.lost ? " " + plural(D.kernel.lost, "time") + " without a CPU could not be told of." : "") +
            (KERNEL ? " What was under way at the end is not told of." : ""));
}

/* ---- Exact times ---- */

const offsOf = new Map(); // by window

// { window, index, tid, p, g, doing, why, call, from, able, to, known, by, stack, waker, wakerG, object }
function offsRead(number) {
    if (offsOf.has(number))
        return offsOf.get(number);
    const raw = D.windows[number], at = raw.from, list = [];
    for (let i = 0; i < raw.offs.length; i += OFF) {
        const [tid, p, g, doing, why, call, from, blocked, queued, by, stack, waker, wakerG, object] = raw.offs.slice(i, i + OFF);
        list.push({ window: number, index: i / OFF, tid, p, g, doing, why: text(why), call: text(call), from: at + from,
            able: at + from + blocked, to: at + from + blocked + Math.max(queued, 0), known: queued >= 0, by: text(by), stack, waker, wakerG, object });
    }
    offsOf.set(number, list);
    return list;
}

const offId = (off) => off.window + "." + off.index;

function offFind(words) {
    const parts = /^(\d+)\.(\d+)$/.exec(words || "");
    return parts && D.windows[+parts[1]] ? offsRead(+parts[1])[+parts[2]] || null : null;
}

// Until when all of the window's are there.
const offsTo = (w) => w.offs_to < 0 ? w.to : w.from + w.offs_to;

// The row's times without a CPU in [from, to), in order.
function offsAdd(rows, by, from, to) {
    const groups = new Map(), keyOf = { p: (off) => off.p, m: (off) => off.tid, g: (off) => off.g }[by];
    for (const off of windowsIn(from, to).flatMap(offsRead)) {
        const key = keyOf(off);
        if (off.from >= to || off.to < from || (by === "p" && key < 0) || (by === "g" && !key))
            continue;
        if (!groups.has(key))
            groups.set(key, []);
        groups.get(key).push(off);
    }
    for (const row of rows) {
        row.offs = (groups.get(row.key) || []).sort((a, b) => a.from - b.from);
        groups.delete(row.key);
    }
    if (by === "m")
        rows.push(...[...groups.entries()].map(([tid, offs]) => ({ key: tid, name: "M " + tid, list: [], offs: offs.sort((a, b) => a.from - b.from) })));
    return by === "m" ? rows.sort((a, b) => a.key - b.key) : rows;
}

const gName = (window, g) => "G" + g + " " + text(windowRead(window).fn.get(g));

function offLead(off) {
    const preempted = off.why === "preempted" || off.why === "throttled", queued = off.to - off.able;
    return "Thread " + off.tid + (preempted ? " was " + off.why : off.why === "starting" ? " was started" : " blocked" +
        (off.call === "no system call" || off.call === "an unknown call" ? " (" + off.call + ")" : " in " + off.call)) +
        (preempted ? " for " + duration(off.to - off.from) : (off.able > off.from ? " for " + duration(off.able - off.from) : "") +
            (!off.known ? ", some of it perhaps in the run queue" : queued ? ", then waited " + duration(queued) + " for a CPU" : ""));
}

function offWords(off) {
    return offLead(off) + "\n" + (off.g ? "with " + gName(off.window, off.g) + ", " + (DOING.get(off.doing) || "") : off.doing === 0 ? "with no goroutine" : "with which goroutine is not known") +
        (off.by ? "\nmeanwhile the CPU had: " + off.by : "") + (off.stack ? "\n" + stackText(off.stack) : "");
}

/* ---- The thin rows of the timeline ---- */

const offColour = (off, queued) => css(OFF_PARTS[!queued ? 0 : off.why === "preempted" || off.why === "throttled" ? 2 : 1][1]);

// Blocked is a line, what could run fills the row.
function offPart(context, from, to, y, high, colour, line) {
    context.fillStyle = colour;
    context.fillRect(from, line ? y + high - 2 : y, Math.max(0.8, to - from), line ? 2 : high);
}

function offsDraw(context, row, y, high, x, left, right, chosen) {
    const drawn = [-1, -1];
    for (const off of row.offs || []) {
        for (const [queued, from, to] of [[0, off.from, off.able], [1, off.able, off.to]]) {
            const a = Math.max(left, x(from)), b = Math.min(right, x(to));
            if (to <= from || b < left || a > right || b <= drawn[queued])
                continue;
            offPart(context, a, b, y, high, offColour(off, queued), !queued);
            drawn[queued] = Math.max(b, a + 0.6);
        }
    }
    if (chosen && (row.offs || []).includes(chosen)) {
        context.lineWidth = 2;
        context.strokeStyle = css("--focus");
        context.strokeRect(x(chosen.from), y, Math.max(3, x(chosen.to) - x(chosen.from)), high);
    }
}

// Where there are no exact times, or not all: how much of each column the P's threads were off the CPU.
function offsOverDraw(context, row, y, high, x, left) {
    const lane = KERNEL.ps.find((list) => list.p === row.key), wide = D.heat.width;
    for (const [column, queued, blocked] of lane ? lane.cells : []) {
        const a = x(column * wide), b = x((column + 1) * wide);
        if (b < left || D.windows.some((w) => w.from <= column * wide && offsTo(w) >= (column + 1) * wide))
            continue;
        const tall = (ns) => Math.min(high, Math.max(ns ? 1 : 0, high * ns / wide));
        context.fillStyle = css("--off-queued");
        context.fillRect(a, y, Math.max(0.7, b - a), tall(queued));
        context.fillStyle = css("--off-blocked");
        context.fillRect(a, y + high - tall(blocked), Math.max(0.7, b - a), tall(blocked));
    }
}

// The row's key that the waker was in, as it woke.
function wakerKey(off, by) {
    if (by === "g")
        return off.wakerG;
    if (by === "m")
        return off.waker;
    for (const [p, list] of windowRead(off.window).holdsOf)
        if (list.some((hold) => hold.tid === off.waker && hold.from <= off.able && hold.to >= off.able))
            return p;
    return null;
}

// From where the waker was to where the woken has a CPU again: of a chosen time, or of all in a chosen slice.
function offArrows(rows, by, slice, chosen) {
    const line = slice ? rows.findIndex((row) => row.list.includes(slice)) : -1;
    const offs = chosen ? [chosen] : line >= 0 && slice.state !== WAITING ? rows[line].offs || [] : [];
    const list = [];
    for (const off of offs) {
        if (off.waker <= 0 || (slice && !chosen && (off.from < slice.from || off.to > slice.to)) || list.length >= 60)
            continue;
        const key = wakerKey(off, by), a = rows.findIndex((row) => row.key === key), b = rows.findIndex((row) => (row.offs || []).includes(off));
        if (a >= 0 && b >= 0)
            list.push({ at: off.able, to: off.to, a, b });
    }
    return list;
}

function offLegend() {
    return el("p", { class: "legend" }, el("span", {}, "below each row, its thread without a CPU:"), OFF_PARTS.map(([words, colour]) => {
        const patch = el("i");
        patch.style.background = css(colour);
        return el("span", {}, patch, words);
    }), D.windows.filter((w) => w.offs_to >= 0).map((w) => el("span", {}, "(exact to " + moment(offsTo(w), D.heat.width) + ", as this page has room for no more)")));
}

function offLink(off, words, by) {
    return off ? el("a", { href: address("timeline", { ...route.params, by: by || route.params.by, s: "", k: offId(off) }) }, words) : words;
}

function offPanel(off) {
    const near = rangeText(Math.max(0, off.from - (off.to - off.from) - 1000), off.to + (off.to - off.from) + 1000);
    const at = off.g ? sliceAt(off.window, off.g, off.from) : null;
    return el("section", { class: "panel", id: "off", "aria-live": "polite" },
        el("h2", {}, offLead(off) + " ", el("span", { class: "soft" }, "· " + rangeWords(off.from, Math.max(off.to, off.from + 1)) + (off.p >= 0 ? " · P" + off.p : ""))),
        el("p", {}, off.g ? [sliceLink(at, gName(off.window, off.g)), " was on it, " + (DOING.get(off.doing) || "") + ". "]
            : off.doing === 0 ? "It ran no goroutine. " : "Which goroutine was on it is not known. ",
        off.to > off.able ? off.by ? ["While it could run, the CPU had ", el("b", {}, off.by), ". "] : off.why === "throttled" ? "A CPU quota was used up. " : KERNEL.tier === "bpf" ? "Nobody had the CPU for long meanwhile. " : "Who had the CPU is not known. " : "",
        off.waker < 0 ? "It was woken by an interrupt: a timer, or a device." : off.waker ? ["It was woken by thread " + off.waker + (off.wakerG ? " with " + gName(off.window, off.wakerG) : "") + (off.object ? ", at the futex 0x" + off.object.toString(16) : "") + "."] : ""),
        stackElement(off.stack, "at"), at && at.stack ? stackElement(at.stack, "in the call at") : null,
        el("p", { class: "bar" }, link("zoom to it", "timeline", { ...route.params, t: near }), link("among threads", "timeline", { by: "m", t: route.params.t, k: offId(off) }),
            off.g ? link("among goroutines", "timeline", { by: "g", g: off.g, t: route.params.t, k: offId(off) }) : null,
            link("heat map of this time", "heat", { t: near, show: "queue" })));
}

/* ---- How the time of goroutines is split ---- */

// ns: by state; kernel: [running: blocked, in queue; in calls: blocked, in queue; not told apart]. Null = not known.
function splitOf(ns, kernel) {
    const runs = ns[2] + ns[6], calls = ns[4];
    const parts = kernel ? [["on a CPU", "--running", runs - kernel[0] - kernel[1]], ["stopped by the kernel: could run, got no CPU", "--off-preempted", kernel[1]],
        ["blocked its thread, and with it a P", "--off-blocked", kernel[0]], ["in blocking calls, on a CPU", "--detached", calls - kernel[2] - kernel[3]],
        ["in blocking calls, off the CPU", "--syscall", kernel[2] + kernel[3]]]
        : [["running", "--running", ns[2]], ["running without a P", "--detached", ns[6]], ["in a blocking call", "--syscall", ns[4]]];
    parts.push(["runnable, in our queues", "--runnable", ns[1]], ["waiting", "--waiting", ns[3]], ["unknown", "--lost", ns[0]]);
    return parts.map(([words, colour, part]) => [words, colour, Math.max(0, part)]);
}

function splitBar(ns, kernel) {
    const parts = splitOf(ns, kernel).filter((part) => part[2] > 0), whole = sum(parts.map((part) => part[2]));
    const bar = el("div", { class: "states", role: "img", "aria-label": parts.map(([words, , part]) => words + " " + percent(part, whole)).join(", ") });
    for (const [words, colour, part] of parts) {
        const piece = el("i", { title: words + " " + duration(part) + ", " + percent(part, whole) });
        piece.style.background = css(colour);
        piece.style.width = part / whole * 100 + "%";
        bar.append(piece);
    }
    return bar;
}

function splitLegend() {
    return el("p", { class: "legend" }, splitOf([0, 0, 0, 0, 0, 0, 0], KERNEL ? [0, 0, 0, 0, 0] : null).map(([words, colour]) => {
        const patch = el("i");
        patch.style.background = css(colour);
        return el("span", {}, patch, words);
    }));
}

const siteKernel = new Map(KERNEL ? KERNEL.sites : []);

// Null = the kernel was not asked.
const kernelOfSite = (site) => KERNEL ? siteKernel.get(site) || [0, 0, 0, 0, 0] : null;

// Of one goroutine, in the part of the time that has exact slices.
function splitOfG(window, g) {
    const ns = [0, 0, 0, 0, 0, 0, 0], kernel = [0, 0, 0, 0, 0];
    for (const slice of windowRead(window).ofG.get(g) || [])
        ns[slice.state] += slice.to - slice.from;
    for (const off of KERNEL ? offsRead(window) : []) {
        if (off.g !== g || (off.doing !== 2 && off.doing !== 4))
            continue;
        kernel[off.doing === 2 ? 0 : 2] += off.able - off.from;
        kernel[off.doing === 2 ? 1 : 3] += off.to - off.able;
        kernel[4] += off.known ? 0 : off.able - off.from;
    }
    return el("div", {}, splitBar(ns, KERNEL ? kernel : null), el("p", { class: "hint" }, "G" + g + " in this exact part: " +
        splitOf(ns, KERNEL ? kernel : null).filter((part) => part[2] > 0).map(([words, , part]) => words + " " + duration(part)).join(", ") +
        (kernel[4] ? "; of what blocked, " + duration(kernel[4]) + " may have been in the kernel's queue at the end: this tier does not tell" : "") + "."));
}

/* ---- The layer of the heat map ---- */

// By column, of each row.
function kernelCells(rows) {
    return rows.map((row) => new Map(row.cells.map((cell) => [cell[0], cell])));
}

function kernelGrid(rows) {
    const cells = kernelCells(rows), name = (line) => rows[line].cpu !== undefined ? "CPU" + rows[line].cpu : rows[line].p < 0 ? "no P" : "P" + rows[line].p;
    return { kernel: true, rows, cells, lines: rows.length, words: MEASURES.wait.words, title: "threads in the kernel's run queue", name, full: name,
        value: (line, c) => (cells[line].get(c) || [0, 0])[1] / D.heat.width };
}

// Whose thread it was.
const whose = (fn, doing) => fn ? text(fn) : doing === 0 ? "no goroutine" : "a thread: with which goroutine is not known";

function stopWho(key) {
    const [fn, , , by, doing] = KERNEL.keys[key];
    return [whose(fn, doing), text(by)];
}

function kernelCellWords(grid, line, c) {
    const words = [grid.full(line) + ", " + rangeWords(heat.start(c), heat.start(c + 1))], cell = grid.cells[line].get(c);
    if (!cell)
        return words.concat("no thread was without a CPU").join("\n");
    const [, queued, blocked, times, longest, g, table] = cell, merge = new Merge();
    merge.add(table, 1);
    words.push(grid.words(queued / D.heat.width) + " threads in the kernel's run queue on average",
        "longest wait " + duration(longest) + (g ? ", of G" + g : "") + "; " + plural(times, "time") + " without a CPU began" + (grid.rows[line].cpu === undefined ? ", blocked " + duration(blocked) : ""));
    const top = merge.list()[0];
    if (top && top.key) {
        const [who, by] = stopWho(top.key);
        words.push(percent(top.weight, queued) + " of it: " + who + (by ? ", while the CPU had " + by : ""));
    }
    return words.join("\n");
}

function stopElement(key) {
    const [fn, create, stack, by, doing, why, g, ns, end] = KERNEL.keys[key];
    if (key === 0)
        return [el("div", {}, "others")];
    const whys = ["after it had blocked", "preempted", "as it started", "throttled: a CPU quota was used up"], margin = Math.max(ns, D.heat.width);
    return [el("div", {}, el("b", { class: "code" }, whose(fn, doing)), el("span", { class: "soft" }, " " + [doing === 0 ? "" : DOING.get(doing), whys[why]].filter(Boolean).join(", "))),
        el("div", {}, by ? ["the CPU had ", el("b", {}, text(by))] : el("span", { class: "soft" }, "who had the CPU is not known")),
        stackElement(stack, "at"), stackElement(create, "started at"),
        ns ? el("div", { class: "bar" }, el("span", { class: "soft" }, "longest " + duration(ns)),
            g ? link("G" + g + " then", "timeline", { by: "g", g, t: rangeText(Math.max(0, end - ns - margin), end + margin) })
                : link("then", "timeline", { by: "m", t: rangeText(Math.max(0, end - ns - margin), end + margin) })) : null];
}

// Of rows l0 to l1 and columns [c0, c1).
function kernelBehind(grid, l0, l1, c0, c1) {
    const behind = { queued: 0, blocked: 0, times: 0, longest: 0, g: 0, who: new Merge(), by: new Merge() };
    for (let line = l0; line <= l1; line++)
        for (const [c, queued, blocked, times, longest, g, list] of grid.rows[line].cells) {
            if (c < c0 || c >= c1)
                continue;
            behind.queued += queued;
            behind.blocked += blocked;
            behind.times += times;
            if (longest > behind.longest)
                [behind.longest, behind.g] = [longest, g];
            behind.who.add(list, 1);
            behind.by.add(list.map((value, i) => i % 3 === 1 ? KERNEL.keys[value][3] : value), 1);
        }
    return behind;
}

function kernelDetails(grid, area, from, to, selected) {
    const behind = kernelBehind(grid, area.l0, area.l1, area.c0, area.c1 + 1), tile = (value, words) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, words));
    return el("section", { class: "panel", id: "behind", "aria-live": "polite" },
        el("h2", {}, selected ? "Behind the selection: " + grid.name(area.l0) + (area.l1 > area.l0 ? " to " + grid.name(area.l1) : "") : "Behind all of it", " ",
            el("span", { class: "soft" }, "· " + rangeWords(from, to))),
        el("div", { class: "tiles" }, tile(duration(behind.queued), "in the kernel's run queue, of all threads together"), tile(duration(behind.longest), "longest wait that touches it" + (behind.g ? ", of G" + behind.g : "")),
            tile(count(behind.times), grid.rows[0].cpu === undefined ? "times without a CPU began" : "waits began"), grid.rows[0].cpu === undefined ? tile(duration(behind.blocked), "blocked") : null),
        rangeLinks(from, to), el("div", { class: "columns" },
            contributors("Who was stopped", "Threads that could run and got no CPU, by the goroutine that was on them.", behind.who, behind.queued, stopElement),
            contributors("Who had the CPU", "For most of each of these times.", behind.by, behind.queued,
                (by) => [el("div", {}, by ? el("b", {}, text(by)) : el("span", { class: "soft" }, "not known"))])),
        kernelHint());
}
