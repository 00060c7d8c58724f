// The exact slices of the windows, as rows of a timeline: by P, by thread (M) or by G, and the wake-ups between them.

const SLICE = 7; // members of a slice in the page's data: see cli/report_slices.c
const RUNNABLE = 1, RUNNING = 2, WAITING = 3;

const slicesOf = new Map(); // by window

// { list: [{ index, g, state, why, p, from, to, stack }], wakes: [{ g, waker, at, ran }], fn, parent, ofG: by G, holdsOf: by P }
function windowRead(number) {
    if (slicesOf.has(number))
        return slicesOf.get(number);
    const raw = D.windows[number], at = raw.from, read = { from: raw.from, to: raw.to, list: [], wakes: [], fn: new Map(),
        parent: new Map(), ofG: new Map(), holdsOf: new Map() };
    for (let i = 0; i < raw.slices.length; i += SLICE) {
        const [g, state, why, p, from, long, stack] = raw.slices.slice(i, i + SLICE);
        const slice = { window: number, index: i / SLICE, g, state, why, p, from: at + from, to: at + from + long, stack };
        read.list.push(slice);
        if (!read.ofG.has(g))
            read.ofG.set(g, []);
        read.ofG.get(g).push(slice);
    }
    for (let i = 0; i < raw.wakes.length; i += 4)
        read.wakes.push({ g: raw.wakes[i], waker: raw.wakes[i + 1], at: at + raw.wakes[i + 2], ran: at + raw.wakes[i + 2] + raw.wakes[i + 3] });
    for (let i = 0; i < raw.holds.length; i += 4) {
        const [tid, p, from, long] = raw.holds.slice(i, i + 4);
        if (!read.holdsOf.has(p))
            read.holdsOf.set(p, []);
        read.holdsOf.get(p).push({ tid, from: at + from, to: at + from + long });
    }
    for (let i = 0; i < raw.gs.length; i += 3) {
        read.fn.set(raw.gs[i], raw.gs[i + 1]);
        read.parent.set(raw.gs[i], raw.gs[i + 2]);
    }
    for (const list of read.ofG.values())
        list.sort((a, b) => a.from - b.from || a.to - b.to);
    slicesOf.set(number, read);
    return read;
}

const windowsIn = (from, to) => D.windows.map((_, number) => number)
    .filter((number) => D.windows[number].from < to && D.windows[number].to > from);

// A G's slice at a moment; where it ends and another begins, the latter, or the former where `before`.
function sliceAt(window, g, at, before) {
    let found = null;
    for (const slice of windowRead(window).ofG.get(g) || [])
        if (before ? slice.from < at && slice.to >= at : slice.from <= at && slice.to >= at)
            found = slice;
    return found;
}

// Who had the P then. A P's holds are in order.
function holderAt(window, p, from) {
    const list = windowRead(window).holdsOf.get(p) || [];
    let low = 0, high = list.length;
    while (low < high) {
        const middle = (low + high) >> 1;
        if (list[middle].to > from)
            high = middle;
        else
            low = middle + 1;
    }
    return list[low] && list[low].from <= from ? list[low] : null;
}

/* ---- Rows ---- */

function rowsOf(groups, name, order) {
    return [...groups.entries()].sort(order).map(([key, list]) => ({ key, name: name(key), list: list.sort((a, b) => a.from - b.from) }));
}

function grouped(list, keyOf) {
    const groups = new Map();
    for (const slice of list) {
        const key = keyOf(slice);
        if (key === null)
            continue;
        if (!groups.has(key))
            groups.set(key, []);
        groups.get(key).push(slice);
    }
    return groups;
}

const onP = (slice) => slice.state === RUNNING && slice.p >= 0;

// by: "p", "m" or "g"; first: the G that comes first. Rows are { key, name, list of slices }.
function sliceRows(by, from, to, first) {
    const list = windowsIn(from, to).flatMap((number) => windowRead(number).list).filter((slice) => slice.from < to && slice.to >= from);
    if (by === "m") {
        const tidOf = (slice) => {
            const hold = onP(slice) ? holderAt(slice.window, slice.p, slice.from) : null;
            return hold ? hold.tid : null;
        };
        return rowsOf(grouped(list, tidOf), (tid) => "M " + tid, (a, b) => a[0] - b[0]);
    }
    if (by === "g") {
        const weight = (slices) => sum(slices.map((slice) => slice.state === RUNNABLE ? slice.to - slice.from : 0));
        const groups = grouped(list, (slice) => slice.g), weights = new Map([...groups].map(([g, slices]) => [g, weight(slices)]));
        return rowsOf(groups, (g) => "G" + g, (a, b) => (b[0] === first) - (a[0] === first) || weights.get(b[0]) - weights.get(a[0]) || a[0] - b[0]);
    }
    const groups = grouped(list, (slice) => onP(slice) ? slice.p : null);
    for (const lane of D.over.lanes.ps)
        if (!groups.has(lane[0]))
            groups.set(lane[0], []);
    return rowsOf(groups, (p) => "P" + p, (a, b) => a[0] - b[0]);
}

/* ---- Wake-ups ---- */

// { from, to: slices or null, wake }: from where the waker ran to where the G ran then.
function wakesOf(window, keep) {
    return windowRead(window).wakes.filter(keep).map((wake) => ({ wake, from: sliceAt(window, wake.waker, wake.at, true) || sliceAt(window, wake.waker, wake.at),
        to: sliceAt(window, wake.g, wake.ran) }));
}

// What ended this wait or the one before, and what it woke.
function wakesAround(slice) {
    const woken = wakesOf(slice.window, (wake) => wake.g === slice.g && (slice.state === WAITING ? wake.at === slice.to
        : (slice.state === RUNNING || slice.state === RUNNABLE) && wake.at <= slice.from && wake.ran >= slice.from));
    const woke = slice.state === RUNNING ? wakesOf(slice.window, (wake) => wake.waker === slice.g && wake.at >= slice.from && wake.at <= slice.to) : [];
    return { woken: woken.slice(-1), woke };
}
