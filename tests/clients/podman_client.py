"""podman as root for its batteries: cgroupfs, overlay storage, an image made of busybox."""

import contextlib

from battery import *

# The runtimes are known by these names as well as by their paths.
CONF = """
[containers]
# What a machine without CAP_SYS_RESOURCE lets a container have, too. (Podman 4 takes one for the other where they differ.)
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]

[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime_supports_json = ["ocilet", "runc", "crun"]
runtime_supports_nocgroup = ["ocilet", "crun"]

[engine.runtimes]
ocilet = ["/usr/local/bin/ocilet"]
"""
V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
MEMORY = ("memory.limit_in_bytes", "memory.max")
# --ulimit replaces the defaults above.
LIMITS = ["--ulimit", "nofile=100:200", "--ulimit", "nproc=300:400"]


class Box:
    """A container that runs detached."""

    def __init__(self, podman, name):
        self.podman, self.name = podman, name

    def inspect(self, what):
        return self.podman("inspect", "--format", "{{" + what + "}}", self.name).want().out.strip()

    @property
    def pid(self):
        return int(self.inspect(".State.Pid"))

    def exec(self, *words, flags=(), **more):
        return self.podman("exec", *flags, self.name, *words, **more)

    def sh(self, script, *flags, **more):
        return self.exec("sh", "-c", script, flags=flags, **more)

    def logs(self, wanted):
        """Waits until the log has what the expression asks for."""
        return until(f"log of {self.name}", lambda: self.podman("logs", self.name).want(0, wanted).out)

    def status(self, wanted):
        until(f"{self.name} to be {wanted}", lambda: self.inspect(".State.Status") == wanted)


class Podman:
    def __init__(self, runtimes):
        self.runtimes = runtimes
        self.name, self.runtime = next(iter(runtimes.items()))
        os.makedirs("/etc/containers", exist_ok=True)
        with open("/etc/containers/policy.json", "w") as file:
            file.write('{"default": [{"type": "insecureAcceptAnything"}]}')
        with open("/etc/containers/containers.conf", "w") as file:
            file.write(CONF)
        # --userns=auto takes from the range of this user, and of nobody else.
        for name in ("/etc/subuid", "/etc/subgid"):
            with open(name, "w") as file:
                file.write("containers:100000:1000000\n")
        busybox_root("/tmp/image")
        call("tar", "-C", "/tmp/image", "-cf", "/tmp/image.tar", ".").want()
        self("import", "/tmp/image.tar", "box").want()

    def command(self, *words, runtime=None):
        return ["podman", "--runtime", self.runtimes.get(runtime, runtime or self.runtime), *words]

    def __call__(self, *words, runtime=None, **more):
        return call(*self.command(*words, runtime=runtime), **more)

    def sh(self, script, *flags, **more):
        """`podman run --rm FLAGS box sh -c SCRIPT`."""
        return self("run", "--rm", *flags, "box", "sh", "-c", script, **more)

    def terminal(self, *words, **more):
        return on_terminal(*self.command(*words), **more)

    @contextlib.contextmanager
    def box(self, name, *flags, image="box", command=("sleep", "1000")):
        """A container for a `with`, after which it is gone."""
        try:
            self("run", "--detach", "--name", name, *flags, image, *command).want()
            yield Box(self, name)
        finally:
            # What was mounted for it in a user namespace is busy for a moment after its end, with every runtime.
            until("its removal", lambda: self("rm", "--force", "--time", "0", "--ignore", name).code == 0)

    def script(self, name, script, *flags):
        """A container that runs a shell script."""
        return self.box(name, *flags, command=("sh", "-c", script))

    @contextlib.contextmanager
    def started(self, *words):
        """Podman itself as a process that goes on, for a `with`."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with subprocess.Popen(self.command(*words), text=True, **pipes) as child:
            try:
                yield child
            finally:
                child.kill()

    def close(self):
        self("pod", "rm", "--all", "--force", "--time", "0")
        self("rm", "--all", "--force", "--time", "0")


def config_of(box):
    """The config.json that podman has written for a container."""
    with open(box.inspect(".OCIConfigPath")) as file:
        return json.load(file)


def gone(pid):
    """Waits until a process is no more."""
    until(f"{pid} to be gone", lambda: not os.path.exists(f"/proc/{pid}"))


def namespace(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")
