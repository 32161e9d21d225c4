"""What the docker batteries share: a daemon with a containerd of its own, the docker command, and containers."""

import socket

from battery import *

IMAGE = "/tmp/image"


class Docker:
    """dockerd with the runtimes of the battery in daemon.json, the first as the default, and the docker command for it.

    Its image `box` is made of busybox.
    """

    def __init__(self, runtimes, name="docker", flags=(), env=None, default=None, arguments=()):
        self.runtimes, self.runtime = runtimes, next(iter(runtimes.values()))
        self.flags, self.env = flags, {**os.environ, **(env or {})}
        self.at = f"/run/{name}"
        self.api = f"{self.at}/docker.sock"
        self.dockerd, self.count = None, 0
        # Containers that a benchmark has begun.
        self.kept = set()
        os.makedirs(self.at)
        config = {
            "runtimes": {f"own-{own}": {"path": at, "runtimeArgs": list(arguments)} for own, at in runtimes.items()},
            "default-runtime": default or f"own-{next(iter(runtimes))}",
            "data-root": f"/var/lib/{name}",
            "exec-root": f"{self.at}/exec",
            "pidfile": f"{self.at}/docker.pid",
            "hosts": [f"unix://{self.api}"],
            "containerd": f"{self.at}/containerd.sock",
            "experimental": True,
        }
        with open(f"{self.at}/daemon.json", "w") as file:
            json.dump(config, file)
        with open(f"{self.at}/containerd.toml", "w") as file:
            file.write(
                f'version = 2\nroot = "/var/lib/{name}-containerd"\nstate = "{self.at}/containerd"\n'
                f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\naddress = "{self.at}/containerd.sock"\n'
            )
        self.containerd = self._spawn("containerd", "--config", f"{self.at}/containerd.toml")
        until("a socket of containerd", lambda: os.path.exists(f"{self.at}/containerd.sock"))
        self.begin()
        if not os.path.exists(IMAGE):
            busybox_root(IMAGE)
            call("tar", "-C", IMAGE, "-cf", f"{IMAGE}.tar", ".").want()
        self("import", f"{IMAGE}.tar", "box").want()

    def _spawn(self, *words):
        with open(f"{self.at}/{words[0]}.log", "a") as log:
            return subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, start_new_session=True
            )

    def begin(self):
        """Starts dockerd, and waits until it answers."""
        self.dockerd = self._spawn("dockerd", "--config-file", f"{self.at}/daemon.json", *self.flags)

        def answers():
            if self.dockerd.poll() is not None:
                raise RuntimeError(f"dockerd has ended:\n{self.log()[-3000:]}")
            return self("version").code == 0

        until("an answer of dockerd", answers)

    def end(self, number=signal.SIGTERM):
        """Ends dockerd; its containers go on where it was started with --live-restore."""
        self.dockerd.send_signal(number)
        self.dockerd.wait(CALL)

    def log(self):
        with open(f"{self.at}/dockerd.log") as file:
            return file.read()

    def words(self, *words):
        return ["/usr/bin/docker", "--host", f"unix://{self.api}", *words]

    def __call__(self, *words, **more):
        return call(*self.words(*words), **more)

    def post(self, path):
        """A call of the API that the command does not make."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(self.api)
            stream.sendall(f"POST {path} HTTP/1.0\r\nContent-Length: 0\r\n\r\n".encode())
            answer = stream.makefile("rb").read().decode()
        true(answer, re.match(r"HTTP/1\.\d 20\d", answer))

    def sh(self, script, *flags, **more):
        """`docker run --rm FLAGS box sh -c SCRIPT`."""
        return self("run", "--rm", *flags, "box", "sh", "-c", script, **more)

    def up(self, *flags, script="trap 'exit 0' TERM; while sleep 0.1; do :; done"):
        """A container in the background that ends well at SIGTERM; removed when the block ends."""
        return Container(self, flags, script)

    def close(self):
        # The world ends what is below them.
        for process in (self.dockerd, self.containerd):
            if process.poll() is None:
                process.kill()
                process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Container:
    """`docker run --detach`, and `docker rm --force` at the end of the block."""

    def __init__(self, client, flags=(), script="", verb=("run", "--detach")):
        self.client, self.flags, self.script, self.verb = client, flags, script, verb
        client.count += 1
        self.name = f"c{client.count}"

    def __enter__(self):
        words = [*self.verb, "--name", self.name, *self.flags, "box", "sh", "-c", self.script]
        self.id = self.client(*words).want(0, r"^[0-9a-f]{64}$").out.strip()
        return self

    def __exit__(self, *_):
        self.client("rm", "--force", "--volumes", self.name)

    def __call__(self, verb, *words, **more):
        """`docker VERB NAME WORDS`."""
        return self.client(verb, self.name, *words, **more)

    def sh(self, script, *flags, **more):
        """`docker exec FLAGS NAME sh -c SCRIPT`."""
        return self.client("exec", *flags, self.name, "sh", "-c", script, **more)

    def inspect(self, what):
        """A value of `docker inspect`: a template as `.State.Pid`."""
        words = ("inspect", "--type", "container", "--format", "{{json %s}}" % what, self.name)
        return self.client(*words).want().json

    @property
    def pid(self):
        pid = self.inspect(".State.Pid")
        true("a process", pid)
        return pid

    def has_status(self, status, exit_code=None):
        """Waits until the container is `running`, `exited`..."""
        until(f"{self.name} is {status}", lambda: self.inspect(".State.Status") == status)
        if exit_code is not None:
            equal("exit code", self.inspect(".State.ExitCode"), exit_code)

    def log_has(self, text):
        """Waits until the container has said something, and returns all of it."""
        return until(f"{text!r} in the log", lambda: re.search(text, self("logs").out, re.M) and self("logs").out)
