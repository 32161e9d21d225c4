"""podman's volumes, mounts, tmpfs, read-only roots, devices, secrets, cp, diff, commit, build."""

import stat

from podman_client import *


def mount_of(box_or_text, place):
    """(options of the mount, type, options of the file system) of the last mount at a place."""
    text = box_or_text if isinstance(box_or_text, str) else open(f"/proc/{box_or_text.pid}/mountinfo").read()
    rows = [line.split(" - ") for line in text.splitlines()]
    found = [(one.split(), two.split()) for one, two in rows if one.split()[4] == place]
    true(f"a mount at {place}", found)
    one, two = found[-1]
    return set(one[5].split(",")), two[0], set(two[2].split(","))


def shared_dir(name):
    """An empty directory of the host."""
    path = f"/tmp/shared/{name}"
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


@check
def volume_bind(c):
    path = shared_dir("bind")
    c.sh("echo inside >/data/file", "--volume", f"{path}:/data").want()
    equal("outside", open(f"{path}/file").read(), "inside\n")


@check
def volume_of_a_file(c):
    path = shared_dir("file")
    with open(f"{path}/file", "w") as file:
        file.write("outside\n")
    c("run", "--rm", "--volume", f"{path}/file:/deep/in/there", "box", "cat", "/deep/in/there").want(0, "^outside$")


@check
def volume_read_only(c):
    path = shared_dir("ro")
    result = c.sh("cat /proc/self/mountinfo; touch /data/file", "--volume", f"{path}:/data:ro")
    result.want(1, err="Read-only file system")
    true("ro", "ro" in mount_of(result.out, "/data")[0])
    equal("outside", os.listdir(path), [])


@check
def volume_options(c):
    path = shared_dir("options")
    with c.box("options", "--volume", f"{path}:/data:nosuid,nodev,noexec") as box:
        options = mount_of(box, "/data")[0]
        true(f"all three: {options}", {"nosuid", "nodev", "noexec"} <= options)


@check
def volume_recursive_read_only_is_not_asked_for(c):
    """`ro` leaves the mounts below as they are, as it is documented."""
    path = shared_dir("tree")
    os.mkdir(f"{path}/below")
    call("mount", "-t", "tmpfs", "below", f"{path}/below").want()
    try:
        c.sh("touch /data/below/file && ! touch /data/file", "--volume", f"{path}:/data:ro").want()
        c.sh("ls /data/below", "--volume", f"{path}:/data:ro,bind").want(0, "^$")
    finally:
        call("umount", f"{path}/below").want()


@check
def volume_propagation(c):
    """rshared goes both ways, rslave into the container, private nowhere."""
    for mode, inwards, outwards in (("rshared", True, True), ("rslave", True, False), ("rprivate", False, False)):
        path = shared_dir("propagation")
        call("mount", "--bind", path, path).want()
        call("mount", "--make-shared", path).want()
        try:
            os.mkdir(f"{path}/in")
            os.mkdir(f"{path}/out")
            with c.box("propagation", "--cap-add", "sys_admin", "--volume", f"{path}:/data:{mode}") as box:
                call("mount", "-t", "tmpfs", "in", f"{path}/in").want()
                box.exec("mount", "-t", "tmpfs", "out", "/data/out").want()
                inside = open(f"/proc/{box.pid}/mountinfo").read()
                equal(f"{mode}: of the host in the container", " /data/in " in inside, inwards)
                equal(f"{mode}: of the container on the host", os.path.ismount(f"{path}/out"), outwards)
        finally:
            call("umount", "--recursive", path).want()


@check
def volume_by_name(c):
    c("volume", "create", "named").want()
    c.sh("echo kept >/data/file", "--volume", "named:/data").want()
    c.sh("cat /data/file", "--volume", "named:/data").want(0, "^kept$")
    c("volume", "rm", "named").want()


@check
def volume_copies_up(c):
    """A new volume gets what the image has at its place, with its owner."""
    c.sh("cat /data/passwd", "--volume", "copied:/data").want(1)
    c.sh("cat /etc/passwd | head -n 1", "--volume", "filled:/etc").want(0, "^root:")
    c("volume", "rm", "copied", "filled").want()


@check
def volumes_from(c):
    path = shared_dir("from")
    with c.box("giver", "--volume", f"{path}:/data"):
        c.sh("echo given >/data/file", "--volumes-from", "giver").want()
        equal("outside", open(f"{path}/file").read(), "given\n")


@check
def volume_overlay(c):
    """`:O`: what is written goes to a layer of its own."""
    path = shared_dir("overlay")
    with open(f"{path}/file", "w") as file:
        file.write("first\n")
    c.sh("cat /data/file; echo second >/data/file; cat /data/file", "--volume", f"{path}:/data:O").want(0, "^first\nsecond\n$")
    equal("outside", open(f"{path}/file").read(), "first\n")


@check
def volume_changes_owner(c):
    path = shared_dir("chown")
    c.sh("touch /data/file", "--user", "1000", "--volume", f"{path}:/data:U").want()
    equal("owner", os.stat(f"{path}/file").st_uid, 1000)


@check
def mount_bind(c):
    path = shared_dir("mount")
    flags = ["--mount", f"type=bind,source={path},destination=/data,ro=true,bind-propagation=rslave"]
    with c.box("mount_bind", *flags) as box:
        true("ro", "ro" in mount_of(box, "/data")[0])
        true("a slave or private", " shared:" not in open(f"/proc/{box.pid}/mountinfo").read())


@check
def mount_tmpfs(c):
    with c.box("mount_tmpfs", "--mount", "type=tmpfs,destination=/data,tmpfs-size=1m,tmpfs-mode=1700") as box:
        _, kind, options = mount_of(box, "/data")
        equal("type", kind, "tmpfs")
        true(f"size and mode: {options}", {"size=1024k", "mode=1700"} <= options)


@check
def mount_tmpfs_copies_up(c):
    c.sh("head -n 1 /etc/passwd; touch /etc/new", "--mount", "type=tmpfs,destination=/etc,tmpcopyup").want(0, "^root:")


@check
def mount_image(c):
    c.sh("cat /image/etc/passwd", "--mount", "type=image,source=box,destination=/image").want(0, "^root:")


@check
def mount_devpts(c):
    with c.box("devpts", "--mount", "type=devpts,destination=/dev/pts,gid=5,mode=600,max=7") as box:
        _, kind, options = mount_of(box, "/dev/pts")
        equal("type", kind, "devpts")
        true(f"options: {options}", {"mode=600", "max=7"} <= options)


@check
def tmpfs(c):
    with c.box("tmpfs", "--tmpfs", "/data:size=64k,mode=700,noexec") as box:
        options, kind, data = mount_of(box, "/data")
        equal("type", kind, "tmpfs")
        true(f"options: {options} {data}", "noexec" in options and {"size=64k", "mode=700"} <= data)
        box.sh("dd if=/dev/zero of=/data/file bs=128k count=1").want(1, err="No space left")


@check
def read_only(c):
    script = "touch /file; touch /etc/file; touch /tmp/file /run/file /var/tmp/file && echo written"
    c.sh(script, "--read-only").want(0, "^written$", "(?s)/file: Read-only.*/etc/file: Read-only")


@check
def read_only_without_tmpfs(c):
    c.sh("touch /tmp/file", "--read-only", "--read-only-tmpfs=false").want(1, err="Read-only")
    path = shared_dir("read_only")
    c.sh("touch /data/file", "--read-only", "--volume", f"{path}:/data").want()


@check
def rootfs(c):
    """--rootfs: a directory instead of an image."""
    path = shared_dir("rootfs")
    busybox_root(path)
    c("run", "--rm", "--rootfs", path, "sh", "-c", "echo inside >/file; cat /file").want(0, "^inside$")
    equal("outside", open(f"{path}/file").read(), "inside\n")
    c("run", "--rm", "--read-only", "--rootfs", path, "touch", "/other").want(1, err="Read-only")
    c("run", "--rm", "--rootfs", f"{path}:O", "touch", "/other").want()
    true("nothing in the directory itself", not os.path.exists(f"{path}/other"))


@check
def devices_by_default(c):
    with c.box("devices") as box:
        dev = f"/proc/{box.pid}/root/dev"
        for name, major, minor in (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)):
            one = os.stat(f"{dev}/{name}")
            true(f"{name} is a device", stat.S_ISCHR(one.st_mode))
            equal(name, (os.major(one.st_rdev), os.minor(one.st_rdev), one.st_mode & 0o777), (major, minor, 0o666))
        for name, target in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("ptmx", "pts/ptmx")):
            equal(name, os.readlink(f"{dev}/{name}"), target)


@check
def device_is_added(c):
    with c.box("device", "--cap-add", "syslog", "--device", "/dev/kmsg:/dev/renamed:r") as box:
        one, host = os.stat(f"/proc/{box.pid}/root/dev/renamed"), os.stat("/dev/kmsg")
        equal("number", one.st_rdev, host.st_rdev)
        box.sh("exec 3</dev/renamed").want()
        box.sh("exec 3>/dev/renamed").want(1, err="(?i)not permitted")


@check
def device_without_leave_is_refused(c):
    flags = ["--cap-add", "mknod,syslog"]
    c.sh("mknod /node c 1 11 && exec 3</node", *flags).want(1, err="(?i)not permitted")
    c.sh("mknod /node c 1 11 && exec 3</node", *flags, "--device-cgroup-rule", "c 1:11 rm").want()


@check
def device_directory(c):
    c.sh("ls /dev/net", "--device", "/dev/net").want(0, "tun")


@check
def shm_size(c):
    with c.box("shm", "--shm-size", "2m") as box:
        true("size", "size=2048k" in mount_of(box, "/dev/shm")[2])


@check
def image_volume(c):
    c("build", "--tag", "with_volume", "-", stdin="FROM box\nVOLUME /data\n").want()
    with c.box("image_volume", image="with_volume") as box:
        mount_of(box, "/data")
    with c.box("image_volume", "--image-volume", "tmpfs", image="with_volume") as box:
        equal("type", mount_of(box, "/data")[1], "tmpfs")


@check
def secret(c):
    c("secret", "create", "hidden", "-", stdin="word").want()
    try:
        c("run", "--rm", "--secret", "hidden", "box", "cat", "/run/secrets/hidden").want(0, "^word$")
        flags = ["--secret", "hidden,type=mount,target=/key,uid=7,mode=0400"]
        c("run", "--rm", *flags, "box", "stat", "-c", "%u %a", "/key").want(0, "^7 400$")
        c("run", "--rm", "--secret", "hidden,type=env,target=KEY", "box", "env").want(0, "(?m)^KEY=word$")
    finally:
        c("secret", "rm", "hidden").want()


@check
def copy_into_running_and_out(c):
    path = shared_dir("cp")
    with open(f"{path}/file", "w") as file:
        file.write("copied\n")
    with c.box("copy") as box:
        c("cp", f"{path}/file", "copy:/tmp/there").want()
        box.exec("cat", "/tmp/there").want(0, "^copied$")
        box.exec("mkdir", "/tmp/made").want()
        c("cp", "copy:/tmp/made", f"{path}/back").want()
        true("directory", os.path.isdir(f"{path}/back"))


@check
def copy_into_a_volume(c):
    with c.box("copy_volume", "--volume", "copyvolume:/data") as box:
        c("cp", "/etc/passwd", "copy_volume:/data/passwd").want()
        box.exec("head", "-n", "1", "/data/passwd").want(0, "^root:")
    c("volume", "rm", "copyvolume").want()


@check
def diff_shows_changes(c):
    """Only what the container has changed: the runtime leaves nothing behind in the root."""
    with c.script("diff", "echo new >/new; rm /bin/text; exec sleep 1000") as box:
        until("the change", lambda: not os.path.exists(f"/proc/{box.pid}/root/bin/text"))
        rows = set(c("diff", "diff").want().out.splitlines())
        equal("rows", rows - {"C /etc", "C /run"}, {"A /new", "C /bin", "D /bin/text"})


@check
def export_has_the_files(c):
    with c.script("exported", "echo new >/new") as box:
        box.status("exited")
        c("export", "--output", "/tmp/export.tar", "exported").want()
        call("tar", "-xOf", "/tmp/export.tar", "new").want(0, "^new$")


@check
def commit(c):
    with c.script("committed", "echo new >/new; exec sleep 1000") as box:
        until("the file", lambda: box.exec("cat", "/new").code == 0)
        c("commit", "--quiet", "--change", "CMD cat /new", "committed", "made").want()
        equal("goes on", box.inspect(".State.Status"), "running")
    c("run", "--rm", "made").want(0, "^new$")


@check
def build_runs_steps(c):
    recipe = """FROM box
RUN echo "$(id -u) $(pwd)" >/first
WORKDIR /work
USER user
RUN echo "$(id -u) $(pwd)" >/tmp/second
RUN test "$(cat /proc/1/comm)" = sh
CMD cat /first /tmp/second
"""
    c("build", "--no-cache", "--tag", "built", "-", stdin=recipe).want()
    c("run", "--rm", "built").want(0, "^0 /\n1000 /work\n$")


@check
def build_step_fails(c):
    c("build", "--no-cache", "-", stdin="FROM box\nRUN exit 7\n").want(7, err="exit status 7")


@check
def build_flags(c):
    recipe = "FROM box\nRUN ulimit -n; hostname; grep CapBnd /proc/self/status; cat /etc/hosts\n"
    flags = ["--ulimit", "nofile=99:99", "--ulimit", "nproc=300:400", "--cap-drop", "all", "--add-host", "other:10.1.2.3"]
    out = c("build", "--no-cache", *flags, "-", stdin=recipe).want().out
    for wanted in (r"(?m)^99$", r"CapBnd:\s0{16}", r"10\.1\.2\.3\s+other"):
        true(f"{wanted} in {out}", re.search(wanted, out))


@check
def build_mounts(c):
    path = shared_dir("build")
    with open(f"{path}/file", "w") as file:
        file.write("context\n")
    with open(f"{path}/Containerfile", "w") as file:
        file.write(
            "FROM box\nRUN --mount=type=bind,source=file,target=/mnt/file cat /mnt/file\n"
            "RUN --mount=type=tmpfs,target=/scratch touch /scratch/a && grep ' /scratch tmpfs' /proc/mounts\n"
        )
    out = c("build", "--no-cache", path).want().out
    true(f"both: {out}", "context" in out and "tmpfs /scratch tmpfs" in out)


@bench
def bench_build(c, runtime):
    """podman build with a RUN"""
    c("build", "--no-cache", "-", stdin="FROM box\nRUN true\n", runtime=runtime).want()


if __name__ == "__main__":
    main(Podman)
