"""Kubernetes' interface to containerd: exec, attach, port-forward and logs."""

import concurrent.futures

from pods import *


@check
def exec_sync_prints_and_ends(c):
    with c.box() as box:
        result = box.exec("sh", "-c", "echo hello; echo oops >&2; exit 5")
        equal("end", (result.code, result.out, result.err), (5, "hello\n", "oops\n"))


@check
def exec_sync_of_much_output(c):
    with c.box() as box:
        equal("size", len(box.exec("dd", "if=/dev/zero", "bs=1M", "count=3").want().out), 3 << 20)


@check
def exec_sync_that_takes_too_long(c):
    with c.box() as box:
        c.refused("DEADLINE_EXCEEDED|timeout", "ExecSync", container_id=box.id, cmd=["sleep", "1003"], timeout=1)
        until("the process is gone", lambda: "1003" not in box.exec("ps").want().out)
        equal("state", box.state, "RUNNING")


@check
def exec_sync_of_missing_executable(c):
    with c.box() as box:
        wanted = r'OCI runtime exec failed: .*exec: "nothere": executable file not found in \$PATH'
        c.refused(wanted, "ExecSync", container_id=box.id, cmd=["nothere"])
        c.refused("OCI runtime exec failed: .*permission denied", "ExecSync", container_id=box.id, cmd=["/bin/text"])


@check
def exec_sync_in_what_has_ended(c):
    with c.box("exit 0") as box:
        box.ended()
        c.refused("CONTAINER_EXITED", "ExecSync", container_id=box.id, cmd=["true"])


@check
def exec_sync_many_at_once(c):
    with c.box() as box:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            codes = list(pool.map(lambda number: box.exec("sh", "-c", f"exit {number}").code, range(8)))
        equal("status", codes, list(range(8)))


@check
def exec_is_in_the_container(c):
    with c.box() as box:
        script = "cat /proc/self/cgroup; for one in net pid ipc uts mnt; do readlink /proc/self/ns/$one; done"
        inside = box.exec("sh", "-c", script).want().out
        for kind in ("net", "pid", "ipc", "uts", "mnt"):
            true(kind, os.readlink(f"/proc/{box.pid}/ns/{kind}") in inside)
        # With a cgroup namespace, which containers have on v2, their cgroup is the root.
        with open(f"/proc/{box.pid}/cgroup") as file:
            true("cgroup", file.read() in inside or inside.startswith("0::/\n"))


@check
def exec_has_the_user_of_the_container(c):
    security = {"run_as_user": {"value": 1000}, "run_as_group": {"value": 2000}, "supplemental_groups": [3000]}
    with c.box(security=security, envs=[{"key": "WORD", "value": "yes"}]) as box:
        box.exec("id").want(0, r"^uid=1000\(user\) gid=2000\(extra\) groups=.*3000")
        box.exec("sh", "-c", "echo $WORD").want(0, "^yes$")


@check
def streamed_exec(c):
    with c.box() as box:
        script = "read word; echo got $word; echo oops >&2; exit 5"
        stream = box.stream("Exec", cmd=["sh", "-c", script], stdin=True, stderr=True)
        stream.send(Stream.STDIN, b"hello\n")
        equal("exit status", stream.end(), 5)
        equal("output", (stream.text(), stream.text(Stream.STDERR)), ("got hello\n", "oops\n"))


@check
def streamed_exec_ends_well(c):
    with c.box() as box:
        stream = box.stream("Exec", cmd=["echo", "hello"])
        equal("end", (stream.end(), stream.text()), (0, "hello\n"))


@check
def streamed_exec_on_a_terminal(c):
    with c.box() as box:
        stream = box.stream("Exec", cmd=["sh"], stdin=True, tty=True)
        stream.until("# ")
        stream.send(Stream.RESIZE, b'{"Width": 99, "Height": 33}')
        stream.send(Stream.STDIN, f"{SIZE}; stty size; tty; exit 6\n".encode())
        equal("exit status", stream.end(), 6)
        true(stream.text(), re.search(r"33 99\r\n/dev/pts/\d", stream.text()))


@check
def streamed_exec_interrupted_by_key(c):
    with c.box() as box:
        script = "trap 'exit 8' INT; echo up; while :; do sleep 0.05; done"
        stream = box.stream("Exec", cmd=["sh", "-c", script], stdin=True, tty=True)
        stream.until("up")
        stream.send(Stream.STDIN, b"\x03")
        equal("exit status", stream.end(), 8)


@check
def streamed_exec_of_missing_executable(c):
    with c.box() as box:
        stream = box.stream("Exec", cmd=["nothere"])
        while stream.receive():
            continue
        stream.close()
        true(stream.said, "executable file not found" in stream.text(Stream.STATUS))


@check
def attach_sees_output_and_gives_input(c):
    with c.box("while read line; do echo got $line; done", stdin=True) as box:
        stream = box.stream("Attach", stdin=True, stderr=True)
        stream.send(Stream.STDIN, b"hello\n")
        stream.until("got hello\n")
        stream.close()
        box.says("got hello")
        equal("state", box.state, "RUNNING")


@check
def attach_to_a_terminal(c):
    with c.box("exec sh", stdin=True, tty=True) as box:
        stream = box.stream("Attach", stdin=True, tty=True)
        stream.send(Stream.RESIZE, b'{"Width": 99, "Height": 33}')
        stream.send(Stream.STDIN, f"{SIZE}; stty size; tty\n".encode())
        stream.until(r"33 99\r\n/dev/pts/0\r\n")
        stream.send(Stream.STDIN, b"exit 4\n")
        equal("exit code", box.ended().exit_code, 4)
        stream.close()


@check
def input_that_ends_with_the_first_stream(c):
    with c.box("cat; echo end", stdin=True, stdin_once=True) as box:
        stream = box.stream("Attach", stdin=True)
        stream.send(Stream.STDIN, b"hello\n")
        stream.until("hello")
        stream.close()
        box.result().want(0, "^hello\nend\n$")


@check
def terminal_of_a_container(c):
    with c.box("tty; ls -l /dev/console; test -t 0 && test -t 1 && test -t 2", tty=True) as box:
        box.result().want(0, r"/dev/pts/0\s+c[^\n]* 136, .* /dev/console")


@check
def forwarded_port(c):
    with c.pod() as pod:
        pod.box("exec nc -ll -p 8080 -e cat")

        def ask():
            stream = Stream(c.rpc("PortForward", pod_sandbox_id=pod.id, port=[8080]).url)
            try:
                # Each channel begins with the port's number.
                stream.until(r"(?s)^..", 0)
                stream.send(0, b"hello\n")
                stream.until("hello", 0)
            finally:
                stream.close()
            return True

        until("the server answers", ask)


@check
def log_has_both_streams(c):
    with c.box("echo hello; echo oops >&2; printf no-newline") as box:
        box.ended()
        with open(box.log) as file:
            rows = sorted(line.rstrip("\n").split(" ", 3)[1:] for line in file)
        equal("rows", rows, [["stderr", "F", "oops"], ["stdout", "F", "hello"], ["stdout", "P", "no-newline"]])
        equal("path", box.status.log_path, box.log)


@check
def log_is_opened_again(c):
    with c.box("while read line; do echo $line; done", stdin=True) as box:
        stream = box.stream("Attach", stdin=True)
        stream.send(Stream.STDIN, b"first\n")
        box.says("first")
        os.rename(box.log, f"{box.log}.old")
        box.rpc("ReopenContainerLog")
        stream.send(Stream.STDIN, b"second\n")
        box.says("^second$")
        stream.close()


@bench
def bench_exec(c, runtime):
    """CRI: ExecSync"""
    if runtime not in c.running:
        pod = c.running_pods.enter_context(c.pod(handler=runtime))
        c.running[runtime] = pod.box()
    c.running[runtime].exec("true").want()


class WithRunning(Cri):
    """Keeps a container of each runtime while exec is timed."""

    def __init__(self, runtimes):
        super().__init__(runtimes)
        self.running, self.running_pods = {}, contextlib.ExitStack()

    def close(self):
        self.running_pods.close()
        super().close()


if __name__ == "__main__":
    main(WithRunning)
