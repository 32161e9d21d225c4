"""Kubernetes' interface to containerd: security contexts, namespaces, mounts and devices."""

from pods import *


def ns(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def shared(*modes, **more):
    """The options of a pod or a container for its network, pid and ipc namespaces."""
    return {"namespace_options": dict(zip(("network", "pid", "ipc"), modes)), **more}


@check
def user_and_groups(c):
    security = {"run_as_user": {"value": 1000}, "run_as_group": {"value": 2000}, "supplemental_groups": [3000, 4000]}
    result = c.sh("grep -E 'Uid|Gid|Groups' /proc/self/status", security=security)
    result.want(0, r"Uid:\s1000\s1000\s1000\s1000\nGid:\s2000\s2000\s2000\s2000\nGroups:[\s\d]*\s3000 4000 \n")


@check
def user_opens_the_output_again(c):
    script = "echo hello >/dev/stdout; echo oops >/proc/self/fd/2"
    c.sh(script, security={"run_as_user": {"value": 1000}}).want(0, "^hello$", "^oops$")


@check
def user_by_name(c):
    c.sh("id", security={"run_as_username": "user"}).want(0, r"^uid=1000\(user\) gid=1000\(user\)")


@check
def user_that_is_unknown(c):
    with c.pod() as pod:
        config = {"metadata": {"name": "unknown"}, "image": {"image": IMAGE}, "command": ["true"]}
        config["linux"] = {"security_context": {"run_as_username": "nobody-here"}}
        more = {"pod_sandbox_id": pod.id, "sandbox_config": pod.config}
        c.refused("no users found|unknown user", "CreateContainer", config=config, **more)


@check
def user_of_the_sandbox(c):
    with c.pod(linux={"security_context": {"run_as_user": {"value": 1000}, "run_as_group": {"value": 1000}}}) as pod:
        status = status_of(pod.pid)
        equal("ids", (status["Uid"].split()[0], status["Gid"].split()[0]), ("1000", "1000"))


@check
def root_that_is_read_only(c):
    result = c.sh("touch /file; touch /dev/shm/file && echo shm", security={"readonly_rootfs": True})
    result.want(0, "^shm$", "Read-only file system")


@check
def capabilities_of_the_default(c):
    c.sh("grep Cap /proc/self/status").want(0, r"CapPrm:\s0+a80425fb\nCapEff:\s0+a80425fb\nCapBnd:\s0+a80425fb\n")


@check
def capabilities_added_and_dropped(c):
    security = {"capabilities": {"add_capabilities": ["NET_ADMIN"], "drop_capabilities": ["CHOWN"]}}
    caps = f"{(0xa80425fb | 1 << 12) & ~1:016x}"
    c.sh("grep Cap /proc/self/status", security=security).want(0, rf"CapEff:\s{caps}\nCapBnd:\s{caps}\n")


@check
def capabilities_all_dropped(c):
    security = {"capabilities": {"drop_capabilities": ["ALL"]}}
    c.sh("grep Cap /proc/self/status", security=security).want(0, r"CapEff:\s0+\nCapBnd:\s0+\n")


@check
def capabilities_of_a_user_are_none(c):
    result = c.sh("grep Cap /proc/self/status", security={"run_as_user": {"value": 1000}})
    result.want(0, r"CapPrm:\s0+\nCapEff:\s0+\nCapBnd:\s0+a80425fb\n")


@check
def privileged(c):
    with c.pod(linux={"security_context": {"privileged": True}}) as pod:
        box = pod.box(security={"privileged": True})
        status = status_of(box.pid)
        equal("capabilities", status["CapEff"], status_of("self")["CapEff"])
        equal("seccomp", status["Seccomp"], "0")
        box.exec("sh", "-c", "ls -l /dev/kmsg && exec 3</dev/fuse").want(0, "^c")
        box.exec("mount", "-t", "tmpfs", "none", "/tmp").want()


@check
def sys_is_writable_when_privileged(c):
    # The sandbox has mounted the same file system, of the pod's network namespace, read-only.
    with c.pod(linux={"security_context": {"privileged": True}}) as pod:
        pod.box(security={"privileged": True}).exec("grep", " /sys ", "/proc/mounts").want(0, "sysfs /sys sysfs rw")


@check
def privileged_needs_a_privileged_pod(c):
    with c.pod() as pod:
        config = {"metadata": {"name": "one"}, "image": {"image": IMAGE}, "command": ["true"]}
        config["linux"] = {"security_context": {"privileged": True}}
        more = {"pod_sandbox_id": pod.id, "sandbox_config": pod.config}
        c.refused("no privileged container allowed", "CreateContainer", config=config, **more)


@check
def seccomp_unconfined(c):
    c.sh("grep Seccomp: /proc/self/status", security={"seccomp": {"profile_type": "Unconfined"}}).want(0, r"\s0$")


@check
def seccomp_of_the_runtime(c):
    script = "grep Seccomp: /proc/self/status; unshare -U true"
    result = c.sh(script, security={"seccomp": {"profile_type": "RuntimeDefault"}})
    result.want(1, r"Seccomp:\s2$", "Operation not permitted")


@check
def seccomp_of_a_file(c):
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}
    with open("/tmp/profile.json", "w") as file:
        json.dump({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}, file)
    seccomp = {"profile_type": "Localhost", "localhost_ref": "/tmp/profile.json"}
    with c.box(security={"seccomp": seccomp}) as box:
        equal("mode", status_of(box.pid)["Seccomp"], "2")
        box.exec("mkdir", "/tmp/a").want(1, None, "(?i)not supported")


@check
def seccomp_is_that_of_the_pod_for_exec(c):
    with c.box(security={"seccomp": {"profile_type": "RuntimeDefault"}}) as box:
        box.exec("grep", "Seccomp:", "/proc/self/status").want(0, r"\s2$")


@check
def no_new_privileges(c):
    for value in (False, True):
        c.sh("grep NoNewPrivs /proc/self/status", security={"no_new_privs": value}).want(0, rf"\s{int(value)}$")


@check
def paths_that_are_masked_or_read_only(c):
    security = {"masked_paths": ["/proc/keys", "/sys/firmware"], "readonly_paths": ["/proc/sys"]}
    result = c.sh("cat /proc/keys; ls /sys/firmware; echo 1 >/proc/sys/kernel/domainname", security=security)
    result.want(1, "^$", "Read-only file system")


@check
def paths_that_are_not_masked(c):
    # Nothing in both lists: nothing is masked.
    c.sh("grep -cE ' /proc/(keys|acpi|sys)' /proc/mounts").want(1, "^0$")


@check
def device(c):
    devices = [{"host_path": "/dev/fuse", "container_path": "/dev/mine", "permissions": "rw"}]
    rdev = os.stat("/dev/fuse").st_rdev
    result = c.sh("ls -l /dev/mine | tr -d ' '; exec 3<>/dev/mine && echo opened", devices=devices)
    result.want(0, rf"^c.*{os.major(rdev)},{os.minor(rdev)}[^\n]*/dev/mine\nopened$")


@check
def device_with_fewer_permissions(c):
    devices = [{"host_path": "/dev/fuse", "container_path": "/dev/fuse", "permissions": "r"}]
    result = c.sh("(exec 3</dev/fuse) && echo opened; (exec 3<>/dev/fuse)", devices=devices)
    result.want(1, "^opened$", "Operation not permitted")


@check
def mount_read_and_write(c):
    os.makedirs("/tmp/mounted")
    c.sh("echo word >/data/file", mounts=[{"host_path": "/tmp/mounted", "container_path": "/data"}]).want()
    with open("/tmp/mounted/file") as file:
        equal("file", file.read(), "word\n")


@check
def mount_read_only(c):
    os.makedirs("/tmp/readonly")
    mounts = [{"host_path": "/tmp/readonly", "container_path": "/data", "readonly": True}]
    c.sh("echo word >/data/file", mounts=mounts).want(1, None, "Read-only file system")


@check
def mount_of_a_file(c):
    with open("/tmp/onefile", "w") as file:
        file.write("content\n")
    mounts = [{"host_path": "/tmp/onefile", "container_path": "/etc/new/file", "readonly": True}]
    c.sh("cat /etc/new/file", mounts=mounts).want(0, "^content$")


@contextlib.contextmanager
def shared_directory(at):
    """A directory that passes on what is mounted in it."""
    os.makedirs(f"{at}/sub")
    call("mount", "--bind", at, at).want()
    call("mount", "--make-shared", at).want()
    try:
        yield
    finally:
        call("umount", "-R", at).want()


@check
def mount_private(c):
    with shared_directory("/tmp/private"):
        with c.box(mounts=[{"host_path": "/tmp/private", "container_path": "/data"}]) as box:
            call("mount", "-t", "tmpfs", "later", "/tmp/private/sub").want()
            true("not seen", "later" not in box.exec("cat", "/proc/mounts").want().out)


@check
def mount_that_comes_from_the_host(c):
    with shared_directory("/tmp/slave"):
        mount = {"host_path": "/tmp/slave", "container_path": "/data"}
        with c.box(mounts=[{**mount, "propagation": "PROPAGATION_HOST_TO_CONTAINER"}]) as box:
            call("mount", "-t", "tmpfs", "later", "/tmp/slave/sub").want()
            box.exec("cat", "/proc/mounts").want(0, "(?m)^later /data/sub tmpfs ")


@check
def mount_in_both_directions(c):
    with shared_directory("/tmp/both"):
        mounts = [{"host_path": "/tmp/both", "container_path": "/data", "propagation": "PROPAGATION_BIDIRECTIONAL"}]
        with c.pod(linux={"security_context": {"privileged": True}}) as pod:
            box = pod.box(security={"privileged": True}, mounts=mounts)
            box.exec("mount", "-t", "tmpfs", "inside", "/data/sub").want()
            with open("/proc/mounts") as file:
                true("seen outside", "inside /tmp/both/sub tmpfs " in file.read())


@check
def namespaces_of_a_pod_are_shared(c):
    with c.pod() as pod:
        one, two = [pod.box(security=shared("POD", "CONTAINER", "POD")) for _ in range(2)]
        for kind in ("net", "ipc", "uts"):
            equal(kind, ns(one.pid, kind), ns(two.pid, kind))
        for kind in ("pid", "mnt"):
            true(kind, ns(one.pid, kind) != ns(two.pid, kind))


@check
def shared_memory_of_a_pod(c):
    with c.pod() as pod:
        pod.box("echo word >/dev/shm/file").ended()
        pod.box("cat /dev/shm/file").result().want(0, "^word$")


@check
def processes_of_a_pod_are_shared(c):
    with c.pod(linux={"security_context": shared("POD", "POD", "POD")}) as pod:
        one = pod.box("exec sleep 1001", security=shared("POD", "POD", "POD"))
        two = pod.box(security=shared("POD", "POD", "POD"))
        equal("namespace", ns(one.pid, "pid"), ns(pod.pid, "pid"))
        two.exec("ps").want(0, "(?s)1 root .*/pause.*sleep 1001")
        # The end of one is not that of the other, nor of the pod.
        two.rpc("StopContainer", timeout=0)
        equal("exit code", two.ended().exit_code, 137)
        equal("states", (one.state, pod.status.state), ("RUNNING", 0))


@check
def processes_of_a_pod_die_with_their_container(c):
    with c.pod(linux={"security_context": shared("POD", "POD", "POD")}) as pod:
        one = pod.box(security=shared("POD", "POD", "POD"))
        two = pod.box("sleep 1007 & echo up; exec sleep 1008", security=shared("POD", "POD", "POD"))
        two.says("up")
        two.rpc("StopContainer", timeout=0)
        until("its processes are gone", lambda: "1007" not in one.exec("ps").want().out)


@check
def processes_of_another_container(c):
    with c.pod() as pod:
        one = pod.box("exec sleep 1001", security=shared("POD", "CONTAINER", "POD"))
        options = {"namespace_options": {"network": "POD", "pid": "TARGET", "ipc": "POD", "target_id": one.id}}
        two = pod.box(security=options)
        equal("namespace", ns(one.pid, "pid"), ns(two.pid, "pid"))
        two.exec("ps").want(0, "sleep 1001")
        two.rpc("StopContainer", timeout=0)
        equal("state", one.state, "RUNNING")


@check
def processes_of_the_host(c):
    with c.pod(linux={"security_context": shared("POD", "NODE", "POD")}) as pod:
        box = pod.box(security=shared("POD", "NODE", "POD"))
        equal("namespace", ns(box.pid, "pid"), ns("self", "pid"))
        box.exec("ps").want(0, "containerd")
        box.rpc("StopContainer", timeout=0)
        equal("exit code", box.ended().exit_code, 137)


@check
def network_and_ipc_of_the_host(c):
    with c.pod(linux={"security_context": shared("NODE", "CONTAINER", "NODE")}) as pod:
        box = pod.box(security=shared("NODE", "CONTAINER", "NODE"))
        for kind in ("net", "ipc", "uts"):
            equal(kind, ns(box.pid, kind), ns("self", kind))
        equal("ip", pod.status.network.ip, "")


@check
def namespaces_in_the_status(c):
    with c.pod(linux={"security_context": shared("NODE", "CONTAINER", "NODE")}) as pod:
        options = pod.status.linux.namespaces.options
        equal("modes", (options.network, options.pid, options.ipc), (2, 1, 2))


if __name__ == "__main__":
    main(Cri)
