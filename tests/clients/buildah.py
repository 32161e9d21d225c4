"""buildah: programs run in its working containers."""

from buildah_client import *


@check
def from_scratch_with_one_file(c):
    with c.box("bare", image="scratch"):
        c("copy", "bare", "/bin/busybox", "/busybox").want()
        c.run("bare", "/busybox", "echo", "from nothing").want(0, "^from nothing$")


@check
def run_prints_and_reads(c):
    with c.box("prints"):
        c.sh("prints", "cat; echo oops >&2", stdin="given\n").want(0, "^given$", "^oops$")


@check
def run_status_is_that_of_the_program(c):
    with c.box("status"):
        c.sh("status", "exit 7").want(7)
        c.sh("status", "sh -c 'kill -TERM $$'; exit $?").want(143)


@check
def run_tells_what_cannot_be_executed(c):
    with c.box("cannot"):
        c.run("cannot", "/no/program").want(1, err="(?i)no such file")
        c.run("cannot", "/bin/text").want(1, err="(?i)permission denied")


@check
def run_leaves_no_state(c):
    with c.box("state"):
        before = call(c.runtime, "list", "-q").want().out
        c.sh("state", "true").want()
        equal("the runtime's containers", call(c.runtime, "list", "-q").want().out, before)


@check
def run_on_a_terminal(c):
    with c.box("screen"):
        talk = [("# ", "tty; stty size\n"), ("# ", "exit 5\n")]
        on_terminal(*c.words("screen", "sh"), talk=talk).want(5, r"/dev/pts/0\n24 80\n")


@check
def run_without_the_terminal_that_is_there(c):
    with c.box("plain"):
        on_terminal(*c.words("plain", "sh", "-c", "tty; exit 6", flags=["--terminal=false"])).want(6, "not a tty")


@check
def run_takes_env_user_and_workingdir(c):
    with c.box("options"):
        flags = ["--env", "A=b c", "--user", "1000:2000", "--workingdir", "/tmp"]
        c.sh("options", 'echo "$A"; id -u; id -g; pwd', *flags).want(0, "^b c\n1000\n2000\n/tmp\n$")


@check
def run_takes_what_config_says(c):
    with c.box("config"):
        c("config", "--env", "A=kept", "--user", "user", "--workingdir", "/var/made", "config").want()
        c.sh("config", "echo $A; id -un; pwd").want(0, "^kept\nuser\n/var/made\n$")


@check
def run_volumes_and_mounts(c):
    os.makedirs("/tmp/shared")
    with c.box("volumes"):
        c.sh("volumes", "echo kept >/at/file", "-v", "/tmp/shared:/at").want()
        with open("/tmp/shared/file") as file:
            equal("the file outside", file.read(), "kept\n")
        c.sh("volumes", "touch /at/no", "-v", "/tmp/shared:/at:ro").want(1, err="Read-only file system")
        c.sh("volumes", "cat /at/file", "--mount", "type=bind,source=/tmp/shared,target=/at").want(0, "^kept$")
        c.sh("volumes", "grep ' /at ' /proc/self/mountinfo", "--mount", "type=tmpfs,target=/at").want(0, " - tmpfs ")


@check
def run_capabilities(c):
    with c.box("caps"):
        script = "grep -E 'Cap(Inh|Eff|Bnd|Amb)' /proc/self/status"
        seen = c.sh("caps", script).want(0, r"CapEff:\t00000000800405fb\nCapBnd:\t00000000800405fb\nCapAmb:\t0{16}")
        c.sh("caps", script, "--cap-add", "CAP_NET_RAW", "--cap-drop", "CAP_CHOWN").want(0, r"CapEff:\t00000000800425fa")
        c.sh("caps", script, "--user", "1000").want(0, r"CapEff:\t0{16}\nCapBnd:\t00000000800405fb")
        true(seen.out, "CapInh:\t0000000000000000" in seen.out)


@check
def run_seccomp(c):
    with open("/tmp/profile.json", "w") as file:
        calls = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30}]
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls}, file)
    script = "grep -w Seccomp: /proc/self/status; mkdir /made"
    with c.box("filtered"):
        c.sh("filtered", script).want(0, r"Seccomp:\t2")
    with c.box("free", "--security-opt", "seccomp=unconfined"):
        c.sh("free", script).want(0, r"Seccomp:\t0")
    with c.box("own", "--security-opt", "seccomp=/tmp/profile.json"):
        c.sh("own", script).want(1, r"Seccomp:\t2", "Read-only file system")


@check
def run_masks_and_protects(c):
    with c.box("masks"):
        c.sh("masks", "wc -c </proc/keys; echo x >/proc/sys/kernel/domainname").want(1, "^0$", "Read-only file system")


@check
def network_none_host_and_bridge(c):
    with c.box("net"):
        c.sh("net", "ls /sys/class/net").want(0, "^lo\n$")
        c.run("net", "readlink", "/proc/self/ns/net", network="host").want(0, re.escape(space("self", "net")))
        c.sh("net", "ip -o addr show eth0", network="private").want(0, r"inet 10\.")


@check
def namespaces_of_the_host(c):
    with c.box("outside"):
        # buildah binds the host's /dev/mqueue where the ipc namespace is the host's.
        names = ["pid", "uts"] + ["ipc"] * os.path.exists("/dev/mqueue")
        for name in names:
            inside = c.run("outside", "readlink", f"/proc/self/ns/{name}", flags=[f"--{name}", "host"]).want().out
            equal(name, inside.strip(), space("self", name))
        inside = c.sh("outside", "for name in pid uts ipc; do readlink /proc/self/ns/$name; done").want().out
        for name in ("pid", "uts", "ipc"):
            true(f"a {name} namespace of its own in {inside}", space("self", name) not in inside)


@check
def user_namespace(c):
    with c.box("users", "--userns-uid-map", "0:200000:65536", "--userns-gid-map", "0:200000:65536"):
        c.sh("users", "id -u; cat /proc/self/uid_map").want(0, r"^0\n +0 +200000 +65536\n$")
        with c.meanwhile("users", "/bin/sleep", "1001"):
            equal("the program's ids", ids(process("/bin/sleep", "1001")), (200000, 200000))


@check
def hostname_and_hosts(c):
    with c.box("names", "--add-host", "other:10.1.2.3"):
        c.sh("names", "hostname; cat /etc/hosts", "--hostname", "named", network="private").want(
            0, r"(?s)^named\n.*10\.1\.2\.3\s+other"
        )


@check
def limits_are_in_its_cgroup(c):
    flags = ["--memory", "64m", "--cpu-shares", "512", "--cpu-period", "50000", "--cpu-quota", "25000"]
    with c.box("limits", *flags), c.meanwhile("limits", "/bin/sleep", "1002"):
        pid = process("/bin/sleep", "1002")
        limit = cgroup_file(pid, "memory", ("memory.limit_in_bytes", "memory.max"))
        equal("memory", limit, str(64 << 20))
        quota = cgroup_file(pid, "cpu", ("cpu.cfs_quota_us", "cpu.max")).split()[0]
        equal("quota", quota, "25000")


@check
def cgroup_parent(c):
    with c.box("parent", "--cgroup-parent", "/above"), c.meanwhile("parent", "/bin/sleep", "1003"):
        with open(f"/proc/{process('/bin/sleep', '1003')}/cgroup") as file:
            groups = file.read()
        true(f"its cgroup in {groups}", re.search(r"(?m)memory:/above$|^0::/above$", groups))


@check
def ulimits_and_shm(c):
    with c.box("shm", "--ulimit", "nofile=200:300", "--shm-size", "2m"):
        c.sh("shm", "ulimit -Sn; ulimit -Hn; df -k /dev/shm | tail -1").want(0, r"^200\n300\n.* 2048 ")


@check
def devices(c):
    with c.box("devices", "--device", "/dev/null:/dev/mine"):
        c.sh("devices", "stat -c '%t %T %F' /dev/mine; echo x >/dev/mine; head -c 3 /dev/zero | wc -c").want(
            0, "^1 3 character special file\n3\n$"
        )


@check
def without_pivot(c):
    with c.box("pivot"):
        c.sh("pivot", "ls -d /clients; echo moved >/file; cat /file", "--no-pivot").want(0, "^moved$", "No such file")


@check
def descriptors_and_environment_are_clean(c):
    with c.box("clean"):
        seen = c.sh("clean", "ls /proc/self/fd; env", env={"STRAY": "yes"}).want(0, "^0\n1\n2\n3\n").out
        true(seen, "STRAY" not in seen)


@check
def interrupt_ends_the_container(c):
    before = call(c.runtime, "list", "-q").want().out
    with c.box("interrupt"), c.meanwhile("interrupt", "/bin/sleep", "1004") as buildah:
        pid = process("/bin/sleep", "1004")
        true("a container more", call(c.runtime, "list", "-q").want().out != before)
        buildah.send_signal(signal.SIGTERM)
        # Its own status for a program that was killed; 255 would be that of its child, ended by the signal.
        equal("buildah's status", buildah.wait(CALL), 1)
        true("the program has ended", not os.path.exists(f"/proc/{pid}"))
        equal("the runtime's containers", call(c.runtime, "list", "-q").want().out, before)


@check
def runtime_flag_log(c):
    flags = [f"--runtime-flag={flag}" for flag in ("log=/tmp/runtime.log", "log-format=json", "debug")]
    with c.box("log"):
        c.run("log", "/no/program", flags=flags).want(1)
        with open("/tmp/runtime.log") as file:
            lines = [json.loads(line) for line in file]
        errors = [line["msg"] for line in lines if line["level"] == "error"]
        true(f"the error in {lines}", errors and "no such file or directory" in errors[0].lower())


@check
def runtime_flag_root(c):
    flags = ["--runtime-flag", "root=/tmp/runtime-root"]
    with c.box("root"), c.meanwhile("root", "/bin/sleep", "1005", flags=flags):
        process("/bin/sleep", "1005")
        name = call(c.runtime, "--root", "/tmp/runtime-root", "list", "-q").want(0, "^buildah-").out.strip()
        state = call(c.runtime, "--root", "/tmp/runtime-root", "state", name).want().json
        equal("its status", state["status"], "running")


@check
def runtime_from_environment_and_configuration(c):
    with open("/tmp/runtime.conf", "w") as file:
        file.write('[engine]\nruntime = "/tmp/runtime"\n')
    with open("/tmp/runtime", "w") as file:
        file.write(f'#!/bin/sh\necho "$1" >>/tmp/called\nexec {c.runtime} "$@"\n')
    os.chmod("/tmp/runtime", 0o755)
    with c.box("chosen"):
        for env in ({"BUILDAH_RUNTIME": "/tmp/runtime"}, {"CONTAINERS_CONF": "/tmp/runtime.conf"}):
            c("run", "--network", "none", "chosen", "echo", "hello", env=env).want(0, "^hello$")
            with open("/tmp/called") as file:
                calls = file.read().split()
            os.remove("/tmp/called")
            equal("first and last call", calls[:2] + calls[-1:], ["create", "start", "delete"])


@check
def commit_keeps_what_run_made(c):
    with c.box("made"):
        c.sh("made", "echo lasting >/file; rm /bin/text; mkdir /dir; chown user /dir").want()
        c("commit", "made", "kept").want()
    with c.box("again", image="kept"):
        c.sh("again", "cat /file; stat -c %U /dir; ls /bin/text").want(1, "^lasting\nuser\n$", "No such file")
        # What the runtime or buildah put there for the run is no part of the image.
        mount = c("mount", "again").want().out.strip()
        equal("/dev and /proc of the image", os.listdir(f"{mount}/dev") + os.listdir(f"{mount}/proc"), [])


@bench
def bench_run(c, runtime):
    """buildah run"""
    if "bench" not in c("containers", "--format", "{{.ContainerName}}").out:
        c("from", "--name", "bench", "box").want()
    c.run("bench", "true", runtime=runtime).want()


if __name__ == "__main__":
    main(Buildah)
