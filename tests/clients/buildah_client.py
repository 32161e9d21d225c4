"""How the checks call buildah: root, overlay storage, isolation oci."""

import contextlib
import tempfile

from users import *


class Buildah:
    def __init__(self, runtimes):
        containers_conf()
        busybox_root("/tmp/image")
        call("tar", "-C", "/tmp/image", "-cf", "/tmp/image.tar", ".").want()
        self.name, self.runtime = next(iter(runtimes.items()))
        self("from", "--name", "base", "scratch").want()
        self("add", "base", "/tmp/image.tar", "/").want()
        self("commit", "--rm", "base", "box").want()

    def __call__(self, *words, **more):
        return call("buildah", *words, **more)

    @contextlib.contextmanager
    def box(self, name, *flags, image="box"):
        """A working container."""
        try:
            self("from", "--name", name, *flags, image).want()
            yield name
        finally:
            self("rm", name)

    def words(self, name, *command, flags=(), network="none", runtime=None):
        """The words of `buildah run`."""
        runtime = PATHS.get(runtime, runtime or self.runtime)
        return ["buildah", "run", "--runtime", runtime, "--network", network, *flags, name, "--", *command]

    def run(self, *words, flags=(), network="none", runtime=None, **more):
        return call(*self.words(*words, flags=flags, network=network, runtime=runtime), **more)

    def sh(self, name, script, *flags, **more):
        return self.run(name, "sh", "-c", script, flags=flags, **more)

    def build(self, name, text, *flags, files=(), code=0):
        """`buildah bud` of a Containerfile; what it has said."""
        context = f"/tmp/build-{name}"
        os.makedirs(context, exist_ok=True)
        for file, content in {"Containerfile": text, **dict(files)}.items():
            with open(f"{context}/{file}", "w") as out:
                out.write(content)
        words = ["bud", "--runtime", self.runtime, "--network", "none", "-t", name, *flags, context]
        return self(*words).want(code)

    @contextlib.contextmanager
    def meanwhile(self, name, *command, **more):
        """`buildah run` that goes on, for a `with`; the process of buildah, once it passes on a signal.

        That is not yet so when the program runs. The child of buildah that calls the runtime listens for signals when
        `start` has come back, just before it asks for the state: one that comes earlier ends it, and with every runtime
        nobody ends the container. buildah itself listens just before it waits for that child.
        """
        with tempfile.TemporaryDirectory() as place:
            runtime, asked = f"{place}/runtime", f"{place}/asked"
            with open(runtime, "w") as file:
                file.write(f'#!/bin/sh\ncase " $* " in *" state "*) : >{asked} ;; esac\nexec {self.runtime} "$@"\n')
            os.chmod(runtime, 0o755)
            words = self.words(name, *command, runtime=runtime, **more)
            with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as child:
                try:
                    until("buildah to ask for the state", lambda: os.path.exists(asked))
                    until("buildah to wait for its child", lambda: "do_wait" in sleeps_in(child.pid))
                    yield child
                finally:
                    child.terminate()  # and buildah the container
                    child.wait(CALL)

    def close(self):
        self("rm", "--all")


def sleeps_in(pid):
    """The functions of the kernel in which the threads of a process sleep."""
    found = set()
    for thread in os.listdir(f"/proc/{pid}/task"):
        # Threads come and go.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/task/{thread}/wchan") as file:
                found.add(file.read())
    return found


def process(*words):
    """The process with these words, as soon as there is one."""
    line = "\0".join(words) + "\0"

    def find():
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline") as file:
                if file.read() == line:
                    return entry

    return until(f"a process {words}", find)
