"""The loop over a program's steps, and threads that take its tasks as they come.

A control block is shared by the caller and its helpers::

    word  0  turn, tasks taken          16  function     18  workspace                              24  tasks done
    word  8  tasks of this turn         17  job          19  bytes to the next thread's workspace   32  open   33  last helper

Word 0 is ``turn << 40 | back << 20 | front``. Whoever counts one of the last two up has a task: even threads the first ones,
odd threads the last ones, so that from step to step a thread finds in its own cache what it wrote. The turn counts up with
every step, so that a thread that slept through a step cannot take a task of a later one for its own: its exchange fails. What
a turn says is written while the word reads *closed* (no task left) and not changed before all its tasks are done.
"""

from __future__ import annotations

from ...ir import Function
from ...target import Target

__all__ = ["CLOSED", "CONTROL", "LIMIT", "NAMES", "OPEN", "TASKS", "module"]

CONTROL = 40  # 64-bit words
OPEN, LIMIT = 32, 33
_BITS = 20  # of the tasks taken from one end
CLOSED, TASKS = (1 << 2 * _BITS) - 1, (1 << _BITS) - 1  # no task left; the most there can be
NAMES = ("run", "chain", "share", "help")
_TASKS, _FUNCTION, _JOB, _WORKSPACE, _STRIDE, _DONE = 8, 16, 17, 18, 19, 24
_SPINS = 256  # turns of a waiting loop before the processor is offered to others


def module(target: Target) -> str:
    """IR of ``@run`` (one thread), ``@chain`` (steps as one), ``@share`` (the caller of several) and ``@help`` (a helper)."""
    declared = (
        "declare void @llvm.x86.sse2.pause()" if target.triple.startswith("x86") else "declare void @llvm.aarch64.hint(i32)"
    )
    return "\n".join([declared, _run(), _chain(), _example(), _work(), _turn(target), _share(), _help(target)])


def _run() -> str:
    """All steps for examples ``first`` to ``end``, on this thread."""
    f = Function("void @run(ptr %steps, i64 %count, ptr %workspace, i64 %first, i64 %end)")
    with f.loop("%first", "%end") as example:
        f.store("i64", example.index, "%workspace", align=8)
        with f.loop(0, "%count") as step:
            at = f.at("%steps", f.let(f"mul i64 {step.index}, 3"), "i64")
            function, job, tasks = (f.load(k, at, i, step="i64", align=8) for i, k in enumerate(("ptr", "ptr", "i64")))
            with f.loop(0, tasks) as task:
                f.run(f"call void {function}(ptr {job}, ptr %workspace, i64 {task.index})")
    f.run("ret void")
    return f.text()


def _chain() -> str:
    """One tile's tasks of some steps, one step after the other: the job says how many steps, then each one's tasks a tile."""
    f = Function("void @chain(ptr %members, ptr %workspace, i64 %tile)")
    count, first = f.load("i64", "%members", align=8), f.at("%members", 1, "i64")
    with f.loop(0, count) as member:
        at = f.at(first, f.let(f"mul i64 {member.index}, 3"), "i64")
        function, job, each = (f.load(k, at, i, step="i64", align=8) for i, k in enumerate(("ptr", "ptr", "i64")))
        begin = f.let(f"mul i64 %tile, {each}")
        with f.loop(begin, f.let(f"add i64 {begin}, {each}")) as task:
            f.run(f"call void {function}(ptr {job}, ptr %workspace, i64 {task.index})")
    f.run("ret void")
    return f.text()


def _example() -> str:
    """A whole example as one task: the job is the program."""
    f = Function("void @example(ptr %program, ptr %workspace, i64 %task)")
    steps, count = f.load("ptr", "%program", align=8), f.load("i64", "%program", 1, align=8)
    f.run(f"call void @run(ptr {steps}, i64 {count}, ptr %workspace, i64 %task, i64 {f.let('add i64 %task, 1')})")
    f.run("ret void")
    return f.text()


def _work() -> str:
    """Take tasks until none is left."""
    f = Function("void @work(ptr %control, i64 %thread)")
    f.run("br label %again")
    f.start("again")
    word = f.let("load atomic i64, ptr %control acquire, align 8")
    tasks = f.let(f"load atomic i64, ptr {f.at('%control', _TASKS, 'i64')} acquire, align 8")
    front, back, left = _taken(f, word, tasks)
    limit = f.load("i64", "%control", LIMIT, align=8)
    able = f.let(f"icmp sle i64 %thread, {limit}")
    odd = f.let("trunc i64 %thread to i1")
    last = f.let(f"sub i64 {f.let(f'sub i64 {tasks}, 1')}, {back}")
    task = f.let(f"select i1 {odd}, i64 {last}, i64 {front}")
    more = f.let(f"add i64 {word}, {f.let(f'select i1 {odd}, i64 {1 << _BITS}, i64 1')}")
    f.run(f"br i1 {f.let(f'and i1 {left}, {able}')}, label %take, label %none")
    f.start("take")
    taken = f.let(f"cmpxchg ptr %control, i64 {word}, i64 {more} acq_rel acquire")
    f.run(f"br i1 {f.let(f'extractvalue {{i64, i1}} {taken}, 1')}, label %do, label %again")
    f.start("do")
    function, job, workspace = (f.load("ptr", "%control", i, step="i64", align=8) for i in (_FUNCTION, _JOB, _WORKSPACE))
    own = f.at(workspace, f.let(f"mul i64 %thread, {f.load('i64', '%control', _STRIDE, align=8)}"))
    f.run(f"call void {function}(ptr {job}, ptr {own}, i64 {task})")
    f.let(f"atomicrmw add ptr {f.at('%control', _DONE, 'i64')}, i64 1 acq_rel")
    f.run("br label %again")
    f.start("none")
    f.run("ret void")
    return f.text()


def _taken(f: Function, word: str, tasks: str) -> tuple[str, str, str]:
    """How many tasks were taken from the front and from the back, and whether any is left."""
    front, back = f.let(f"and i64 {word}, {(1 << _BITS) - 1}"), f.let(f"lshr i64 {word}, {_BITS}")
    back = f.let(f"and i64 {back}, {(1 << _BITS) - 1}")
    return front, back, f.let(f"icmp ult i64 {f.let(f'add i64 {front}, {back}')}, {tasks}")


def _turn(target: Target) -> str:
    """Offer one function's tasks to everybody, help, and wait for the last of them."""
    f = Function("void @turn(ptr %control, ptr %function, ptr %job, i64 %tasks, ptr %workspace, i64 %stride, ptr %yield)")
    for at, kind, value in (
        (_FUNCTION, "ptr", "%function"), (_JOB, "ptr", "%job"), (_WORKSPACE, "ptr", "%workspace"), (_STRIDE, "i64", "%stride"),
    ):  # fmt: skip
        f.store(kind, value, "%control", at, step="i64", align=8)
    done = f.at("%control", _DONE, "i64")
    f.run(f"store atomic i64 0, ptr {done} release, align 8")
    f.run(f"store atomic i64 %tasks, ptr {f.at('%control', _TASKS, 'i64')} release, align 8")
    word = f.let("load atomic i64, ptr %control monotonic, align 8")
    turn = f.let(f"add i64 {f.let(f'lshr i64 {word}, {2 * _BITS}')}, 1")
    turn = f.let(f"shl i64 {turn}, {2 * _BITS}")
    f.run(f"store atomic i64 {turn}, ptr %control seq_cst, align 8")
    f.run("call void @work(ptr %control, i64 0)")
    f.run("br label %wait")
    f.start("wait")
    spins = f.let("phi i64 [ 0, %entry ], [ %more, %last ]")
    ready = f.let(f"load atomic i64, ptr {done} acquire, align 8")
    f.run(f"br i1 {f.let(f'icmp eq i64 {ready}, %tasks')}, label %close, label %spin")
    f.start("spin")
    f.run(target.pause)
    f.run(f"%more = add i64 {spins}, 1")
    f.run(f"br i1 {f.let(f'icmp ugt i64 %more, {_SPINS}')}, label %offer, label %last")
    f.start("offer")
    f.let("call i32 %yield()")
    f.run("br label %last")
    f.start("last")
    f.run("br label %wait")
    f.start("close")
    f.run(f"store atomic i64 {f.let(f'or i64 {turn}, {CLOSED}')}, ptr %control release, align 8")
    f.run("ret void")
    return f.text()


def _share() -> str:
    """All steps for examples ``first`` to ``end``: ``together`` examples at a time, the rest one by one, task by task."""
    f = Function("void @share(ptr %control, ptr %program, ptr %workspace, i64 %stride, i64 %examples, i64 %apart, ptr %yield)")
    with f.when(f.let("icmp sgt i64 %apart, 0")):
        f.run("call void @turn(ptr %control, ptr @example, ptr %program, i64 %apart, ptr %workspace, i64 %stride, ptr %yield)")
    steps, count = f.load("ptr", "%program", align=8), f.load("i64", "%program", 1, align=8)
    with f.loop("%apart", "%examples") as example:
        f.store("i64", example.index, "%workspace", align=8)
        with f.loop(0, count) as step:
            at = f.at(steps, f.let(f"mul i64 {step.index}, 3"), "i64")
            function, job, tasks = (f.load(k, at, i, step="i64", align=8) for i, k in enumerate(("ptr", "ptr", "i64")))
            f.run(f"call void @turn(ptr %control, ptr {function}, ptr {job}, i64 {tasks}, ptr %workspace, i64 0, ptr %yield)")
    f.run("ret void")
    return f.text()


def _help(target: Target) -> str:
    """A helper: take tasks while the control block is open."""
    f = Function("void @help(ptr %control, i64 %thread, ptr %yield)")
    f.run("br label %look")
    f.start("look")
    idle = f.let("phi i64 [ 0, %entry ], [ 0, %work ], [ %more, %last ]")
    word = f.let("load atomic i64, ptr %control monotonic, align 8")
    tasks = f.let(f"load atomic i64, ptr {f.at('%control', _TASKS, 'i64')} monotonic, align 8")
    f.run(f"br i1 {_taken(f, word, tasks)[2]}, label %work, label %rest")
    f.start("work")
    f.run("call void @work(ptr %control, i64 %thread)")
    f.run("br label %look")
    f.start("rest")
    f.run(target.pause)
    f.run(f"%more = add i64 {idle}, 1")
    f.run(f"br i1 {f.let(f'icmp ugt i64 %more, {16 * _SPINS}')}, label %offer, label %last")
    f.start("offer")
    f.let("call i32 %yield()")
    f.run("br label %last")
    f.start("last")
    is_open = f.let(f"load atomic i64, ptr {f.at('%control', OPEN, 'i64')} acquire, align 8")
    f.run(f"br i1 {f.let(f'icmp ne i64 {is_open}, 0')}, label %look, label %out")
    f.start("out")
    f.run("ret void")
    return f.text()
