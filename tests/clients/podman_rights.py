"""podman's users, capabilities, user namespaces, seccomp, masks, rlimits, sysctls."""

from podman_client import *

# The capabilities that podman gives, of those that this machine has.
DEFAULT = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split()
NUMBERS = dict(
    CHOWN=0, DAC_OVERRIDE=1, FOWNER=3, FSETID=4, KILL=5, SETGID=6, SETUID=7, SETPCAP=8, NET_BIND_SERVICE=10, NET_ADMIN=12,
    NET_RAW=13, SYS_CHROOT=18, SYS_ADMIN=21, MKNOD=27, SETFCAP=31,
)


def mask(*names):
    return sum(1 << NUMBERS[name] for name in names)


def capabilities(box):
    status = status_of(box.pid)
    return {name: int(status[f"Cap{name}"], 16) for name in ("Inh", "Prm", "Eff", "Bnd", "Amb")}


@check
def capabilities_by_default(c):
    with c.box("caps") as box:
        own = mask(*DEFAULT)
        equal("sets", capabilities(box), {"Inh": 0, "Prm": own, "Eff": own, "Bnd": own, "Amb": 0})


@check
def capabilities_added_and_dropped(c):
    with c.box("caps_both", "--cap-add", "net_admin,CAP_MKNOD", "--cap-drop", "kill,chown") as box:
        own = mask(*DEFAULT, "NET_ADMIN", "MKNOD") & ~mask("KILL", "CHOWN")
        equal("sets", capabilities(box), {"Inh": 0, "Prm": own, "Eff": own, "Bnd": own, "Amb": 0})


@check
def capabilities_none(c):
    with c.box("caps_none", "--cap-drop", "all") as box:
        equal("sets", set(capabilities(box).values()), {0})
    c.sh("chown 1 /etc/passwd", "--cap-drop", "all").want(1, err="(?i)not permitted")


@check
def capabilities_all(c):
    with c.box("caps_all", "--cap-add", "all") as box:
        equal("effective", capabilities(box)["Eff"], int(status_of("self")["CapBnd"], 16))


@check
def capabilities_of_a_user(c):
    """Without being asked for, a user has none but the bounding set; asked for, they are ambient."""
    with c.box("caps_user", "--user", "1000") as box:
        equal("sets", capabilities(box), {"Inh": 0, "Prm": 0, "Eff": 0, "Bnd": mask(*DEFAULT), "Amb": 0})
    with c.box("caps_user", "--user", "1000", "--cap-add", "net_admin") as box:
        own = mask("NET_ADMIN")
        equal("sets", capabilities(box), {"Inh": own, "Prm": own, "Eff": own, "Bnd": mask(*DEFAULT) | own, "Amb": own})


@check
def privileged(c):
    with c.box("privileged", "--privileged") as box:
        equal("effective", capabilities(box)["Eff"], int(status_of("self")["CapBnd"], 16))
        equal("seccomp", status_of(box.pid)["Seccomp"], "0")
        mounts = open(f"/proc/{box.pid}/mountinfo").read()
        true("sysfs can be written", re.search(r" /sys rw,", mounts))
        true("nothing is masked", " /proc/keys " not in mounts)
        box.sh("ls /dev/kmsg && mkdir /m && mount -t tmpfs m /m").want()


def ids(box):
    status = status_of(box.pid)
    return status["Uid"].split(), status["Gid"].split(), status["Groups"].split()


@check
def user_by_name(c):
    with c.box("user_name", "--user", "user") as box:
        equal("ids", ids(box)[:2], (["1000"] * 4, ["1000"] * 4))
        true("group of /etc/group", "2000" in ids(box)[2])
        box.exec("id", "-un").want(0, "^user$")
    c.sh("echo $HOME", "--user", "user").want(0, "^/home$")


@check
def user_by_number(c):
    with c.box("user_number", "--user", "12345:678") as box:
        equal("ids", ids(box)[:2], (["12345"] * 4, ["678"] * 4))


@check
def user_with_group(c):
    with c.box("user_group", "--user", "user:extra", "--group-add", "4242") as box:
        equal("ids", ids(box)[:2], (["1000"] * 4, ["2000"] * 4))
        true(f"group: {ids(box)}", "4242" in ids(box)[2])


@check
def user_that_is_not_there(c):
    c("run", "--rm", "--user", "nobodyknows", "box", "true").want(126, err="nobodyknows")


@check
def user_may_write_its_terminal(c):
    c.terminal("run", "--rm", "-it", "--user", "1000", "box", "sh", "-c", "echo hello >$(tty); stat -c %u $(tty)").want(0, "hello\n1000\n")


@check
def user_may_write_its_stdout(c):
    c.sh("echo hello >/proc/self/fd/1; echo oops >/dev/stderr", "--user", "1000").want(0, "^hello$", "^oops$")


def map_of(pid, kind="uid"):
    return [line.split() for line in open(f"/proc/{pid}/{kind}_map").read().splitlines()]


@check
def userns_uidmap(c):
    flags = ["--uidmap", "0:200000:1000", "--gidmap", "0:300000:2000"]
    with c.box("uidmap", *flags) as box:
        equal("uid_map", map_of(box.pid), [["0", "200000", "1000"]])
        equal("gid_map", map_of(box.pid, "gid"), [["0", "300000", "2000"]])
        equal("uid outside", ids(box)[0], ["200000"] * 4)
        box.sh("id -u; stat -c '%u %g' /etc/passwd; touch /new").want(0, "^0\n0 0\n$")


@check
def userns_uidmap_of_ranges(c):
    # Without an image, whose layers podman can map only as one range.
    busybox_root("/tmp/uidmaps")
    call("chown", "-R", "200000:200000", "/tmp/uidmaps").want()
    flags = ["--uidmap", "0:200000:100", "--uidmap", "100:500000:2000", "--gidmap", "0:200000:2100", "--user", "105:3"]
    with c.box("uidmaps", *flags, "--rootfs", image="/tmp/uidmaps") as box:
        equal("uid_map", map_of(box.pid), [["0", "200000", "100"], ["100", "500000", "2000"]])
        equal("ids outside", ids(box)[:2], (["500005"] * 4, ["200003"] * 4))


@check
def userns_auto(c):
    # Without /dev/shm of its own: runc keeps that of the first one busy in the second one's mount namespace.
    flags = ["--userns", "auto:size=2000", "--ipc", "none"]
    with c.box("auto1", *flags) as one, c.box("auto2", *flags) as two:
        maps = [map_of(box.pid)[0] for box in (one, two)]
        true(f"ranges of their own: {maps}", maps[0][1] != maps[1][1] and maps[0][2] == maps[1][2] == "2000")
        one.sh("id -u; mount -t tmpfs m /tmp").want(1, "^0$", "(?i)denied|not permitted")


@check
def userns_of_the_host(c):
    with c.box("userns_host", "--userns", "host") as box:
        equal("namespace", namespace(box.pid, "user"), namespace("self", "user"))


@check
def userns_of_another(c):
    with c.box("userns_first", "--uidmap", "0:200000:1000") as one:
        with c.box("userns_second", "--userns", "container:userns_first") as two:
            equal("namespace", namespace(two.pid, "user"), namespace(one.pid, "user"))
            two.sh("id -u").want(0, "^0$")


@check
def userns_exec(c):
    with c.box("userns_exec", "--uidmap", "0:200000:3000") as box:
        box.sh("id -u; cat /proc/self/uid_map").want(0, r"^0\n\s+0\s+200000\s+3000$")
        box.sh("id -u; id -g", "--user", "user").want(0, "^1000\n1000$")
        c.terminal("exec", "-it", "userns_exec", "sh", "-c", "echo hello >$(tty); stat -c %u $(tty)").want(0, "hello\n0\n")


@check
def userns_terminal(c):
    c.terminal("run", "--rm", "-it", "--uidmap", "0:200000:1000", "box", "sh", "-c", "echo hello >$(tty); stat -c %u $(tty)").want(
        0, "hello\n0\n"
    )


@check
def userns_with_volume_and_network(c):
    path = "/tmp/userns_volume"
    os.makedirs(path, exist_ok=True)
    os.chown(path, 200000, 200000)
    flags = ["--uidmap", "0:200000:1000", "--volume", f"{path}:/data", "--network", "none"]
    c.sh("touch /data/file && ip link show lo | grep UP", *flags).want(0, "UP")
    equal("owner outside", os.stat(f"{path}/file").st_uid, 200000)


@check
def userns_volume_is_mapped(c):
    """`:idmap`: the files belong to root inside, and stay root's outside."""
    path = "/tmp/userns_idmap"
    os.makedirs(path, exist_ok=True)
    flags = ["--uidmap", "0:200000:1000", "--volume", f"{path}:/data:idmap"]
    c.sh("stat -c %u /data; touch /data/file", *flags).want(0, "^0$")
    equal("owner outside", os.stat(f"{path}/file").st_uid, 0)


@check
def seccomp_by_default(c):
    """podman's profile: syscalls that are unknown or refused fail, and nothing is killed."""
    with c.box("seccomp") as box:
        status = status_of(box.pid)
        equal("mode", status["Seccomp"], "2")
        true("filters", int(status["Seccomp_filters"]) >= 1)
    c("run", "--rm", "box", "unshare", "-n", "true").want(1, err="(?i)not permitted")


@check
def seccomp_unconfined(c):
    with c.box("unconfined", "--security-opt", "seccomp=unconfined") as box:
        equal("mode", status_of(box.pid)["Seccomp"], "0")


def profile(name, **what):
    path = f"/tmp/{name}.json"
    with open(path, "w") as file:
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], **what}, file)
    return f"seccomp={path}"


@check
def seccomp_profile(c):
    """Errno by name, errno with a number, conditions on arguments."""
    rules = [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["setpriority"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5,
         "args": [{"index": 2, "value": 7, "op": "SCMP_CMP_EQ"}]},
        {"names": ["nosuchcall"], "action": "SCMP_ACT_ERRNO"},
    ]
    with c.box("profile", "--security-opt", profile("profile", syscalls=rules)) as box:
        box.sh("mkdir /a").want(1, err="No space left")
        box.sh("chmod 1 /etc").want(1, err="(?i)not permitted")
        box.sh("renice -n 7 -p 1").want(1, err="(?i)i/o error|input/output error")
        box.sh("renice -n 6 -p 1").want()


@check
def seccomp_kills(c):
    rules = [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]
    c.sh("mkdir /a; echo $?", "--security-opt", profile("kills", syscalls=rules)).want(0, "^159$")


@check
def seccomp_profile_that_is_wrong(c):
    with open("/tmp/wrong.json", "w") as file:
        file.write("{")
    c("run", "--rm", "--security-opt", "seccomp=/tmp/wrong.json", "box", "true").want(125, err="seccomp profile")


@check
def no_new_privileges(c):
    with c.box("nnp", "--security-opt", "no-new-privileges") as box:
        equal("of the container", status_of(box.pid)["NoNewPrivs"], "1")
        box.sh("grep NoNewPrivs /proc/self/status").want(0, "\t1$")
    with c.box("nnp") as box:
        equal("without it", status_of(box.pid)["NoNewPrivs"], "0")


@check
def masked_and_read_only_paths(c):
    with c.box("masked") as box:
        equal("what they hold", box.sh("cat /proc/keys /proc/timer_list; ls -A /proc/acpi; ls -A /sys/firmware").want().out, "")
        box.sh("echo 1 >/proc/sys/kernel/domainname").want(1, err="Read-only")
        box.sh("touch /sys/kernel/x").want(1, err="(?i)read-only|denied|not permitted")


@check
def masks_are_added_and_taken_away(c):
    with c.box("mask", "--security-opt", "mask=/etc/passwd:/var") as box:
        box.sh("cat /etc/passwd; ls /var; touch /var/x").want(1, "^$", "(?i)read-only|denied|not permitted")
    with c.box("unmask", "--security-opt", "unmask=/proc/keys") as box:
        mounts = open(f"/proc/{box.pid}/mountinfo").read()
        true("only this one", " /proc/keys " not in mounts and " /proc/timer_list " in mounts)
    with c.box("unmask", "--security-opt", "unmask=ALL") as box:
        true("none", " /proc/" not in open(f"/proc/{box.pid}/mountinfo").read())


@check
def proc_options(c):
    with c.box("proc_opts", "--security-opt", "proc-opts=hidepid=2", "--user", "1000") as box:
        mounts = open(f"/proc/{box.pid}/mountinfo").read()
        true(f"hidepid: {mounts}", re.search(r" /proc .* - proc .*hidepid=(2|invisible)", mounts))


@check
def labels_are_disabled(c):
    c("run", "--rm", "--security-opt", "label=disable", "box", "true").want()


@check
def apparmor_unconfined(c):
    c("run", "--rm", "--security-opt", "apparmor=unconfined", "box", "true").want()


@check
def limits(c):
    flags = [*LIMITS, "--ulimit", "core=0", "--ulimit", "stack=4194304", "--ulimit", "memlock=65536:65536"]
    with c.box("limits", *flags) as box:
        rows = {line[:25].strip(): line[25:].split()[:2] for line in open(f"/proc/{box.pid}/limits")}
        wanted = {"Max open files": ["100", "200"], "Max processes": ["300", "400"], "Max core file size": ["0", "0"],
                  "Max stack size": ["4194304", "4194304"], "Max locked memory": ["65536", "65536"]}
        equal("limits", {name: rows[name] for name in wanted}, wanted)


@check
def sysctls(c):
    flags = ["--sysctl", "net.ipv4.ip_unprivileged_port_start=80", "--sysctl", "kernel.msgmax=9999"]
    with c.box("sysctls", *flags) as box:
        box.sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax").want(0, "^80\n9999\n$")
    true("not on the host", open("/proc/sys/kernel/msgmax").read() != "9999\n")


@check
def sysctl_of_the_host_is_refused(c):
    c("run", "--rm", "--sysctl", "kernel.panic=1", "box", "true").want(125, err="kernel.panic")
    c("run", "--rm", "--network", "host", "--sysctl", "net.ipv4.ip_forward=1", "box", "true").want(125, err="ip_forward")


@check
def sysctl_of_a_value_that_is_wrong(c):
    c("run", "--rm", "--sysctl", "kernel.msgmax=word", "box", "true").want(126, err="(?i)msgmax.*invalid argument")


@check
def oom_score(c):
    with c.box("oom", "--oom-score-adj", "500") as box:
        equal("oom_score_adj", open(f"/proc/{box.pid}/oom_score_adj").read(), "500\n")


def keyrings(text, box):
    """The serial numbers of a container's session keyrings in what /proc/keys says. For root that has everybody's."""
    return re.findall(rf"(?m)^(\w+) .* keyring +_ses\.{box}: ", text)


@check
def keyring_is_its_own(c):
    """A keyring is there for as long as it is somebody's: here, that of the container's processes."""
    with c.script("keyring", "cat /proc/keys; echo all; exec sleep 1000", "--security-opt", "unmask=/proc/keys") as box:
        name = box.inspect(".Id")
        first = keyrings(box.logs(r"(?m)^all$"), name)
        equal("the number of its keyrings", len(first), 1)
        equal("that of a second process", keyrings(box.sh("cat /proc/keys").want().out, name), first)
    until("the end of its keyring", lambda: not keyrings(open("/proc/keys").read(), name))


if __name__ == "__main__":
    main(Podman)
