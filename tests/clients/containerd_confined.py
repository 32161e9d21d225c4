"""containerd with its tool ctr: mounts, namespaces, privileges and devices of `ctr run`."""

from ctr import *


@check
def mount_bind(c):
    os.makedirs("/tmp/bind")
    script = "echo word >/data/file; cat /proc/self/mountinfo"
    c.sh(script, "--mount", "type=bind,src=/tmp/bind,dst=/data,options=rbind:rw").want(0, r"(?m) \S*/tmp/bind /data rw")
    with open("/tmp/bind/file") as file:
        equal("file", file.read(), "word\n")


@check
def mount_bind_read_only(c):
    os.makedirs("/tmp/readonly")
    script = "echo word >/data/file"
    result = c.sh(script, "--mount", "type=bind,src=/tmp/readonly,dst=/data,options=rbind:ro")
    result.want(1, None, "Read-only file system")
    equal("files", os.listdir("/tmp/readonly"), [])


@check
def mount_bind_of_a_file(c):
    with open("/tmp/onefile", "w") as file:
        file.write("content\n")
    mount = "type=bind,src=/tmp/onefile,dst=/etc/new/file,options=bind"
    c.sh("cat /etc/new/file", "--mount", mount).want(0, "^content$")


@check
def mount_tmpfs(c):
    mount = "type=tmpfs,src=tmpfs,dst=/scratch,options=nosuid:noexec:size=64k:mode=700"
    result = c.sh("grep /scratch /proc/mounts", "--mount", mount)
    result.want(0, r"^tmpfs /scratch tmpfs rw,nosuid,noexec,.*size=64k,mode=700")


@check
def mount_propagates_into_the_container(c):
    os.makedirs("/tmp/slave/sub")
    call("mount", "--bind", "/tmp/slave", "/tmp/slave").want()
    call("mount", "--make-shared", "/tmp/slave").want()
    try:
        with c.up("exec sleep 1000", "--mount", "type=bind,src=/tmp/slave,dst=/data,options=rbind:rslave") as box:
            call("mount", "-t", "tmpfs", "later", "/tmp/slave/sub").want()
            box.exec("cat", "/proc/mounts").want(0, "(?m)^later /data/sub tmpfs ")
    finally:
        call("umount", "-R", "/tmp/slave").want()


@check
def mount_of_missing_source(c):
    name = c.new()
    result = c.run("--mount", "type=bind,src=/nowhere,dst=/data,options=rbind", args=["true"], name=name)
    result.want(1, None, "/nowhere.*no such file or directory|no such file or directory.*/nowhere")
    Box(c, name, c.space).gone()


@check
def read_only_root(c):
    script = "touch /file; grep ' / ' /proc/mounts; touch /dev/shm/file"
    c.sh(script, "--read-only").want(0, r"^overlay / overlay ro,", "Read-only")


@check
def root_that_is_a_slave(c):
    result = c.sh("grep ' / / ' /proc/self/mountinfo", "--rootfs-propagation", "rslave")
    result.want(0, r" / / rw,relatime (master:\d+ )?- ")


@check
def root_that_is_shared(c):
    # runc does so only on the host's side.
    c.sh("grep ' / / ' /proc/self/mountinfo", "--rootfs-propagation", "shared").want(0, r" / / rw,relatime shared:\d+ ")


@check
def privileged(c):
    script = "grep -E 'CapEff|CapBnd|Seccomp:' /proc/self/status; grep -E ' /(sys|proc)' /proc/mounts"
    result = c.sh(script, "--privileged")
    own = status_of("self")["CapEff"]
    result.want(0, rf"CapEff:\s{own}\nCapBnd:\s{own}\nSeccomp:\s0\nproc /proc proc rw.*\nsysfs /sys sysfs rw.*\n$")


@check
def capabilities_added_and_dropped(c):
    result = c.sh("grep -E 'Cap' /proc/self/status", "--cap-add", "CAP_NET_ADMIN", "--cap-drop", "CAP_CHOWN")
    # The 14 of the default, with NET_ADMIN (12) and without CHOWN (0).
    caps = f"{(0xa80425fb | 1 << 12) & ~1:016x}"
    result.want(0, rf"CapPrm:\t{caps}\nCapEff:\t{caps}\nCapBnd:\t{caps}\nCapAmb:\t0+\n")


@check
def seccomp_default_profile(c):
    result = c.sh("grep -E '^Seccomp:' /proc/self/status; unshare -U true && echo unshared", "--seccomp")
    result.want(1, r"Seccomp:\s2\n$", "Operation not permitted")


@check
def seccomp_own_profile(c):
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    with open("/tmp/profile.json", "w") as file:
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}, file)
    c.sh("mkdir /tmp/a", "--seccomp", "--seccomp-profile", "/tmp/profile.json").want(1, None, "(?i)not supported")


@check
def new_privileges_only_when_allowed(c):
    c.sh("grep NoNewPrivs /proc/self/status").want(0, r"\s1$")
    c.sh("grep NoNewPrivs /proc/self/status", "--allow-new-privs").want(0, r"\s0$")


@check
def no_pivot(c):
    c.sh("ls /; touch /file; pwd", "--no-pivot").want(0, r"(?s)bin\n.*tmp\n.*/\n")


def ns(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


@check
def namespaces_of_another_container(c):
    with c.up() as first:
        kinds = {"network": "net", "pid": "pid", "ipc": "ipc", "uts": "uts"}
        flags = [word for kind, file in kinds.items() for word in ("--with-ns", f"{kind}:/proc/{first.pid}/ns/{file}")]
        with c.up("exec sleep 1001", *flags) as second:
            for file in kinds.values():
                equal(file, ns(second.pid, file), ns(first.pid, file))
            true("own mounts", ns(second.pid, "mnt") != ns(first.pid, "mnt"))
            first.exec("ps").want(0, "sleep 1001")


@check
def namespaces_are_new(c):
    with c.up() as box:
        for kind in ("net", "pid", "ipc", "uts", "mnt"):
            true(kind, ns(box.pid, kind) != ns("self", kind))
        equal("user", ns(box.pid, "user"), ns("self", "user"))


@check
def host_network(c):
    with c.up("exec sleep 1000", "--net-host") as box:
        equal("net", ns(box.pid, "net"), ns("self", "net"))
        box.exec("cat", "/proc/mounts").want(0, " /etc/hosts ")


@check
def cni_network(c):
    os.makedirs("/etc/cni/net.d", exist_ok=True)
    os.makedirs("/opt/cni", exist_ok=True)
    if not os.path.exists("/opt/cni/bin"):
        os.symlink("/usr/lib/cni", "/opt/cni/bin")
    plugin = {"type": "bridge", "bridge": "box0", "isGateway": True}
    plugin["ipam"] = {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}
    with open("/etc/cni/net.d/10-box.conflist", "w") as file:
        json.dump({"cniVersion": "0.4.0", "name": "box", "plugins": [plugin]}, file)
    with c.up("exec sleep 1000", "--cni") as box:
        box.exec("ip", "address", "show", "eth0").want(0, r"inet 10\.77\.0\.")
        box.exec("ping", "-c", "1", "-W", "30", "10.77.0.1").want()


@check
def device(c):
    wanted = f"{os.major(os.stat('/dev/fuse').st_rdev)},{os.minor(os.stat('/dev/fuse').st_rdev)}"
    script = "ls -l /dev/fuse | tr -d ' '; exec 3<>/dev/fuse && echo opened"
    c.sh(script, "--device", "/dev/fuse").want(0, rf"^c.*{wanted}[^\n]*/dev/fuse\nopened$")


@check
def device_that_was_not_given_cannot_be_opened(c):
    script = "mknod /dev/other c 10 229 && cat /dev/other"
    c.sh(script).want(1, None, "Operation not permitted")


if __name__ == "__main__":
    main(Containerd)
