// Addresses: #VIEW?key=value&key=value. A view is { name, title, order, show(main, params) }. What a view shows follows
// from its address alone, so back and forward work, and an address can be sent to somebody with the page.

const route = { view: null, params: {} };

function address(view, params) {
    const parts = Object.entries(params || {}).filter(([, value]) => value !== undefined && value !== null && value !== "")
        .map(([key, value]) => encodeURIComponent(key) + "=" + encodeURIComponent(value).replace(/%2C/g, ",").replace(/%3A/g, ":"));
    return "#" + view + (parts.length ? "?" + parts.join("&") : "");
}

// The same view with some parameters changed; replace: not a step to go back from.
function go(changes, replace) {
    const params = { ...route.params, ...changes }, hash = address(route.view.name, params);
    if (hash === location.hash)
        return;
    if (replace)
        history.replaceState(null, "", hash);
    else
        history.pushState(null, "", hash);
    routeRead();
}

function link(words, view, params) {
    return el("a", { href: address(view, params) }, words);
}

function routeParse() {
    const [name, query] = location.hash.slice(1).split("?");
    const params = {};
    for (const pair of (query || "").split("&")) {
        const [key, value] = pair.split("=");
        if (key)
            try {
                params[decodeURIComponent(key)] = decodeURIComponent(value || "");
            } catch {
                // a damaged address says nothing
            }
    }
    return { view: views.find((view) => view.name === name) || views[0], params };
}

let routeShown = null;

// again: even if the address is the same
function routeRead(again) {
    if (location.hash === routeShown && again !== true)
        return;
    routeShown = location.hash;
    const next = routeParse(), main = document.getElementById("view"), same = next.view === route.view;
    route.view = next.view;
    route.params = next.params;
    tip(null, "");
    for (const tab of document.querySelectorAll("#tabs a")) {
        if (tab.dataset.view === route.view.name)
            tab.setAttribute("aria-current", "page");
        else
            tab.removeAttribute("aria-current");
    }
    const tabs = document.getElementById("tabs"), shownTab = tabs.querySelector("[aria-current]");
    if (shownTab && tabs.scrollWidth > tabs.clientWidth)
        tabs.scrollLeft = shownTab.offsetLeft - (tabs.clientWidth - shownTab.offsetWidth) / 2;
    document.title = "gmptrace: " + route.view.title;
    const focused = same && document.activeElement && main.contains(document.activeElement) ? document.activeElement.id : "";
    const high = main.offsetHeight;
    main.style.minHeight = same ? high + "px" : ""; // so that the page does not jump while it is made anew
    main.replaceChildren();
    route.view.show(main, next.params);
    main.style.minHeight = "";
    if (!same)
        scrollTo(0, 0);
    if (focused && document.getElementById(focused))
        document.getElementById(focused).focus({ preventScroll: true });
}

// "from-to" in ns
function timeRange(value) {
    const parts = /^(\d+)-(\d+)$/.exec(value || "");
    const from = parts ? +parts[1] : 0, to = parts ? Math.min(+parts[2], Math.max(D.meta.end, 1)) : 0;
    return from < to ? { from, to } : null;
}
const rangeText = (from, to) => Math.round(from) + "-" + Math.round(to);
const rangeWords = (from, to) => moment(from, (to - from) / 10) + " to " + moment(to, (to - from) / 10);
