// Those that wait for a lock at the end, and who had it: as they are told in D.held, as a tree, and drawn as a graph.

const GRAPH_MOST = 80; // goroutines that are drawn

// known: what there is to say of each goroutine; under: who waits for it; circles: those that wait for themselves.
function heldGoroutines() {
    const under = new Map(), known = new Map();
    for (const [g, fn, stack, since, owner, ownerFn, does] of D.held) {
        known.set(g, { fn, stack, since, does: 3, waitsFor: owner });
        if (!known.has(owner))
            known.set(owner, { fn: ownerFn, does });
        if (!under.has(owner))
            under.set(owner, []);
        under.get(owner).push(g);
    }
    const round = (g) => {
        const seen = new Set();
        for (let at = g; known.has(at) && known.get(at).waitsFor; at = known.get(at).waitsFor) {
            if (seen.has(at))
                return at === g;
            seen.add(at);
        }
        return false;
    };
    return { known, under, circles: new Set([...known.keys()].filter(round)) };
}

// Where each stands: a column for each step away from who waits for nobody, rows so that none crosses another. In a
// circle one that is as good as any begins.
function heldPlaces({ known, under, circles }) {
    const places = new Map();
    let row = 0;
    const place = (g, column) => {
        const at = { column, row };
        places.set(g, at);
        const waiting = (under.get(g) || []).filter((other) => !places.has(other)), first = row;
        waiting.forEach((other) => places.has(other) || place(other, column + 1));
        if (row === first)
            row++;
        at.row = (first + row - 1) / 2;
    };
    for (const g of known.keys())
        if (!known.get(g).waitsFor)
            place(g, 0);
    for (const g of circles)
        if (!places.has(g))
            place(g, 0);
    return places;
}

// The page names no address of a network, not even this one: the parser knows it.
function svgElement(name, attributes, ...children) {
    const parsed = document.createElement("div");
    parsed.innerHTML = "<svg></svg>";
    const element = document.createElementNS(parsed.firstChild.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes))
        element.setAttribute(key, value);
    element.append(...children.flat());
    return element;
}

// Arrows go from who waits to who had the lock; those of a circle are in another colour.
function heldGraph(held) {
    const { known, circles } = held, wide = 190, high = 38, gap = 60, step = 50;
    if (known.size > GRAPH_MOST)
        return el("p", { class: "hint" }, plural(known.size, "goroutine") + " are too many to be drawn; below they are as a list.");
    const places = heldPlaces(held), columns = Math.max(...[...places.values()].map((at) => at.column)) + 1, rows = Math.max(...[...places.values()].map((at) => at.row)) + 1;
    const x = (g) => 8 + places.get(g).column * (wide + gap), y = (g) => 8 + places.get(g).row * step;
    const short = (words) => words.length > 24 ? words.slice(0, 23) + "…" : words;
    const arrow = (g) => {
        const to = known.get(g).waitsFor, back = x(to) >= x(g), bad = circles.has(g) && circles.has(to);
        const from = [x(g) + (back ? wide / 2 : 0), y(g) + (back ? high : high / 2)], end = back ? [x(to) + wide / 2, y(to) + (y(to) > y(g) ? 0 : high)] : [x(to) + wide, y(to) + high / 2];
        const bend = back ? `C${from[0]},${from[1] + 30} ${end[0]},${end[1] + (y(to) > y(g) ? -30 : 30)}` : `C${from[0] - gap / 2},${from[1]} ${end[0] + gap / 2},${end[1]}`;
        return svgElement("path", { d: `M${from} ${bend} ${end}`, class: bad ? "arrow bad" : "arrow", "marker-end": bad ? "url(#head-bad)" : "url(#head)" });
    };
    const box = (g) => svgElement("g", { class: circles.has(g) ? "box bad" : "box" }, svgElement("title", {}, "G" + g + " " + text(known.get(g).fn)),
        svgElement("rect", { x: x(g), y: y(g), width: wide, height: high, rx: 5 }), svgElement("text", { x: x(g) + 9, y: y(g) + 16, class: "name" }, short("G" + g + " " + text(known.get(g).fn))),
        svgElement("text", { x: x(g) + 9, y: y(g) + 31 }, (STATES[known.get(g).does] || STATES[0])[0]));
    const head = (id, kind) => svgElement("marker", { id, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto-start-reverse", class: kind }, svgElement("path", { d: "M0,0 8,4 0,8z" }));
    const drawn = svgElement("svg", { id: "wait-graph", role: "img", "aria-label": "who waits for whom", width: columns * (wide + gap) - gap + 16, height: rows * step + 40 },
        svgElement("defs", {}, head("head", "head"), head("head-bad", "head bad")), [...known.keys()].filter((g) => known.get(g).waitsFor && places.has(g) && places.has(known.get(g).waitsFor)).map(arrow), [...places.keys()].map(box));
    return el("div", { class: "drawn" }, drawn);
}
