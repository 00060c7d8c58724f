// Theme, tabs, and the first view, once all scripts are there.

const THEMES = ["", "light", "dark"];

function themeShow() {
    const theme = document.documentElement.dataset.theme || "";
    document.getElementById("theme").textContent = { "": "◐ auto", light: "☀ light", dark: "☾ dark" }[theme];
}

function themeSet(theme) {
    if (theme)
        document.documentElement.dataset.theme = theme;
    else
        delete document.documentElement.dataset.theme;
    try {
        localStorage.setItem("gmptrace-theme", theme);
    } catch {
        // pages from files may have no storage
    }
    themeShow();
    redraw();
}

function redraw() {
    if (route.view)
        routeRead(true);
}

document.addEventListener("DOMContentLoaded", () => {
    let theme = "";
    try {
        theme = localStorage.getItem("gmptrace-theme") || "";
    } catch {
        // likewise
    }
    if (THEMES.includes(theme) && theme)
        document.documentElement.dataset.theme = theme;
    themeShow();
    document.getElementById("theme").addEventListener("click", () => {
        const now = document.documentElement.dataset.theme || "";
        themeSet(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
    document.getElementById("title").textContent = text(D.meta.command) || text(D.meta.file);
    if (!D.meta.exact) {
        const notice = document.getElementById("notice");
        notice.hidden = false;
        notice.textContent = "Not all that happened is in this trace: " + text(D.meta.missing) + ".";
    }
    views.sort((a, b) => a.order - b.order);
    document.getElementById("tabs").append(...views.map((view) =>
        el("a", { href: "#" + view.name, "data-view": view.name }, view.title)));
    let width = innerWidth;
    addEventListener("resize", () => {
        if (innerWidth !== width)
            redraw();
        width = innerWidth;
    });
    addEventListener("hashchange", routeRead);
    addEventListener("popstate", routeRead);
    routeRead();
});
