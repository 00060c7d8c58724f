"""gdb and the goroutines of programs on libgmptrace.

    (gdb) source gmptrace-gdb.py
    (gdb) info goroutines           all of them: id, state, what for, function
    (gdb) goroutine 7 bt            the stack of one; any other command of gdb's in its innermost frame
    (gdb) goroutine all bt          of all

Nothing is called or changed in the program, so a core file does as well as a live process. A goroutine that is not
running is its stack pointer alone (runtime/switch.h says what lies there). An unwinder of ours makes its frames the
callers of whatever the selected thread does, while a command runs. It needs the runtime's debug information.

A core file must be the kernel's, of a program that ended by a signal: gdb's own gcore and generate-core-file give up at
the first guard of a stack, which cannot be read, and leave all stacks out.
"""

import re

import gdb
from gdb.unwinder import Unwinder, register_unwinder

# By gdb's name of the architecture: stack pointer, program counter, frame pointer.
REGISTERS = {
    "i386:x86-64": ("rsp", "rip", "rbp"),
    "aarch64": ("sp", "pc", "x29"),
}


def words(address, count):
    """count words of memory, as numbers."""
    word = gdb.lookup_type("unsigned long")
    array = gdb.Value(address).cast(word.array(count - 1).pointer()).dereference()
    return [int(array[i]) for i in range(count)]


def number_of(name):
    return int(gdb.parse_and_eval(name))


def enumerator(value, enum, prefix):
    """A value's name in an enum, as words: GMPT_WAIT_chan_recv is "chan recv"."""
    name = str(gdb.Value(value).cast(gdb.lookup_type("enum " + enum)))
    return name.replace(prefix, "").replace("_", " ").lower()


def place(pc):
    """Function, file and line of a return address."""
    block = gdb.block_for_pc(pc - 1)
    while block and not block.function:
        block = block.superblock
    name = block.function.print_name if block else None
    if not name:
        match = re.search(r"<([^+>]*)", gdb.execute("info symbol %d" % (pc - 1), to_string=True).replace(" + ", "+"))
        name = match.group(1) if match else hex(pc)
    line = gdb.find_pc_line(pc - 1)
    return "%s at %s:%d" % (name, line.symtab.filename, line.line) if line.symtab else name


class Goroutine:
    """What a slot of the registry and the struct g behind it say."""

    def __init__(self, slot):
        self.slot = slot
        self.id = int(slot["id"])
        status = int(slot["status"])
        self.state = enumerator(status & 0xFF, "g_state", "G_")
        self.reason = enumerator(status >> 8 & 0xFF, "gmpt_wait_reason", "GMPT_WAIT_")
        self.g = gdb.Value(int(slot["stack_hi"])).cast(gdb.lookup_type("struct g").pointer())

    def is_alive(self):
        return self.id != 0 and self.state not in ("idle", "dead")

    def thread(self):
        """The thread that the goroutine is on, None when it is on none."""
        if self.state not in ("running", "syscall", "preempted"):
            return None
        m = gdb.parse_and_eval("sched.ms")
        while m:
            if m["current"] == self.g:
                for thread in gdb.selected_inferior().threads():
                    if thread.ptid[1] == int(m["tid"]) or thread.ptid[2] == int(m["tid"]):
                        return thread
            m = m["next_made"]
        return None

    def function(self):
        pc = int(self.slot["fn"])
        return place(pc + 1) if pc else "?"

    def creator(self):
        """Where it was started, which is known while the program is being traced."""
        ordinal = int(self.slot["create_stack"])
        if not ordinal:
            return None
        segment = gdb.parse_and_eval("trace_segment")
        table = segment["stacks"] + int(self.slot["create_ring"]) * int(segment["stacks_words"])
        try:
            for _ in range(ordinal - 1):
                table += 1 + int(table.dereference())
            return place(int(table[2])) if int(table.dereference()) > 1 else None
        except gdb.MemoryError:
            return None  # the tables are not part of core files

    def describe(self):
        what = self.state + (": " + self.reason if self.state == "waiting" else "")
        text = "%6d  %-24s %s" % (self.id, what, self.function())
        creator = self.creator()
        return text + (", started by %d in %s" % (int(self.slot["parent"]), creator) if creator else "")


def goroutines():
    try:
        segment = gdb.parse_and_eval("trace_segment")
        gdb.lookup_type("struct g")
    except gdb.error:
        raise gdb.GdbError("no libgmptrace with debug information in this program")
    if not int(segment["registry"]):
        raise gdb.GdbError("the runtime has not started")
    for i in range(int(segment["header"]["registry_used"])):
        goroutine = Goroutine(segment["registry"][i])
        if goroutine.is_alive():
            yield goroutine


class FrameId:
    def __init__(self, sp, pc):
        self.sp = gdb.Value(sp)
        self.pc = gdb.Value(pc)


class ParkedUnwinder(Unwinder):
    """Says that the innermost frame of the selected thread was called by a goroutine that is parked."""

    def __init__(self):
        super().__init__("gmptrace goroutine")
        self.enabled = False

    def begin(self, sp):
        """sp is the goroutine's saved stack pointer. Returns how many of the frames are the thread's own."""
        frame = gdb.newest_frame()
        self.names = REGISTERS.get(frame.architecture().name())
        if not self.names:
            raise gdb.GdbError("goroutines of this architecture are not known: " + frame.architecture().name())
        self.thread_sp, self.thread_pc = (int(frame.read_register(name)) for name in self.names[:2])
        try:
            pc, fp = words(sp, 2)
        except gdb.MemoryError:
            pc = 0
        if pc == 0:
            raise gdb.GdbError("its stack cannot be read; gdb's own core files leave stacks out")
        if pc == number_of("(unsigned long)&switch_entry"):
            pc += 1  # a caller's address is looked up one byte before it
        self.sp = sp
        self.caller = {self.names[0]: sp + 16, self.names[1]: pc, self.names[2]: fp}
        self.enabled = True
        gdb.invalidate_cached_frames()
        own = 1
        frame = gdb.newest_frame()
        while frame.type() == gdb.INLINE_FRAME:
            own += 1
            frame = frame.older()
        return own

    def end(self):
        self.enabled = False
        gdb.invalidate_cached_frames()

    def __call__(self, pending):
        if int(pending.read_register(self.names[0])) != self.thread_sp:
            return None
        if int(pending.read_register(self.names[1])) != self.thread_pc:
            return None
        # Below the goroutine's frames, as a callee's frame has to be.
        info = pending.create_unwind_info(FrameId(self.sp - 16, self.thread_pc))
        word = gdb.lookup_type("unsigned long")
        for name, value in self.caller.items():
            info.add_saved_register(name, gdb.Value(value).cast(word))
        return info


unwinder = ParkedUnwinder()
register_unwinder(None, unwinder, replace=True)


def without_own_frames(text, own):
    """A backtrace without the thread's own frames, those that are left numbered from 0."""
    kept = []
    keep = False
    for line in text.splitlines():
        match = re.match(r"#(\d+) +(.*)", line)
        if match:
            number = int(match.group(1)) - own
            keep = number >= 0
            line = "#%-3d%s" % (number, match.group(2))
        if keep:
            kept.append(line)
    return "\n".join(kept)


def run_on_thread(goroutine, command):
    thread = goroutine.thread()
    if not thread:
        print("goroutine %d is %s, but no thread runs it" % (goroutine.id, goroutine.state))
        return
    thread.switch()
    gdb.execute(command)


def run_parked(goroutine, command):
    own = unwinder.begin(int(goroutine.g["context"]["sp"]))
    try:
        if re.match(r"(bt|backtrace|where)\b", command):
            print(without_own_frames(gdb.execute(command, to_string=True), own))
        else:
            gdb.execute("frame %d" % own, to_string=True)
            gdb.execute(command)
    finally:
        unwinder.end()


def run(goroutine, command):
    before = gdb.selected_thread()
    width = gdb.parameter("width")
    gdb.execute("set width 0")
    try:
        if goroutine.state in ("running", "syscall", "preempted"):
            run_on_thread(goroutine, command)
        else:
            run_parked(goroutine, command)
    finally:
        gdb.execute("set width %s" % ("unlimited" if width is None else width))
        if before and before.is_valid():
            before.switch()


class InfoGoroutines(gdb.Command):
    """info goroutines: lists the goroutines that are alive, with their state and their function."""

    def __init__(self):
        super().__init__("info goroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if argument:
            raise gdb.GdbError("info goroutines takes no argument")
        print("    id  state                    function")
        for goroutine in goroutines():
            print(goroutine.describe())


class GoroutineCommand(gdb.Command):
    """goroutine ID COMMAND, goroutine all COMMAND: runs a command of gdb's, such as bt, in goroutines."""

    def __init__(self):
        super().__init__("goroutine", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        which, _, command = argument.strip().partition(" ")
        command = command.strip()
        if which == "all" and command:
            for goroutine in goroutines():
                print("goroutine " + goroutine.describe().strip())
                try:
                    run(goroutine, command)
                except gdb.error as error:
                    print(error)
                print()
            return
        if not which.isdigit() or not command:
            raise gdb.GdbError("usage: goroutine ID COMMAND, goroutine all COMMAND")
        for goroutine in goroutines():
            if goroutine.id == int(which):
                run(goroutine, command)
                return
        raise gdb.GdbError("no goroutine %s is alive" % which)


InfoGoroutines()
GoroutineCommand()
