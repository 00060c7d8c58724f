// Canvases in the page's pixels, axes of time, and picking by mouse and keys.

function canvasDraw(canvas, height, draw) {
    const width = Math.max(80, canvas.parentElement.clientWidth || 800), ratio = devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = height + "px";
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "12px system-ui, 'DejaVu Sans', sans-serif";
    context.textBaseline = "middle";
    draw(context, width, height);
}

function timeSteps(from, to, wanted) {
    const rough = (to - from) / Math.max(1, wanted), power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
    const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) || power;
    const list = [];
    for (let at = Math.ceil(from / step) * step; at <= to && list.length < 100; at += step)
        list.push(at);
    return { step, list };
}

// Below a chart whose plot is [left, right), at height y.
function timeAxis(context, from, to, left, right, y) {
    const { step, list } = timeSteps(from, to, (right - left) / 110);
    context.fillStyle = css("--soft");
    context.strokeStyle = css("--strong-line");
    context.beginPath();
    for (const at of list) {
        const x = left + (at - from) / (to - from) * (right - left);
        context.moveTo(Math.round(x) + 0.5, y);
        context.lineTo(Math.round(x) + 0.5, y + 5);
        const words = moment(at, step), wide = context.measureText(words).width;
        context.textAlign = "left";
        context.fillText(words, clamp(x - wide / 2, left, right - wide), y + 13);
    }
    context.stroke();
}

// Calls for every press, move and release with the mouse's place in the canvas.
function pointerWatch(canvas, { down, move, up, leave }) {
    const at = (event) => {
        const box = canvas.getBoundingClientRect();
        return { x: event.clientX - box.left, y: event.clientY - box.top, event };
    };
    let pressed = false;
    canvas.addEventListener("pointerdown", (event) => {
        if (event.button !== 0)
            return;
        pressed = true;
        canvas.setPointerCapture(event.pointerId);
        canvas.focus({ preventScroll: true });
        if (down)
            down(at(event));
    });
    canvas.addEventListener("pointermove", (event) => move && move(at(event), pressed));
    canvas.addEventListener("pointerup", (event) => {
        if (pressed && up)
            up(at(event));
        pressed = false;
    });
    canvas.addEventListener("pointercancel", () => { pressed = false; });
    canvas.addEventListener("pointerleave", () => {
        tip(null, "");
        if (leave)
            leave();
    });
}
