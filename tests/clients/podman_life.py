"""podman stop, kill, pause, restart, wait, rm, healthchecks, hooks, notifications, and the runtime's name."""

import socket

from podman_client import *

# A container that ends in order when it is asked to with the signal given.
ORDERLY = "trap 'echo bye; exit 3' {}; echo ready; while :; do sleep 0.1; done"


@check
def create_then_start(c):
    c("create", "--name", "created", "box", "sleep", "1000").want()
    with contextlib.ExitStack() as stack:
        stack.callback(c, "rm", "--force", "--time", "0", "created")
        box = Box(c, "created")
        equal("status", box.inspect(".State.Status"), "created")
        c("start", "created").want()
        equal("program", open(f"/proc/{box.pid}/cmdline").read(), "sleep\0" + "1000\0")


@check
def init_then_start(c):
    """`podman init` creates and does not start: the runtime's own first process waits."""
    c("create", "--name", "inited", "box", "sh", "-c", "echo hello; sleep 1000").want()
    with contextlib.ExitStack() as stack:
        stack.callback(c, "rm", "--force", "--time", "0", "inited")
        box = Box(c, "inited")
        c("init", "inited").want()
        equal("status", box.inspect(".State.Status"), "initialized")
        pid = box.pid
        true("a process that waits", os.path.exists(f"/proc/{pid}"))
        equal("log", c("logs", "inited").want().out, "")
        c("start", "inited").want()
        box.logs("hello")
        equal("the same process", box.pid, pid)


@check
def stop_is_orderly(c):
    with c.script("stopped", ORDERLY.format("TERM")) as box:
        box.logs("ready")
        pid = box.pid
        c("stop", "stopped").want()
        equal("exit status", box.inspect(".State.ExitCode"), "3")
        gone(pid)


@check
def stop_kills_after_its_time(c):
    with c.box("stubborn") as box:
        pid = box.pid
        c("stop", "--time", "1", "stubborn").want()
        equal("exit status", box.inspect(".State.ExitCode"), "137")
        gone(pid)


@check
def stop_signal(c):
    with c.script("signalled", ORDERLY.format("USR1"), "--stop-signal", "USR1") as box:
        box.logs("ready")
        c("stop", "signalled").want()
        box.logs("bye")
        equal("exit status", box.inspect(".State.ExitCode"), "3")


@check
def stop_of_stopped(c):
    with c.box("stop_twice", command=["true"]) as box:
        box.status("exited")
        c("stop", "stop_twice").want()


@check
def kill_by_name_and_number(c):
    for signal_, status in (("KILL", "137"), ("9", "137"), ("SIGUSR2", "3"), ("12", "3")):
        with c.script("killed", ORDERLY.format("USR2")) as box:
            box.logs("ready")
            c("kill", "--signal", signal_, "killed").want()
            box.status("exited")
            equal(f"exit status after {signal_}", box.inspect(".State.ExitCode"), status)


@check
def kill_of_real_time_signals(c):
    with c.script("realtime", ORDERLY.format("SIGRTMIN+3 2>/dev/null || trap 'exit 3' 37")) as box:
        box.logs("ready")
        c("kill", "--signal", "37", "realtime").want()
        box.status("exited")
        true("an end by the signal", box.inspect(".State.ExitCode") in ("3", "165"))


@check
def kill_of_stopped_is_refused(c):
    with c.box("kill_stopped", command=["true"]) as box:
        box.status("exited")
        c("kill", "kill_stopped").want(125, err="can only kill running containers")


@check
def end_takes_all_processes(c):
    """The processes beside the first one end with the pid namespace."""
    with c.script("many", "sleep 997 & sleep 998 & exec sleep 1000") as box:
        pids = until("three processes", lambda: three(box.pid))
        c("kill", "many").want()
        for pid in pids:
            gone(pid)


def three(pid):
    pids = cgroup_file(pid, "pids", "cgroup.procs").split()
    return pids if len(pids) == 3 else None


@check
def end_takes_processes_of_the_hosts_pid_namespace(c):
    with c.script("many_host", "sleep 997 & sleep 998 & exec sleep 1000", "--pid", "host") as box:
        pids = until("three processes", lambda: three(box.pid))
        c("rm", "--force", "--time", "0", "many_host").want()
        for pid in pids:
            gone(pid)


@check
def pause_and_unpause(c):
    with c.script("paused", "i=0; while :; do echo $i >/count; i=$((i+1)); sleep 0.01; done") as box:
        count = f"/proc/{box.pid}/root/count"
        until("it counts", lambda: int(open(count).read()) > 3)
        c("pause", "paused").want()
        equal("status", box.inspect(".State.Status"), "paused")
        box.exec("true").want(255)
        # It writes again and again, unless it is frozen; the file may be empty for a moment.
        first = open(count).read()
        time.sleep(0.3)
        equal("the count while it is frozen", open(count).read(), first)
        c("unpause", "paused").want()
        equal("status", box.inspect(".State.Status"), "running")
        until("it goes on", lambda: int(open(count).read()) > int(first or 0))


@check
def pause_all_then_remove(c):
    with c.box("frozen"):
        c("pause", "frozen").want()
        c("rm", "--force", "--time", "0", "frozen").want()


@check
def restart(c):
    with c.box("restarted", "--stop-timeout", "0") as box:
        first = box.pid
        c("restart", "restarted").want()
        true("another process", box.pid != first)
        gone(first)
        box.exec("true").want()


@check
def restart_policy(c):
    with c.box("policy", "--restart", "on-failure:2", command=["false"]) as box:
        until("two more tries", lambda: box.inspect(".RestartCount") == "2")
        box.status("exited")
        equal("exit status", box.inspect(".State.ExitCode"), "1")


@check
def start_again(c):
    with c.script("again", "echo run >>/runs; exit 2") as box:
        box.status("exited")
        c("start", "--attach", "again").want(2)
        c("cp", "again:/runs", "-").want(0, "run\nrun\n")


@check
def wait_gives_the_status(c):
    with c.script("waited", "sleep 0.3; exit 42"):
        c("wait", "waited").want(0, "^42$")


@check
def wait_for_a_state(c):
    with c.box("wait_running"):
        c("wait", "--condition", "running", "wait_running").want()
        c("pause", "wait_running").want()
        c("wait", "--condition", "paused", "wait_running").want()


@check
def remove_of_running_is_refused(c):
    with c.box("rm_running") as box:
        c("rm", "rm_running").want(2, err="running or paused containers cannot be removed")
        equal("status", box.inspect(".State.Status"), "running")


@check
def remove_leaves_nothing(c):
    with c.box("removed") as box:
        pid, name = box.pid, box.inspect(".Id")
        c("rm", "--force", "--time", "0", "removed").want()
        gone(pid)
        for path, names, _ in os.walk("/sys/fs/cgroup"):
            true(f"no cgroup in {path}", not any(name in one for one in names))
        for path, names, _ in os.walk("/run"):
            true(f"nothing of it in {path}", name not in names)
        with open("/proc/self/mountinfo") as file:
            true("no mount", name not in file.read())


@check
def remove_when_first_process_was_killed(c):
    """Killed from outside, behind the back of podman and of the runtime."""
    with c.box("murdered") as box:
        os.kill(box.pid, signal.SIGKILL)
        box.status("exited")
        equal("exit status", box.inspect(".State.ExitCode"), "137")
        c("rm", "murdered").want()


@check
def remove_when_conmon_was_killed(c):
    with c.box("orphaned") as box:
        pid = box.pid
        os.kill(int(box.inspect(".State.ConmonPid")), signal.SIGKILL)
        c("rm", "--force", "--time", "0", "orphaned").want()
        gone(pid)


@check
def rename(c):
    with c.box("old_name"):
        c("rename", "old_name", "new_name").want()
        c("exec", "new_name", "true").want()
        c("rename", "new_name", "old_name").want()


@check
def healthcheck(c):
    flags = ["--health-cmd", "test -e /healthy", "--health-interval", "disable", "--health-retries", "1"]
    with c.box("health", *flags) as box:
        c("healthcheck", "run", "health").want(1)
        equal("status", box.inspect(".State.Health.Status"), "unhealthy")
        box.exec("touch", "/healthy").want()
        c("healthcheck", "run", "health").want(0)
        equal("status", box.inspect(".State.Health.Status"), "healthy")


HOOK = """#!/bin/sh
{{ echo "$1"; cat; echo; }} >>/tmp/hooks/log
exit {}
"""


def hooks(stages, status=0):
    """A directory with a hook for each stage, which writes its name and the state that it was given."""
    shutil.rmtree("/tmp/hooks", ignore_errors=True)
    os.makedirs("/tmp/hooks/d")
    with open("/tmp/hooks/hook", "w") as file:
        file.write(HOOK.format(status))
    os.chmod("/tmp/hooks/hook", 0o755)
    for stage in stages:
        hook = {"path": "/tmp/hooks/hook", "args": ["hook", stage]}
        with open(f"/tmp/hooks/d/{stage}.json", "w") as file:
            json.dump({"version": "1.0.0", "hook": hook, "when": {"always": True}, "stages": [stage]}, file)


def hook_calls():
    with open("/tmp/hooks/log") as file:
        lines = [line for line in file.read().splitlines() if line]
    return [(stage, json.loads(state)) for stage, state in zip(lines[::2], lines[1::2])]


@check
def hooks_run_in_order(c):
    stages = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]
    hooks(stages)
    c("--hooks-dir", "/tmp/hooks/d", "run", "--name", "hooked", "--annotation", "a=b",
      "--volume", "/tmp/hooks:/tmp/hooks", "box", "true").want()
    name = c("inspect", "--format", "{{.Id}}", "hooked").out.strip()
    c("rm", "hooked").want()
    calls = hook_calls()
    equal("stages", [stage for stage, _ in calls], stages)
    for stage, state in calls:
        equal(f"id for {stage}", state["id"], name)
        true(f"bundle for {stage}", os.path.isabs(state["bundle"]))
        equal(f"annotation for {stage}", state["annotations"]["a"], "b")
    true("status of the last one", calls[-1][1]["status"] == "stopped")


@check
def hook_start_container_runs_inside(c):
    hooks(["startContainer"])
    # What it writes shows that it was the container's file that ran, in the container's directory.
    shutil.rmtree("/tmp/inside", ignore_errors=True)
    shutil.copytree("/tmp/hooks", "/tmp/inside")
    flags = ["--volume", "/tmp/inside:/tmp/hooks"]
    c("--hooks-dir", "/tmp/hooks/d", "run", "--rm", *flags, "box", "true").want()
    true("nothing outside", not os.path.exists("/tmp/hooks/log"))
    os.rename("/tmp/inside/log", "/tmp/hooks/log")
    equal("stages", [stage for stage, _ in hook_calls()], ["startContainer"])


@check
def hook_that_fails(c):
    hooks(["createRuntime"], status=3)
    c("--hooks-dir", "/tmp/hooks/d", "run", "--rm", "box", "echo", "hello").want(126, "^$", "(?i)hook")


@contextlib.contextmanager
def notified():
    """NOTIFY_SOCKET for podman; (its path, the messages so far)."""
    path = "/tmp/notify.sock"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        listener.settimeout(0.05)
        os.environ["NOTIFY_SOCKET"] = path
        said = []

        def messages():
            with contextlib.suppress(TimeoutError):
                said.append(listener.recv(4096).decode())
            return said

        try:
            yield path, messages
        finally:
            del os.environ["NOTIFY_SOCKET"]


# Python of the world, for a container.
PYTHON = [word for name in ("usr", "lib", "lib64") if os.path.exists(f"/{name}") for word in ("--volume", f"/{name}:/{name}:ro")]
NOTIFY = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
    s.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
print("sent", os.environ["NOTIFY_SOCKET"], flush=True)
time.sleep(1000)
"""


@check
def notify_from_the_container(c):
    with notified() as (_, messages):
        run = ["--sdnotify", "container", *PYTHON]
        with c.started("run", "--name", "notify_container", *run, "box", "/usr/bin/python3", "-c", NOTIFY):
            said = until("READY", lambda: (text := "".join(messages())) and "READY=1" in text and text)
            box = Box(c, "notify_container")
            pids = re.findall(r"MAINPID=(\d+)", said)
            true(f"a pid of {box.pid} or conmon in {said!r}", {str(box.pid), box.inspect(".State.ConmonPid")} & set(pids))
            c("rm", "--force", "--time", "0", "notify_container").want()


@check
def notify_from_conmon(c):
    with notified() as (_, messages):
        with c.box("notify_conmon", "--sdnotify", "conmon") as box:
            said = until("MAINPID and READY", lambda: (text := "".join(messages())) and "READY=1" in text and text)
            pids = re.findall(r"MAINPID=(\d+)", said)
            true(f"conmon's pid in {said!r}", box.inspect(".State.ConmonPid") in pids)
            equal("NOTIFY_SOCKET inside", box.sh("echo $NOTIFY_SOCKET").want().out, "\n")


@check
def notify_ignored(c):
    with notified() as (_, messages):
        c("run", "--rm", "--sdnotify", "ignore", "box", "sh", "-c", "echo $NOTIFY_SOCKET").want(0, "^$")
        equal("messages", messages(), [])


@check
def info_names_the_runtime(c):
    about = c("info", "--format", "json").want().json["host"]["ociRuntime"]
    equal("path", about["path"], c.runtime)
    true(f"version: {about['version']}", re.search(r"version \d", about["version"]))


@check
def runtime_by_name(c):
    """From the table of containers.conf, and as the default."""
    result = call("podman", "--runtime", c.name, "run", "--name", "by_name", "box", "echo", "hello")
    result.want(0, "^hello$")
    equal("runtime", c("inspect", "--format", "{{.OCIRuntime}}", "by_name").out.strip(), c.name)
    c("rm", "by_name").want()
    with open("/tmp/containers.conf", "w") as file:
        file.write(CONF.replace("[engine]\n", f'[engine]\nruntime = "{c.name}"\n'))
    env = {"CONTAINERS_CONF": "/tmp/containers.conf"}
    about = call("podman", "info", "--format", "{{.Host.OCIRuntime.Name}}", env=env).want().out.strip()
    equal("runtime of podman info", about, c.name)
    call("podman", "run", "--rm", "box", "echo", "hello", env=env).want(0, "^hello$")


@check
def runtime_under_the_name_runc(c):
    os.makedirs("/opt/other", exist_ok=True)
    shutil.copy(c.runtime, "/opt/other/runc")
    c("run", "--rm", "box", "echo", "hello", runtime="/opt/other/runc").want(0, "^hello$")
    c("run", "--rm", "box", "nosuch", runtime="/opt/other/runc").want(127, err="^Error: /opt/other/runc: ")
    with c.box("mixed") as box:
        c("exec", "mixed", "true", runtime="/opt/other/runc").want()
        c("pause", "mixed", runtime="/opt/other/runc").want()
        box.status("paused")


@check
def runtime_flags(c):
    """--runtime-flag gives the runtime options before its command."""
    flags = ["--runtime-flag", "debug", "--runtime-flag", "root=/run/elsewhere"]
    c(*flags, "create", "--name", "elsewhere", "box", "true").want()
    c(*flags, "init", "elsewhere").want()
    name = c("inspect", "--format", "{{.Id}}", "elsewhere").want().out.strip()
    true("its state is there", any(name in one for one in os.listdir("/run/elsewhere")))
    c(*flags, "rm", "--force", "--time", "0", "elsewhere").want()


@bench
def bench_create_start_remove(c, runtime):
    """podman create, start, rm -f"""
    c("create", "--name", f"life_{runtime}", "box", "sleep", "1000", runtime=runtime).want()
    c("start", f"life_{runtime}", runtime=runtime).want()
    c("rm", "--force", "--time", "0", f"life_{runtime}", runtime=runtime).want()


@bench
def bench_pause(c, runtime):
    """podman pause and unpause"""
    name = f"bench_pause_{runtime}"
    if c("container", "exists", name).code:
        c("run", "--detach", "--name", name, "box", "sleep", "1000", runtime=runtime).want()
    c("pause", name, runtime=runtime).want()
    c("unpause", name, runtime=runtime).want()


if __name__ == "__main__":
    main(Podman)
