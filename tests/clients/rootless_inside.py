"""podman of an ordinary user with subordinate ids: what the inside of a container is like."""

from users import *

SUBIDS = 500000
# What podman 4.3 gives to root of a container.
CAPS = "00000000800405fb"


@check
def volume_file_belongs_to_the_user(c):
    os.makedirs("/home/alice/shared")
    os.chown("/home/alice/shared", 5001, 5001)
    c.sh("echo kept >/at/file; chown 1000:1000 /at", "-v", "/home/alice/shared:/at").want()
    state = os.stat("/home/alice/shared/file")
    equal("owner outside", (state.st_uid, state.st_gid), (5001, 5001))
    equal("owner as chown made it", os.stat("/home/alice/shared").st_uid, SUBIDS + 999)


@check
def volume_read_only_refuses(c):
    c.sh("echo no >/at/file; grep ' /at ' /proc/self/mountinfo", "-v", "/home/alice:/at:ro").want(
        0, r" /at ro", "Read-only file system"
    )


@check
def volume_with_a_name_lasts(c):
    c("volume", "create", "lasting").want()
    c.sh("echo first >/data/file", "-v", "lasting:/data").want()
    c.sh("cat /data/file", "-v", "lasting:/data").want(0, "^first$")
    c("volume", "rm", "lasting").want()


@check
def volume_takes_the_owner_of_the_container(c):
    flags = ["--user", "1000:1000", "-v", "chowned:/data:U"]
    c.sh("echo mine >/data/file; stat -c %u:%g /data", *flags).want(0, "^1000:1000$")
    c("volume", "rm", "chowned").want()


@check
def overlay_of_the_user_namespace(c):
    """What the kernel mounts for the user itself is the root file system; elsewhere here it is a copy (vfs)."""
    podman = [*c.user.words, "podman", "--runtime", c.runtime, "--storage-driver", "overlay"]
    podman += ["--root", "/home/alice/overlay", "--runroot", "/home/alice/overlay-run", "--tmpdir", "/home/alice/overlay-tmp"]
    call(*podman, "import", "/tmp/image.tar", "box").want()
    script = "grep -E '^[0-9]+ [0-9]+ [^ ]+ / / ' /proc/self/mountinfo; echo written >/file; cat /file"
    call(*podman, "run", "--rm", "--network", "none", "box", "sh", "-c", script).want(0, r" - overlay .*\nwritten\n$")


@check
def tmpfs_with_options(c):
    mount = c.sh("grep ' /scratch ' /proc/self/mountinfo", "--tmpfs", "/scratch:size=1m,noexec,mode=700").want()
    true("its options", re.search(r"nosuid,nodev,noexec.* - tmpfs tmpfs .*size=1024k,mode=700", mount.out) and mount.out)


@check
def read_only_root(c):
    c.sh("touch /file", "--read-only").want(1, err="Read-only file system")
    c.sh("touch /tmp/file && echo made", "--read-only").want(0, "^made$")


@check
def devices_are_there_and_work(c):
    script = "echo lost >/dev/null && head -c 8 /dev/urandom | wc -c; ls -l /dev/mine; stty -F /dev/ptmx size; ls /dev"
    seen = c.sh(script, "--device", "/dev/null:/dev/mine").want(0, r"(?s)^8\n.*/dev/mine\n")
    for name in ("full", "random", "tty", "zero", "shm", "mqueue", "fd", "stdin"):
        true(f"{name} in {seen.out}", re.search(rf"(?m)^{name}$", seen.out))


@check
def capabilities_default_added_and_dropped(c):
    script = "grep -E 'Cap(Bnd|Eff|Amb)' /proc/self/status"
    c.sh(script).want(0, rf"CapEff:\t{CAPS}\nCapBnd:\t{CAPS}\nCapAmb:\t0+\n")
    c.sh(script, "--cap-drop", "all", "--cap-add", "net_raw").want(0, r"CapEff:\t0{12}2000\nCapBnd:\t0{12}2000\n")
    c.sh(script, "--user", "1000").want(0, rf"CapEff:\t0+\nCapBnd:\t{CAPS}\n")


@check
def privileged_is_within_the_user_namespace(c):
    script = "grep CapEff /proc/self/status; mount -t tmpfs none /tmp && hostname changed && hostname"
    c.sh(script, "--privileged").want(0, r"CapEff:\t000001ff[ef]effffff\nchanged\n|CapEff:\t000001ffffffffff\nchanged\n")


@check
def seccomp_profiles(c):
    with open("/home/alice/profile.json", "w") as file:
        calls = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30}]
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": calls}, file)
    c.sh("grep -w Seccomp: /proc/self/status").want(0, r"Seccomp:\t2\n")
    c.sh("grep -w Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined").want(0, r"Seccomp:\t0\n")
    c.sh("mkdir /dir", "--security-opt", "seccomp=/home/alice/profile.json").want(1, err="Read-only file system")


@check
def no_new_privileges(c):
    c.sh("grep NoNewPrivs /proc/self/status").want(0, r"\t0\n")
    c.sh("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges").want(0, r"\t1\n")


@check
def masked_paths_and_unmask(c):
    script = "wc -c </proc/keys; grep -c . /proc/self/mountinfo; echo x >/proc/sys/kernel/domainname"
    c.sh(script).want(1, r"^0\n", "Read-only file system")
    c.sh("grep -E '/proc/(keys|sys) ' /proc/self/mountinfo", "--security-opt", "unmask=ALL").want(1, "^$")


@check
def sysctl_of_its_namespaces(c):
    flags = ["--sysctl", "net.ipv4.ip_unprivileged_port_start=1", "--sysctl", "kernel.shm_rmid_forced=1"]
    c.sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced", *flags).want(0, "^1\n1\n$")


@check
def ulimits(c):
    flags = ["--ulimit", "nofile=200:300", "--ulimit", "core=0:0"]
    c.sh("ulimit -Sn; ulimit -Hn; ulimit -c", *flags).want(0, "^200\n300\n0\n$")


@check
def shm_size_and_oom_score(c):
    with open("/proc/self/oom_score_adj") as file:
        score = int(file.read()) + 100
    c.sh("df -k /dev/shm | tail -1; cat /proc/self/oom_score_adj", "--shm-size", "2m", "--oom-score-adj", score).want(
        0, rf"(?s) 2048 .*\n{score}\n$"
    )


@check
def init_is_the_first_process(c):
    with c.running("init", "--init") as pid:
        with open(f"/proc/{pid}/comm") as file:
            true("podman's init", file.read().strip() in ("catatonit", "podman-init"))
        c("exec", "init", "ps", "-o", "pid,args").want(0, r"(?m)^ *\d+ sleep 1000$")


@check
def cgroup_stays_that_of_the_caller(c):
    with c.running("cgroup") as pid, open(f"/proc/{pid}/cgroup") as file:
        paths = {line.rstrip("\n").split(":", 2)[2] for line in file}
        true(f"nothing that alice could not make in {paths}", not any("libpod" in path for path in paths))


@check
def cgroups_disabled(c):
    c.sh("echo without", "--cgroups", "disabled").want(0, "^without$")


@check
def limits_without_cgroups_are_told(c):
    with c.running("limit", "--memory", "64m", "--pids-limit", "50") as pid:
        equal("the program's ids", ids(pid), (5001, 5001))


@check
def environment_and_workdir(c):
    flags = ["--env", "A=b c", "--workdir", "/var"]
    seen = c.sh("env; pwd; ls /proc/self/fd", *flags).want(0, r"(?m)^A=b c$").out
    true(seen, "XDG_RUNTIME_DIR" not in seen and "\n/var\n0\n1\n2\n3\n" in seen)


@check
def descriptors_preserved(c):
    reader, writer = os.pipe()
    words = [*c.words("run"), "--rm", "--network", "none", "--preserve-fds", "1", "box", "sh", "-c", "echo through >&3"]
    call("python3", "-c", f"import os, sys; os.dup2({writer}, 3); os.execvp(sys.argv[1], sys.argv[1:])", *words,
         pass_fds=[writer]).want()  # fmt: skip
    os.close(writer)
    with open(reader) as file:
        equal("what the container wrote", file.read(), "through\n")


@check
def healthcheck_runs_in_the_container(c):
    flags = ["--health-cmd", "test -e /tmp/well", "--health-interval", "disable"]
    with c.running("health", *flags):
        c("healthcheck", "run", "health").want(1)
        c("exec", "health", "touch", "/tmp/well").want()
        c("healthcheck", "run", "health").want()


if __name__ == "__main__":
    main(lambda runtimes: Podman(runtimes, SUBIDS))
