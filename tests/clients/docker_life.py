"""docker: containers from create to rm, seen through every command that looks at them or changes them."""

from dockerd import *


def freezer(pid):
    return cgroup_file(pid, "freezer", ("freezer.state", "cgroup.freeze")).replace("1", "FROZEN").replace("0", "THAWED")


@check
def create_then_start(c):
    with Container(c, (), "echo hello; exit 3", verb=("create",)) as one:
        equal("status", one.inspect(".State.Status"), "created")
        equal("process", one.inspect(".State.Pid"), 0)
        c("start", "--attach", one.name).want(3, "^hello$")
        equal("status", one.inspect(".State.Status"), "exited")


@check
def detached_pid_is_the_process(c):
    with c.up(script="exec sleep 4321") as one:
        until("the program", lambda: open(f"/proc/{one.pid}/cmdline").read() == "sleep\0004321\0")
        equal("process id in its namespace", status_of(one.pid)["NSpid"].split()[-1], "1")


@check
def detached_is_a_child_of_the_shim(c):
    with c.up() as one:
        parent = status_of(one.pid)["PPid"]
        true("the parent", "containerd-shim-runc-v2" in open(f"/proc/{parent}/cmdline").read())


@check
def ps_shows_states(c):
    with c.up() as one, c.up() as two, c.up(script="exit 5") as three, Container(c, (), "", verb=("create",)) as four:
        two("pause").want()
        three.has_status("exited")
        rows = c("ps", "--all", "--format", "{{.Names}} {{.Status}}").want().out.splitlines()
        states = dict(row.split(" ", 1) for row in rows)
        true(states, states[one.name].startswith("Up"))
        true(states, states[two.name].endswith("(Paused)"))
        true(states, states[three.name].startswith("Exited (5)"))
        equal("created", states[four.name], "Created")


@check
def inspect_has_the_runtime(c):
    with c.up() as one:
        equal("runtime", one.inspect(".HostConfig.Runtime"), f"own-{next(iter(c.runtimes))}")
        state = one.inspect(".State")
        equal("state", (state["Running"], state["Paused"], state["Error"]), (True, False, ""))


@check
def state_file_of_the_runtime(c):
    """The runtime's own `state` under the root that the shim gives it."""
    with c.up("--label", "a=b") as one:
        got = call(c.runtime, "--root", "/run/docker/exec/runtime-runc/moby", "state", one.id)
        if got.code:
            got = call(c.runtime, "--root", "/run/docker/runtime-runc/moby", "state", one.id)
        state = got.want().json
        equal("state", (state["id"], state["status"], state["pid"]), (one.id, "running", one.pid))


@check
def wait_gives_the_status(c):
    with c.up(script="until test -e /tmp/go; do sleep 0.1; done; exit 9") as one:
        with subprocess.Popen(c.words("wait", one.name), stdout=subprocess.PIPE, text=True) as wait:
            one.sh("touch /tmp/go").want()
            equal("status", wait.communicate(timeout=CALL)[0], "9\n")
        one("wait").want(0, "^9$")


@check
def stop_ends_well(c):
    with c.up() as one:
        one("stop").want()
        one.has_status("exited", 0)


@check
def stop_kills_after_its_time(c):
    with c.up(script="trap '' TERM; echo up; while sleep 0.1; do :; done") as one:
        one.log_has("up")
        c("stop", "--time", "1", one.name).want()
        one.has_status("exited", 137)


@check
def stop_signal_and_timeout(c):
    flags = ("--stop-signal", "USR1", "--stop-timeout", "60")
    with c.up(*flags, script="trap 'exit 11' USR1; echo up; while sleep 0.1; do :; done") as one:
        one.log_has("up")
        one("stop").want()
        one.has_status("exited", 11)
        equal("timeout", one.inspect(".Config.StopTimeout"), 60)


@check
def kill_with_signals(c):
    with c.up(script="trap 'echo one' USR1; trap 'echo two' 12; echo up; while sleep 0.1; do :; done") as one:
        one.log_has("up")
        c("kill", "--signal", "SIGUSR1", one.name).want()
        one.log_has("one")
        c("kill", "--signal", "12", one.name).want()
        one.log_has("two")
        c("kill", "--signal", "KILL", one.name).want()
        one.has_status("exited", 137)
        one("kill").want(1, err="is not running")


@check
def kill_realtime_signal(c):
    with c.up(script="trap 'exit 34' 35; echo up; while sleep 0.1; do :; done") as one:
        one.log_has("up")
        c("kill", "--signal", "RTMIN+1", one.name).want()
        one.has_status("exited", 34)


@check
def pause_and_unpause(c):
    with c.up() as one:
        one("pause").want()
        equal("freezer", freezer(one.pid), "FROZEN")
        equal("status", one.inspect(".State.Status"), "paused")
        one.sh("true").want(1, err="is paused")
        one("pause").want(1, err="already paused")
        one("unpause").want()
        equal("freezer", freezer(one.pid), "THAWED")
        one.sh("echo awake").want(0, "awake")
        one("unpause").want(1, err="is not paused")


@check
def paused_is_killed_and_removed(c):
    with c.up() as one:
        one("pause").want()
        c("kill", one.name).want()
        one.has_status("exited", 137)
    with c.up() as one:
        one("pause").want()
        c("rm", "--force", one.name).want()
        c("inspect", one.name).want(1)


@check
def top_lists_processes(c):
    with c.up(script="sleep 1111 & exec sleep 2222") as one:
        until("both", lambda: re.search("1111", one("top").out) and re.search("sleep 2222", one("top").out))
        rows = one("top", "-o", "pid,ppid,args").want().out.splitlines()
        equal("columns and two rows", (rows[0].split()[:2], len(rows)), (["PID", "PPID"], 3))
        true("the container's process", any(row.split()[0] == str(one.pid) for row in rows))


@check
def stats_are_the_cgroups(c):
    with c.up("--memory", "64m", script="sleep 1000 & sleep 1000 & wait") as one:
        until("3 processes", lambda: cgroup_file(one.pid, "pids", "pids.current") == "3")
        words = ("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}} {{.CPUPerc}}", one.name)
        # The client gives up, and shows zeros, when the daemon takes 2 seconds.
        until("what the cgroups say", lambda: re.match(r"3 [\d.]+[KM]iB / 64MiB [\d.]+%", c(*words).want().out))


@check
def restart_is_a_new_process(c):
    with c.up() as one:
        first = one.pid
        one("restart").want()
        true("another process", one.pid != first and not os.path.exists(f"/proc/{first}"))
        equal("status", one.inspect(".State.Status"), "running")


@check
def start_again_keeps_files(c):
    with c.up(script="echo x >>/file; wc -l </file; exit $(wc -l </file)") as one:
        one.has_status("exited", 1)
        c("start", "--attach", one.name).want(2)
        c("start", "--attach", one.name).want(3)


@check
def remove_running(c):
    with c.up() as one:
        pid, paths = one.pid, []
        with open(f"/proc/{pid}/cgroup") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                at = f"/sys/fs/cgroup/{controllers}{path}"
                if one.id in path and os.path.isdir(at):
                    paths.append(at)
        true("cgroups", paths)
        one("rm").want(1, err="running container")
        c("rm", "--force", one.name).want()
        until("no process", lambda: not os.path.exists(f"/proc/{pid}"))
        until("no cgroup", lambda: not any(map(os.path.exists, paths)))
        c("inspect", one.name).want(1)


@check
def remove_by_itself(c):
    one = Container(c, ("--rm",), "exit 0")
    one.__enter__()
    until("no container", lambda: c("inspect", one.name).code == 1)


@check
def many_at_a_time(c):
    words = c.words("run", "--rm", "--net", "none", "box", "sh", "-c", "exit 6")
    several = [subprocess.Popen(words) for _ in range(6)]
    equal("statuses", [each.wait(CALL) for each in several], [6] * 6)


@check
def rename_works_on_running(c):
    with c.up() as one:
        c("rename", one.name, "new-name").want()
        one.name = "new-name"
        one.sh("echo here").want(0, "here")


@check
def cp_both_ways(c):
    with c.up("--tmpfs", "/ram") as one:
        with open("/tmp/to-copy", "w") as file:
            file.write("content\n")
        c("cp", "/tmp/to-copy", f"{one.name}:/root/copied").want()
        one.sh("cat /root/copied; echo answer >/root/answer").want(0, "content")
        c("cp", f"{one.name}:/root/answer", "/tmp/answer").want()
        equal("answer", open("/tmp/answer").read(), "answer\n")


@check
def diff_and_commit_and_export(c):
    with c.up(script="echo made >/new; rm /bin/text; sleep 1000") as one:
        until("the changes", lambda: "D /bin/text" in one("diff").want().out)
        one("diff").want(0, "A /new\n")
        c("commit", "--change", "CMD cat /new", one.name, "box-committed").want()
        c("run", "--rm", "box-committed").want(0, "^made$")
        c("export", "--output", "/tmp/exported.tar", one.name).want()
        names = call("tar", "-tf", "/tmp/exported.tar").want().out.splitlines()
        true("files", "new" in names and "bin/text" not in names)
    c("rmi", "box-committed").want()


@check
def logs_follow(c):
    with c.up(script="echo one; until test -e /go; do sleep 0.1; done; echo two >&2; exit 1") as one:
        with subprocess.Popen(c.words("logs", "--follow", one.name), stdout=-1, stderr=-1, text=True) as logs:
            equal("first line", logs.stdout.readline(), "one\n")
            one.sh("touch /go").want()
            equal("the rest", logs.communicate(timeout=CALL), ("", "two\n"))
        one("logs", "--timestamps").want(0, r"^\d{4}-.*Z one\n")


@check
def attach_and_stdin(c):
    one = Container(c, ("--interactive",), "read word; echo got $word; exit 8", verb=("create",))
    with one:
        c("start", one.name).want()
        c("attach", one.name, stdin="this\n").want(8, "^got this$")


@check
def events_of_a_life(c):
    since = time.time() - 1
    with c.up() as one:
        one.sh("true").want()
        one("pause").want()
        one("unpause").want()
        one("kill").want()
        one.has_status("exited")
        id = one.id
    words = ("events", "--since", f"{since:.0f}", "--until", f"{time.time() + 1:.0f}", "--filter", f"container={id}")
    got = c(*words, "--format", "{{.Action}}").want().out
    for action in ("create", "start", "exec_start: ", "exec_die", "pause", "unpause", "kill", "die", "destroy"):
        true(f"{action} in {got}", re.search(f"^{action}", got, re.M))


@check
def restart_policy_on_failure(c):
    with c.up("--restart", "on-failure:2", script="echo run; exit 1") as one:
        until("two restarts", lambda: one.inspect(".RestartCount") == 2)
        one.has_status("exited", 1)
        equal("runs", one("logs").out, "run\n" * 3)


@check
def restart_policy_always(c):
    with c.up("--restart", "always", script="echo run; sleep 0.3; exit 0") as one:
        one.log_has("run\nrun\n")
        c("update", "--restart", "no", one.name).want()
        one.has_status("exited", 0)


@check
def restart_policy_of_no_program(c):
    one = Container(c)
    try:
        c("run", "--detach", "--restart", "always", "--name", one.name, "box", "nosuch").want(127)
        equal("restarts", one.inspect(".RestartCount"), 0)
    finally:
        one.__exit__()


@check
def healthcheck_turns(c):
    flags = ("--health-cmd", "test -e /good", "--health-interval", "200ms", "--health-retries", "2")
    with c.up(*flags) as one:
        until("unhealthy", lambda: one.inspect(".State.Health.Status") == "unhealthy")
        one.sh("touch /good").want()
        until("healthy", lambda: one.inspect(".State.Health.Status") == "healthy")


@check
def oom_kill_is_seen(c):
    with c.up(
        "--memory", "16m", "--memory-swap", "16m", script="tail /dev/zero; until test -e /go; do sleep 0.1; done"
    ) as one:
        words = (
            "events",
            "--since",
            "1",
            "--filter",
            f"container={one.id}",
            "--filter",
            "event=oom",
            "--format",
            "{{.Action}}",
        )
        until("the event", lambda: c(*words, "--until", f"{time.time():.0f}").want().out == "oom\n")
        one.sh("touch /go").want()
        one.has_status("exited", 0)
        true("OOMKilled", one.inspect(".State.OOMKilled"))


@check
def oom_kill_of_process_1_is_137(c):
    c("run", "--rm", "--memory", "16m", "--memory-swap", "16m", "box", "tail", "/dev/zero").want(137)


@check
def info_and_version_show_the_runtime(c):
    """What `docker info` and `docker version` say of the runtime."""
    c("info", "--format", "{{json .DefaultRuntime}}").want(0, f'^"own-{next(iter(c.runtimes))}"$')
    runtimes = c("info", "--format", "{{json .Runtimes}}").want().json
    equal("path", runtimes[f"own-{next(iter(c.runtimes))}"]["path"], c.runtime)
    true("a commit", c("info", "--format", "{{json .RuncCommit.ID}}").want().json not in ("", "N/A"))
    components = c("version", "--format", "{{json .Server.Components}}").want().json
    versions = {one["Name"]: one["Version"] for one in components}
    said = call(c.runtime, "--version").want().out
    version = versions[f"own-{next(iter(c.runtimes))}"]
    true(f"{version} in {said}", version and version in said)


COUNT = "n=0; while sleep 0.1; do n=$((n + 1)); echo $n; done"


def checkpointed(c, *flags):
    """It counts on where it was."""
    if call("criu", "check").code:
        raise Failed("no criu that works here")
    with c.up("--security-opt", "seccomp=unconfined", *flags, script=COUNT) as one:
        one.log_has("^3$")
        c("checkpoint", "create", one.name, "first").want()
        one.has_status("exited")
        seen = one("logs").out.split()
        c("start", "--checkpoint", "first", one.name).want()
        until("it counts on", lambda: len(one("logs").out.split()) > len(seen) + 2)
        numbers = [int(word) for word in one("logs").out.split()]
        equal("numbers", numbers, list(range(1, len(numbers) + 1)))
        one.sh("exit 3").want(3)
        one("kill").want()
        one.has_status("exited", 137)


@check
def checkpoint_and_start(c):
    checkpointed(c, "--net", "none")


@check
def checkpoint_and_start_with_a_network(c):
    checkpointed(c)


@check
def checkpoint_leaves_running(c):
    if call("criu", "check").code:
        raise Failed("no criu that works here")
    with c.up("--net", "none", "--security-opt", "seccomp=unconfined") as one:
        pid = one.pid
        c("checkpoint", "create", "--leave-running", one.name, "first").want()
        c("checkpoint", "ls", one.name).want(0, "first")
        equal("process", one.pid, pid)
        one.sh("exit 3").want(3)


if __name__ == "__main__":
    main(Docker)
