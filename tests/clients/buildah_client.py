"""How the checks call buildah: root, overlay storage, isolation oci."""

import contextlib

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
        runtime = PATHS.get(runtime, self.runtime)
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
        """`buildah run` that goes on; the process of buildah."""
        words = self.words(name, *command, **more)
        with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as child:
            try:
                yield child
            finally:
                child.terminate()  # and buildah the container
                child.wait(CALL)

    def close(self):
        self("rm", "--all")


def process(*words):
    """The process with these words, as soon as there is one."""
    line = "\0".join(words) + "\0"

    def find():
        for entry in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline") as file:
                if file.read() == line:
                    return entry

    return until(f"a process {words}", find)
