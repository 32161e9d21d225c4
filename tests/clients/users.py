"""Ordinary users, and podman as it is theirs."""

import contextlib
import socket
import stat

from battery import *


class User:
    """An ordinary user with a home and a runtime directory; `subids`: the first of 65536 subordinate ids, if any."""

    def __init__(self, name, uid, subids=None):
        self.name, self.uid, self.home, self.run = name, uid, f"/home/{name}", f"/run/user/{uid}"
        files = {"passwd": f"{name}:x:{uid}:{uid}::{self.home}:/bin/sh", "group": f"{name}:x:{uid}:"}
        if subids:
            files |= {"subuid": f"{name}:{subids}:65536", "subgid": f"{name}:{subids}:65536"}
        for file, line in files.items():
            with open(f"/etc/{file}", "a") as file:
                file.write(line + "\n")
        for directory in (self.home, self.run):
            os.makedirs(directory)
            os.chmod(directory, 0o700)
            os.chown(directory, uid, uid)
        self.words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--init-groups", "env", f"--chdir={self.home}"]
        self.words += [f"HOME={self.home}", f"USER={name}", f"XDG_RUNTIME_DIR={self.run}"]

    def __call__(self, *words, **more):
        """`call` as this user."""
        return call(*self.words, *words, **more)


class Podman:
    """podman of an ordinary user, with an image of busybox: no systemd, no D-Bus, no cgroup that he may write to."""

    def __init__(self, runtimes, subids):
        containers_conf()
        # What podman wants for volumes, and what slirp4netns opens: a node of the world's own has the mode for it.
        call("mount", "--make-rshared", "/").want()
        os.mknod("/run/tun", stat.S_IFCHR, os.makedev(10, 200))
        os.chmod("/run/tun", 0o666)
        call("mount", "--bind", "/run/tun", "/dev/net/tun").want()
        busybox_root("/tmp/image")
        call("tar", "-C", "/tmp/image", "-cf", "/tmp/image.tar", ".").want()
        self.user, self.runtime = User("alice", 5001, subids), next(iter(runtimes))
        self("import", "/tmp/image.tar", "box").want()

    def words(self, *words, runtime=None):
        return [*self.user.words, "podman", "--runtime", runtime or self.runtime, *words]

    def __call__(self, *words, runtime=None, **more):
        return call(*self.words(*words, runtime=runtime), **more)

    def sh(self, script, *flags, **more):
        """`podman run --rm FLAGS box sh -c SCRIPT`."""
        return self("run", "--rm", "--network", "none", *flags, "box", "sh", "-c", script, **more)

    def terminal(self, *words, talk):
        return on_terminal(*self.words(*words), talk=talk)

    def inspect(self, name, key):
        """The value at `a.b.c` in what podman inspect says."""
        value = self("inspect", name).want().json[0]
        for part in key.split("."):
            value = value[part]
        return value

    @contextlib.contextmanager
    def running(self, name, *flags, command=("sleep", "1000"), network="none"):
        """A detached container; its first process as the world sees it."""
        try:
            self("run", "--detach", "--name", name, "--network", network, *flags, "box", *command).want()
            yield self.inspect(name, "State.Pid")
        finally:
            self("rm", "--force", "--time", "0", name)

    def ends(self, name, code):
        """Waits for the end of a container, and that it is `code`."""
        equal("what wait says", self("wait", name).want().out.strip(), str(code))
        equal("what inspect says", self.inspect(name, "State.ExitCode"), code)

    def close(self):
        self("rm", "--all", "--force", "--time", "0")


def space(pid, name):
    """A namespace of a process."""
    return os.readlink(f"/proc/{pid}/ns/{name}")


def ids(pid):
    """The real user and group of a process, as the world sees them."""
    status = status_of(pid)
    return int(status["Uid"].split()[0]), int(status["Gid"].split()[0])


def get(port):
    """What a server of the world says to HTTP."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(b"GET /page HTTP/1.0\r\n\r\n")
        return b"".join(iter(lambda: client.recv(4096), b"")).decode()
