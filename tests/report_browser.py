#!/usr/bin/env python3
"""report_browser.py PAGE HELD KERNEL PERF NOISE: looks at every view of a report in headless Chromium, selects a cell of the heat map by
keys and by mouse, and reaches the line that delayed others; in the page HELD, who waits for whom is drawn; in the page KERNEL,
made of tests/traces/kernel.txt, what the kernel did with threads, and in PERF as much of that as a lesser tier has; in NOISE
another program is found to be noisy. Fails on any error of the console and any request to the network.

report_browser.py --shots PAGE FOLDER: pictures of every view, light and dark, 1280 and 480 wide, to be looked at.
report_browser.py --time PAGE: how long it takes until the page shows its first view, and until each other view is shown.

Messages go through two pipes, each ended by a NUL."""
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile


class Browser:
    def __init__(self, binary):
        self.profile = tempfile.mkdtemp(prefix="gmptrace-browser-")
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        # The browser reads from descriptor 3 and writes to 4, whichever numbers the pipes have here.
        command = 'exec 3<&%d 4>&%d; exec "$@"' % (their_in, their_out)
        self.process = subprocess.Popen(
            ["bash", "-c", command, "sh", binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--remote-debugging-pipe", "--user-data-dir=" + self.profile, "--window-size=1280,900", "about:blank"],
            pass_fds=(their_in, their_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(their_in)
        os.close(their_out)
        self.out, self.input, self.rest = our_out, our_in, b""
        self.number, self.session, self.events = 0, None, []
        pages = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self.session = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")

    def message(self):
        while b"\0" not in self.rest:
            part = os.read(self.input, 65536)
            if not part:
                sys.exit("the browser went away")
            self.rest += part
        one, self.rest = self.rest.split(b"\0", 1)
        return json.loads(one)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.out, json.dumps(request).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    sys.exit("%s: %s" % (method, answer["error"]))
                return answer["result"]
            self.events.append(answer)

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            sys.exit("%s: %s" % (expression, answer["exceptionDetails"]))
        return answer["result"].get("value")

    def key(self, name, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, modifiers=modifiers)

    def mouse(self, x, y):
        for kind, buttons in (("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 0)):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=buttons, clickCount=1)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


# Of the times without a CPU in the first exact part, the longest of a thread that another one of the program woke; -1 = none.
WOKEN = ("(() => { const d = JSON.parse(document.getElementById('data').textContent), o = d.kernel && d.windows.length ? d.windows[0].offs : [];"
         " let best = -14; for (let i = 0; i < o.length; i += 14) if (o[i + 11] && (best < 0 || o[i + 7] > o[best + 7])) best = i;"
         " return best / 14; })()")


def want(condition, claim):
    if not condition:
        raise AssertionError(claim)


def show(browser, fragment):
    browser.value("location.hash = '#%s'; new Promise(done => setTimeout(done, 50))" % fragment)


def timeline_look(browser):
    """The longest run of a goroutine but the first, by keys and by mouse, whose it is, and by arrows those that it woke."""
    show(browser, "timeline")
    browser.value("document.getElementById('timeline').focus()")
    browser.key("Home")
    first = browser.value("location.hash")
    want("s=0." in first, "Home selects the first slice: " + first)
    browser.key("ArrowRight")
    want(browser.value("location.hash") != first, "an arrow goes to the next slice")
    browser.key("+")
    want("t=" in browser.value("location.hash"), "plus zooms")
    browser.key("Escape")
    browser.value("document.getElementById('timeline-all').click()")
    place = browser.value(
        "(() => { const d = JSON.parse(document.getElementById('data').textContent), s = d.windows[0].slices; let best = -1;"
        " for (let i = 0; i < s.length; i += 7) if (s[i] !== 1 && s[i + 1] === 2 && (best < 0 || s[i + 5] > s[best + 5])) best = i;"
        " const b = document.getElementById('timeline').getBoundingClientRect(), at = (s[best + 4] + s[best + 5] / 2) / d.meta.end;"
        " return [b.left + 108 - 16 + at * (b.width - 4 - 92), b.top + 8]; })()")
    browser.mouse(place[0], place[1])
    panel = browser.value("(document.getElementById('slice') || {}).innerText || ''")
    want("hog" in panel and "running" in panel, "a click on the longest run tells that it was the hog: " + panel)
    for rows in ("m", "g"):
        browser.value("document.getElementById('by-%s').click()" % rows)
        want("hog" in browser.value("document.getElementById('slice').innerText"), "it stays selected by " + rows)
    waker = browser.value("[...document.querySelectorAll('#slice a')].filter(a => /servant/.test(a.innerText)).length")
    want(waker > 0, "the slice leads to servants that it woke")
    browser.value("[...document.querySelectorAll('#slice a')].find(a => /servant/.test(a.innerText)).click()")
    browser.value("new Promise(done => setTimeout(done, 50))")
    panel = browser.value("document.getElementById('slice').innerText")
    want("servant" in panel and "made runnable by" in panel and "hog" in panel, "and from there back to the hog: " + panel)


def others_look(browser):
    """Delays of one site by keys, who starts whom, who waits where."""
    show(browser, "latency")
    value = "[...document.getElementById('latency-site').options].find(o => o.text.startsWith('servant')).value"
    browser.value("(s => { s.value = %s; s.dispatchEvent(new Event('change')); })(document.getElementById('latency-site'))" % value)
    want("site=" in browser.value("location.hash"), "a site can be chosen")
    browser.value("document.getElementById('latency').focus()")
    browser.key("ArrowRight")
    said = browser.value("document.getElementById('latency-said').innerText")
    want("delay" in said and "% of all" in said, "an arrow key tells of a bar: " + said)
    show(browser, "findings")
    found = browser.value("document.getElementById('view').innerText")
    want("servant could run and had to wait" in found, "that servants are late is found: " + found[:300])
    when = browser.value("[...document.querySelectorAll('.finding a')].find(a => a.innerText.startsWith('when')).getAttribute('href')")
    want(when.startswith("#heat?t="), "a finding leads to its time: " + when)
    show(browser, "goroutines")
    tree = browser.value("document.getElementById('view').innerText")
    want("servant" in tree and "6 times" in tree and "hogged.c:" in tree, "the tree tells who was started where: " + tree[:300])
    show(browser, "waits")
    rows = browser.value("document.querySelector('#view tbody tr').innerText")
    want("servant" in rows and "hog " in rows, "the servants' waits are ended by the hog: " + rows)
    browser.call("Emulation.setDeviceMetricsOverride", width=480, height=900, deviceScaleFactor=1, mobile=False)
    for view in browser.value("[...document.querySelectorAll('#tabs a')].map(tab => tab.dataset.view)"):
        show(browser, view)
        want(browser.value("document.documentElement.scrollWidth") <= 480, view + " is as wide as a small window")
    browser.call("Emulation.clearDeviceMetricsOverride")


def look(browser, page):
    browser.call("Page.navigate", url="file://" + page)
    browser.value("new Promise(done => { const look = () => document.querySelector('#tabs a') ? done() :"
                  " setTimeout(look, 10); look(); })")
    for view in browser.value("[...document.querySelectorAll('#tabs a')].map(tab => tab.dataset.view)"):
        browser.value("document.querySelector('#tabs a[data-view=%s]').click()" % view)
        browser.value("new Promise(done => setTimeout(done, 50))")
        want(browser.value("document.querySelector('#tabs a[aria-current]').dataset.view") == view, "view " + view)
        want(browser.value("document.querySelector('#view').childElementCount") > 0, view + " shows something")
    for theme in range(3):
        browser.value("document.getElementById('theme').click()")

    browser.value("location.hash = '#heat?show=longest'; new Promise(done => setTimeout(done, 50))")
    browser.value("document.getElementById('heatmap').focus()")
    browser.key("Home")
    want("s=0-0,0-0" in browser.value("location.hash"), "Home selects the first cell")
    for _ in range(3):
        browser.key("ArrowRight", 8)
    want("s=0-3,0-0" in browser.value("location.hash"), "Shift and an arrow extend the selection")
    browser.key("Escape")
    want("s=" not in browser.value("location.hash"), "Escape clears")

    # The cell with the most waiting, by the page's own data, by mouse.
    column, columns = browser.value(
        "(() => { const d = JSON.parse(document.getElementById('data').textContent).heat, w = d.rows[0].wait;"
        " return [w.indexOf(Math.max(...w)), d.columns]; })()")
    box = browser.value("(() => { const b = document.getElementById('heatmap').getBoundingClientRect();"
                        " return [b.left, b.top, b.width]; })()")
    browser.mouse(box[0] + 58 + (column + 0.5) * (box[2] - 62) / columns, box[1] + 10)
    want("s=%d-%d,0-0" % (column, column) in browser.value("location.hash"), "a click selects that cell")
    behind = browser.value("document.querySelector('#behind tbody tr').innerText")
    want("hog" in behind and "hogged.c:" in behind, "the first of what ran is the hog, with its line: " + behind)
    browser.value("history.back(); new Promise(done => setTimeout(done, 100))")
    want("s=%d" % column not in browser.value("location.hash"), "back takes the selection away")

    timeline_look(browser)
    others_look(browser)

    quiet(browser)


def quiet(browser):
    bad = [e for e in browser.events
           if e.get("method") in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
           or e.get("method") == "Network.requestWillBeSent" and not e["params"]["request"]["url"].startswith(("file:", "data:", "about:"))]
    want(not bad, "no errors and no requests: " + json.dumps(bad)[:800])


def held_look(browser, page):
    """Two that wait for each other, and one that waits for one of them."""
    browser.call("Page.navigate", url="file://" + page)
    browser.value("new Promise(done => { const look = () => document.querySelector('#tabs a') ? done() :"
                  " setTimeout(look, 10); look(); })")
    show(browser, "waits")
    boxes = browser.value("[...document.querySelectorAll('#wait-graph .box')].map(box => box.textContent)")
    want(len(boxes) == 3 and all(any(name in box for box in boxes) for name in ("G2", "G3", "G4")), "each is drawn: %s" % boxes)
    want(browser.value("document.querySelectorAll('#wait-graph .box.bad').length") == 2, "two of them wait for themselves")
    want(browser.value("document.querySelectorAll('#wait-graph .arrow').length") == 3, "each waits for one")
    want(browser.value("document.querySelectorAll('#wait-graph .arrow.bad').length") == 2, "the circle has two arrows")
    want(browser.value("document.querySelector('#wait-graph .box').getBoundingClientRect().width") > 100, "boxes have a size")


def kernel_look(browser, page):
    """A G whose thread another program stopped, one that blocked its P until the other woke it, and how their time is split."""
    inner = "document.getElementById('%s').innerText"
    opened(browser, page)
    show(browser, "heat?show=queue")
    want("ffmpeg" in browser.value(inner % "behind") and "0x10" in browser.value(inner % "behind"), "the run queue has its thief and its victim")
    browser.value("document.getElementById('heatmap').focus()")
    browser.key("Home")
    want("s=0-0,0-0" in browser.value("location.hash"), "its cells are chosen by keys")
    columns = browser.value("JSON.parse(document.getElementById('data').textContent).heat.columns")
    stopped = 110 * columns // 1000
    show(browser, "heat?show=queue&s=%d-%d,0-0" % (stopped, stopped))
    behind = browser.value(inner % "behind")
    want("P0" in behind and "running, preempted" in behind and "ffmpeg (process 9)" in behind and "G1 then" in behind,
         "a cell leads to the goroutine that was stopped, and for whom: " + behind)
    want("threads in the kernel's run queue" in browser.value(inner % "said"), "the cell is told in words")
    browser.value("document.getElementById('mode-cpu').click()")
    want("mode=cpu" in browser.value("location.hash") and "CPU0 to CPU1" not in browser.value(inner % "behind"), "there is one by CPU")
    browser.value("document.getElementById('mode-length').click()")
    want("show=queue" in browser.value("location.hash"), "and back")

    show(browser, "timeline?by=p")
    browser.value("document.getElementById('timeline').focus()")
    browser.key("k")
    first = browser.value(inner % "off")
    want("was preempted for 50" in first and "G1 0x10" in first and "ffmpeg (process 9)" in first, "K tells of the first stop of P0: " + first)
    browser.key("ArrowRight")
    second = browser.value(inner % "off")
    want("blocked in read for 50" in second and "waited 10" in second and "in a blocking call" in second, "an arrow of the next: " + second)
    browser.key("ArrowUp")
    want("running" in browser.value(inner % "slice") or "call" in browser.value(inner % "slice"), "up goes to what the goroutine did")
    split = browser.value(inner % "slice")
    want("stopped by the kernel: could run, got no CPU 50" in split and "in blocking calls, off the CPU 60" in split,
         "a goroutine's time is split: " + split)
    browser.key("Escape")
    want("k=" not in browser.value("location.hash") and "s=" not in browser.value("location.hash"), "Escape clears both")
    show(browser, "timeline?by=m")
    box = browser.value("(() => { const b = document.getElementById('timeline').getBoundingClientRect(); return [b.left, b.top, b.width]; })()")
    row = 26 + 8 + 4  # M 71 is the second
    browser.mouse(box[0] + 92 + 0.150 * (box[2] - 96), box[1] + row + 26 + 7)
    woken = browser.value("(document.getElementById('off') || {}).innerText || ''")
    want("Thread 71 blocked in futex" in woken and "woken by thread 70 with G1" in woken and "futex 0xf0" in woken and "0x1030" in woken,
         "a click on a thin row tells of the block, and who ended it: " + woken)
    show(browser, "goroutines")
    bars = browser.value("[...document.querySelectorAll('.states')].map(bar => bar.getAttribute('aria-label')).join('; ')")
    want("stopped by the kernel" in bars and "blocked its thread" in bars and "on a CPU" in bars, "bars are split by the kernel's side: " + bars)
    browser.call("Emulation.setDeviceMetricsOverride", width=480, height=900, deviceScaleFactor=1, mobile=False)
    for view in ("heat?show=queue", "heat?mode=cpu", "timeline?by=m&k=0.2", "goroutines"):
        show(browser, view)
        want(browser.value("document.documentElement.scrollWidth") <= 480, view + " is as wide as a small window")
    browser.call("Emulation.clearDeviceMetricsOverride")
    quiet(browser)


def perf_look(browser, page):
    """The same where less is known: which is said."""
    inner = "document.getElementById('%s').innerText"
    opened(browser, page)
    want("recorded by perf" in browser.value(inner % "view") and "who had the CPU, and who woke a thread are not known" in browser.value(inner % "view"),
         "the overview says what is not known")
    show(browser, "heat?show=queue")
    behind = browser.value(inner % "behind")
    want("0x10" in behind and "running, preempted" in behind and "who had the CPU is not known" in behind, "the goroutine is found, the thief not: " + behind)
    want(browser.value("document.getElementById('mode-cpu') === null"), "there are no CPUs")
    show(browser, "timeline?by=m")
    browser.value("document.getElementById('timeline').focus()")
    browser.key("k")
    browser.key("ArrowRight")
    told = browser.value(inner % "off")
    want("blocked (an unknown call) for 60" in told and "some of it perhaps in the run queue" in told, "so is what a thread blocked in: " + told)
    quiet(browser)


def noise_look(browser, page):
    """From a finding to who was stopped then, and for whom."""
    opened(browser, page)
    show(browser, "findings")
    found = browser.value("[...document.querySelectorAll('.finding')].find(finding => /ffmpeg/.test(finding.innerText)).innerText")
    want("kept the CPU from goroutines that could run on, such as 0x10" in found, "the neighbour is named: " + found)
    browser.value("[...[...document.querySelectorAll('.finding')].find(finding => /ffmpeg/.test(finding.innerText)).querySelectorAll('a')]"
                  ".find(a => a.innerText.startsWith('when')).click(); new Promise(done => setTimeout(done, 50))")
    behind = browser.value("document.getElementById('behind').innerText")
    want("ffmpeg (process 9)" in behind and "0x10" in behind and "running, preempted" in behind, "and leads to whom it stopped: " + behind)
    quiet(browser)


def opened(browser, page):
    """Loads the page; returns the milliseconds from the beginning until its first view was drawn."""
    browser.call("Page.navigate", url="file://" + page)
    return browser.value("new Promise(done => { const look = () => document.querySelector('#view > *') ?"
                         " requestAnimationFrame(() => setTimeout(() => done(performance.now()), 0)) : setTimeout(look, 1);"
                         " look(); })")


def views(browser):
    return browser.value("[...document.querySelectorAll('#tabs a')].map(tab => tab.dataset.view)")


def shots(page, folder):
    os.makedirs(folder, exist_ok=True)
    browser = Browser(os.environ.get("CHROMIUM", "chromium"))
    for theme in ("light", "dark"):
        browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        for width in (1280, 480):
            browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
            opened(browser, os.path.abspath(page))
            # The timeline by M and by G as well, and with what is behind a slice.
            more = ["timeline?by=m", "timeline?by=g", "timeline?s=0.0"]
            woken = browser.value(WOKEN)
            if browser.value("!!JSON.parse(document.getElementById('data').textContent).kernel"):
                more += ["heat?show=queue", "heat?mode=cpu", "timeline?by=m&k=0.%d" % max(woken, 0)]
            for view in views(browser) + more:
                browser.value("location.hash = '#%s'" % view)
                browser.value("new Promise(done => setTimeout(done, 200))")
                height = min(int(browser.value("document.documentElement.scrollHeight")), 2400)
                picture = browser.call("Page.captureScreenshot", captureBeyondViewport=True,
                                       clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
                with open(os.path.join(folder, "%s-%s-%d.png" % (view.replace("?", "-").replace("&", "-"), theme, width)), "wb") as file:
                    file.write(base64.b64decode(picture["data"]))
    browser.close()


def time_opening(page):
    browser = Browser(os.environ.get("CHROMIUM", "chromium"))
    times = sorted(opened(browser, os.path.abspath(page)) for _ in range(3))
    slowest = max((browser.value("new Promise(done => { const begin = performance.now(); location.hash = '#%s';"
                                 " setTimeout(() => requestAnimationFrame(() => setTimeout(() =>"
                                 " done(performance.now() - begin), 0)), 0); })" % view), view) for view in views(browser))
    browser.close()
    print("opened by Chromium in %d ms, the median of 3; the slowest view, %s, is there after %d ms" %
          (times[1], slowest[1], slowest[0]))


def main():
    browser = Browser(os.environ.get("CHROMIUM", "chromium"))
    try:
        look(browser, os.path.abspath(sys.argv[1]))
        held_look(browser, os.path.abspath(sys.argv[2]))
        kernel_look(browser, os.path.abspath(sys.argv[3]))
        perf_look(browser, os.path.abspath(sys.argv[4]))
        noise_look(browser, os.path.abspath(sys.argv[5]))
    except AssertionError as claim:
        print("not so:", claim)
        return 1
    finally:
        browser.close()
    print("all views were looked at")
    return 0


if sys.argv[1] == "--shots":
    shots(*sys.argv[2:])
elif sys.argv[1] == "--time":
    time_opening(sys.argv[2])
else:
    sys.exit(main())
