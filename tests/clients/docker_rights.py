"""docker: users, capabilities, seccomp, namespaces, names, and what else a process may and may not."""

from dockerd import *

CHOWN, DAC_OVERRIDE, NET_ADMIN, NET_RAW, SYS_ADMIN, SYS_TIME = 0, 1, 12, 13, 21, 25


def capabilities(one, which="CapEff"):
    bits = int(status_of(one.pid)[which], 16)
    return {bit for bit in range(64) if bits >> bit & 1}


@check
def user_by_name_and_number(c):
    c.sh("id", "--user", "user").want(0, r"^uid=1000\(user\) gid=1000\(user\) groups=1000\(user\),2000\(extra\)\n$")
    c.sh("id -u; id -g; id -G", "--user", "11:22").want(0, "^11\n22\n22\n$")
    c.sh("id", "--user", "nobody-of-that-name").want(125, err="unable to find user")


@check
def user_has_no_capabilities(c):
    with c.up("--user", "user") as one:
        equal("effective", capabilities(one), set())
        equal("permitted", capabilities(one, "CapPrm"), set())
        true("bounding", CHOWN in capabilities(one, "CapBnd"))
        equal("uids", status_of(one.pid)["Uid"].split(), ["1000"] * 4)


@check
def user_owns_its_streams(c):
    """/dev/stdout can be opened again by a user that is not root."""
    c.sh("echo out >/dev/stdout; echo err >/dev/stderr", "--user", "user").want(0, "^out$", "^err$")


@check
def user_on_a_terminal(c):
    words = c.words(
        "run",
        "--rm",
        "-it",
        "--user",
        "user",
        "box",
        "sh",
        "-c",
        "stat -c '%u %a' $(tty); echo x >/dev/tty && echo good",
    )
    on_terminal(*words).want(0, r"1000 620\n(.*\n)*good\n")


@check
def group_add(c):
    c.sh("id -G", "--group-add", "extra", "--group-add", "3000").want(0, r"^0 .*2000.*3000|^0 .*3000.*2000")


@check
def home_of_the_user(c):
    c.sh("echo $HOME", "--user", "user").want(0, "^/home$")


@check
def capabilities_by_default(c):
    with c.up() as one:
        equal("effective", capabilities(one), {0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31})
        equal("bounding", capabilities(one, "CapBnd"), capabilities(one))
        equal("ambient", capabilities(one, "CapAmb"), set())


@check
def cap_drop_all(c):
    with c.up("--cap-drop", "ALL") as one:
        equal("effective", capabilities(one), set())
        equal("bounding", capabilities(one, "CapBnd"), set())
        one.sh("chown 1 /etc/passwd").want(1, err="not permitted")


@check
def cap_drop_and_add(c):
    with c.up("--cap-drop", "ALL", "--cap-add", "CHOWN", "--cap-add", "NET_ADMIN") as one:
        equal("effective", capabilities(one), {CHOWN, NET_ADMIN})
        one.sh("chown 1 /etc/passwd; ip link add v0 type veth && ls /sys/class/net").want(0, "v0\n")
    with c.up("--cap-drop", "NET_RAW") as one:
        true("not NET_RAW", NET_RAW not in capabilities(one) and CHOWN in capabilities(one))


@check
def cap_add_of_nothing_is_refused(c):
    c.sh("true", "--cap-add", "NOSUCH").want(125, err="nknown capability")


@check
def privileged(c):
    with c.up("--privileged") as one:
        true("SYS_ADMIN", SYS_ADMIN in capabilities(one))
        equal("seccomp", status_of(one.pid)["Seccomp"], "0")
        one.sh(
            "mount -t tmpfs x /tmp && echo mounted; grep -c ' /sys sysfs rw' /proc/mounts"
        ).want(0, "^mounted\n1$")
        one.sh("ls /dev | grep -cx loop-control").want(0, "^1$")


@check
def seccomp_by_default(c):
    with c.up() as one:
        equal("filter", status_of(one.pid)["Seccomp"], "2")
        one.sh("unshare -U true").want(1, err="not permitted")
        one.sh("grep Seccomp: /proc/self/status").want(0, r"\t2$")


@check
def seccomp_unconfined(c):
    with c.up("--security-opt", "seccomp=unconfined") as one:
        equal("no filter", status_of(one.pid)["Seccomp"], "0")


@check
def seccomp_profile_of_a_file(c):
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
            {"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]},
        ],
    }
    with open("/tmp/seccomp.json", "w") as file:
        json.dump(profile, file)
    with c.up("--security-opt", "seccomp=/tmp/seccomp.json", "--cap-add", "SYS_ADMIN") as one:
        one.sh("mkdir /tmp/new").want(1, err="[nN]ot supported")
        one.sh("kill -USR1 $$").want(1, err="not permitted")
        one.sh("kill -USR2 $$").want(128 + 12)
        one.sh("hostname new; echo $?").want(0, "159")


@check
def no_new_privileges(c):
    with c.up("--security-opt", "no-new-privileges") as one:
        equal("of process 1", status_of(one.pid)["NoNewPrivs"], "1")
        one.sh("grep NoNewPrivs /proc/self/status").want(0, r"\t1$")
    with c.up() as one:
        equal("without", status_of(one.pid)["NoNewPrivs"], "0")


@check
def namespaces_of_its_own(c):
    with c.up() as one:
        for kind in ("mnt", "pid", "net", "ipc", "uts"):
            true(kind, os.readlink(f"/proc/{one.pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"))


@check
def pid_namespace_of_the_host(c):
    with c.up("--pid", "host") as one:
        equal("namespace", os.readlink(f"/proc/{one.pid}/ns/pid"), os.readlink("/proc/self/ns/pid"))
        one.sh("ps -o args | grep -c '[d]ockerd --config'").want(0, "^1$")
        one("stop").want()
        one.has_status("exited", 0)


@check
def pid_namespace_of_the_host_is_killed_whole(c):
    """Processes of a container without a pid namespace end with its first one."""
    with c.up("--pid", "host", script="sleep 98761 & exec sleep 98762") as one:
        count = lambda: call("pgrep", "-fc", "^sleep 9876[12]$").out
        until("both", lambda: count() == "2\n")
        one("kill").want()
        one.has_status("exited", 137)
        until("none", lambda: count() == "0\n")


@check
def pid_namespace_of_a_container(c):
    with c.up() as one, c.up("--pid", f"container:{one.name}", script="exec sleep 5432") as two:
        equal("namespace", *(os.readlink(f"/proc/{each.pid}/ns/pid") for each in (one, two)))
        one.sh("ps -o args | grep -c '[s]leep 5432'").want(0, "^1$")


@check
def ipc_namespaces(c):
    with (
        c.up("--ipc", "shareable") as one,
        c.up("--ipc", f"container:{one.name}") as two,
        c.up("--ipc", "host") as three,
    ):
        of_one, of_two, of_three = (os.readlink(f"/proc/{each.pid}/ns/ipc") for each in (one, two, three))
        equal("of two", of_two, of_one)
        equal("of three", of_three, os.readlink("/proc/self/ns/ipc"))
        one.sh("echo shared >/dev/shm/file").want()
        two.sh("cat /dev/shm/file").want(0, "^shared$")


@check
def uts_namespace_of_the_host(c):
    c.sh("hostname", "--uts", "host").want(0, "^world$")


@check
def user_namespace_of_the_host(c):
    with c.up("--userns", "host") as one:
        equal("namespace", os.readlink(f"/proc/{one.pid}/ns/user"), os.readlink("/proc/self/ns/user"))


@check
def hostname_and_domainname(c):
    flags = ("--hostname", "name", "--domainname", "example.org")
    c.sh("hostname; cat /proc/sys/kernel/domainname; cat /etc/hostname", *flags).want(0, "^name\nexample.org\nname")


@check
def sysctls(c):
    flags = (
        "--sysctl",
        "net.ipv4.ip_forward=0",
        "--sysctl",
        "kernel.shm_rmid_forced=1",
        "--sysctl",
        "net.core.somaxconn=77",
    )
    c.sh("cd /proc/sys; cat net/ipv4/ip_forward kernel/shm_rmid_forced net/core/somaxconn", *flags).want(
        0, "^0\n1\n77\n$"
    )


@check
def sysctl_of_the_host_is_refused(c):
    c.sh("true", "--sysctl", "kernel.panic=5").want(125, err="kernel.panic")
    c.sh("true", "--net", "host", "--sysctl", "net.core.somaxconn=77").want(125, err="net.core.somaxconn|host")


@check
def keyring_is_its_own(c):
    """/proc/keys is masked; a container without a session keyring of its own would share the daemon's."""
    with c.up("--security-opt", "systempaths=unconfined", "--security-opt", "seccomp=unconfined") as one:
        one.sh("grep -c 'keyring *_ses' /proc/keys || :").want(0, "^[1-9]")


@check
def inherited_nothing(c):
    """No descriptor of the daemon, of the shim or of the runtime gets through."""
    with c.up(script="exec sleep 1000") as one:
        until("the program", lambda: "sleep" in open(f"/proc/{one.pid}/comm").read())
        links = {os.readlink(f"/proc/{one.pid}/fd/{fd}") for fd in (0, 1, 2)}
        equal("descriptors", sorted(os.listdir(f"/proc/{one.pid}/fd")), ["0", "1", "2"])
        true(links, all(re.match("/dev/null|pipe:", link) for link in links))
        status = status_of(one.pid)
        equal("blocked signals", status["SigBlk"], "0" * 16)
        equal("ignored signals", status["SigIgn"], "0" * 16)


@check
def rights_of_exec_are_those_of_the_container(c):
    with c.up(
        "--cap-drop",
        "CHOWN",
        "--security-opt",
        "no-new-privileges",
        "--ulimit",
        "nofile=99:99",
        "--oom-score-adj",
        "55",
    ) as one:
        mine = status_of(one.pid)
        got = one.sh("cat /proc/self/status; ulimit -n; cat /proc/self/oom_score_adj").want()
        for key in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp"):
            true(key, re.search(f"^{key}:\t{mine[key]}$", got.out, re.M))
        true("limits", got.out.endswith("\n99\n55\n"))


if __name__ == "__main__":
    main(Docker)
