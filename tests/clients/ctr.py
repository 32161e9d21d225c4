"""containerd as Debian has it, and its tool ctr: what the batteries of containerd and of its CRI plugin share."""

import contextlib
import glob
import hashlib
import io
import itertools
import platform
import tarfile

from battery import *

IMAGE = "docker.io/library/box:latest"
PAUSE = "docker.io/library/pause:latest"
SOCKET = "/run/containerd/containerd.sock"
RUN = "/run/containerd"
# The runtime under the name that containerd looks for where nothing else is configured.
NAMED = "/opt/named"
CONFIG = f"""version = 2
root = "/var/lib/containerd"
state = "{RUN}"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.internal.v1.restart"]
  interval = "1s"
[plugins."io.containerd.runtime.v1.linux"]
  runtime = "RUNTIME"
"""

# Says that it is up, and ends when it is asked to.
TRAP = """
trap 'echo term >/out/signal; exit 3' TERM
trap 'echo usr1 >/out/signal' USR1
echo up >/out/up
while :; do sleep 0.05; done
"""
# ctr sets the size of a terminal some time after the start.
SIZE = 'until [ "$(stty size)" = "33 99" ]; do sleep 0.05; done'


def image(root, name, words, at):
    """An image as `docker save` writes it, made of a directory; imported by `ctr images import`."""
    layer = f"{at}.layer"
    call("tar", "-C", root, "--owner=0", "--group=0", "--numeric-owner", "-cf", layer, ".").want()
    with open(layer, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()],
        "os": "linux",
        "config": {"Cmd": words, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(at, "w") as archive:
        for member, value in (("config.json", config), ("manifest.json", manifest)):
            data = json.dumps(value).encode()
            head = tarfile.TarInfo(member)
            head.size = len(data)
            archive.addfile(head, io.BytesIO(data))
        archive.add(layer, "layer.tar")


class Containerd:
    """The daemon, with a state and a configuration of its own, and both images in one of its namespaces."""

    def __init__(self, runtimes, space="default", config=""):
        self.runtimes, self.space = runtimes, space
        self.runtime = next(iter(runtimes.values()))
        self.ids = itertools.count()
        os.makedirs("/etc/containerd", exist_ok=True)
        with open("/etc/containerd/config.toml", "w") as file:
            file.write((CONFIG + config).replace("RUNTIME", self.runtime))
        os.makedirs(NAMED)
        with open(f"{NAMED}/runc", "w") as file:
            file.write(f'#!/bin/bash\necho "$*" >>{NAMED}/log\nexec -a runc {self.runtime} "$@"\n')
        os.chmod(f"{NAMED}/runc", 0o755)
        self.daemon = None
        self.begin()
        busybox_root("/tmp/image")
        image("/tmp/image", IMAGE, ["sh"], "/tmp/image.tar")
        os.makedirs("/tmp/pause")
        shutil.copy("/usr/bin/catatonit", "/tmp/pause/pause")
        image("/tmp/pause", PAUSE, ["/pause", "-P"], "/tmp/pause.tar")
        self("images", "import", "/tmp/image.tar").want()
        self("images", "import", "/tmp/pause.tar").want()

    def begin(self):
        """Starts the daemon, and waits until it answers."""
        with open("/var/log/containerd", "a") as log:
            path = f"{NAMED}:{os.environ['PATH']}"
            env = {**os.environ, "PATH": path}
            self.daemon = subprocess.Popen(["containerd"], stdout=log, stderr=log, env=env, start_new_session=True)
        until("containerd answers", lambda: call("ctr", "version").code == 0)

    def end(self, number=signal.SIGTERM):
        """Ends the daemon; the shims stay."""
        self.daemon.send_signal(number)
        self.daemon.wait(CALL)

    def restart(self, number=signal.SIGTERM):
        self.end(number)
        self.begin()

    def close(self):
        self.end()

    def __call__(self, *words, **more):
        return call("ctr", "-n", self.space, *words, **more)

    def new(self):
        """An id that no container has had, and a directory of the same name for what it has to say."""
        name = f"box{next(self.ids)}"
        os.makedirs(f"/tmp/{name}")
        os.chmod(f"/tmp/{name}", 0o1777)
        return name

    def words(self, kind, flags, name, args, runtime=None):
        """`run` or `containers create` of the image, with the runtime; the directory is /out inside."""
        binary = () if "--runtime" in flags else ("--runc-binary", self.runtimes.get(runtime, self.runtime))
        mount = f"type=bind,src=/tmp/{name},dst=/out,options=rbind:rw"
        return [*kind, *binary, "--mount", mount, *flags, IMAGE, name, *args]

    def run(self, *flags, args, name=None, runtime=None, **more):
        """`ctr run --rm` to its end. What a container says that ends soon is lost at times, by ctr."""
        name = name or self.new()
        return self(*self.words(["run", "--rm"], flags, name, args, runtime), **more)

    def sh(self, script, *flags):
        """`ctr run --rm` of a shell, which says what it says to files."""
        name = self.new()
        result = self.run(*flags, args=["sh", "-c", f"exec >/out/stdout 2>/out/stderr\n{script}"], name=name)
        return result.with_files(f"/tmp/{name}/stdout", f"/tmp/{name}/stderr")

    def spoken(self, words, name, wanted):
        """Calls ctr until it has said what is wanted; then the container's file /out/heard tells it to end."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(words, **pipes) as child:
            said, end = "", time.monotonic() + CALL
            while not re.search(wanted, said):
                ready, _, _ = select.select([child.stdout], [], [], max(0, end - time.monotonic()))
                piece = os.read(child.stdout.fileno(), 4096) if ready else b""
                if not piece:
                    child.kill()
                    raise Failed(f"{wanted!r} was not said: {Result(words, child.wait(), said, '')}")
                said += piece.decode()
            with open(f"/tmp/{name}/heard", "w"):
                pass
            said += child.stdout.read().decode()
        return Result(words, child.returncode, said, "")

    @contextlib.contextmanager
    def up(self, script="exec sleep 1000", *flags, space=None, name=None):
        """A detached container, gone at the end."""
        name = name or self.new()
        words = self.words(["run", "--detach"], flags, name, ["sh", "-c", script])
        box = Box(self, name, space or self.space)
        try:
            box.ctr(*words).want()
            yield box
        finally:
            box.remove()

    def state(self, name, space="default", root="/run/containerd/runc"):
        """What the runtime itself says of a container."""
        return call(self.runtime, "--root", f"{root}/{space}", "state", name)


class Box:
    """A container of containerd."""

    def __init__(self, containerd, name, space):
        self.containerd, self.name, self.space = containerd, name, space

    def ctr(self, *words, **more):
        return call("ctr", "-n", self.space, *words, **more)

    def task(self, verb, *flags, **more):
        return self.ctr("tasks", verb, *flags, self.name, **more)

    def exec(self, *args, flags=()):
        """`ctr tasks exec` of what says what it says to files."""
        name = f"e{next(self.containerd.ids)}"
        words = ["sh", "-c", 'exec "$@" >"/out/$0.out" 2>"/out/$0.err"', name, *args]
        result = self.raw_exec(*words, flags=flags)
        return result.with_files(f"/tmp/{self.name}/{name}.out", f"/tmp/{self.name}/{name}.err")

    def raw_exec(self, *args, flags=(), **more):
        return self.ctr(*self.exec_words(flags), *args, **more)

    def exec_words(self, flags=()):
        return ["tasks", "exec", "--exec-id", f"x{next(self.containerd.ids)}", *flags, self.name]

    def row(self):
        """Pid and status of the task, or None."""
        rows = [line.split() for line in self.ctr("tasks", "list").want().out.splitlines()]
        return next(((int(row[1]), row[2]) for row in rows if row[0] == self.name), None)

    @property
    def pid(self):
        return self.row()[0]

    def becomes(self, status):
        """Waits for the status."""
        until(f"{self.name} is {status}", lambda: (self.row() or ("", "gone"))[1] == status)

    def said(self, file, what):
        """Waits until a file of its directory has the text."""

        def look():
            with open(f"/tmp/{self.name}/{file}") as text:
                return re.search(what, text.read(), re.M)

        return until(f"{what!r} in {file}", look)

    def ended(self, code, *flags):
        """Deletes the task, which tells the status that it ended with."""
        self.task("delete", *flags).want(0, None, rf"exit with non-zero exit code {code}\b" if code else "^$")

    def remove(self):
        self.task("delete", "--force")
        self.ctr("containers", "delete", self.name)

    def gone(self, above=None):
        """Fails unless nothing is left of it: no task, no state of the runtime, no process and no cgroup."""
        equal("task", self.row(), None)
        for root in ("runc", "ocilet"):
            true("no state", not os.path.exists(f"/run/containerd/{root}/{self.space}/{self.name}"))
        path = f"{above or self.space}/{self.name}"
        equal("cgroups", glob.glob(f"/sys/fs/cgroup/*/{path}") + glob.glob(f"/sys/fs/cgroup/{path}"), [])


def of_task(box, wanted):
    """Waits for a number of processes in a container, by `ctr tasks ps`, and as the cgroup has them."""

    def pids():
        return sorted(int(row.split()[0]) for row in box.task("ps").want().out.splitlines()[1:])

    until(f"{wanted} processes", lambda: len(pids()) == wanted)
    equal("processes", pids(), sorted(int(pid) for pid in cgroup_file(box.pid, "pids", "cgroup.procs").split()))
