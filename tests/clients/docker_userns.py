"""docker with remapped users: `dockerd --userns-remap`."""

from dockerd import *

FIRST = 100000


class Remapped(Docker):
    def __init__(self, runtimes):
        for file in ("/etc/subuid", "/etc/subgid"):
            with open(file, "a") as opened:
                opened.write(f"nobody:{FIRST}:65536\n")
        super().__init__(runtimes, flags=("--userns-remap", "nobody:nogroup"))


@check
def user_namespace_with_the_map(c):
    with c.up() as one:
        true("another", os.readlink(f"/proc/{one.pid}/ns/user") != os.readlink("/proc/self/ns/user"))
        for file in ("uid_map", "gid_map"):
            with open(f"/proc/{one.pid}/{file}") as opened:
                equal(file, opened.read().split(), ["0", str(FIRST), "65536"])
        equal("uid outside", status_of(one.pid)["Uid"].split(), [str(FIRST)] * 4)
        one.sh("id -u; cat /proc/self/uid_map").want(0, rf"^0\n\s+0\s+{FIRST}\s+65536$")


@check
def files_have_mapped_owners(c):
    with c.up(script="echo x >/made; sleep 1000") as one:
        made = f"/proc/{one.pid}/root/made"
        until("the file", lambda: os.path.exists(made))
        equal("owner outside", os.stat(made).st_uid, FIRST)
        one.sh("stat -c %u /made /proc/1 /dev/pts /bin").want(0, r"^0\n0\n0\n0\n$")


@check
def run_prints_and_status(c):
    c.sh("echo hello; echo oops >&2; exit 7").want(7, "^hello$", "^oops$")


@check
def streams_can_be_opened_again(c):
    c.sh("echo out >/dev/stdout; echo err >/dev/stderr").want(0, "^out$", "^err$")


@check
def terminal_is_owned(c):
    on_terminal(*c.words("run", "--rm", "-it", "box", "sh", "-c", "stat -c %u $(tty); exit 5")).want(5, r"^0\n")


@check
def exec_as_root_and_as_a_user(c):
    with c.up() as one:
        one.sh("id -u; grep CapEff /proc/self/status").want(0, r"^0\nCapEff:\t00000000a80425fb\n")
        one.sh("id -u; id -G", "--user", "user").want(0, "^1000\n1000 2000\n$")
        on_terminal(*c.words("exec", "-it", one.name, "sh", "-c", "tty; exit 6")).want(6, r"/dev/pts/\d")


@check
def devices_are_the_hosts(c):
    c.sh("echo x >/dev/null; head -c 3 /dev/zero | wc -c; stat -c %t:%T /dev/full").want(0, "^3\n1:7\n$")


@check
def the_host_cannot_be_changed(c):
    c.sh("echo 1 >/proc/sys/vm/swappiness").want(1)
    c.sh("mount -t tmpfs x /tmp").want(1)
    c.sh("chown 70000 /tmp").want(1, err="nvalid argument")


@check
def capabilities_count_inside(c):
    c.sh("hostname changed; hostname", "--cap-add", "SYS_ADMIN").want(0, "^changed$")
    c.sh("ip link add v0 type veth && ls /sys/class/net", "--cap-add", "NET_ADMIN").want(0, "v0\n")


@check
def user_namespace_of_the_host(c):
    with c.up("--userns", "host") as one:
        equal("namespace", os.readlink(f"/proc/{one.pid}/ns/user"), os.readlink("/proc/self/ns/user"))


@check
def privileged_is_refused_without_the_host(c):
    c.sh("true", "--privileged").want(125, err="ncompatible with user namespaces")
    c.sh("cat /proc/self/uid_map", "--privileged", "--userns", "host").want(0, "4294967295")


@check
def volumes_and_binds(c):
    c.sh("touch /data/new && stat -c %u /data/new", "--volume", "own:/data").want(0, "^0$")
    os.makedirs("/tmp/of-root", exist_ok=True)
    c.sh("touch /data/new", "--volume", "/tmp/of-root:/data").want(1, err="ermission denied")
    os.chown("/tmp/of-root", FIRST, FIRST)
    c.sh("touch /data/new", "--volume", "/tmp/of-root:/data").want()
    equal("owner", os.stat("/tmp/of-root/new").st_uid, FIRST)
    c.sh("touch /data/other", "--volume", "/tmp/of-root:/data:ro").want(1, err="Read-only")


@check
def limits_and_update(c):
    with c.up("--memory", "64m", "--pids-limit", "30") as one:
        equal("memory", cgroup_file(one.pid, "memory", ("memory.limit_in_bytes", "memory.max")), str(64 << 20))
        c("update", "--pids-limit", "40", one.name).want()
        equal("pids", cgroup_file(one.pid, "pids", "pids.max"), "40")
        one("pause").want()
        one("unpause").want()


@check
def network_and_sysctls(c):
    with c.up("--sysctl", "net.ipv4.ip_forward=1", "--publish", "18080:80") as one:
        one.sh(f"cat /proc/sys/net/ipv4/ip_forward; ping -c 1 {one.inspect('.NetworkSettings.Gateway')}").want(
            0, "^1\n"
        )


@check
def network_of_a_container(c):
    with c.up() as one, c.up("--net", f"container:{one.name}") as two:
        equal("namespace", *(os.readlink(f"/proc/{each.pid}/ns/net") for each in (one, two)))


@check
def pid_namespace_of_a_container(c):
    with c.up() as one, c.up("--pid", f"container:{one.name}", script="exec sleep 5432") as two:
        equal("namespace", *(os.readlink(f"/proc/{each.pid}/ns/pid") for each in (one, two)))


@check
def read_only_root_and_tmpfs(c):
    c.sh("touch /file || touch /ram/file && stat -c %u /ram/file", "--read-only", "--tmpfs", "/ram").want(
        0, "^0$", "Read-only"
    )


@check
def build_runs_mapped(c):
    os.makedirs("/tmp/build-mapped", exist_ok=True)
    with open("/tmp/build-mapped/Dockerfile", "w") as file:
        file.write("FROM box\nRUN cat /proc/self/uid_map >/map && id -u >>/map\n")
    c("build", "--tag", "mapped", "/tmp/build-mapped").want()
    c("run", "--rm", "mapped", "cat", "/map").want(0, rf"^\s+0\s+{FIRST}\s+65536\n0$")


if __name__ == "__main__":
    main(Remapped)
