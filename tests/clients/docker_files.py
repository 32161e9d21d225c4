"""docker: mounts, volumes, devices and what a container has in its root."""

from dockerd import *


def mount_of(pid, at):
    """Options, propagation, kind and options of the file system of what is mounted at a place of a container."""
    with open(f"/proc/{pid}/mountinfo") as file:
        rows = [line.split() for line in file]
    row = next(row for row in reversed(rows) if row[4] == at)
    dash = row.index("-")
    return row[5].split(","), " ".join(row[6:dash]), row[dash + 1], row[dash + 3].split(",")


def directory(name, **files):
    at = f"/tmp/{name}"
    os.makedirs(at, exist_ok=True)
    for file, text in files.items():
        with open(f"{at}/{file}", "w") as opened:
            opened.write(text)
    return at


@check
def volume_of_a_directory(c):
    at = directory("bind", file="content\n")
    c.sh("cat /data/file; echo new >/data/new", "--volume", f"{at}:/data").want(0, "^content$")
    equal("what was written", open(f"{at}/new").read(), "new\n")


@check
def volume_read_only(c):
    at = directory("bind-ro", file="content\n")
    c.sh("cat /data/file; touch /data/new", "--volume", f"{at}:/data:ro").want(1, "^content$", "Read-only file system")


@check
def volume_of_a_file(c):
    at = directory("bind-file", file="content\n")
    c.sh("cat /etc/new/file", "--volume", f"{at}/file:/etc/new/file").want(0, "^content$")


@check
def mount_bind_read_only(c):
    at = directory("mount-ro", file="content\n")
    with c.up("--mount", f"type=bind,source={at},target=/data,readonly") as one:
        true("ro", "ro" in mount_of(one.pid, "/data")[0])
        one.sh("echo x >/data/file").want(1, err="Read-only")


@check
def mount_bind_of_nothing_fails(c):
    c.sh("true", "--mount", "type=bind,source=/nosuch,target=/data").want(125, err="bind source path does not exist")


@check
def mount_of_directory_on_file_fails(c):
    at = directory("bind-onto")
    c.sh("true", "--volume", f"{at}:/etc/passwd").want(125, err="[nN]ot a directory.*vice-versa")


@check
def mount_of_file_on_directory_fails(c):
    at = directory("file-onto", file="")
    c.sh("true", "--volume", f"{at}/file:/tmp").want(125, err="[nN]ot a directory.*vice-versa")


@check
def propagation_of_binds(c):
    at = directory("shared")
    call("mount", "--bind", at, at).want()
    call("mount", "--make-shared", at).want()
    try:
        for kind, wanted in (("rprivate", r"^$"), ("rshared", r"^shared:\d+$"), ("rslave", r"^master:\d+$")):
            with c.up("--mount", f"type=bind,source={at},target=/data,bind-propagation={kind}") as one:
                true(kind, re.search(wanted, mount_of(one.pid, "/data")[1]))
    finally:
        call("umount", at).want()


@check
def propagation_of_a_slave_is_seen(c):
    at = directory("slave", before="")
    call("mount", "--bind", at, at).want()
    call("mount", "--make-shared", at).want()
    os.makedirs(f"{at}/later", exist_ok=True)
    try:
        with c.up("--volume", f"{at}:/data:rslave") as one:
            call("mount", "-t", "tmpfs", "later", f"{at}/later").want()
            try:
                one.sh("grep -c ' /data/later tmpfs ' /proc/mounts").want(0, "^1$")
            finally:
                call("umount", f"{at}/later").want()
    finally:
        call("umount", at).want()


@check
def bind_nonrecursive(c):
    at = directory("nonrecursive", file="")
    os.makedirs(f"{at}/below", exist_ok=True)
    call("mount", "-t", "tmpfs", "below", f"{at}/below").want()
    try:
        for extra, wanted in (("", "1"), (",bind-nonrecursive", "0")):
            mount = f"type=bind,source={at},target=/data{extra}"
            c.sh("grep -c ' /data/below ' /proc/mounts || :", "--mount", mount).want(0, f"^{wanted}$")
    finally:
        call("umount", f"{at}/below").want()


@check
def volume_with_a_name(c):
    c.sh("echo kept >/data/file", "--volume", "named:/data").want()
    c.sh("cat /data/file", "--mount", "type=volume,source=named,target=/data").want(0, "^kept$")
    c("volume", "inspect", "--format", "{{.Driver}}", "named").want(0, "^local$")
    c("volume", "rm", "named").want()


@check
def volume_is_filled_from_the_image(c):
    c.sh("cat /etc/passwd; mount | grep -c ' /etc '", "--volume", "filled:/etc").want(0, "user:x:1000[^$]*\n1\n$")
    c("volume", "rm", "filled").want()


@check
def volume_without_a_name(c):
    with c.up("--volume", "/anonymous") as one:
        one.sh("touch /anonymous/file").want()
        source = one.inspect(".Mounts")[0]["Source"]
        equal("files", os.listdir(source), ["file"])
    true("removed with its container", not os.path.exists(source))


@check
def volumes_from_another(c):
    with c.up("--volume", "/given") as one:
        one.sh("echo from >/given/file").want()
        c.sh("cat /given/file", "--volumes-from", one.name).want(0, "^from$")


@check
def tmpfs_with_options(c):
    with c.up(
        "--tmpfs", "/ram:rw,size=1m,mode=700,noexec", "--mount", "type=tmpfs,target=/mem,tmpfs-size=2m,tmpfs-mode=1770"
    ) as one:
        flags, _, kind, options = mount_of(one.pid, "/ram")
        equal("kind", kind, "tmpfs")
        true(flags, "noexec" in flags and "nosuid" in flags)
        true(options, "size=1024k" in options and "mode=700" in options)
        one.sh("stat -c %a /mem").want(0, "^1770$")
        one.sh("head -c 1500000 /dev/zero >/ram/file").want(1, err="No space|I/O error")


@check
def read_only_root(c):
    with c.up("--read-only", "--tmpfs", "/tmp") as one:
        true("ro", "ro" in mount_of(one.pid, "/")[0])
        one.sh("touch /file").want(1, err="Read-only file system")
        one.sh("touch /tmp/file && touch /dev/shm/file && echo good").want(0, "^good$")


@check
def root_has_the_usual_mounts(c):
    with c.up() as one:
        kinds = {
            "/proc": "proc",
            "/dev": "tmpfs",
            "/dev/pts": "devpts",
            "/sys": "sysfs",
            "/dev/mqueue": "mqueue",
            "/dev/shm": "tmpfs",
        }
        for at, kind in kinds.items():
            equal(at, mount_of(one.pid, at)[2], kind)
        true("/sys is read-only", "ro" in mount_of(one.pid, "/sys")[0])
        equal("/proc is writable", "rw" in mount_of(one.pid, "/proc")[0], True)
        one.sh("ls /sys/fs/cgroup | grep -c .").want(0)
        one.sh("touch /sys/fs/cgroup/file").want(1)


@check
def masked_and_readonly_paths(c):
    with c.up() as one:
        one.sh("cat /proc/kcore /proc/keys | wc -c; ls /proc/acpi /sys/firmware | grep -v : | wc -w").want(
            0, r"^0\n0\n$"
        )
        one.sh("echo 1 >/proc/sys/vm/swappiness").want(1, err="Read-only file system")
        true("/proc/bus is read-only", "ro" in mount_of(one.pid, "/proc/bus")[0])
    paths = ("--security-opt", "systempaths=unconfined")
    c.sh("grep -cE ' /proc/(keys|sys|kcore) ' /proc/mounts || :", *paths).want(0, "^0$")


@check
def usual_devices(c):
    with c.up() as one:
        one.sh("cd /dev && ls").want(
            0, "(?s)fd.*full.*mqueue.*null.*ptmx.*pts.*random.*shm.*stderr.*tty.*urandom.*zero"
        )
        one.sh("stat -c '%t:%T %a' /dev/null /dev/full").want(0, "^1:3 666\n1:7 666\n$")
        one.sh("head -c 3 /dev/zero | wc -c; readlink /dev/ptmx; readlink /dev/fd").want(
            0, "^3\npts/ptmx\n/proc/self/fd\n$"
        )


@check
def device_added(c):
    with c.up("--device", "/dev/zero:/dev/nought:r") as one:
        one.sh("stat -c %t:%T /dev/nought; head -c 2 /dev/nought | wc -c").want(0, "^1:5\n2\n$")


@check
def device_is_allowed_by_the_cgroup(c):
    """The rules of the devices cgroup are those that were asked for: mode and all."""
    with c.up("--device", "/dev/loop-control:/dev/loop-control:r") as one:
        one.sh("exec 3</dev/loop-control && echo good").want(0, "^good$")
        one.sh("exec 3>/dev/loop-control").want(1, err="not permitted")


@check
def device_not_asked_for_is_refused(c):
    with c.up("--cap-add", "MKNOD") as one:
        one.sh("mknod /tmp/loops c 10 237 && exec 3</tmp/loops").want(1, err="not permitted")


@check
def device_cgroup_rule(c):
    with c.up("--cap-add", "MKNOD", "--device-cgroup-rule", "c 10:237 r") as one:
        one.sh("mknod /tmp/loops c 10 237 && exec 3</tmp/loops && echo good").want(0, "^good$")
        one.sh("exec 3>/tmp/loops").want(1, err="not permitted")


@check
def device_of_nothing_fails(c):
    c.sh("true", "--device", "/dev/nosuch").want(127, err="no such file or directory")


@check
def shm_size(c):
    with c.up("--shm-size", "3m") as one:
        true("size", "size=3072k" in mount_of(one.pid, "/dev/shm")[3])


@check
def links_of_the_image_do_not_lead_out(c):
    """The root has links to / where a volume and the workdir go."""
    with c.up(script="ln -s / /tmp/link; sleep 1000") as one:
        until("the link", lambda: "/tmp/link" in one("diff").out)
        c("commit", one.name, "box-links").want()
    at = directory("outside", file="inside\n")
    try:
        c("run", "--rm", "--volume", f"{at}:/tmp/link/data", "box-links", "cat", "/data/file").want(0, "^inside$")
        true("nothing outside", not os.path.exists("/data"))
    finally:
        c("rmi", "box-links").want()


if __name__ == "__main__":
    main(Docker)
