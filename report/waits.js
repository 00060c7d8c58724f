// Who waits for whom: locks with the goroutines that had them, chains of those that wait at the end, and all places of
// waits with who ended them.

// Trees of those that wait at the end under whoever has what they wait for; what goes round is a deadlock.
function heldChains({ known, under, circles }) {
    const shown = new Set();
    const node = (g) => {
        const { fn, stack, since, does } = known.get(g), again = shown.has(g);
        shown.add(g);
        return el("li", {}, el("b", { class: "code" }, "G" + g + " " + text(fn)), circles.has(g) ? [" ", el("span", { class: "tag bad" }, "waits for itself")] : null,
            el("span", { class: "soft" }, " " + (STATES[does] || STATES[0])[0] + (since === undefined ? "" : " since " + moment(since, D.heat.width))), stackElement(stack, "at"),
            again ? null : el("ul", { class: "tree" }, (under.get(g) || []).map(node)));
    };
    const roots = [...known.keys()].filter((g) => !known.get(g).waitsFor);
    const list = roots.map(node);
    for (const g of circles) // a circle has no root
        if (!shown.has(g))
            list.push(node(g));
    return list;
}

function ownerRow([waiter, stack, owner, times, total, longest, open]) {
    return el("tr", {}, el("td", { class: "number" }, duration(total)), el("td", { class: "some" }, link(siteTitle(waiter), "goroutines", { site: waiter }), stackElement(stack, "at")),
        el("td", { class: "some" }, link(siteTitle(owner), "goroutines", { site: owner })), el("td", { class: "number" }, count(times)),
        el("td", { class: "number" }, duration(longest)), el("td", { class: "number" }, open ? count(open) : "–"));
}

// WAKERS: [floor, function, cause, times, error, ...]
function enders(wakers) {
    const list = [];
    for (let i = 1; i < wakers.length; i += 4)
        list.push([wakers[i], wakers[i + 2]]);
    return list.sort((a, b) => b[1] - a[1]).slice(0, 3).map(([fn, times], i) => (i ? ", " : "") + (fn ? text(fn) : "a timer or the network") + " " + count(times) + "×").join("");
}

function waitRow([fn, stack, why, times, total, longest, open, wakers]) {
    return el("tr", {}, el("td", { class: "number" }, duration(total)), el("td", { class: "wide" }, el("b", { class: "code" }, text(fn) || "?"),
        el("span", { class: "soft" }, " " + reason(why)), stackElement(stack, "at")), el("td", { class: "some" }, enders(wakers) || "–"),
    el("td", { class: "number" }, count(times)), el("td", { class: "number" }, duration(longest)), el("td", { class: "number" }, open ? count(open) : "–"));
}

views.push({
    name: "waits", title: "Waits", order: 7,
    show(main, params) {
        const why = params.why === undefined ? -1 : +params.why, reasons = [...new Set(D.waits.map((wait) => wait[2]))].sort((a, b) => a - b);
        const list = D.waits.filter((wait) => why < 0 || wait[2] === why), most = +params.rows || 50, held = heldGoroutines(), chains = heldChains(held);
        put(main, chains.length ? [el("h2", {}, "Who waits for whom at the end"), el("p", { class: "hint" }, "An arrow goes from each that waits for a lock to the one that had it then; in the list the former are below the latter."),
            heldGraph(held), el("ul", { class: "tree root" }, chains)] : null,
        D.owners.length ? [el("h2", {}, "Locks: who waited while who had them"), table(["in all#", "waited", "had it", "times#", "longest#", "at the end#"], D.owners.slice(0, most).map(ownerRow))] : null,
        el("h2", {}, "Waits"), el("div", { class: "bar" }, el("label", {}, "for ", el("select", { id: "wait-reason", onchange: (event) => go({ why: event.target.value === "-1" ? "" : event.target.value }) },
            el("option", { value: -1, selected: why < 0 }, "anything"), reasons.map((each) => el("option", { value: each, selected: each === why }, reason(each)))))),
        list.length ? table(["in all#", "", "ended by", "times#", "longest#", "at the end#"], list.slice(0, most).map(waitRow)) : el("p", { class: "soft" }, "none"),
        list.length > most ? el("p", {}, link("more", "waits", { ...params, rows: most * 4 })) : null,
        D.waits_all > D.waits.length ? el("p", { class: "hint" }, "and " + plural(D.waits_all - D.waits.length, "other place")) : null);
    },
});
