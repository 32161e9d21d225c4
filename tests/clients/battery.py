"""What the batteries share: checks, and the ways to call a client and to look at what came of it."""

import argparse
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
import traceback

# Seconds for one call of a client, and for one check: generous, since a machine may be busy.
CALL = 120
CHECK = 240
PATHS = {"ocilet": "/usr/local/bin/ocilet", "runc": "/usr/sbin/runc", "crun": "/usr/bin/crun"}
_checks = []
_benches = []


class Failed(Exception):
    """A check has not seen what it should."""


def check(function):
    """Marks a check: a function of the client, named as it is reported."""
    _checks.append(function)
    return function


def bench(function):
    """Marks an operation to be timed: a function of the client and a runtime's name."""
    _benches.append(function)
    return function


class Result:
    """What a call has said, and how it ended."""

    def __init__(self, words, code, out, err):
        self.words, self.code, self.out, self.err = words, code, out, err

    def __repr__(self):
        line = " ".join(map(str, self.words))
        return f"`{line[-300:]}`: {self.code}, stdout {self.out[-300:]!r}, stderr {self.err[-500:]!r}"

    @property
    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise Failed(f"no JSON: {self}") from None

    def with_files(self, out, err):
        """The same end, and what files say instead, where they are there."""
        for name, path in (("out", out), ("err", err)):
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    setattr(self, name, file.read())
        return self

    def want(self, code=0, out=None, err=None):
        """Fails unless it ended with `code` and said what the expressions (re.search) ask for."""
        if self.code != code:
            raise Failed(f"exit status {code} wanted: {self}")
        if out is not None and not re.search(out, self.out):
            raise Failed(f"{out!r} wanted on stdout: {self}")
        if err is not None and not re.search(err, self.err):
            raise Failed(f"{err!r} wanted on stderr: {self}")
        return self


def call(*words, stdin="", timeout=CALL, env=None, cwd=None, **more):
    """Calls a program to its end."""
    words = [str(word) for word in words]
    if env is not None:
        env = {**os.environ, **env}
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=env,
        cwd=cwd,
        start_new_session=True,
        **more,
    ) as child:
        try:
            out, err = child.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            raise Failed(f"no end within {timeout} s: {Result(words, None, out, err)}") from None
    return Result(words, child.returncode, out, err)


def on_terminal(*words, talk=(), timeout=CALL, size=(24, 80), env=None):
    """Calls a program on a terminal of its own. `talk` are pairs: wait for this expression, then type that."""
    pid, master = pty.fork()
    if pid == 0:
        try:
            os.execvpe(words[0], [str(word) for word in words], {**os.environ, **(env or {})})
        finally:
            os._exit(127)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
    said, seen, end, talk = "", 0, time.monotonic() + timeout, list(talk)
    while True:
        if talk and (found := re.search(talk[0][0], said[seen:])):
            seen += found.end()
            os.write(master, talk.pop(0)[1].encode())
            continue
        ready, _, _ = select.select([master], [], [], max(0, end - time.monotonic()))
        try:
            piece = os.read(master, 65536) if ready else None
        except OSError:
            piece = b""
        if not piece:
            break
        said += piece.decode(errors="replace")
    if piece is None:
        os.kill(pid, signal.SIGKILL)
    os.close(master)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    # A terminal within a terminal: each may turn \n into \r\n.
    result = Result(words, status if status >= 0 else 128 - status, re.sub("\r+\n", "\n", said), "")
    if piece is None:
        raise Failed(f"no end within {timeout} s: {result}")
    if talk:
        raise Failed(f"{talk[0][0]!r} was not said: {result}")
    return result


def until(what, look, timeout=CALL / 2):
    """Waits until `look` gives something true, and returns it."""
    end, last = time.monotonic() + timeout, None
    while time.monotonic() < end:
        try:
            last = look()
            if last:
                return last
        except (Failed, OSError, ValueError, KeyError, IndexError) as error:
            last = error
        time.sleep(0.05)
    raise Failed(f"{what}: not within {timeout} s, last seen: {last!r}")


def equal(what, got, wanted):
    if got != wanted:
        raise Failed(f"{what}: {got!r}, wanted {wanted!r}")


def true(what, value):
    if not value:
        raise Failed(f"{what}: {value!r}")


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def cgroup_file(pid, controller, name):
    """The text of a file in the cgroup of a process: `name` is {v1 controller's file, v2 file} where they differ."""
    v1, v2 = name if isinstance(name, tuple) else (name, name)
    with open(f"/proc/{pid}/cgroup") as file:
        rows = [line.rstrip("\n").split(":", 2) for line in file]
    for _, controllers, path in rows:
        if controller in controllers.split(","):
            with open(f"/sys/fs/cgroup/{controller}/{path}/{v1}") as file:
                return file.read().strip()
    path = next(path for _, controllers, path in rows if controllers == "")
    with open(f"/sys/fs/cgroup/{path}/{v2}") as file:
        return file.read().strip()


def busybox_root(at):
    """Fills a directory with a root file system made of busybox."""
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "var", "run", "home"):
        os.makedirs(f"{at}/{name}", exist_ok=True)
    os.chmod(f"{at}/tmp", 0o1777)
    shutil.copy("/bin/busybox", f"{at}/bin/busybox")
    for applet in subprocess.check_output(["/bin/busybox", "--list"], text=True).split():
        if applet != "busybox":
            os.symlink("busybox", f"{at}/bin/{applet}")
    with open(f"{at}/etc/passwd", "w") as file:
        file.write("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n")
    with open(f"{at}/etc/group", "w") as file:
        file.write("root:x:0:\nuser:x:1000:\nextra:x:2000:user\n")
    with open(f"{at}/bin/text", "w") as file:
        file.write("no program\n")
    os.chmod(f"{at}/bin/text", 0o644)


def containers_conf():
    """What podman and buildah read for all users: any image, no systemd, the runtimes by their names."""
    os.makedirs("/etc/containers", exist_ok=True)
    with open("/etc/containers/policy.json", "w") as file:
        file.write('{"default": [{"type": "insecureAcceptAnything"}]}')
    with open("/etc/containers/containers.conf", "w") as file:
        file.write(
            '[containers]\ndefault_ulimits = ["nofile=1024:4096", "nproc=512:4096"]\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            'runtime_supports_json = ["ocilet", "runc", "crun"]\n'
            # Its documentation calls it so; podman 4.3 reads the other one.
            'runtime_supports_nocgroups = ["ocilet", "crun"]\nruntime_supports_nocgroup = ["ocilet", "crun"]\n'
            "[engine.runtimes]\n" + "".join(f'{name} = ["{path}"]\n' for name, path in PATHS.items())
        )


def _one(function, client):
    """Runs a check, and reports it as one line of JSON."""

    def late(*_):
        raise Failed(f"no end within {CHECK} s")

    begin, why = time.monotonic(), ""
    signal.signal(signal.SIGALRM, late)
    signal.alarm(CHECK)
    try:
        function(client)
    except Failed as error:
        why = str(error)
    except Exception:
        why = traceback.format_exc(limit=-3)
    finally:
        signal.alarm(0)
    line = {"check": function.__name__, "ok": not why, "why": why[:1500], "ms": round((time.monotonic() - begin) * 1000)}
    print(json.dumps(line), flush=True)


def _bench(client, runtimes, rounds):
    """Times the operations with every runtime by turns, and prints ratios of the medians."""
    for function in _benches:
        times = {runtime: [] for runtime in runtimes}
        for turn in range(rounds + 1):
            for runtime in runtimes:
                begin = time.perf_counter()
                function(client, runtime)
                if turn:
                    times[runtime].append(time.perf_counter() - begin)
        medians = {runtime: statistics.median(times[runtime]) for runtime in runtimes}
        ratios = [f"{medians[runtimes[0]] / medians[other]:.2f}" for other in runtimes[1:]]
        name = (function.__doc__ or function.__name__).strip().rstrip(".")
        print(f"| {name} | {' | '.join(ratios)} |", flush=True)


def main(make):
    """Runs a battery: `make(runtimes)` makes the client, which has `close()`."""
    parse = argparse.ArgumentParser()
    parse.add_argument("--runtimes", default="ocilet")
    parse.add_argument("--bench", action="store_true")
    parse.add_argument("--rounds", type=int, default=15)
    parse.add_argument("only", nargs="*")
    args = parse.parse_args()
    client = make({name: PATHS[name] for name in args.runtimes.split(",")})
    try:
        if args.bench:
            _bench(client, args.runtimes.split(","), args.rounds)
        else:
            for function in _checks:
                if not args.only or function.__name__ in args.only:
                    _one(function, client)
    finally:
        client.close()
    sys.stdout.flush()
