// The timeline by P, M and G: exact slices where the page has them, and elsewhere what is longest in each column.

const TIMELINE_LEFT = 92, TIMELINE_ROWS = 40, TIMELINE_THIN = 8; // thin: the row of the kernel's side

function timelineScope(params) {
    if (timeRange(params.t))
        return timeRange(params.t);
    const home = params.k && offFind(params.k) ? offFind(params.k).window : params.g ? D.windows.findIndex((_, i) => windowRead(i).ofG.has(+params.g)) : -1;
    return home >= 0 ? { from: D.windows[home].from, to: D.windows[home].to } : timelineAll();
}
const timelineAll = () => ({ from: 0, to: Math.max(D.meta.end, 1) });

function sliceName(slice) {
    return slice.state === WAITING ? reason(slice.why) : STATES[slice.state][0];
}

function sliceWords(slice) {
    const fn = text(windowRead(slice.window).fn.get(slice.g));
    return "G" + slice.g + " " + fn + ", " + sliceName(slice) + (slice.p >= 0 ? " on P" + slice.p : "") + "\n" +
        duration(slice.to - slice.from) + " from " + moment(slice.from, (slice.to - slice.from) / 10) +
        (slice.stack ? "\n" + stackText(slice.stack) : "");
}

// Which function a row's column is of, where there is no exact slice.
function siteUnder(row, at) {
    if (row.site)
        return row.key;
    const lane = D.over.lanes.ps.find((list) => list[0] === row.key), column = Math.floor(at / D.over.lanes.width);
    for (let i = 1; lane && i < lane.length; i += 4)
        if (lane[i] === column)
            return lane[i + 1];
    return -1;
}

function siteWords(row, site) {
    return siteTitle(site) + (site > 0 && D.sites[site][1] ? ", started at " + stackText(D.sites[site][1]) : "") + (row.site ? "" : "\nran longest here");
}

/* ---- Drawing ---- */

// At most `most` goroutines, but for those that a chosen slice has to do with.
function timelineRows(by, scope, first, most, chosen) {
    const exact = sum(windowsIn(scope.from, scope.to).map((i) => Math.min(D.windows[i].to, scope.to) - Math.max(D.windows[i].from, scope.from)));
    if (by === "g" && exact < (scope.to - scope.from) * 0.3)
        return D.over.sites.rows.map((row) => ({ key: row[0], name: siteTitle(row[0]), list: [], site: row }));
    const exactRows = sliceRows(by, scope.from, scope.to, first), rows = KERNEL ? offsAdd(exactRows, by, scope.from, scope.to) : exactRows;
    if (by !== "g" || rows.length <= most)
        return rows;
    const { woken, woke } = chosen ? wakesAround(chosen) : { woken: [], woke: [] };
    const wanted = new Set([chosen && chosen.g, ...woken.map(({ wake }) => wake.waker), ...woke.slice(0, 8).map(({ wake }) => wake.g)]);
    return [...rows.slice(0, most), ...rows.slice(most).filter((row) => wanted.has(row.key))];
}

function overDraw(context, row, y, high, x) {
    const lane = D.over.lanes.ps.find((list) => list[0] === row.key), wide = D.over.lanes.width;
    const exact = D.windows;
    for (let i = 1; lane && i < lane.length; i += 4) {
        const [column, site, , all] = lane.slice(i, i + 4), left = x(column * wide), right = x((column + 1) * wide);
        if (exact.some((w) => w.from <= column * wide && w.to >= (column + 1) * wide) || right < TIMELINE_LEFT)
            continue;
        const part = Math.max(1, high * Math.min(1, all / wide));
        context.fillStyle = laneColour(siteTitle(site));
        context.fillRect(left, y + high - part, Math.max(0.7, right - left), part);
    }
}

// The average number of Gs by state, against the most that the row has.
function siteDraw(context, row, y, high, x) {
    const wide = D.over.sites.width, most = Math.max(1, ...row.site.filter(Array.isArray).map(sum));
    for (let i = 1; i < row.site.length; i += 2) {
        const left = x(row.site[i] * wide), right = x((row.site[i] + 1) * wide);
        let base = y + high;
        for (const state of STATE_ORDER) {
            const part = row.site[i + 1][state] / most * high;
            context.fillStyle = css(STATES[state][1]);
            context.fillRect(left, base - part, Math.max(0.7, right - left), part);
            base -= part;
        }
    }
}

function sliceColour(slice, by) {
    return by === "g" ? css(STATES[slice.state][1]) : laneColour(text(windowRead(slice.window).fn.get(slice.g)) || "?");
}

function slicesDraw(context, row, y, high, x, by, right) {
    let drawn = -1, colours = new Map();
    for (const slice of row.list) {
        const left = Math.max(TIMELINE_LEFT, x(slice.from)), end = Math.min(right, x(slice.to));
        if (end <= drawn || end < TIMELINE_LEFT || left > right)
            continue;
        const key = by === "g" ? slice.state : slice.g;
        if (!colours.has(key))
            colours.set(key, sliceColour(slice, by));
        const thin = by === "g" && slice.state === WAITING, wide = Math.max(0.8, end - left - (end - left > 4 ? 1 : 0));
        context.fillStyle = colours.get(key);
        context.fillRect(left, thin ? y + high / 2 - 2 : y, wide, thin ? 4 : high);
        drawn = Math.max(drawn, left + 0.6);
        if (wide > 34 && !thin) {
            context.fillStyle = by === "g" ? css("--ground") : css("--text");
            context.textAlign = "left";
            const words = by === "g" ? sliceName(slice) : "G" + slice.g + " " + text(windowRead(slice.window).fn.get(slice.g));
            context.fillText(words.slice(0, Math.floor((wide - 6) / 6.4)), left + 3, y + high / 2 + 0.5);
        }
    }
}

function arrowDraw(context, x0, y0, x1, y1, colour) {
    const steps = Math.atan2(y1 - y0, Math.max(x1 - x0, 8) * 0.6);
    context.strokeStyle = context.fillStyle = colour;
    context.beginPath();
    context.moveTo(x0, y0);
    context.bezierCurveTo(x0 + 12, y0 + (y1 - y0) * 0.2, x1 - 12, y1 - (y1 - y0) * 0.2, x1, y1);
    context.stroke();
    context.beginPath();
    context.moveTo(x1, y1);
    for (const turn of [2.7, -2.7])
        context.lineTo(x1 + 7 * Math.cos(steps + turn), y1 + 7 * Math.sin(steps + turn));
    context.fill();
}

function timelineDraw(canvas, rows, scope, by, selected, off) {
    const high = clamp(Math.floor(420 / Math.max(1, rows.length)), 13, 26), thin = KERNEL ? TIMELINE_THIN : 0, step = high + thin + 4;
    const plot = rows.length * step;
    let geometry;
    canvasDraw(canvas, plot + 26, (context, width) => {
        const right = width - 4, x = (ns) => TIMELINE_LEFT + (ns - scope.from) / (scope.to - scope.from) * (right - TIMELINE_LEFT);
        geometry = { right, high, step, plot, at: (px) => scope.from + (px - TIMELINE_LEFT) / (right - TIMELINE_LEFT) * (scope.to - scope.from) };
        const line = (slice) => slice && rows.findIndex((row) => row.list.includes(slice));
        rows.forEach((row, i) => {
            const y = i * step;
            context.fillStyle = css("--empty");
            context.fillRect(TIMELINE_LEFT, y, right - TIMELINE_LEFT, high);
            context.save();
            context.beginPath();
            context.rect(TIMELINE_LEFT, y, right - TIMELINE_LEFT, high + thin);
            context.clip();
            if (row.site)
                siteDraw(context, row, y, high, x);
            else if (by === "p")
                overDraw(context, row, y, high, x);
            slicesDraw(context, row, y, high, x, by, right);
            if (thin && by === "p")
                offsOverDraw(context, row, y + high + 1, thin - 1, x, TIMELINE_LEFT);
            if (thin)
                offsDraw(context, row, y + high + 1, thin - 1, x, TIMELINE_LEFT, right, off);
            context.restore();
            context.fillStyle = css("--soft");
            context.textAlign = "right";
            context.fillText(row.name.slice(0, 13), TIMELINE_LEFT - 6, y + high / 2);
        });
        if (!D.windows.some((w) => w.whole))
            for (const window of D.windows) {
                const a = clamp(x(window.from), TIMELINE_LEFT, right), b = clamp(x(window.to), TIMELINE_LEFT, right);
                context.fillStyle = css("--accent");
                context.fillRect(a, plot - 1, Math.max(b > TIMELINE_LEFT && a < right ? 2 : 0, b - a), 3);
            }
        context.save();
        context.beginPath();
        context.rect(TIMELINE_LEFT, 0, right - TIMELINE_LEFT, plot);
        context.clip();
        if (selected && line(selected) >= 0) {
            const y = line(selected) * step, { woken, woke } = wakesAround(selected);
            context.lineWidth = 2.5;
            context.strokeStyle = css("--focus");
            context.strokeRect(x(selected.from), y + 1, Math.max(3, x(selected.to) - x(selected.from)), high - 2);
            context.lineWidth = 1.5;
            for (const { wake, from, to } of [...woken, ...woke.slice(0, 60)]) {
                const a = line(from), b = line(to);
                if (a >= 0 && b >= 0 && from && to)
                    arrowDraw(context, x(wake.at), a * step + high / 2, x(wake.ran), b * step + high / 2, css("--focus"));
            }
        }
        context.lineWidth = 1.5;
        for (const { at, to, a, b } of offArrows(rows, by, selected, off))
            arrowDraw(context, x(at), a * step + high / 2, x(to), b * step + high + thin / 2, css("--focus"));
        context.restore();
        context.lineWidth = 1;
        timeAxis(context, scope.from, scope.to, TIMELINE_LEFT, right, plot + 2);
    });
    return geometry;
}

/* ---- A selected slice ---- */

const sliceId = (slice) => slice.window + "." + slice.index;

function sliceFind(words) {
    const parts = /^(\d+)\.(\d+)$/.exec(words || "");
    return parts && D.windows[+parts[1]] ? windowRead(+parts[1]).list[+parts[2]] || null : null;
}

function sliceLink(slice, words) {
    return slice ? el("a", { href: address("timeline", { ...route.params, s: sliceId(slice) }) }, words) : words;
}

function slicePanel(slice) {
    const read = windowRead(slice.window), list = read.ofG.get(slice.g), at = list.indexOf(slice), { woken, woke } = wakesAround(slice);
    const near = rangeText(Math.max(0, slice.from - (slice.to - slice.from) - 1000), slice.to + (slice.to - slice.from) + 1000);
    const who = (g) => "G" + g + " " + text(read.fn.get(g));
    const parent = read.parent.get(slice.g);
    return el("section", { class: "panel", id: "slice", "aria-live": "polite" },
        el("h2", {}, who(slice.g) + " ", el("span", { class: "soft" }, sliceName(slice) + " for " + duration(slice.to - slice.from) + " · " +
            rangeWords(slice.from, Math.max(slice.to, slice.from + 1)) + (slice.p >= 0 ? " · P" + slice.p : ""))),
        stackElement(slice.stack, slice.state === WAITING ? "waits at" : "at"), splitOfG(slice.window, slice.g),
        el("p", {}, woken.map(({ wake, from }) => ["made runnable by ", sliceLink(from, who(wake.waker)), " ", duration(wake.ran - wake.at), " before it ran. "]),
            woke.length ? ["It made runnable: ", woke.slice(0, 12).map(({ wake, to }, i) => [i ? ", " : "", sliceLink(to, who(wake.g))]),
                woke.length > 12 ? " and " + plural(woke.length - 12, "other") : "", "."] : null),
        el("p", { class: "bar" }, at > 0 ? sliceLink(list[at - 1], "◂ before: " + sliceName(list[at - 1])) : null,
            list[at + 1] ? sliceLink(list[at + 1], "then: " + sliceName(list[at + 1]) + " ▸") : null,
            link("zoom to it", "timeline", { ...route.params, t: near }),
            link("among goroutines", "timeline", { by: "g", g: slice.g, t: route.params.t, s: sliceId(slice) }),
            link("heat map of this time", "heat", { t: near }), link("flame graph", "flame", { a: near, type: "sched" }),
            parent ? el("span", { class: "soft" }, "started by " + who(parent)) : null));
}

function sitePanel(site) {
    const [, create, started, alive, , ns] = D.sites[site];
    return el("section", { class: "panel", id: "site", "aria-live": "polite" },
        el("h2", {}, siteTitle(site) + " ", el("span", { class: "soft" }, count(started) + " started, " + count(alive) + " alive at the end")),
        stackElement(create, "started at"), splitBar(ns, kernelOfSite(site)),
        el("p", { class: "bar" }, link("goroutines", "goroutines", { site }), link("latency", "latency", { site })));
}

// The functions whose colours a timeline by P or M has, those that ran longest first.
function colourLegend(scope) {
    const ran = new Map(), wide = D.over.lanes.width;
    for (const lane of D.over.lanes.ps)
        for (let i = 1; i < lane.length; i += 4)
            if (lane[i] * wide < scope.to && (lane[i] + 1) * wide > scope.from)
                ran.set(siteTitle(lane[i + 1]), (ran.get(siteTitle(lane[i + 1])) || 0) + lane[i + 2]);
    return el("p", { class: "legend" }, [...ran].sort((a, b) => b[1] - a[1]).slice(0, 10).map(([name]) => {
        const patch = el("i");
        patch.style.background = laneColour(name);
        return el("span", {}, patch, el("code", {}, name));
    }));
}

/* ---- The view ---- */

views.push({
    name: "timeline", title: "Timeline", order: 3,
    show(main, params) {
        const by = ["p", "m", "g"].includes(params.by) ? params.by : "p", all = timelineAll(), most = +params.rows || TIMELINE_ROWS;
        const scope = timelineScope(params), chosen = sliceFind(params.s), off = chosen || !KERNEL ? null : offFind(params.k), rows = timelineRows(by, scope, +params.g || -1, most, chosen);
        const canvas = el("canvas", { class: "pick", id: "timeline", tabindex: "0", role: "application", "aria-describedby": "timeline-said",
            "aria-label": "Timeline. Left and right go from slice to slice, up and down from row to row, with Shift they move the time shown; plus and minus zoom, W goes to the waker, " +
                (KERNEL ? "K to the time without a CPU, " : "") + "Escape clears." });
        const said = el("p", { class: "said", id: "timeline-said", "aria-live": "polite" }, chosen || off ? (chosen ? sliceWords(chosen) : offWords(off)).replace(/\n/g, "; ") : "");
        const button = (key, words) => el("button", { type: "button", id: "by-" + key, "aria-pressed": String(by === key), onclick: () => go({ by: key, rows: "" }) }, words);
        const exact = D.windows.some((w) => w.whole) ? null : el("span", { class: "bar" }, D.windows.length ? "exact around long delays:" : "no exact slices in this page (--slices)",
            D.windows.map((w) => link(moment(w.from, D.over.lanes.width), "timeline", { by, t: rangeText(w.from, w.to) })));
        const partly = windowsIn(scope.from, scope.to).length;
        put(main, el("div", { class: "bar" }, el("span", { class: "group", role: "group", "aria-label": "Rows" }, button("p", "P"), button("m", "M"), button("g", "G")),
            el("button", { type: "button", id: "timeline-all", disabled: !params.t && !params.g && !params.k, onclick: () => go({ t: "", s: "", k: "", g: "", site: "" }) }, "Show all"), exact),
        rows.length ? null : el("p", { class: "soft" }, partly ? "nothing ran here" : "What threads did is only in the exact parts: choose one above."),
        el("div", { class: "chart" }, canvas),
        said, by === "g" ? el("p", { class: "legend" }, STATE_ORDER.map((state) => {
            const patch = el("i");
            patch.style.background = css(STATES[state][1]);
            return el("span", {}, patch, STATES[state][0]);
        })) : colourLegend(scope),
        KERNEL ? offLegend() : null,
        by === "g" && rows.length >= most ? el("p", {}, link("more goroutines", "timeline", { ...params, rows: most * 2 })) : null,
        chosen ? slicePanel(chosen) : off ? offPanel(off) : D.sites[+params.site] && +params.site > 0 ? sitePanel(+params.site) : el("p", { class: "hint" }, "Click a slice to see whose it is, where, and who woke it; drag over a time to zoom. " +
            (by === "p" ? "Where there are no exact slices, a column has the colour of what ran longest on the P, as high as the P was busy."
                : by === "g" ? "Where there are few exact slices, a row is a kind of goroutine, and its columns how many there were in each state."
                    : "Threads have exact slices only: of the times that are marked below them.")));
        let geometry = timelineDraw(canvas, rows, scope, by, chosen, off), pressed = null;
        const rowAt = ({ y }) => rows[Math.floor(y / geometry.step)];
        const isThin = ({ y }) => KERNEL && y % geometry.step >= geometry.high;
        const nearest = (list, x) => {
            const at = geometry.at(x), slack = (scope.to - scope.from) / geometry.right * 2;
            return (list || []).filter((slice) => slice.from - slack <= at && slice.to + slack >= at)
                .sort((a, b) => (a.from <= at && a.to >= at ? 0 : 1) - (b.from <= at && b.to >= at ? 0 : 1))[0] || null;
        };
        const under = ({ x, y }) => rowAt({ y }) && !isThin({ y }) ? nearest(rowAt({ y }).list, x) : null;
        const offUnder = ({ x, y }) => rowAt({ y }) && isThin({ y }) ? nearest(rowAt({ y }).offs, x) : null;
        const move = (from, to) => {
            const wide = Math.min(Math.max(to - from, 100), all.to), begin = clamp(from, 0, all.to - wide);
            go(begin <= 0 && wide >= all.to ? { t: "", g: "" } : { t: rangeText(begin, begin + wide) }, true);
        };
        pointerWatch(canvas, {
            down: (at) => { pressed = at; },
            move: (at, down) => {
                const slice = down ? null : under(at), stop = down ? null : offUnder(at), row = rowAt(at), site = row && !down && !slice && !stop ? siteUnder(row, geometry.at(at.x)) : -1;
                tip(at.event, slice ? sliceWords(slice) : stop ? offWords(stop) : site >= 0 ? siteWords(row, site) : down && pressed ? rangeWords(...[pressed.x, at.x].map(geometry.at).sort((a, b) => a - b)) : "");
            },
            up: (at) => {
                if (pressed && Math.abs(at.x - pressed.x) > 6) {
                    const [from, to] = [pressed.x, at.x].map((px) => clamp(geometry.at(px), 0, all.to)).sort((a, b) => a - b);
                    go({ t: rangeText(from, Math.max(to, from + 10)) });
                } else {
                    const slice = under(at), stop = offUnder(at);
                    const row = rowAt(at), site = row && !slice && !stop ? siteUnder(row, geometry.at(at.x)) : -1;
                    go({ s: slice ? sliceId(slice) : "", k: stop ? offId(stop) : "", site: site > 0 ? site : "" });
                }
            },
        });
        canvas.addEventListener("keydown", (event) => {
            const wide = scope.to - scope.from, middle = chosen || off ? clamp(((chosen || off).from + (chosen || off).to) / 2, scope.from, scope.to) : (scope.from + scope.to) / 2;
            const line = rows.findIndex((row) => chosen ? row.list.includes(chosen) : off && row.offs.includes(off));
            const choose = (slice) => slice && go({ s: sliceId(slice), k: "" }, true);
            const chooseOff = (stop) => stop && go({ s: "", k: offId(stop) }, true);
            const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key], updown = { ArrowUp: -1, ArrowDown: 1 }[event.key];
            if (sideways && event.shiftKey) {
                move(scope.from + sideways * wide / 4, scope.to + sideways * wide / 4);
            } else if (off && sideways) {
                chooseOff(rows[line] && rows[line].offs[rows[line].offs.indexOf(off) + sideways]);
            } else if (event.key === "k" && KERNEL) {
                const offs = ((rows[line] && rows[line].offs.length ? rows[line] : rows.find((row) => row.offs.length)) || { offs: [] }).offs;
                chooseOff(offs.find((stop) => stop.to >= (chosen ? chosen.from : scope.from)) || offs[offs.length - 1]);
            } else if (off && event.key === "ArrowUp") {
                choose(rows[line] && rows[line].list.find((slice) => slice.to >= off.from));
            } else if (sideways || event.key === "Home" || event.key === "End") {
                const list = (rows[line] || rows.find((row) => row.list.length) || { list: [] }).list, at = list.indexOf(chosen);
                choose(event.key === "Home" ? list[0] : event.key === "End" ? list[list.length - 1]
                    : line < 0 ? list.find((slice) => slice.to >= scope.from) : list[at + sideways]);
            } else if (updown) {
                for (let i = (line < 0 ? -updown : line) + updown; i >= 0 && i < rows.length; i += updown)
                    if (rows[i].list.length) {
                        choose(rows[i].list.find((slice) => slice.to >= middle) || rows[i].list[rows[i].list.length - 1]);
                        break;
                    }
            } else if (event.key === "+" || event.key === "=") {
                move(middle - wide / 4, middle + wide / 4);
            } else if (event.key === "-") {
                move(middle - wide, middle + wide);
            } else if (event.key === "w" && chosen) {
                choose((wakesAround(chosen).woken[0] || {}).from);
            } else if (event.key === "Escape") {
                go({ s: "", k: "", site: "" });
            } else {
                return;
            }
            event.preventDefault();
        });
    },
});
