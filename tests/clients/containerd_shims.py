"""containerd with its tool ctr: events, shims of every kind, and what is there after the end of a daemon or a shim."""

import threading

from ctr import *


class Events:
    """`ctr events` beside a check."""

    def __init__(self):
        self.rows = []
        self.child = subprocess.Popen(["ctr", "events"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.thread = threading.Thread(target=self._read)

    def __enter__(self):
        self.thread.start()
        # The first event that is seen shows that those after it will be.
        until("events are told", self._told)
        return self

    def _read(self):
        for line in self.child.stdout:
            self.rows.append(line)

    def _told(self):
        call("ctr", "namespaces", "label", "default", f"told={time.monotonic_ns()}").want()
        return any("/namespaces/update" in row for row in self.rows)

    def topics(self, name):
        found = [row.split()[5] for row in self.rows if name in row]
        return [topic for topic in found if topic.startswith("/tasks/")]

    def __exit__(self, *_):
        self.child.kill()
        self.child.wait()
        self.thread.join()


@check
def events(c):
    with Events() as events:
        with c.up() as box:
            box.raw_exec("true").want()
            box.task("pause").want()
            box.task("resume").want()
            box.task("kill", "--signal", "SIGKILL").want()
            box.becomes("STOPPED")
        topics = "create start exec-added exec-started paused resumed exit delete".split()
        wanted = {f"/tasks/{topic}" for topic in topics}
        until(f"all of {topics}", lambda: wanted <= set(events.topics(box.name)))


@check
def out_of_memory_is_told(c):
    with Events() as events:
        # A shell, whose child is killed, so that the container is still there for the event.
        with c.up("tail /dev/zero; echo $? >/out/status; exec sleep 1000", "--memory-limit", str(16 << 20)) as box:
            box.said("status", "^137$")
            until("the event", lambda: "/tasks/oom" in events.topics(box.name))


@check
def same_id_in_two_namespaces(c):
    call("ctr", "-n", "other", "images", "import", "/tmp/image.tar").want()
    with c.up() as one, c.up("exec sleep 1001", space="other", name=one.name) as two:
        true("two processes", one.pid != two.pid)
        one.ended(137, "--force")
        one.gone()
        equal("status", two.row()[1], "RUNNING")
        equal("state", c.state(two.name, space="other").want().json["pid"], two.pid)


@check
def daemon_restarts_and_tasks_are_there(c):
    with c.up("until [ -e /out/heard ]; do sleep 0.05; done; exit 12") as box:
        row = box.row()
        c.restart()
        equal("task", box.row(), row)
        box.exec("echo", "hello").want(0, "^hello$")
        with open(f"/tmp/{box.name}/heard", "w"):
            pass
        box.becomes("STOPPED")
        box.ended(12)


@check
def daemon_is_killed_and_tasks_end_meanwhile(c):
    with c.up("until [ -e /out/heard ]; do sleep 0.05; done; exit 13") as box:
        pid = box.pid
        c.end(signal.SIGKILL)
        with open(f"/tmp/{box.name}/heard", "w"):
            pass
        until("the process has ended", lambda: not os.path.exists(f"/proc/{pid}"))
        c.begin()
        box.becomes("STOPPED")
        box.ended(13)


def shim_of(name):
    """The pid of a container's shim."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                words = file.read().split("\0")
        except OSError:
            continue
        if "containerd-shim" in words[0] and name in words:
            return int(pid)
    raise Failed(f"{name} has no shim")


@check
def shim_is_killed_and_nothing_is_left(c):
    with c.up("sleep 1001 & exec sleep 1000") as box:
        of_task(box, 2)
        pids = cgroup_file(box.pid, "pids", "cgroup.procs").split()
        os.kill(shim_of(box.name), signal.SIGKILL)
        until("the processes are gone", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids))
        until("nothing is left", lambda: box.gone() or True)


@check
def restarted_by_the_monitor(c):
    with c.up("echo run >>/out/runs; exec sleep 1000") as box:
        box.said("runs", "run")
        # Not before: the monitor would meet what is just being started.
        box.ctr("containers", "label", box.name, "containerd.io/restart.status=running").want()
        pid = box.pid
        os.kill(pid, signal.SIGKILL)
        box.said("runs", "run\nrun")
        until("another process", lambda: box.pid != pid and box.row()[1] == "RUNNING")
        box.ctr("containers", "label", box.name, "containerd.io/restart.status=stopped").want()
        box.becomes("gone")


@check
def shim_runc_v1(c):
    with c.up(TRAP, "--runtime", "io.containerd.runc.v1") as box:
        box.said("up", "up")
        box.exec("echo", "hello").want(0, "^hello$")
        box.task("kill").want()
        box.becomes("STOPPED")
        box.ended(3)


@check
def shim_runtime_v1_linux(c):
    with c.up(TRAP, "--runtime", "io.containerd.runtime.v1.linux") as box:
        box.said("up", "up")
        box.exec("echo", "hello").want(0, "^hello$")
        box.task("pause").want()
        box.task("resume").want()
        box.task("kill").want()
        box.becomes("STOPPED")
        box.ended(3)


@check
def checkpoint(c):
    with c.up() as box:
        box.task("checkpoint", "--image-path", f"/tmp/{box.name}/image", "--exit").want()
        box.becomes("STOPPED")
        true("images", os.listdir(f"/tmp/{box.name}/image"))


if __name__ == "__main__":
    main(Containerd)
