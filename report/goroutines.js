// Goroutines from parent to child, those of one function and place of start together; and groups that look leaked.

const CHILDREN_SHOWN = 200;

// Site -> [[child, how many, example], ...], those started most first.
function spawnMap() {
    const map = new Map();
    for (const [parent, site, number, example] of D.spawns) {
        if (!map.has(parent))
            map.set(parent, []);
        map.get(parent).push([site, number, example]);
    }
    for (const list of map.values())
        list.sort((a, b) => b[1] - a[1]);
    return map;
}

const suspectsOf = (site) => D.groups.filter((group) => group[0] > 0 && group[1] === D.sites[site][0] && group[2] === D.sites[site][1]);

// path: the sites above; expanded: whose children were shown, which are not again.
function treeNode([site, number, example], map, path, expanded, chosen) {
    const [, create, , alive, , ns] = D.sites[site], leaks = sum(suspectsOf(site).map((group) => group[8]));
    const all = expanded.has(site) ? [] : map.get(site) || [], children = all.slice(0, CHILDREN_SHOWN);
    const again = expanded.has(site) && map.has(site);
    expanded.add(site);
    const head = [el("b", { class: "code" }, siteTitle(site)), " ", el("span", { class: "soft" }, (number === 1 ? "G" + example : count(number) + " times") +
        (alive ? ", " + count(alive) + " alive at the end" : "") + (again ? ", as above" : "")),
    leaks ? [" ", el("a", { class: "tag bad", href: address("leaks", {}) }, count(leaks) + " suspected of leaking")] : null];
    const body = [stackElement(create, "started at"), splitBar(ns, kernelOfSite(site)), el("div", { class: "bar" }, link("latency", "latency", { site }),
        windowsIn(0, D.meta.end + 1).length ? link("G" + example + " in the timeline", "timeline", { by: "g", g: example }) : null)];
    return el("li", { id: "site-" + site + "-" + path.length, class: site === chosen ? "chosen" : null },
        el("details", { open: path.length < 3 || site === chosen }, el("summary", {}, head), body,
            children.length ? el("ul", { class: "tree" }, children.map((child) => treeNode(child, map, [...path, site], expanded, chosen)),
                all.length > children.length ? el("li", { class: "soft" }, "and " + plural(all.length - children.length, "other kind")) : null) : null));
}

views.push({
    name: "goroutines", title: "Goroutines", order: 6,
    show(main, params) {
        const map = spawnMap(), roots = map.get(0) || [], expanded = new Set();
        put(main, el("p", { class: "hint" }, "Who starts whom. Goroutines of one function that were started at one place are one entry; " +
            "the bar is how their time went. Those whose parent is not in the trace come first."),
        splitLegend(),
        roots.length ? el("ul", { class: "tree root" }, roots.map((root) => treeNode(root, map, [], expanded, +params.site)))
            : el("p", { class: "soft" }, "none"));
    },
});

const VERDICTS = [null, "stuck", "growing"];

function groupRow([verdict, fn, create, waits, state, why, bounded, , number, oldest, newest, example]) {
    return el("tr", {}, el("td", { class: "number" }, count(number)), el("td", { class: "wide" }, el("b", { class: "code" }, text(fn) || "?"), " ",
        VERDICTS[verdict] ? el("span", { class: "tag bad" }, VERDICTS[verdict]) : null,
        el("span", { class: "soft" }, " " + (state === 3 ? reason(why) + (bounded ? ", with a deadline" : "") : STATES[state][0])),
        stackElement(waits, state === 3 ? "waits at" : "at"), stackElement(create, "started at")),
    el("td", { class: "number" }, duration(oldest)), el("td", { class: "number" }, duration(newest)),
    el("td", {}, windowsIn(0, D.meta.end + 1).length ? link("G" + example, "timeline", { by: "g", g: example }) : "G" + example));
}

views.push({
    name: "leaks", title: "Leaks", order: 8,
    show(main) {
        const head = ["how many#", "", "the oldest, for#", "the newest, for#", "one of them"];
        const suspects = D.groups.filter((group) => group[0] > 0), others = D.groups.filter((group) => group[0] === 0);
        put(main, el("h2", {}, "Suspected leaks"),
            el("p", { class: "hint" }, "Goroutines that wait at the end, without a deadline, for something that only another one can bring: growing, where there are ever more, " +
                "or stuck, for longer than " + duration(D.stuck) + ". " + (D.below_threshold ? plural(D.below_threshold, "goroutine") + " waited for less." : "")),
            suspects.length ? table(head, suspects.map(groupRow)) : el("p", { class: "soft" }, "none"),
            el("h2", {}, "Alive at the end, not suspected"), others.length ? table(head, others.slice(0, 200).map(groupRow)) : el("p", { class: "soft" }, "none"),
            D.groups_all > D.groups.length ? el("p", { class: "hint" }, "and " + plural(D.groups_all - D.groups.length, "other group")) : null);
    },
});
