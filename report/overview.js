// What the trace is, in numbers; how many goroutines were in which state over time; the longest delays; suspected leaks.

function statesDraw(canvas) {
    const { width: wide, ns } = D.states, columns = ns[0].length;
    const most = Math.max(1e-9, ...ns[0].map((_, c) => sum(STATE_ORDER.map((state) => ns[state][c])) / wide));
    canvasDraw(canvas, 186, (context, width) => {
        const left = 58, right = width - 4, high = 160, base = new Float64Array(columns);
        for (const state of STATE_ORDER) {
            context.fillStyle = css(STATES[state][1]);
            for (let c = 0; c < columns; c++) {
                const value = ns[state][c] / wide / most * (high - 8), x = left + c / columns * (right - left);
                context.fillRect(Math.floor(x), high - base[c] - value, Math.ceil((right - left) / columns) + 0.5, value);
                base[c] += value;
            }
        }
        context.fillStyle = css("--soft");
        context.textAlign = "right";
        context.fillText(count(most), left - 6, 10);
        context.fillText("0", left - 6, high - 6);
        timeAxis(context, 0, Math.max(D.meta.end, 1), left, right, high);
    });
}

function worstRow([g, p, from, to, fn, create, stack, by]) {
    const margin = Math.max((to - from) / 2, D.heat.width);
    return el("tr", {}, el("td", { class: "number" }, duration(to - from)),
        el("td", { class: "wide" }, el("b", { class: "code" }, "G" + g + " " + text(fn)), el("span", { class: "soft" }, " " + cause(by)),
            stackElement(stack, "had waited at"), stackElement(create, "started at")),
        el("td", {}, p < 0 ? "no P" : "P" + p),
        el("td", {}, link(moment(from, D.heat.width), "heat", { show: "longest", t: rangeText(Math.max(0, from - margin), to + margin) }),
            windowsIn(from, to).length ? [" ", link("timeline", "timeline", { by: "g", g, t: rangeText(Math.max(0, from - (to - from) / 5), to + (to - from) / 5) })] : null));
}

function suspectRow([verdict, fn, create, waits, , why, , , number, oldest]) {
    return el("tr", {}, el("td", { class: "number" }, count(number)), el("td", { class: "wide" },
        el("b", { class: "code" }, text(fn)), el("span", { class: "soft" }, " " + (verdict === 2 ? "growing" : "stuck") + ", " + reason(why)),
        stackElement(waits, "waits at"), stackElement(create, "started at")), el("td", { class: "number" }, duration(oldest)));
}

views.push({
    name: "overview", title: "Overview", order: 1,
    show(main) {
        const totals = D.totals, latency = totals.scheduling, canvas = el("canvas", { role: "img", "aria-label": "Goroutines by state over time" });
        const tile = (value, words) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, words));
        const suspects = D.groups.filter((group) => group[0] > 0);
        put(main, el("div", { class: "tiles" }, tile(duration(D.meta.end), "long"), tile(count(D.meta.events), "events, " + count(D.meta.lost) + " lost"),
            tile(count(totals.created), "goroutines started"), tile(count(totals.alive), "alive at the end, at most " + count(totals.peak)),
            tile(percent(totals.p_busy, totals.p_room) || "0 %", "of " + plural(totals.p_count, "P") + " busy"),
            tile(duration(latency[1]), "scheduling delay, half are below"), tile(duration(latency[3]), "99 of 100 are below"),
            tile(duration(latency[4]), "the longest")), kernelHint(),
        el("h2", {}, "Findings"), findingsElement(D.findings.slice(0, 5)),
        D.findings.length > 5 ? el("p", {}, link("all " + count(D.findings.length), "findings", {})) : null,
        el("h2", {}, "Goroutines by state"), el("div", { class: "chart" }, canvas),
        el("p", { class: "legend" }, STATE_ORDER.filter((state) => D.states.ns[state].some((ns) => ns > 0)).map((state) => {
            const patch = el("i");
            patch.style.background = css(STATES[state][1]);
            return el("span", {}, patch, STATES[state][0] + " " + duration(sum(D.states.ns[state])));
        })),
        el("h2", {}, "Suspected leaks"), suspects.length ? table(["how many#", "", "the oldest waits#"], suspects.slice(0, 20).map(suspectRow))
            : el("p", { class: "soft" }, "none"),
        el("h2", {}, "The longest delays"), D.worst.length ? table(["delay#", "", "queued at", "see"], D.worst.slice(0, 15).map(worstRow))
            : el("p", { class: "soft" }, "none"));
        statesDraw(canvas);
    },
});
