"""conmon called by hand, as podman and CRI-O call it: it calls the runtime to create and to exec, and watches."""

import contextlib
import itertools
import socket

from battery import *

EXITS, SOCKETS = "/tmp/exits", "/tmp/sockets"


class Session:
    """What conmon has been asked for once: a container, or a program in one."""

    def __init__(self, c, name, bundle, *flags, exit_dir=EXITS):
        self.c, self.name, self.bundle = c, name, bundle
        self.log, self.exit_file, self.pid_file = f"{bundle}/log", f"{exit_dir}/{name}", f"{bundle}/pid"
        os.makedirs(exit_dir, exist_ok=True)
        os.makedirs(bundle, exist_ok=True)
        reader, writer = os.pipe()
        self.pipe = open(reader)
        words = ["conmon", "--api-version", "1", "--cid", name, "--cuuid", name, "--name", name, "--runtime", c.runtime]
        words += ["--bundle", bundle, "--container-pidfile", self.pid_file, "--conmon-pidfile", f"{bundle}/conmon.pid"]
        words += ["--log-path", f"k8s-file:{self.log}", "--exit-dir", exit_dir, "--socket-dir-path", SOCKETS, *flags]
        try:
            call(*words, pass_fds=[writer], env={"_OCI_SYNCPIPE": str(writer)}).want()
        finally:
            os.close(writer)

    def told(self):
        """The next thing that conmon says through its pipe: a pid or an exit status, and an error."""
        line = self.pipe.readline()
        true("a message of conmon", line)
        message = json.loads(line)
        return message["data"], message.get("message", "")

    def started(self):
        """Starts the container; its process."""
        pid, why = self.told()
        true(f"a pid, and not {why}", pid > 0)
        self.c("start", self.name).want()
        return pid

    def code(self):
        """The exit status that conmon has written, when it has."""
        return int(until("the exit file", lambda: os.path.exists(self.exit_file) and open(self.exit_file).read()))

    def lines(self, stream="stdout"):
        """What conmon has logged."""
        with open(self.log) as file:
            rows = [line.rstrip("\n").split(" ", 3) for line in file]
        # P marks a part of a line.
        text = "".join(text + "\n" * (tag == "F") for _, name, tag, text in rows if name == stream)
        return text.splitlines()

    @contextlib.contextmanager
    def attached(self):
        """A connection to the attach socket: packets whose first byte is 2 (stdout) or 3 (stderr)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(CALL)
            connection.connect(f"{self.bundle}/attach")
            yield connection


class Conmon:
    def __init__(self, runtimes):
        self.name, self.runtime = next(iter(runtimes.items()))
        os.makedirs(SOCKETS)
        busybox_root("/tmp/image")

    def __call__(self, *words, **more):
        """The runtime."""
        return call(self.runtime, *words, **more)

    @contextlib.contextmanager
    def create(self, name, *args, flags=(), change=None, root=()):
        """A container by conmon."""
        bundle = f"/tmp/bundle-{name}"
        os.makedirs(bundle)
        self("spec", "--bundle", bundle).want()
        with open(f"{bundle}/config.json") as file:
            config = json.load(file)
        config["process"].update(args=args, terminal="--terminal" in flags)
        config["root"] = {"path": "/tmp/image", "readonly": False}
        if change:
            change(config)
        with open(f"{bundle}/config.json", "w") as file:
            json.dump(config, file)
        try:
            yield Session(self, name, bundle, *flags)
        finally:
            self(*root, "delete", "--force", name)

    def exec(self, session, name, *args, flags=()):
        """A program in a container by conmon."""
        bundle = f"{session.bundle}/{name}"
        os.makedirs(bundle)
        with open(f"{bundle}/process.json", "w") as file:
            process = {"args": args, "cwd": "/tmp", "env": ["PATH=/bin", "A=b c"], "user": {"uid": 1000, "gid": 1000}}
            json.dump({**process, "terminal": "--terminal" in flags}, file)
        flags = ["--exec", "--exec-process-spec", f"{bundle}/process.json", *flags]
        return Session(self, session.name, bundle, *flags, exit_dir=f"{bundle}/exits")

    def close(self):
        call("rm", "-rf", EXITS, SOCKETS)


def heard(connection, text):
    """Reads packets until `text` has been said."""
    said = b""
    while text not in said:
        packet = connection.recv(65536)
        true(f"{text} in {said}", packet)
        said += packet[1:]
    return said


@check
def created_then_started(c):
    with c.create("twice", "sh", "-c", "echo out; echo err >&2; exit 3") as session:
        pid, why = session.told()
        with open(session.pid_file) as file:
            equal("pid file", (int(file.read()), why), (pid, ""))
        state = c("state", "twice").want().json
        equal("state", (state["status"], state["pid"]), ("created", pid))
        equal("nothing said yet", session.lines(), [])
        c("start", "twice").want()
        equal("exit file", session.code(), 3)
        equal("log", (session.lines(), session.lines("stderr")), (["out"], ["err"]))
        until("its end", lambda: c("state", "twice").want().json["status"] == "stopped")


@check
def conmon_is_the_parent(c):
    with c.create("child", "sleep", "1000") as session:
        pid = session.started()
        with open(f"{session.bundle}/conmon.pid") as file:
            equal("parent", status_of(pid)["PPid"], file.read())


@check
def error_of_create_is_passed_on(c):
    with c.create("absent", "/no/program") as session:
        pid, why = session.told()
        true(f"an error in {pid, why}", pid < 0 and "no such file or directory" in why.lower())
        true("no state of it", c("state", "absent").code)


@check
def error_of_create_is_passed_on_as_json(c):
    """As podman does it: the runtime's log is a file that conmon does not read."""
    flags = ["--runtime-arg", "--log-format=json", "--runtime-arg", "--log=/tmp/runtime.log"]
    with c.create("json", "/no/program", flags=flags) as session:
        true("an error", session.told()[0] < 0)
        with open("/tmp/runtime.log") as file:
            lines = [json.loads(line) for line in file]
        equal("levels", [line["level"] for line in lines], ["error"])
        true(lines, "no such file or directory" in lines[0]["msg"].lower())


@check
def runtime_root_is_passed_on(c):
    root = ["--root", "/tmp/other-root"]
    with c.create("other", "sleep", "1000", flags=["--runtime-arg", "--root=/tmp/other-root"], root=root) as session:
        true("a pid", session.told()[0] > 0)
        equal("status", c(*root, "state", "other").want().json["status"], "created")
        true("not in the usual root", c("state", "other").code)


@check
def exit_status_of_a_signal(c):
    with c.create("signal", "sleep", "1000") as session:
        session.started()
        c("kill", "signal", "KILL").want()
        equal("exit file", session.code(), 137)


@check
def long_output_is_complete(c):
    with c.create("long", "seq", "1", "100000") as session:
        session.started()
        equal("exit file", session.code(), 0)
        equal("lines", session.lines(), [str(n) for n in range(1, 100001)])


@check
def terminal_is_given_to_conmon(c):
    with c.create("screen", "sh", "-c", "tty; test -t 0 -a -t 1 -a -t 2 && echo all", flags=["--terminal"]) as session:
        session.started()
        equal("exit file", session.code(), 0)
        equal("log", [line.rstrip("\r") for line in session.lines()], ["/dev/pts/0", "all"])


@check
def terminal_is_resized(c):
    script = "trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.1; done"
    with c.create("size", "sh", "-c", script, flags=["--terminal"]) as session:
        session.started()
        until("its first words", lambda: "ready" in "".join(session.lines()))
        with open(f"{session.bundle}/ctl", "w") as control:
            control.write("1 40 100\n")
        equal("exit file", session.code(), 5)
        true(f"the size in {session.lines()}", "40 100" in "".join(session.lines()))


@check
def attached_on_a_terminal(c):
    with c.create("typed", "sh", flags=["--terminal", "--stdin"]) as session:
        session.started()
        with session.attached() as connection:
            connection.sendall(b"echo $((40 + 2)); exit 4\n")
            heard(connection, b"42")
        equal("exit file", session.code(), 4)


@check
def attached_without_a_terminal(c):
    with c.create("piped", "sh", "-c", "read line; echo got $line; exit 6", flags=["--stdin"]) as session:
        session.started()
        with session.attached() as connection:
            connection.sendall(b"a line\n")
            heard(connection, b"got a line")
        equal("exit file", session.code(), 6)


@check
def exec_has_output_and_status(c):
    with c.create("with-exec", "sleep", "1000") as session:
        session.started()
        inner = c.exec(session, "plain", "sh", "-c", 'id -u; pwd; echo "$A"; exit 9')
        pid, why = inner.told()
        true(f"a pid, and not {why}", pid > 0)
        equal("status", inner.told()[0], 9)
        equal("log", inner.lines(), ["1000", "/tmp", "b c"])


@check
def exec_on_a_terminal(c):
    with c.create("with-screen", "sleep", "1000") as session:
        session.started()
        inner = c.exec(session, "screen", "sh", "-c", "tty; exit 8", flags=["--terminal"])
        true("a pid", inner.told()[0] > 0)
        equal("status", inner.told()[0], 8)
        equal("log", "".join(inner.lines()).strip(), "/dev/pts/0")


@check
def exec_error_is_passed_on(c):
    with c.create("no-exec", "sleep", "1000") as session:
        session.started()
        pid, why = c.exec(session, "absent", "/no/program").told()
        true(f"an error in {pid, why}", pid < 0 and "no such file or directory" in why.lower())


@check
def exit_command_is_called(c):
    script = f"{c.runtime} delete exit >/tmp/deleted 2>&1; echo $? >>/tmp/deleted"
    flags = ["--exit-command", "/bin/sh", "--exit-command-arg", "-c", "--exit-command-arg", script]
    with c.create("exit", "true", flags=flags) as session:
        session.started()
        equal("what delete says", until("its file", lambda: open("/tmp/deleted").read()), "0\n")
        true("no state of it", c("state", "exit").code)


@check
def conmon_watches_the_memory_cgroup(c):
    """It finds the cgroup in /proc/PID/cgroup as soon as create is over, and opens it (v1) or watches it (v2)."""

    def limit(config):
        config["linux"].setdefault("resources", {})["memory"] = {"limit": 16 << 20}

    with c.create("memory", "sleep", "1000", change=limit) as session:
        pid = session.started()
        equal("limit", cgroup_file(pid, "memory", ("memory.limit_in_bytes", "memory.max")), str(16 << 20))
        with open(f"{session.bundle}/conmon.pid") as file:
            fds = f"/proc/{file.read()}/fd"

        def watched():
            links = [os.readlink(f"{fds}/{fd}") for fd in os.listdir(fds)]
            return any(re.search(r"memory\.oom_control$|inotify$", link) for link in links)

        # It comes to that some time after it has told the pid.
        until("conmon watches the cgroup", watched)


@check
def timeout_ends_the_container(c):
    with c.create("timeout", "sleep", "1000", flags=["--timeout", "1"]) as session:
        session.started()
        true("exit file", session.code())
        until("its end", lambda: c("state", "timeout").want().json["status"] == "stopped")


@check
def without_pivot_and_keyring(c):
    with c.create("flags", "ls", "/", flags=["--no-pivot", "--no-new-keyring"]) as session:
        session.started()
        equal("exit file", session.code(), 0)
        true(f"its root in {session.lines()}", "clients" not in session.lines() and "bin" in session.lines())


@check
def container_goes_on_without_conmon(c):
    with c.create("orphan", "sleep", "1000") as session:
        pid = session.started()
        with open(f"{session.bundle}/conmon.pid") as file:
            conmon = int(file.read())
        os.kill(conmon, signal.SIGKILL)
        until("another parent", lambda: status_of(pid)["PPid"] != str(conmon))
        equal("status", c("state", "orphan").want().json["status"], "running")


_numbers = itertools.count()


@bench
def bench_container(c, runtime):
    """conmon: create, start, end, delete"""
    c.runtime, before = PATHS[runtime], c.runtime
    with c.create(f"bench-{next(_numbers)}", "true") as session:
        session.started()
        session.code()
    c.runtime = before


if __name__ == "__main__":
    main(Conmon)
