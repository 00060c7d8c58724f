// What is wrong, as gmptrace analyze says it, with the way to the time, the goroutine and the place of each.

const SEVERITIES = ["note", "warning", "error"];

// Whose time is that of the kernel's run queue.
const QUEUE_KINDS = ["noisy_neighbour", "quota_throttling", "kernel_starvation"];

// Of the goroutines of this function, and of this place of their start, if that is known; -1 = none.
function siteOf(fn, create) {
    return fn ? D.sites.findIndex((site, i) => i > 0 && site[0] === fn && (!create || site[1] === create)) : -1;
}

function findingElement([kind, severity, words, begin, end, fn, create, stack, g]) {
    const site = siteOf(fn, create), margin = Math.max((end - begin) / 2, D.over.lanes.width);
    const t = end > begin ? rangeText(Math.max(0, begin - margin), Math.min(end + margin, Math.max(D.meta.end, 1))) : "";
    return el("li", { class: "finding" }, el("span", { class: severity ? "tag bad" : "tag" }, SEVERITIES[severity] || "note"), " ",
        el("span", {}, text(words)), stackElement(stack, "at"), stackElement(create, "started at"),
        el("div", { class: "bar" }, el("code", { class: "soft" }, text(kind)),
            t ? [link("when: " + moment(begin, end - begin), "heat", { t, show: KERNEL && QUEUE_KINDS.includes(text(kind)) ? "queue" : "longest" }), link("timeline", "timeline", { t, by: g ? "g" : "p", g: g || "" }),
                link("flame graph", "flame", { a: t, type: "sched" })] : null,
            site > 0 ? [link("goroutines", "goroutines", { site }), link("latency", "latency", { site })] : null));
}

function findingsElement(list) {
    return list.length ? el("ul", { class: "findings" }, list.map(findingElement)) : el("p", { class: "soft" }, "none");
}

views.push({
    name: "findings", title: "Findings", order: 1.5,
    show(main) {
        put(main, el("p", { class: "hint" }, "What looks wrong in this trace, the worst first: the same as in gmptrace analyze."),
            findingsElement(D.findings),
            D.findings_left_out ? el("p", { class: "hint" }, "and " + plural(D.findings_left_out, "other")) : null);
    },
});
