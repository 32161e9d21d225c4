"""dockerd: the ways to give it a runtime, live-restore, and defaults for all containers."""

from dockerd import *

# A second bridge would meet the first one's addresses; what the checks look at needs none.
ALONE = ("--bridge", "none", "--iptables=false")


class Machine:
    """Every check has a daemon of its own."""

    def __init__(self, runtimes):
        self.runtimes, self.runtime, self.count = runtimes, next(iter(runtimes.values())), 0

    def daemon(self, *flags, **more):
        self.count += 1
        return Docker(self.runtimes, f"docker{self.count}", (*ALONE, *flags), **more)

    def as_runc(self, script):
        """A PATH whose `runc` is this."""
        at = f"/opt/runc{self.count}"
        os.makedirs(at)
        if script is None:
            os.symlink(self.runtime, f"{at}/runc")
        else:
            with open(f"{at}/runc", "w") as file:
                file.write(script)
            os.chmod(f"{at}/runc", 0o755)
        return {"PATH": f"{at}:{os.environ['PATH']}"}

    def close(self):
        pass


@check
def runtime_of_the_command_line(m):
    with m.daemon("--add-runtime", f"given={m.runtime}") as c:
        with c.up("--runtime", "given") as one:
            equal("runtime", one.inspect(".HostConfig.Runtime"), "given")
            one.sh("exit 3").want(3)


@check
def runtime_with_arguments(m):
    with m.daemon(arguments=["--debug"]) as c:
        with c.up() as one:
            one.sh("exit 4").want(4)
            got = c("run", "--rm", "box", "nosuch").want(127, err="nosuch.*executable file not found in")
            true("one line", "debug" not in got.err)


@check
def runtime_that_is_runc_in_path(m):
    env = m.as_runc(None)
    with m.daemon(env=env, default="runc") as c:
        version = call(m.runtime, "--version").want().out
        equal("commit", c("info", "--format", "{{.RuncCommit.ID}}").want().out.strip() in version, True)
        with c.up() as one:
            one.sh("echo good").want(0, "good")
            equal("runtime", one.inspect(".HostConfig.Runtime"), "runc")
            one("pause").want()
            one("unpause").want()
            one("stop").want()
            one.has_status("exited", 0)


@check
def runtime_is_called_as_the_shim_does(m):
    env = m.as_runc(f'#!/bin/bash\necho "$*" >>/tmp/shim-calls\nexec -a runc {m.runtime} "$@"\n')
    with m.daemon(env=env, default="runc") as c:
        with c.up() as one:
            one.sh("true").want()
            one("stop").want()
    with open("/tmp/shim-calls") as file:
        calls = file.read()
    for verb in ("create --bundle", "start", "exec --process", "kill", "delete"):
        true(f"{verb} in {calls}", re.search(rf"^--root \S+ --log \S+ --log-format json {verb} ", calls, re.M))


@check
def live_restore(m):
    with m.daemon("--live-restore") as c:
        with c.up(script="n=0; while sleep 0.1; do n=$((n+1)); echo $n; done") as one, c.up() as two:
            one.log_has("^2$")
            two("pause").want()
            pid = one.pid
            c.end()
            true("still there", os.path.exists(f"/proc/{pid}"))
            c.begin()
            equal("process", one.pid, pid)
            seen = len(one("logs").out)
            until("more in the log", lambda: len(one("logs").out) > seen)
            one.sh("exit 3").want(3)
            equal("paused", two.inspect(".State.Status"), "paused")
            two("unpause").want()
            two("stop").want()
            two.has_status("exited", 0)
            c("update", "--pids-limit", "40", one.name).want()
            equal("limit", cgroup_file(pid, "pids", "pids.max"), "40")
            c("kill", one.name).want()
            one.has_status("exited", 137)


@check
def live_restore_after_a_crash(m):
    with m.daemon("--live-restore") as c:
        with c.up() as one, c.up(script="until test -e /go; do sleep 0.1; done; exit 6") as two:
            pid, root = one.pid, f"/proc/{two.pid}/root"
            c.end(signal.SIGKILL)
            # It ends while nobody looks.
            open(f"{root}/go", "w").close()
            until("it has ended", lambda: not os.path.exists(root))
            c.begin()
            equal("process", one.pid, pid)
            two.has_status("exited", 6)
            one("restart").want()
            one.sh("echo good").want(0, "good")


@check
def restart_without_live_restore(m):
    with m.daemon() as c:
        with c.up("--restart", "always") as one, c.up() as two:
            pid = one.pid
            c.end()
            true("ended with the daemon", not os.path.exists(f"/proc/{pid}"))
            c.begin()
            one.has_status("running")
            true("another process", one.pid != pid)
            equal("status", two.inspect(".State.Status"), "exited")


@check
def crash_without_live_restore(m):
    """What a killed daemon leaves is ended by the next one."""
    with m.daemon() as c:
        with c.up() as one:
            pid = one.pid
            c.end(signal.SIGKILL)
            true("still there", os.path.exists(f"/proc/{pid}"))
            c.begin()
            until("gone", lambda: not os.path.exists(f"/proc/{pid}"))
            equal("status", one.inspect(".State.Status"), "exited")
            c("start", one.name).want()
            one.sh("echo good").want(0, "good")


@check
def defaults_of_the_daemon(m):
    flags = ("--no-new-privileges", "--init", "--cgroup-parent", "/every", "--default-shm-size", "3m")
    flags += (
        "--default-ulimit",
        "nofile=321:654",
        "--default-cgroupns-mode",
        "private",
        "--default-ipc-mode",
        "private",
    )
    with m.daemon(*flags) as c:
        with c.up() as one:
            equal("no_new_privs", status_of(one.pid)["NoNewPrivs"], "1")
            one.sh("cat /proc/1/comm; ulimit -n; grep -c ' /dev/shm .*size=3072k' /proc/mounts").want(
                0, "^docker-init\n321\n1$"
            )
            true("cgroup", f"/every/{one.id}\n" in open(f"/proc/{one.pid}/cgroup").read())
            true("namespace", os.readlink(f"/proc/{one.pid}/ns/cgroup") != os.readlink("/proc/self/ns/cgroup"))


@check
def seccomp_profile_of_the_daemon(m):
    with open("/tmp/daemon-seccomp.json", "w") as file:
        call = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call]}, file)
    with m.daemon("--seccomp-profile", "/tmp/daemon-seccomp.json") as c:
        c.sh("mkdir /tmp/new").want(1, err="[nN]ot supported")


@check
def without_pivot_root(m):
    """DOCKER_RAMDISK: the shim says --no-pivot."""
    env = {
        **m.as_runc(f'#!/bin/bash\necho "$*" >>/tmp/ramdisk-calls\nexec -a runc {m.runtime} "$@"\n'),
        "DOCKER_RAMDISK": "1",
    }
    with m.daemon(env=env, default="runc") as c:
        with c.up() as one:
            one.sh("ls -d /bin /clients; grep -c ' / ' /proc/mounts").want(0, "^/bin\n1$")
    with open("/tmp/ramdisk-calls") as file:
        true("the flag", "--no-pivot" in file.read())


@check
def storage_driver_vfs(m):
    with m.daemon("--storage-driver", "vfs") as c:
        c.sh("echo $(id -u) >/file; cat /file").want(0, "^0$")


@check
def log_driver_local(m):
    with m.daemon("--log-driver", "local") as c:
        with c.up(script="echo hello; echo oops >&2; sleep 1000") as one:
            one.log_has("hello")
            until("stderr", lambda: one("logs").err == "oops\n")


if __name__ == "__main__":
    main(Machine)
