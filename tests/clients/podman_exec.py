"""podman exec, attach, logs, top, stats, inspect, events: what is asked of a container that runs."""

from podman_client import *

TICK = "while :; do echo tick; sleep 0.1; done"


@check
def exec_prints(c):
    with c.box("exec_prints") as box:
        box.sh("echo hello; echo oops >&2").want(0, "^hello$", "^oops$")


@check
def exec_status(c):
    with c.box("exec_status") as box:
        box.sh("exit 7").want(7)
        box.sh("kill -KILL $$").want(137)


@check
def exec_reads_stdin(c):
    with c.box("exec_stdin") as box:
        equal("stdout", box.exec("cat", flags=["--interactive"], stdin="one\ntwo\n").want().out, "one\ntwo\n")


@check
def exec_passes_all_output(c):
    with c.box("exec_output") as box:
        equal("lines", len(box.sh("seq 1 50000").want().out.split()), 50000)


@check
def exec_terminal(c):
    with c.box("exec_tty"):
        talk = [("# ", "tty; stty size\n"), ("# ", "exit 5\n")]
        result = c.terminal("exec", "-it", "exec_tty", "sh", talk=talk, size=(30, 99))
        result.want(5, r"/dev/pts/\d\n30 99\n")


@check
def exec_terminal_beside_the_containers(c):
    """Two terminals in one devpts: the container's own is 0, that of exec 1."""
    with c.script("two_ttys", "tty; sleep 1000", "--tty") as box:
        box.logs("/dev/pts/0")
        c.terminal("exec", "-it", "two_ttys", "tty").want(0, "^/dev/pts/1\n")


@check
def exec_interrupt_on_terminal(c):
    with c.box("exec_interrupt"):
        script = "trap 'exit 9' INT; echo ready; sleep 1000"
        c.terminal("exec", "-it", "exec_interrupt", "sh", "-c", script, talk=[("ready", "\x03")]).want(9)


@check
def exec_env(c):
    with c.box("exec_env", "--env", "OWN=container", "--env", "BOTH=container") as box:
        with open("/tmp/exec.env", "w") as file:
            file.write("FILE=yes\n")
        flags = ["--env", "BOTH=exec", "--env", "NEW=a b", "--env-file", "/tmp/exec.env"]
        env = dict(line.split("=", 1) for line in box.exec("env", flags=flags).want().out.splitlines())
        wanted = {"OWN": "container", "BOTH": "exec", "NEW": "a b", "FILE": "yes"}
        equal("environment", {name: env.get(name) for name in wanted}, wanted)


@check
def exec_user(c):
    with c.box("exec_user") as box:
        box.exec("id", flags=["--user", "user"]).want(0, r"^uid=1000\(user\) gid=1000\(user\) groups=(1000\(user\),)?2000\(extra\)$")
        box.exec("id", flags=["--user", "7:8"]).want(0, r"^uid=7 gid=8( groups=8)?$")
        box.sh("grep CapEff /proc/self/status", "--user", "user").want(0, "CapEff:\t0000000000000000")


@check
def exec_workdir(c):
    with c.box("exec_workdir", "--workdir", "/etc") as box:
        box.exec("pwd").want(0, "^/etc$")
        box.exec("pwd", flags=["--workdir", "/var"]).want(0, "^/var$")
        box.exec("pwd", flags=["--workdir", "/nosuch"]).want(127, err="(?i)/nosuch.*no such file or directory")


@check
def exec_detached(c):
    with c.box("exec_detached") as box:
        box.sh("echo done >/tmp/done; exec sleep 999", "--detach").want()
        until("what it writes", lambda: box.exec("cat", "/tmp/done").out == "done\n")
        box.exec("ps").want(0, "(?m)^ .* sleep 999$")


@check
def exec_is_in_namespaces_and_cgroup(c):
    with c.box("exec_inside") as box:
        out = box.sh("for n in pid net ipc uts mnt; do readlink /proc/self/ns/$n; done").want().out.split()
        kinds = ["pid", "net", "ipc", "uts", "mnt"]
        equal("namespaces", out, [namespace(box.pid, kind) for kind in kinds])
        with c.started("exec", "exec_inside", "sleep", "998"):
            def other():
                pids = [int(pid) for pid in cgroup_processes(box.pid)]
                return [pid for pid in pids if pid != box.pid]
            pid = until("a second process in the cgroup", other)[0]
            until("its program", lambda: "998" in open(f"/proc/{pid}/cmdline").read())
            equal("cgroup", open(f"/proc/{pid}/cgroup").read(), open(f"/proc/{box.pid}/cgroup").read())


def cgroup_processes(pid):
    return cgroup_file(pid, "pids", "cgroup.procs").split()


@check
def exec_privileged(c):
    with c.box("exec_privileged") as box:
        ask = "grep CapEff /proc/self/status"
        plain, privileged = box.sh(ask).want().out, box.sh(ask, "--privileged").want().out
        true(f"more capabilities: {plain} {privileged}", int(privileged.split()[1], 16) > int(plain.split()[1], 16))


@check
def exec_limits_are_the_containers(c):
    with c.box("exec_limits", "--cap-drop", "all", *LIMITS) as box:
        equal("nofile", box.sh("ulimit -Sn; ulimit -Hn").want().out.split(), ["100", "200"])
        box.sh("grep CapBnd /proc/self/status").want(0, "0000000000000000")


@check
def exec_has_seccomp(c):
    with c.box("exec_seccomp") as box:
        box.sh("grep -E '^(Seccomp|NoNewPrivs)' /proc/self/status").want(0, "Seccomp:\t2")


@check
def exec_preserves_descriptors(c):
    with c.box("exec_fds"):
        line = " ".join(map(str, c.command("exec", "--preserve-fds", "1", "exec_fds", "sh", "-c")))
        equal("stdout", call("bash", "-c", f"exec 3<<<three; {line} 'cat <&3'").want().out, "three\n")


@check
def exec_status_127_without_program(c):
    with c.box("exec_127") as box:
        for word in ("nosuch", "/bin/nosuch"):
            box.exec(word).want(127, err="(?i)no such file or directory|executable file not found")


@check
def exec_status_126_without_permission(c):
    with c.box("exec_126") as box:
        box.exec("/bin/text").want(126, err="(?i)permission denied")
        box.exec("/etc").want(126, err="(?i)permission denied|is a directory")


@check
def exec_status_125_for_podman(c):
    c("exec", "nosuch", "true").want(125)
    with c.box("exec_125") as box:
        box.exec("true", flags=["--nosuch"]).want(125)


@check
def exec_in_stopped_is_refused(c):
    with c.box("exec_stopped", command=["true"]) as box:
        box.status("exited")
        box.exec("true").want(255, err="container state improper")


@check
def exec_ends_with_the_container(c):
    with c.box("exec_ends") as box:
        with c.started("exec", "exec_ends", "sh", "-c", "echo ready; sleep 1000") as run:
            equal("stdout", run.stdout.readline(), "ready\n")
            c("kill", "exec_ends").want()
            equal("exit status", run.wait(CALL), 137)
        box.status("exited")


@check
def exec_many_at_once(c):
    with c.box("exec_many") as box:
        with contextlib.ExitStack() as stack:
            runs = [stack.enter_context(c.started("exec", "exec_many", "sh", "-c", f"exit {n}")) for n in range(1, 7)]
            equal("exit statuses", [run.wait(CALL) for run in runs], [1, 2, 3, 4, 5, 6])
        until("only the first process", lambda: cgroup_processes(box.pid) == [str(box.pid)])


@check
def attach_to_terminal(c):
    with c.script("attach_tty", f"{TICK} & read line; kill $!; echo got $line; exit 4", "-it") as box:
        # The tick tells that podman is attached, and the terminal its own.
        c.terminal("attach", "attach_tty", talk=[("tick", "word\n")]).want(0, "got word")
        box.status("exited")
        equal("exit status", box.inspect(".State.ExitCode"), "4")


@check
def attach_and_detach(c):
    # The keys are known only when they come one by one.
    with c.script("attach_keys", TICK, "-it") as box:
        c.terminal("attach", "attach_keys", talk=[("tick", "\x10"), ("tick", "\x11")]).want(0)
        equal("status", box.inspect(".State.Status"), "running")


@check
def attach_gives_stdin(c):
    with c.script("attach_pipe", "read line; echo got $line", "--interactive"):
        c("attach", "attach_pipe", stdin="word\n").want(0, "got word")


@check
def start_attached(c):
    c("create", "--name", "started", "box", "sh", "-c", "echo hello; exit 3").want()
    c("start", "--attach", "started").want(3, "^hello$")
    c("start", "--attach", "started").want(3, "^hello$")
    c("rm", "started").want()


@check
def logs_have_both_streams(c):
    with c.script("logged", "echo out; echo err >&2; echo end") as box:
        box.logs("end")
        result = c("logs", "logged").want()
        equal("streams", [result.out, result.err], ["out\nend\n", "err\n"])


@check
def logs_follow(c):
    with c.script("followed", "for i in 1 2 3; do echo line $i; sleep 0.2; done"):
        equal("lines", c("logs", "--follow", "followed").want().out, "line 1\nline 2\nline 3\n")
        c("logs", "--tail", "1", "--timestamps", "followed").want(0, r"^\d{4}-\d\d-\d\dT\S+ line 3\n$")


@check
def log_drivers(c):
    with c.script("log_file", "echo hello", "--log-driver", "k8s-file", "--log-opt", "path=/tmp/log") as box:
        until("the log", lambda: re.search(r"stdout F hello$", open("/tmp/log").read().strip()))
    with c.script("log_none", "echo hello", "--log-driver", "none") as box:
        box.status("exited")
        c("logs", "log_none").want(125)
    c("run", "--rm", "--log-driver", "passthrough", "box", "echo", "hello").want(0, "^hello$")


@check
def log_has_lines_without_end(c):
    with c.script("partial", "printf partial", "--log-driver", "k8s-file", "--log-opt", "path=/tmp/partial") as box:
        box.status("exited")
        until("the log", lambda: re.search(r"stdout P partial$", open("/tmp/partial").read().strip()))


@check
def top_shows_processes(c):
    with c.script("top", "sleep 997 & exec sleep 1000", "--user", "user") as box:
        until("both", lambda: len(c("top", "top", "pid").want().out.split()) == 3)
        rows = c("top", "top", "hpid", "pid", "user", "args", "seccomp").want().out.splitlines()[1:]
        words = next(row.split() for row in rows if "1000" in row.split()[-2])
        equal("the first", words, [str(box.pid), "1", "user", "sleep", "1000", "filter"])


@check
def stats_show_use(c):
    with c.script("stats", "sleep 997 & exec sleep 1000", "--memory", "64m") as box:
        until("both processes", lambda: len(cgroup_processes(box.pid)) == 2)
        one = c("stats", "--no-stream", "--format", "json", "stats").want().json[0]
        equal("pids", one["pids"], "2")
        true(f"memory: {one}", re.match(r"[\d.]+[km]?B / (64|67)\.?\d*MB", one["mem_usage"]))


@check
def inspect_knows_the_runtime(c):
    with c.box("inspected") as box:
        equal("runtime", box.inspect(".OCIRuntime"), c.runtime)
        equal("status", box.inspect(".State.Status"), "running")
        equal("program", open(f"/proc/{box.pid}/cmdline").read(), "sleep\0" + "1000\0")
        true("conmon", "conmon" in open(f"/proc/{box.inspect('.State.ConmonPid')}/cmdline").read())
        equal("cgroup", box.inspect(".State.CgroupPath"), f"/libpod_parent/libpod-{box.inspect('.Id')}")


@check
def inspect_tells_capabilities(c):
    with c.box("inspect_caps", "--cap-drop", "all", "--cap-add", "chown,kill") as box:
        equal("capabilities", box.inspect(".EffectiveCaps"), "[CAP_CHOWN CAP_KILL]")
        equal("as the kernel has them", int(status_of(box.pid)["CapEff"], 16), 1 << 0 | 1 << 5)


@check
def ps_shows_states(c):
    with c.box("ps_running"), c.box("ps_exited", command=["sh", "-c", "exit 3"]) as exited:
        exited.status("exited")
        c("create", "--name", "ps_created", "box", "true").want()
        rows = c("ps", "--all", "--filter", "name=^ps_", "--format", "json").want().json
        states = {row["Names"][0]: (row["State"], row["ExitCode"]) for row in rows}
        equal("states", states, {"ps_running": ("running", 0), "ps_exited": ("exited", 3), "ps_created": ("created", 0)})
        c("rm", "ps_created").want()


@check
def ps_shows_namespaces(c):
    with c.box("ps_ns") as box:
        row = c("ps", "--namespace", "--format", "json", "--filter", "name=ps_ns").want().json[0]
        kinds = {"Mnt": "mnt", "Net": "net", "Pidns": "pid", "Uts": "uts", "Ipc": "ipc"}
        shown = {kind: row["Namespaces"][kind] for kind in kinds}
        equal("namespaces", shown, {key: re.sub(r"\D", "", namespace(box.pid, kind)) for key, kind in kinds.items()})


@check
def events_tell_the_life(c):
    with c.box("events") as box:
        box.exec("sh", "-c", "exit 7").want(7)
        c("kill", "events").want()
        box.status("exited")
    rows = c("events", "--stream=false", "--filter", "container=events", "--format", "{{.Status}} {{.ContainerExitCode}}").want().out
    seen = list(dict.fromkeys(row.split()[0] for row in rows.splitlines() if not row.startswith("cleanup")))
    equal("events", seen, ["create", "init", "start", "exec", "exec_died", "kill", "died", "remove"])
    true(f"status 137 of died: {rows}", "died 137" in rows)


@bench
def bench_exec(c, runtime):
    """podman exec"""
    name = f"bench_exec_{runtime}"
    if c("container", "exists", name).code:
        c("run", "--detach", "--name", name, "box", "sleep", "1000", runtime=runtime).want()
    c("exec", name, "true", runtime=runtime).want()


if __name__ == "__main__":
    main(Podman)
