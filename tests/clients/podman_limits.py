"""podman's limits: memory, cpus, pids, cpusets, block IO; update; cgroup parents and modes."""

from podman_client import *

MEGABYTE = 1 << 20


def cpu_max(pid):
    """(quota, period)."""
    if V2:
        return tuple(cgroup_file(pid, "cpu", "cpu.max").split())
    return cgroup_file(pid, "cpu", "cpu.cfs_quota_us"), cgroup_file(pid, "cpu", "cpu.cfs_period_us")


def cgroups_of(pid):
    with open(f"/proc/{pid}/cgroup") as file:
        return {line.split(":")[1]: line.strip().split(":", 2)[2] for line in file}


@check
def memory(c):
    with c.box("memory", "--memory", "64m") as box:
        equal("limit", cgroup_file(box.pid, "memory", MEMORY), str(64 * MEGABYTE))


@check
def memory_reservation(c):
    with c.box("reservation", "--memory-reservation", "32m") as box:
        limit = cgroup_file(box.pid, "memory", ("memory.soft_limit_in_bytes", "memory.low"))
        equal("soft limit", limit, str(32 * MEGABYTE))


@check
def memory_with_swap(c):
    with c.box("swap", "--memory", "32m", "--memory-swap", "48m") as box:
        equal("limit", cgroup_file(box.pid, "memory", MEMORY), str(32 * MEGABYTE))
        swap = cgroup_file(box.pid, "memory", ("memory.memsw.limit_in_bytes", "memory.swap.max"))
        equal("with swap", swap, str((16 if V2 else 48) * MEGABYTE))


@check
def memory_that_is_used_up(c):
    flags = ["--memory", "24m", "--memory-swap", "24m"]
    # It keeps the last line, which has no end.
    with c.box("oom", *flags, command=["tail", "/dev/zero"]) as box:
        box.status("exited")
        equal("exit status", box.inspect(".State.ExitCode"), "137")
    c("run", "--rm", *flags, "box", "sh", "-c", "tail /dev/zero; echo $?").want(0, "^137$")


@check
def oom_kill_is_disabled(c):
    if V2:
        raise Failed("cgroup v2 has no such thing")
    with c.box("no_oom", "--memory", "64m", "--oom-kill-disable") as box:
        true("oom_kill_disable 1", "oom_kill_disable 1" in cgroup_file(box.pid, "memory", "memory.oom_control"))


@check
def swappiness(c):
    with c.box("swappiness", "--memory-swappiness", "7") as box:
        equal("swappiness", cgroup_file(box.pid, "memory", "memory.swappiness"), "7")


@check
def cpus(c):
    with c.box("cpus", "--cpus", "0.5") as box:
        equal("quota and period", cpu_max(box.pid), ("50000", "100000"))


@check
def cpu_quota_and_period(c):
    with c.box("quota", "--cpu-quota", "20000", "--cpu-period", "50000") as box:
        equal("quota and period", cpu_max(box.pid), ("20000", "50000"))


@check
def cpu_shares(c):
    with c.box("shares", "--cpu-shares", "512") as box:
        equal("weight", cgroup_file(box.pid, "cpu", ("cpu.shares", "cpu.weight")), "20" if V2 else "512")


@check
def cpuset(c):
    with c.box("cpuset", "--cpuset-cpus", "0", "--cpuset-mems", "0") as box:
        equal("cpus", cgroup_file(box.pid, "cpuset", "cpuset.cpus"), "0")
        equal("mems", cgroup_file(box.pid, "cpuset", "cpuset.mems"), "0")
        equal("of the process", status_of(box.pid)["Cpus_allowed_list"], "0")
        box.sh("grep Cpus_allowed_list /proc/self/status").want(0, "\t0$")


@check
def pids(c):
    # Of those runc itself needs some, for exec.
    with c.box("pids", "--pids-limit", "20") as box:
        equal("limit", cgroup_file(box.pid, "pids", "pids.max"), "20")
        box.sh("for i in $(seq 30); do sleep 100 & done").want(2, err="(?i)can't fork|resource temporarily")


@check
def pids_by_default_and_without(c):
    with c.box("pids_default") as box:
        equal("limit", cgroup_file(box.pid, "pids", "pids.max"), "2048")
    with c.box("pids_default", "--pids-limit", "-1") as box:
        equal("limit", cgroup_file(box.pid, "pids", "pids.max"), "max")


def disk():
    """A block device of this machine that block IO limits are for, with its numbers."""
    for name in sorted(os.listdir("/sys/block")):
        if not name.startswith(("ram", "zram")) and os.path.exists(f"/dev/{name}"):
            with open(f"/sys/block/{name}/dev") as file:
                return f"/dev/{name}", file.read().strip()
    raise Failed("no block device")


@check
def block_io_is_throttled(c):
    path, numbers = disk()
    flags = ["--device-read-bps", f"{path}:1mb", "--device-write-iops", f"{path}:100"]
    with c.box("throttle", *flags) as box:
        if V2:
            equal("io.max", cgroup_file(box.pid, "io", "io.max"), f"{numbers} rbps={MEGABYTE} wbps=max riops=max wiops=100")
            return
        read = cgroup_file(box.pid, "blkio", "blkio.throttle.read_bps_device")
        write = cgroup_file(box.pid, "blkio", "blkio.throttle.write_iops_device")
        equal("limits", [read, write], [f"{numbers} {MEGABYTE}", f"{numbers} 100"])


@check
def block_io_weight(c):
    with c.box("weight", "--blkio-weight", "200") as box:
        weight = cgroup_file(box.pid, "blkio", ("blkio.bfq.weight", "io.bfq.weight"))
        equal("weight", weight.removeprefix("default "), "200")


@check
def update(c):
    with c.box("updated", "--memory", "64m", "--cpus", "0.5", "--cpuset-cpus", "0") as box:
        flags = ["--memory", "96m", "--cpus", "1.5", "--cpuset-cpus", "0,1", "--cpu-shares", "256"]
        c("container", "update", *flags, "updated").want()
        equal("memory", cgroup_file(box.pid, "memory", MEMORY), str(96 * MEGABYTE))
        equal("quota and period", cpu_max(box.pid), ("150000", "100000"))
        equal("cpus", cgroup_file(box.pid, "cpuset", "cpuset.cpus"), "0-1")
        equal("weight", cgroup_file(box.pid, "cpu", ("cpu.shares", "cpu.weight")), "10" if V2 else "256")


@check
def update_leaves_the_rest(c):
    with c.box("kept", "--memory", "64m", "--pids-limit", "7", "--cpus", "0.5") as box:
        c("container", "update", "--cpu-shares", "256", "kept").want()
        equal("pids", cgroup_file(box.pid, "pids", "pids.max"), "7")
        equal("memory", cgroup_file(box.pid, "memory", MEMORY), str(64 * MEGABYTE))
        equal("quota", cpu_max(box.pid)[0], "50000")
        box.exec("true").want()


@check
def update_leaves_devices(c):
    with c.box("update_devices", "--device", "/dev/fuse") as box:
        c("container", "update", "--cpu-shares", "256", "update_devices").want()
        box.sh("echo >/dev/null && exec 3</dev/urandom").want()
        box.sh("ls /dev/fuse").want()


@check
def update_of_stopped(c):
    with c.box("update_stopped", command=["true"]) as box:
        box.status("exited")
        result = c("container", "update", "--memory", "64m", "update_stopped")
        true(f"refused: {result}", result.code)


@check
def limits_are_there_after_restart(c):
    with c.box("limits_again", "--stop-timeout", "0", "--memory", "64m", "--pids-limit", "9") as box:
        c("restart", "limits_again").want()
        equal("memory", cgroup_file(box.pid, "memory", MEMORY), str(64 * MEGABYTE))
        equal("pids", cgroup_file(box.pid, "pids", "pids.max"), "9")


@check
def container_sees_its_cgroup(c):
    with c.box("sees", "--memory", "64m") as box:
        script = "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"
        box.sh(script).want(0, f"^{64 * MEGABYTE}$")
        box.sh(f"mkdir /sys/fs/cgroup/{'' if V2 else 'memory'}/new").want(1, err="(?i)read-only")


@check
def cgroup_parent(c):
    with c.box("parent", "--cgroup-parent", "/own/parent") as box:
        name = box.inspect(".Id")
        equal("path", cgroups_of(box.pid)["" if V2 else "memory"], f"/own/parent/libpod-{name}")


@check
def cgroup_of_conmon_is_another(c):
    with c.box("conmon") as box:
        conmon = cgroups_of(box.inspect(".State.ConmonPid"))
        key = "" if V2 else "pids"
        true("not the container's", conmon[key] != cgroups_of(box.pid)[key])
        true("path", conmon[key].endswith("/conmon"))


@check
def cgroups_without_conmon(c):
    with c.box("no_conmon", "--cgroups", "no-conmon", "--memory", "64m") as box:
        equal("limit", cgroup_file(box.pid, "memory", MEMORY), str(64 * MEGABYTE))
        equal("cgroup of conmon", cgroups_of(box.inspect(".State.ConmonPid")), cgroups_of("self"))


@check
def cgroups_disabled(c):
    with c.box("no_cgroups", "--cgroups", "disabled") as box:
        equal("cgroups", cgroups_of(box.pid), cgroups_of("self"))
        box.exec("true").want()
        c("kill", "no_cgroups").want()
        box.status("exited")


@check
def cgroups_split(c):
    with c.box("split", "--cgroups", "split") as box:
        true("below podman's own", "libpod-payload" in cgroups_of(box.pid)["" if V2 else "pids"])


@check
def exec_is_in_the_cgroup(c):
    with c.box("exec_cgroup", "--memory", "64m", "--cgroupns", "host") as box:
        inside = box.exec("cat", "/proc/self/cgroup").want().out
        equal("cgroups", inside, open(f"/proc/{box.pid}/cgroup").read())


if __name__ == "__main__":
    main(Podman)
