"""podman as root: cgroupfs, overlay storage, images made of busybox."""

from battery import *


class Podman:
    def __init__(self, runtimes):
        self.runtimes = runtimes
        self.runtime = next(iter(runtimes.values()))
        os.makedirs("/etc/containers", exist_ok=True)
        with open("/etc/containers/policy.json", "w") as file:
            file.write('{"default": [{"type": "insecureAcceptAnything"}]}')
        with open("/etc/containers/containers.conf", "w") as file:
            file.write(
                '[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=512:4096"]\n'
                '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
                'runtime_supports_json = ["ocilet", "runc", "crun"]\n'
                'runtime_supports_nocgroups = ["ocilet", "crun"]\n'
            )
        busybox_root("/tmp/image")
        call("tar", "-C", "/tmp/image", "-cf", "/tmp/image.tar", ".").want()
        self("import", "/tmp/image.tar", "box").want()

    def __call__(self, *words, runtime=None, **more):
        return call("podman", "--runtime", self.runtimes.get(runtime, self.runtime), *words, **more)

    def sh(self, script, *flags, **more):
        """`podman run --rm FLAGS box sh -c SCRIPT`."""
        return self("run", "--rm", *flags, "box", "sh", "-c", script, **more)

    def close(self):
        self("rm", "--all", "--force", "--time", "0")


@check
def run_prints(c):
    c.sh("echo hello; echo oops >&2").want(0, "^hello$", "^oops$")


@check
def run_status(c):
    c.sh("exit 7").want(7)


@check
def run_terminal(c):
    words = ["podman", "--runtime", c.runtime, "run", "--rm", "-it", "box", "sh"]
    on_terminal(*words, talk=[("# ", "tty; stty size\n"), ("# ", "exit 5\n")]).want(5, r"/dev/pts/0\n24 80\n")


@bench
def bench_run(c, runtime):
    """podman run --rm"""
    c("run", "--rm", "box", "true", runtime=runtime).want()


if __name__ == "__main__":
    main(Podman)
