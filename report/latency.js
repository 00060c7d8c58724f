// Histograms on logarithmic scales: how long goroutines were runnable, and how long they waited, of all or of one site.

const LATENCIES = {
    delays: { title: "scheduling delay", hint: "From when a goroutine could run until it ran.", about: "delay" },
    pauses: { title: "waits", hint: "How long goroutines waited for something: a channel, a lock, the network, a moment.", about: "wait" },
};

function siteTitle(number) {
    if (number < 0)
        return "all";
    const site = D.sites[number];
    return number && site ? text(site[0]) || "?" : "others";
}

// [from, to, how many] of each step, to the least of the next eighth of an octave.
function latencyBars([, , , , , , , , steps]) {
    const bars = [];
    for (let i = 0; i < steps.length; i += 2) {
        const low = steps[i], wide = low < 8 ? 1 : 2 ** (Math.floor(Math.log2(low)) - 3);
        bars.push([low, low + wide, steps[i + 1]]);
    }
    return bars;
}

function latencyDraw(canvas, row, chosen) {
    const bars = latencyBars(row), most = Math.max(1, ...bars.map((bar) => bar[2]));
    let geometry;
    canvasDraw(canvas, 250, (context, width) => {
        const left = 58, right = width - 8, high = 220, least = Math.max(1, bars[0][0]), greatest = Math.max(least * 2, bars[bars.length - 1][1]);
        const x = (ns) => left + Math.log(Math.max(ns, least) / least) / Math.log(greatest / least) * (right - left);
        const y = (number) => high - (high - 12) * Math.log(number + 1) / Math.log(most + 1);
        context.fillStyle = css("--soft");
        context.strokeStyle = css("--line");
        context.textAlign = "right";
        context.beginPath();
        for (let number = 1; number <= most; number *= 10) {
            context.fillText(count(number), left - 6, y(number));
            context.moveTo(left, Math.round(y(number)) + 0.5);
            context.lineTo(right, Math.round(y(number)) + 0.5);
        }
        context.stroke();
        bars.forEach(([from, to, number], i) => {
            context.fillStyle = css(i === chosen ? "--focus" : "--bar");
            context.fillRect(x(from), y(number), Math.max(1, x(to) - x(from) - 1), high - y(number));
        });
        context.fillStyle = css("--text");
        context.textAlign = "left";
        let last = -99;
        [["half", row[3]], ["90 %", row[4]], ["99 %", row[5]], ["99.9 %", row[6]]].forEach(([words, at]) => {
            context.fillRect(x(at), 0, 1, high);
            if (x(at) - last > 44) {
                context.fillText(words, Math.min(x(at) + 3, right - 44), 8);
                last = x(at);
            }
        });
        context.fillStyle = css("--soft");
        last = -99;
        for (let at = 10 ** Math.floor(Math.log10(least)); at <= greatest; at *= 10)
            if (at >= least && x(at) - last > 52) {
                context.fillText(duration(at), clamp(x(at) - 12, left, right - 46), high + 14);
                last = x(at);
            }
        geometry = { bars, under: (px) => bars.findIndex(([from, to]) => px >= x(from) && px <= Math.max(x(to), x(from) + 2)) };
    });
    return geometry;
}

const barWords = (row, [from, to, number], about) => plural(number, about) + " of " + duration(from) + " to " + duration(to) + ", " +
    percent(number, row[1]) + " of all";

views.push({
    name: "latency", title: "Latency", order: 5,
    show(main, params) {
        const kind = LATENCIES[params.kind] ? params.kind : "delays", list = D[kind], about = LATENCIES[kind];
        const row = list.find((each) => each[0] === (params.site === undefined ? -1 : +params.site)) || list[0], chosen = params.bar === undefined ? -1 : +params.bar;
        const canvas = el("canvas", { class: "pick", id: "latency", tabindex: "0", role: "application", "aria-describedby": "latency-said",
            "aria-label": "Histogram. Left and right arrows go from bar to bar, Escape clears." });
        const said = el("p", { class: "said", id: "latency-said", "aria-live": "polite" });
        const button = (key) => el("button", { type: "button", id: "latency-" + key, "aria-pressed": String(kind === key), onclick: () => go({ kind: key, bar: "" }) }, LATENCIES[key].title);
        put(main, el("div", { class: "bar" }, el("span", { class: "group", role: "group", "aria-label": "What" }, button("delays"), button("pauses")),
            el("label", {}, "of ", el("select", { id: "latency-site", onchange: (event) => go({ site: event.target.value === "-1" ? "" : event.target.value, bar: "" }) },
                list.map((each) => el("option", { value: each[0], selected: each === row }, siteTitle(each[0]) +
                    (each[0] > 0 ? " · " + (stackText(D.sites[each[0]][1]) || "main") : "")))))),
        el("p", { class: "hint" }, about.hint + " Both scales are logarithmic."));
        if (!row[1]) {
            put(main, el("p", { class: "soft" }, "none"));
            return;
        }
        put(main, el("div", { class: "chart" }, canvas), said,
            kind === "delays" ? el("p", {}, link("Where in time: the heat map by delay", "heat", { mode: "length" })) : null,
            table(["", "how many#", "half#", "90 %#", "99 %#", "99.9 %#", "longest#"], [...list].sort((a, b) => b[1] - a[1]).map((each) => el("tr", {},
                el("td", { class: "wide" }, link(siteTitle(each[0]), "latency", { kind, site: each[0] < 0 ? "" : each[0] }),
                    each[0] > 0 ? stackElement(D.sites[each[0]][1], "started at") : null),
                el("td", { class: "number" }, count(each[1])), each.slice(3, 8).map((ns) => el("td", { class: "number" }, duration(ns)))))));
        const geometry = latencyDraw(canvas, row, chosen);
        if (geometry.bars[chosen])
            said.textContent = barWords(row, geometry.bars[chosen], about.about);
        pointerWatch(canvas, {
            move: (at) => {
                const bar = geometry.bars[geometry.under(at.x)];
                tip(at.event, bar ? barWords(row, bar, about.about) : "");
            },
            up: (at) => go({ bar: geometry.under(at.x) < 0 ? "" : geometry.under(at.x) }),
        });
        canvas.addEventListener("keydown", (event) => {
            const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
            if (by)
                go({ bar: clamp(chosen < 0 ? 0 : chosen + by, 0, geometry.bars.length - 1) }, true);
            else if (event.key === "Escape")
                go({ bar: "" });
            else
                return;
            event.preventDefault();
        });
    },
});
