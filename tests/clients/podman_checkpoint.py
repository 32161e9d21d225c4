"""podman container checkpoint and restore, through criu, which the runtime calls."""

from podman_client import *

COUNT = "i=0; while :; do i=$((i+1)); echo $i >/tmp/new; mv /tmp/new /tmp/count; sleep 0.02; done"


def counted(box):
    with open(f"/proc/{box.pid}/root/tmp/count") as file:
        return int(file.read())


def counts_on(box, more_than):
    until("it counts on", lambda: counted(box) > more_than)


@contextlib.contextmanager
def counting(c, name, *flags):
    with c.script(name, COUNT, *flags) as box:
        until("it counts", lambda: counted(box) > 2)
        yield box


@check
def checkpoint_and_restore(c):
    """The process goes on where it was, with its pid in the container."""
    with counting(c, "thawed") as box:
        before, pid = counted(box), box.pid
        c("container", "checkpoint", "thawed").want()
        equal("status", box.inspect(".State.Status"), "exited")
        gone(pid)
        c("container", "restore", "thawed").want()
        equal("status", box.inspect(".State.Status"), "running")
        counts_on(box, before)
        box.exec("ps").want(0, r"(?m)^\s+1 root ")


@check
def checkpoint_leaves_it_running(c):
    with counting(c, "left") as box:
        pid = box.pid
        c("container", "checkpoint", "--leave-running", "left").want()
        equal("process", box.pid, pid)
        counts_on(box, counted(box))


@check
def checkpoint_is_exported_and_imported(c):
    """Under another name, beside the first one."""
    with counting(c, "exported") as box:
        c("container", "checkpoint", "--leave-running", "--export", "/tmp/checkpoint.tar", "exported").want()
        before = counted(box)
        try:
            flags = ["--import", "/tmp/checkpoint.tar", "--name", "imported", "--ignore-static-ip", "--ignore-static-mac"]
            c("container", "restore", *flags).want()
            counts_on(Box(c, "imported"), 2)
            equal("the first one", box.inspect(".State.Status"), "running")
            counts_on(box, before)
        finally:
            c("rm", "--force", "--time", "0", "--ignore", "imported").want()


@check
def checkpoint_before_the_checkpoint(c):
    with counting(c, "pre") as box:
        c("container", "checkpoint", "--pre-checkpoint", "--export", "/tmp/pre.tar", "pre").want()
        equal("status", box.inspect(".State.Status"), "running")
        before = counted(box)
        c("container", "checkpoint", "--with-previous", "--export", "/tmp/full.tar", "pre").want()
        c("rm", "pre").want()
        c("container", "restore", "--import-previous", "/tmp/pre.tar", "--import", "/tmp/full.tar").want()
        counts_on(box, before)


@check
def checkpoint_keeps_limits_and_user(c):
    flags = ["--memory", "64m", "--pids-limit", "9", "--cap-drop", "all", "--cap-add", "kill"]
    with counting(c, "limited", *flags) as box:
        before = counted(box)
        c("container", "checkpoint", "limited").want()
        c("container", "restore", "limited").want()
        counts_on(box, before)
        equal("memory", cgroup_file(box.pid, "memory", MEMORY), str(64 << 20))
        equal("pids", cgroup_file(box.pid, "pids", "pids.max"), "9")
        equal("capabilities", int(status_of(box.pid)["CapEff"], 16), 1 << 5)


@check
def checkpoint_with_volume(c):
    os.makedirs("/tmp/kept", exist_ok=True)
    script = "exec 3>>/data/lines; while :; do echo line >&3; sleep 0.02; done"
    with c.script("volumed", script, "--volume", "/tmp/kept:/data") as box:
        size = lambda: os.path.getsize("/tmp/kept/lines")
        until("lines", lambda: size() > 10)
        c("container", "checkpoint", "volumed").want()
        before = size()
        c("container", "restore", "volumed").want()
        until("more lines", lambda: size() > before)
        equal("status", box.inspect(".State.Status"), "running")


@check
def checkpoint_of_a_terminal(c):
    with c.script("tty_kept", "while :; do echo tick; sleep 0.05; done", "--tty") as box:
        box.logs("tick")
        c("container", "checkpoint", "tty_kept").want()
        c("container", "restore", "tty_kept").want()
        lines = len(c("logs", "tty_kept").want().out.split())
        until("more ticks", lambda: len(c("logs", "tty_kept").want().out.split()) > lines)
        box.exec("true").want()


@check
def checkpoint_of_stopped_is_refused(c):
    with c.box("cold", command=["true"]) as box:
        box.status("exited")
        c("container", "checkpoint", "cold").want(125, err="not running")


if __name__ == "__main__":
    main(Podman)
