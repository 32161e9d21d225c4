"""docker: what a container may use, as the files of its cgroups say; update."""

from dockerd import *

MEMORY = ("memory.limit_in_bytes", "memory.max")
RESERVATION = ("memory.soft_limit_in_bytes", "memory.low")
MEGA = 1 << 20


def equal_file(one, controller, name, wanted):
    equal(f"{controller}/{name}", cgroup_file(one.pid, controller, name), str(wanted))


@check
def memory(c):
    with c.up("--memory", "64m") as one:
        equal_file(one, "memory", MEMORY, 64 * MEGA)


@check
def memory_and_swap(c):
    with c.up("--memory", "64m", "--memory-swap", "96m") as one:
        # v1 counts both, v2 the swap alone.
        wanted = 96 * MEGA if os.path.exists("/sys/fs/cgroup/memory") else 32 * MEGA
        equal_file(one, "memory", ("memory.memsw.limit_in_bytes", "memory.swap.max"), wanted)


@check
def memory_reservation(c):
    with c.up("--memory", "64m", "--memory-reservation", "32m") as one:
        equal_file(one, "memory", RESERVATION, 32 * MEGA)


@check
def memory_swappiness(c):
    with c.up("--memory", "64m", "--memory-swappiness", "7") as one:
        equal_file(one, "memory", "memory.swappiness", 7)


@check
def memory_too_small_is_refused(c):
    c.sh("true", "--memory", "1m").want(125, err="Minimum memory limit")


@check
def oom_kill_disable(c):
    with c.up("--memory", "64m", "--oom-kill-disable") as one:
        true("oom_kill_disable", "oom_kill_disable 1" in cgroup_file(one.pid, "memory", "memory.oom_control"))


@check
def oom_score_adj(c):
    with c.up("--oom-score-adj", "321") as one:
        equal("of process 1", open(f"/proc/{one.pid}/oom_score_adj").read(), "321\n")
        one.sh("cat /proc/self/oom_score_adj").want(0, "^321$")


@check
def cpus(c):
    with c.up("--cpus", "0.5") as one:
        if os.path.exists("/sys/fs/cgroup/cpu"):
            equal_file(one, "cpu", "cpu.cfs_quota_us", 50000)
        equal_file(
            one,
            "cpu",
            ("cpu.cfs_period_us", "cpu.max"),
            100000 if os.path.exists("/sys/fs/cgroup/cpu") else "50000 100000",
        )


@check
def cpu_quota_and_period(c):
    with c.up("--cpu-quota", "30000", "--cpu-period", "60000") as one:
        if os.path.exists("/sys/fs/cgroup/cpu"):
            equal_file(one, "cpu", "cpu.cfs_quota_us", 30000)
        equal_file(
            one,
            "cpu",
            ("cpu.cfs_period_us", "cpu.max"),
            60000 if os.path.exists("/sys/fs/cgroup/cpu") else "30000 60000",
        )


@check
def cpu_shares(c):
    with c.up("--cpu-shares", "512") as one:
        equal_file(one, "cpu", ("cpu.shares", "cpu.weight"), 512 if os.path.exists("/sys/fs/cgroup/cpu") else 20)


@check
def cpuset(c):
    with c.up("--cpuset-cpus", "0", "--cpuset-mems", "0") as one:
        equal_file(one, "cpuset", "cpuset.cpus", 0)
        equal_file(one, "cpuset", "cpuset.mems", 0)
        equal("allowed", status_of(one.pid)["Cpus_allowed_list"], "0")
        one.sh("grep Cpus_allowed_list /proc/self/status").want(0, r"\t0$")


@check
def cpuset_of_no_cpu_is_refused(c):
    c.sh("true", "--cpuset-cpus", "4000").want(125, err="not available")


@check
def cpu_realtime(c):
    # A cgroup has no more than the one above it, and a new one has nothing.
    os.makedirs("/sys/fs/cgroup/cpu/realtime", exist_ok=True)
    for above in ("", "realtime/"):
        with open(f"/sys/fs/cgroup/cpu/{above}cpu.rt_runtime_us", "w") as file:
            file.write("20000")
    with c.up("--cgroup-parent", "/realtime", "--cpu-rt-runtime", "1000") as one:
        equal_file(one, "cpu", "cpu.rt_runtime_us", 1000)


@check
def pids_limit(c):
    with c.up("--pids-limit", "20") as one:
        equal_file(one, "pids", "pids.max", 20)
        one.sh("for i in $(seq 40); do sleep 100 & done").want(2, err="can't fork")


@check
def pids_unlimited(c):
    with c.up("--pids-limit", "-1") as one:
        equal_file(one, "pids", "pids.max", "max")


@check
def blkio_weight(c):
    with c.up("--blkio-weight", "300") as one:
        equal_file(one, "blkio", ("blkio.weight", "io.weight"), 300)


@check
def blkio_throttle(c):
    device = next((f"/dev/{name}" for name in sorted(os.listdir("/sys/block")) if os.path.exists(f"/dev/{name}")), None)
    true("a block device", device)
    number = os.stat(device).st_rdev
    with c.up("--device-read-bps", f"{device}:2mb", "--device-write-iops", f"{device}:50") as one:
        which = f"{os.major(number)}:{os.minor(number)}"
        equal_file(one, "blkio", "blkio.throttle.read_bps_device", f"{which} {2 * MEGA}")
        equal_file(one, "blkio", "blkio.throttle.write_iops_device", f"{which} 50")


@check
def cgroup_parent(c):
    with c.up("--cgroup-parent", "/above/below") as one:
        with open(f"/proc/{one.pid}/cgroup") as file:
            paths = {line.rstrip("\n").split(":", 2)[1]: line.rstrip("\n").split(":", 2)[2] for line in file}
        equal("path", paths["memory"] if "memory" in paths else paths[""], f"/above/below/{one.id}")


@check
def cgroup_namespace_private(c):
    with c.up("--cgroupns", "private") as one:
        true("another", os.readlink(f"/proc/{one.pid}/ns/cgroup") != os.readlink("/proc/self/ns/cgroup"))
        one.sh("grep -v :/$ /proc/1/cgroup; ls /sys/fs/cgroup | grep -c .").want(0, r"^(\d+:[\w,]+:/.*\n)*\d+\n$")
        one.sh("grep pids: /proc/self/cgroup || cat /proc/self/cgroup").want(0, ":/\n")


@check
def cgroup_namespace_of_the_host(c):
    with c.up("--cgroupns", "host") as one:
        equal("namespace", os.readlink(f"/proc/{one.pid}/ns/cgroup"), os.readlink("/proc/self/ns/cgroup"))
        one.sh("cat /proc/self/cgroup").want(0, f":/docker/{one.id}\n")


@check
def cgroup_mount_shows_the_own_limits(c):
    """What is mounted at /sys/fs/cgroup of the container is its own cgroup."""
    file = "memory/memory.limit_in_bytes" if os.path.exists("/sys/fs/cgroup/memory") else "memory.max"
    c.sh(f"cat /sys/fs/cgroup/{file}", "--memory", "48m").want(0, f"^{48 * MEGA}$")


@check
def cgroups_are_gone_after(c):
    def of(id):
        return [at for at, _, _ in os.walk("/sys/fs/cgroup") if id in at]

    with c.up("--memory", "64m", script="exec sleep 1000") as one:
        true("cgroups", of(one.id))
        one("kill").want()
        one.has_status("exited")
        until("no cgroups", lambda: not of(one.id))


@check
def ulimits(c):
    with c.up("--ulimit", "nofile=123:456", "--ulimit", "core=0", "--ulimit", "fsize=8192000") as one:
        with open(f"/proc/{one.pid}/limits") as file:
            text = file.read()
        true("nofile", re.search(r"Max open files +123 +456 ", text))
        true("fsize", re.search(r"Max file size +8192000 +8192000 ", text))
        one.sh("ulimit -n; ulimit -Hn").want(0, "^123\n456\n$")


@check
def update_memory(c):
    with c.up("--memory", "64m", "--memory-swap", "64m") as one:
        c("update", "--memory", "96m", "--memory-swap", "128m", one.name).want()
        equal_file(one, "memory", MEMORY, 96 * MEGA)
        c("update", "--memory", "32m", "--memory-swap", "32m", one.name).want()
        equal_file(one, "memory", MEMORY, 32 * MEGA)
        equal("inspect", one.inspect(".HostConfig.Memory"), 32 * MEGA)
        c("update", "--memory-reservation", "16m", one.name).want()
        equal_file(one, "memory", RESERVATION, 16 * MEGA)
        equal_file(one, "memory", MEMORY, 32 * MEGA)


@check
def update_cpus(c):
    with c.up("--cpus", "0.5") as one:
        c("update", "--cpus", "0.25", "--cpu-shares", "256", one.name).want()
        wanted = (25000, 256) if os.path.exists("/sys/fs/cgroup/cpu") else ("25000 100000", 10)
        equal_file(one, "cpu", ("cpu.cfs_quota_us", "cpu.max"), wanted[0])
        equal_file(one, "cpu", ("cpu.shares", "cpu.weight"), wanted[1])


@check
def update_cpuset(c):
    with c.up() as one:
        c("update", "--cpuset-cpus", "0", "--cpuset-mems", "0", one.name).want()
        equal_file(one, "cpuset", "cpuset.cpus", 0)
        equal("allowed", status_of(one.pid)["Cpus_allowed_list"], "0")


@check
def update_pids(c):
    with c.up() as one:
        c("update", "--pids-limit", "33", one.name).want()
        equal_file(one, "pids", "pids.max", 33)
        c("update", "--pids-limit", "-1", one.name).want()
        equal_file(one, "pids", "pids.max", "max")


@check
def update_of_one_keeps_the_others(c):
    with c.up("--memory", "64m", "--pids-limit", "44", "--cpu-shares", "512") as one:
        c("update", "--pids-limit", "45", one.name).want()
        equal_file(one, "memory", MEMORY, 64 * MEGA)
        equal_file(one, "pids", "pids.max", 45)
        equal_file(one, "cpu", ("cpu.shares", "cpu.weight"), 512 if os.path.exists("/sys/fs/cgroup/cpu") else 20)


@check
def update_of_paused(c):
    with c.up() as one:
        one("pause").want()
        c("update", "--memory", "64m", "--memory-swap", "64m", one.name).want()
        equal_file(one, "memory", MEMORY, 64 * MEGA)
        equal("status", one.inspect(".State.Status"), "paused")
        one("unpause").want()


@check
def update_of_the_devices_rules_leaves_them(c):
    """An update does not open devices that are closed, nor close those that are open."""
    with c.up("--cap-add", "MKNOD") as one:
        one.sh("mknod /tmp/loops c 10 237").want()
        c("update", "--pids-limit", "50", one.name).want()
        one.sh("exec 3</tmp/loops").want(1, err="not permitted")
        one.sh("exec 3<>/dev/null && echo good").want(0, "good")


@check
def update_below_what_is_used_fails(c):
    """An update that the kernel refuses is an error, and changes nothing that docker shows."""
    with c.up(
        "--memory",
        "64m",
        "--memory-swap",
        "64m",
        "--tmpfs",
        "/ram",
        script="head -c 40000000 /dev/zero >/ram/file; echo up; sleep 1000",
    ) as one:
        one.log_has("up")
        got = c("update", "--memory", "8m", "--memory-swap", "8m", one.name)
        if not got.code:
            raise Failed("this kernel frees or kills until it fits")
        equal("inspect", one.inspect(".HostConfig.Memory"), 64 * MEGA)


if __name__ == "__main__":
    main(Docker)
