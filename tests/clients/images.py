"""umoci and skopeo: images are made, copied and unpacked, and the runtime is called by hand on the bundle."""

import contextlib
import itertools

from users import *

LAYOUT = "/tmp/layout"
MAP = ["--uid-map", "0:300000:65536", "--gid-map", "0:300000:65536"]


class Images:
    def __init__(self, runtimes):
        containers_conf()
        self.name, self.runtime = next(iter(runtimes.items()))
        self.alice, self.numbers = User("alice", 5001), itertools.count()
        busybox_root("/tmp/image")
        with open("/tmp/image/owned", "w") as file:
            file.write("of user\n")
        os.chown("/tmp/image/owned", 1000, 1000)
        for words in (
            ["init", "--layout", LAYOUT],
            ["new", "--image", f"{LAYOUT}:box"],
            ["insert", "--image", f"{LAYOUT}:box", "/tmp/image", "/"],
        ):
            call("umoci", *words).want()

    def __call__(self, *words, by=call, **more):
        """The runtime."""
        return by(self.runtime, *words, **more)

    def image(self, name, *flags):
        """The image with another configuration."""
        call("umoci", "config", "--image", f"{LAYOUT}:box", "--tag", name, *flags).want()
        return f"{LAYOUT}:{name}"

    def unpack(self, *args, image=f"{LAYOUT}:box", by=call, flags=(), terminal=False):
        """A new bundle; with `args`, its program is these."""
        place = "/home/alice" if by == self.alice else "/tmp"
        bundle = f"{place}/bundle-{next(self.numbers)}"
        by("umoci", "unpack", *flags, "--image", image, bundle).want()

        def change(config):
            config["process"]["terminal"] = terminal
            if args:
                config["process"]["args"] = args

        edit(bundle, change)
        return bundle

    def rootless(self, *args, **more):
        """A bundle of alice's."""
        if not os.path.exists("/home/alice/layout"):
            call("cp", "-r", LAYOUT, "/home/alice/layout").want()
            call("chown", "-R", "alice:alice", "/home/alice/layout").want()
        return self.unpack(*args, image="/home/alice/layout:box", by=self.alice, flags=["--rootless"], **more)

    @contextlib.contextmanager
    def created(self, bundle, name, by=call):
        """A container that is created; its process."""
        pid_file = f"{bundle}/pid"
        try:
            # Its output is the container's, which goes on: not a pipe that would be read to the end.
            create = ["create", "--bundle", bundle, "--pid-file", pid_file, name]
            script = '"$@" >"$0" 2>&1 || { cat "$0" >&2; exit 1; }'
            by("sh", "-c", script, f"{bundle}/output", self.runtime, *create).want()
            with open(pid_file) as file:
                yield int(file.read())
        finally:
            self("delete", "--force", name, by=by)

    def close(self):
        call("rm", "-rf", LAYOUT)


def edit(bundle, change):
    """Changes config.json."""
    with open(f"{bundle}/config.json") as file:
        config = json.load(file)
    change(config)
    with open(f"{bundle}/config.json", "w") as file:
        json.dump(config, file)


def lifecycle(c, bundle, by=call):
    """create, start, state, exec, kill and delete."""
    with c.created(bundle, "life", by) as pid:
        state = c("state", "life", by=by).want().json
        equal("state", (state["status"], state["pid"], state["bundle"]), ("created", pid, bundle))
        c("start", "life", by=by).want()
        equal("status", c("state", "life", by=by).json["status"], "running")
        c("list", "-q", by=by).want(0, "^life$")
        c("exec", "life", "sh", "-c", "echo within; exit 4", by=by).want(4, "^within$")
        true("delete refuses what runs", c("delete", "life", by=by).code)
        c("kill", "life", "KILL", by=by).want()
        until("its end", lambda: c("state", "life", by=by).want().json["status"] == "stopped")
        c("delete", "life", by=by).want()
        true("no state of it", c("state", "life", by=by).code)


@check
def umoci_bundle_runs(c):
    c("run", "--bundle", c.unpack("sh", "-c", "echo made by umoci; exit 3"), "plain").want(3, "^made by umoci$")


@check
def umoci_bundle_runs_as_it_is(c):
    """On a terminal, as umoci's config.json asks for."""
    bundle = c.unpack(image=c.image("shell", "--config.cmd", "sh"), terminal=True)
    talk = [("# ", "tty; stty size; id -u\n"), ("# ", "exit 6\n")]
    on_terminal(c.runtime, "run", "--bundle", bundle, "shell", talk=talk).want(6, r"/dev/pts/0\n24 80\n0\n")


@check
def umoci_config_reaches_the_program(c):
    script = 'echo "$A"; id -un; id -Gn; pwd; echo "$0"'
    flags = ["--config.env", "A=b c", "--config.user", "user", "--config.workingdir", "/var"]
    flags += ["--config.entrypoint", "sh", "--config.entrypoint", "-c", "--config.entrypoint", script, "--config.cmd", "word"]
    bundle = c.unpack(image=c.image("configured", *flags))
    c("run", "--bundle", bundle, "configured").want(0, "^b c\nuser\nuser extra\n/var\nword\n$")


@check
def umoci_volume_is_mounted(c):
    bundle = c.unpack("grep", " /data ", "/proc/self/mountinfo", image=c.image("volume", "--config.volume", "/data"))
    c("run", "--bundle", bundle, "volume").want(0, " /data .* - tmpfs ")


@check
def umoci_keeps_owners(c):
    c("run", "--bundle", c.unpack("stat", "-c", "%u:%g %a", "/owned"), "owners").want(0, "^1000:1000 644$")


@check
def umoci_layers_and_whiteouts(c):
    image = c.image("layers")
    call("umoci", "insert", "--image", image, "--whiteout", "/owned").want()
    with open("/tmp/second", "w") as file:
        file.write("second layer\n")
    call("umoci", "insert", "--image", image, "/tmp/second", "/second").want()
    bundle = c.unpack("sh", "-c", "cat /second; ls /owned", image=image)
    c("run", "--bundle", bundle, "layers").want(1, "^second layer$", "No such file")


@check
def umoci_repack_has_what_the_container_made(c):
    bundle = c.unpack("sh", "-c", "echo kept >/made; rm /owned; mkdir -m 750 /dir")
    c("run", "--bundle", bundle, "maker").want()
    call("umoci", "repack", "--image", f"{LAYOUT}:repacked", bundle).want()
    bundle = c.unpack("sh", "-c", "cat /made; stat -c %a /dir; ls /owned /dev/pts", image=f"{LAYOUT}:repacked")
    c("run", "--bundle", bundle, "remade").want(1, "^kept\n750\n", "/owned: No such file")


@check
def umoci_maps_ids(c):
    """A bundle for a user namespace: its files belong to the mapped ids."""
    bundle = c.unpack("sleep", "1000", flags=MAP)
    os.chmod(bundle, 0o755)  # umoci makes it for its owner alone, and root of the namespace has to pass
    with c.created(bundle, "mapped") as pid:
        c("start", "mapped").want()
        equal("the program's ids", ids(pid), (300000, 300000))
        c("exec", "mapped", "stat", "-c", "%u", "/owned", "/bin/busybox").want(0, "^1000\n0\n$")


@check
def umoci_raw_root_with_the_runtimes_spec(c):
    os.makedirs("/tmp/raw")
    call("umoci", "raw", "unpack", "--image", f"{LAYOUT}:box", "/tmp/raw/rootfs").want()
    c("spec", "--bundle", "/tmp/raw").want()
    on_terminal(c.runtime, "run", "--bundle", "/tmp/raw", "raw", talk=[("[#$] ", "hostname; exit 2\n")]).want(
        2, rf"\n(runc|{c.name})\n"
    )


@check
def lifecycle_of_a_bundle(c):
    lifecycle(c, c.unpack("sleep", "1000"))


@check
def paused_and_resumed(c):
    with c.created(c.unpack("sleep", "1000"), "pause"):
        c("start", "pause").want()
        c("pause", "pause").want()
        equal("status", c("state", "pause").json["status"], "paused")
        c("resume", "pause").want()
        equal("status", c("state", "pause").json["status"], "running")
        c("ps", "pause").want(0, "sleep 1000")


@check
def read_only_root(c):
    bundle = c.unpack("touch", "/file")
    edit(bundle, lambda config: config["root"].update(readonly=True))
    c("run", "--bundle", bundle, "read-only").want(1, err="Read-only file system")


@check
def missing_program_is_told(c):
    result = c("run", "--bundle", c.unpack("/no/program"), "missing")
    true(f"an error and its reason: {result}", result.code and "no such file or directory" in result.err.lower())
    true("no state of it", c("state", "missing").code)


@check
def skopeo_to_docker_archive_and_back(c):
    image = c.image("copied", "--config.cmd", "cat", "--config.cmd", "/owned", "--config.env", "A=b")
    call("skopeo", "copy", f"oci:{image}", "docker-archive:/tmp/copied.tar:copied:latest").want()
    equal("its environment", call("skopeo", "inspect", "docker-archive:/tmp/copied.tar").want().json["Env"], ["A=b"])
    call("skopeo", "copy", "docker-archive:/tmp/copied.tar:copied:latest", f"oci:{LAYOUT}:back").want()
    c("run", "--bundle", c.unpack(image=f"{LAYOUT}:back"), "back").want(0, "^of user$")


@check
def skopeo_to_a_directory_and_back(c):
    call("skopeo", "copy", f"oci:{LAYOUT}:box", "dir:/tmp/directory").want()
    call("skopeo", "copy", "dir:/tmp/directory", f"oci:{LAYOUT}:from-directory").want()
    bundle = c.unpack("cat", "/owned", image=f"{LAYOUT}:from-directory")
    c("run", "--bundle", bundle, "directory").want(0, "^of user$")


@check
def skopeo_archive_is_loaded_by_podman(c):
    image = c.image("loaded", "--config.cmd", "cat", "--config.cmd", "/owned")
    call("skopeo", "copy", f"oci:{image}", "docker-archive:/tmp/loaded.tar:loaded:latest").want()
    podman = ["podman", "--runtime", c.runtime]
    call(*podman, "load", "-i", "/tmp/loaded.tar").want()
    call(*podman, "run", "--rm", "--network", "none", "loaded").want(0, "^of user$")


@check
def rootless_bundle_runs(c):
    bundle = c.rootless("sh", "-c", "id -u; cat /proc/self/uid_map /owned; exit 3")
    c("run", "--bundle", bundle, "alone", by=c.alice).want(3, r"^0\n +0 +5001 +1\nof user\n$")


@check
def rootless_bundle_on_a_terminal(c):
    bundle = c.rootless("sh", terminal=True)
    talk = [("# ", "tty; id -u\n"), ("# ", "exit 6\n")]
    on_terminal(*c.alice.words, c.runtime, "run", "--bundle", bundle, "screen", talk=talk).want(6, r"/dev/pts/0\n0\n")


@check
def rootless_lifecycle(c):
    lifecycle(c, c.rootless("sleep", "1000"), c.alice)


@check
def rootless_process_is_the_user(c):
    with c.created(c.rootless("sleep", "1000"), "own", c.alice) as pid:
        c("start", "own", by=c.alice).want()
        equal("the program's ids", ids(pid), (5001, 5001))
        true("the runtime's state", os.path.isdir(f"{c.alice.run}/{c.name}/own"))


@check
def rootless_repack(c):
    bundle = c.rootless("sh", "-c", "echo kept >/made")
    c("run", "--bundle", bundle, "maker", by=c.alice).want()
    c.alice("umoci", "repack", "--image", "/home/alice/layout:repacked", bundle).want()
    bundle = c.unpack("cat", "/made", image="/home/alice/layout:repacked")
    c("run", "--bundle", bundle, "remade").want(0, "^kept$")


@bench
def bench_run(c, runtime):
    """run of a bundle of umoci"""
    if not os.path.exists("/tmp/bench"):
        os.rename(c.unpack("true"), "/tmp/bench")
    call(PATHS[runtime], "run", "--bundle", "/tmp/bench", "bench").want()


if __name__ == "__main__":
    main(Images)
