"""containerd with its tool ctr and the shims: what is done to containers that are there."""

from ctr import *

# `containers create` knows no --runc-binary: the runtime that is named runc. (And takes the -c of a shell for its own.)
NAMED_RUNTIME = ["--runtime", "io.containerd.runc.v2"]


@check
def exec_prints_and_ends(c):
    with c.up() as box:
        script = "echo hello; echo oops >&2; until [ -e /out/heard ]; do sleep 0.05; done; exit 6"
        words = ["ctr", *box.exec_words(), "sh", "-c", script]
        c.spoken(words, box.name, "(?s)(hello.*oops|oops.*hello)").want(6)


@check
def exec_is_in_the_namespaces_and_the_cgroup(c):
    with c.up() as box:
        script = "cat /proc/self/cgroup; for one in net pid ipc uts mnt; do readlink /proc/self/ns/$one; done; ps"
        inside = box.exec("sh", "-c", script).want().out
        for kind in ("net", "pid", "ipc", "uts", "mnt"):
            true(kind, os.readlink(f"/proc/{box.pid}/ns/{kind}") in inside)
        # With a cgroup namespace, which containers have on v2, their cgroup is the root.
        with open(f"/proc/{box.pid}/cgroup") as file:
            true("cgroup", file.read() in inside or inside.startswith("0::/\n"))
        true("ps", "sleep 1000" in inside)


@check
def exec_terminal(c):
    with c.up() as box:
        words = ["ctr", *box.exec_words(["--tty"]), "sh"]
        said = on_terminal(*words, talk=[("# ", f"{SIZE}; tty\n"), ("# ", "exit 5\n")], size=(33, 99))
        said.want(5, "/dev/pts/0")


@check
def exec_reads_stdin(c):
    with c.up() as box:
        inside = "read word; echo $word >/out/word; cat; echo end >/out/end"
        line = f"ctr {' '.join(box.exec_words())} sh -c '{inside}'"
        call("sh", "-c", f"( echo hello; until [ -s /tmp/{box.name}/word ]; do sleep 0.05; done ) | {line}").want()
        box.said("word", "^hello$")
        box.said("end", "^end$")


@check
def exec_as_user(c):
    with c.up() as box:
        box.exec("id", flags=["--user", "1000"]).want(0, r"^uid=1000\(user\) gid=1000\(user\)")
        box.exec("id", flags=["--user", "1000:2000"]).want(0, r"^uid=1000\(user\) gid=2000\(extra\)")
        box.exec("id", flags=["--user", "user"]).want(0, r"^uid=1000\(user\) gid=1000\(user\)")
        box.exec("grep", "CapEff", "/proc/self/status", flags=["--user", "1000"]).want(0, "0000000000000000")


@check
def exec_in_directory(c):
    with c.up() as box:
        box.exec("pwd", flags=["--cwd", "/etc"]).want(0, "^/etc$")


@check
def exec_detached(c):
    with c.up() as box:
        box.raw_exec("sh", "-c", "echo up >/out/up; exec sleep 1002", flags=["--detach"]).want()
        box.said("up", "up")
        of_task(box, 2)
        box.exec("ps").want(0, "sleep 1002")


@check
def exec_killed_by_its_id(c):
    with c.up() as box:
        words = ["tasks", "exec", "--exec-id", "mine", "--detach", box.name]
        box.ctr(*words, "sh", "-c", "echo up >/out/up; exec sleep 1002").want()
        box.said("up", "up")
        box.task("kill", "--exec-id", "mine", "--signal", "SIGKILL").want()
        of_task(box, 1)
        equal("status", box.row()[1], "RUNNING")


@check
def exec_status_of_a_signal(c):
    with c.up() as box:
        box.raw_exec("sh", "-c", "kill -TERM $$").want(143)


@check
def exec_has_the_same_restrictions(c):
    with c.up("exec sleep 1000", "--seccomp", "--cap-drop", "CAP_CHOWN") as box:
        wanted = {key: status_of(box.pid)[key] for key in ("CapEff", "CapBnd", "Seccomp", "NoNewPrivs")}
        text = box.exec("cat", "/proc/self/status").want().out
        for key, value in wanted.items():
            true(f"{key} {value}", f"{key}:\t{value}\n" in text)


@check
def exec_of_missing_executable(c):
    with c.up() as box:
        wanted = r'OCI runtime exec failed: .*exec: "nothere": executable file not found in \$PATH'
        box.raw_exec("nothere").want(1, None, wanted)
        box.raw_exec("/bin/text").want(1, None, "OCI runtime exec failed: .*permission denied")
        equal("status", box.row()[1], "RUNNING")


@check
def exec_in_what_has_ended(c):
    with c.up("exit 0") as box:
        box.becomes("STOPPED")
        box.raw_exec("true").want(1, None, "cannot exec in a (stopped|deleted)|not running")


@check
def exec_many_at_once(c):
    with c.up() as box:
        lines = [["ctr", *box.exec_words(), "sh", "-c", f"exit {number}"] for number in range(8)]
        children = [subprocess.Popen(line, stdin=subprocess.DEVNULL) for line in lines]
        equal("status", [child.wait(CALL) for child in children], list(range(8)))


@check
def kill_terminates(c):
    with c.up(TRAP) as box:
        box.said("up", "up")
        box.task("kill").want()
        box.becomes("STOPPED")
        box.said("signal", "^term$")
        box.ended(3)


@check
def kill_with_a_signal_by_name_and_number(c):
    with c.up(TRAP) as box:
        for word in ("SIGUSR1", "10"):
            box.said("up", "up")
            box.task("kill", "--signal", word).want()
            box.said("signal", "^usr1$")
            os.remove(f"/tmp/{box.name}/signal")
        equal("status", box.row()[1], "RUNNING")


@check
def kill_all(c):
    with c.up("sleep 1001 & exec sleep 1000") as box:
        of_task(box, 2)
        box.task("kill", "--all", "--signal", "SIGKILL").want()
        box.becomes("STOPPED")
        box.ended(137)


@check
def kill_of_what_has_ended(c):
    with c.up("exit 0") as box:
        box.becomes("STOPPED")
        box.task("kill").want(1, None, "process already finished: not found|not found")


@check
def foreground_tells_the_signal(c):
    name = c.new()
    words = c.words(["ctr", "run", "--rm"], (), name, ["sleep", "1000"])
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as child:
        box = Box(c, name, c.space)
        box.becomes("RUNNING")
        box.task("kill", "--signal", "SIGKILL").want()
        equal("status", child.wait(CALL), 137)


@check
def foreground_passes_signals_on(c):
    name = c.new()
    script = f"trap 'echo winch >/out/winch' WINCH\n{TRAP}"
    words = c.words(["ctr", "run", "--rm"], (), name, ["sh", "-c", script])
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as child:
        Box(c, name, c.space).said("up", "up")
        # ctr listens for signals only some time after the start: this one does it no harm before.
        until("SIGWINCH arrives", lambda: child.send_signal(signal.SIGWINCH) or os.path.exists(f"/tmp/{name}/winch"))
        child.send_signal(signal.SIGTERM)
        equal("status", child.wait(CALL), 3)


@check
def processes_of_a_task(c):
    with c.up("sleep 1001 & sleep 1002 & exec sleep 1000") as box:
        of_task(box, 3)


@check
def pause_and_resume(c):
    with c.up("while :; do echo one >>/out/ticks; sleep 0.02; done") as box:
        box.said("ticks", "one")
        box.task("pause").want()
        equal("status", box.row()[1], "PAUSED")
        equal("state", c.state(box.name).want().json["status"], "paused")
        size = os.stat(f"/tmp/{box.name}/ticks").st_size
        box.raw_exec("true").want(1)
        equal("size while paused", os.stat(f"/tmp/{box.name}/ticks").st_size, size)
        box.task("resume").want()
        equal("status", box.row()[1], "RUNNING")
        until("it goes on", lambda: os.stat(f"/tmp/{box.name}/ticks").st_size > size)


@check
def paused_is_killed(c):
    with c.up() as box:
        pid = box.pid
        box.task("pause").want()
        box.task("kill", "--signal", "SIGKILL").want()
        box.task("resume")
        box.becomes("STOPPED")
        true("no process", not os.path.exists(f"/proc/{pid}"))


@check
def metrics(c):
    with c.up("exec sleep 1000", "--memory-limit", str(64 << 20)) as box:
        box.task("metrics").want(0, rf"memory.*\s{64 << 20}\s")
        text = box.task("metrics", "--format", "json").want().out
        true(text[:500], '"current": 1' in text or '"current":1' in text)


@check
def delete_of_what_runs_is_refused(c):
    with c.up() as box:
        box.task("delete").want(1, None, "must be stopped before deletion|failed precondition")
        equal("status", box.row()[1], "RUNNING")


@check
def delete_by_force(c):
    with c.up("sleep 1001 & exec sleep 1000") as box:
        pid = box.pid
        box.ended(137, "--force")
        box.gone()
        true("no process", not os.path.exists(f"/proc/{pid}"))


@check
def delete_tells_the_status(c):
    with c.up("exit 44") as box:
        box.becomes("STOPPED")
        box.ended(44)
        box.gone()


@check
def create_and_start(c):
    name = c.new()
    box = Box(c, name, c.space)
    with open(f"/tmp/{name}/script", "w") as file:
        file.write("echo run >>/out/runs; exit 8")
    c(*c.words(["containers", "create"], NAMED_RUNTIME, name, ["sh", "/out/script"])).want()
    try:
        # What has no task has no runtime's container; the same one is started twice.
        equal("task", box.row(), None)
        for times in (1, 2):
            box.task("start").want(8)
            box.said("runs", "(run\n){%d}" % times)
            box.gone()
    finally:
        box.remove()


@check
def start_detached_and_attach(c):
    name = c.new()
    box = Box(c, name, c.space)
    c(*c.words(["containers", "create"], [*NAMED_RUNTIME, "--tty"], name, ["sh"])).want()
    try:
        # It looks for a terminal even so.
        on_terminal("ctr", "tasks", "start", "--detach", name).want()
        said = on_terminal("ctr", "tasks", "attach", name, talk=[("", "\n"), ("# ", "tty; exit 6\n")])
        said.want(6, "/dev/pts/0")
    finally:
        box.remove()


@check
def list_shows_each_status(c):
    with c.up() as running, c.up() as paused, c.up("exit 0") as stopped:
        paused.task("pause").want()
        stopped.becomes("STOPPED")
        equal("status", [box.row()[1] for box in (running, paused, stopped)], ["RUNNING", "PAUSED", "STOPPED"])


@bench
def bench_detached(c, runtime):
    """ctr run --detach, tasks delete --force, containers delete"""
    box = Box(c, c.new(), c.space)
    c(*c.words(["run", "--detach"], (), box.name, ["sleep", "1000"], runtime)).want()
    box.ended(137, "--force")
    box.ctr("containers", "delete", box.name).want()


if __name__ == "__main__":
    main(Containerd)
