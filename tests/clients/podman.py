"""podman run: what a container says and gets, how it ends, and what is told when it does not run."""

from podman_client import *


@check
def run_prints(c):
    c.sh("echo hello; echo oops >&2").want(0, "^hello$", "^oops$")


@check
def run_status(c):
    c.sh("exit 7").want(7)


@check
def run_is_silent_on_success(c):
    result = c("run", "--rm", "box", "true").want()
    equal("output", result.out + result.err, "")


@check
def run_reads_stdin(c):
    result = c("run", "--rm", "--interactive", "box", "cat", stdin="one\ntwo\n").want()
    equal("stdout", result.out, "one\ntwo\n")


@check
def run_without_interactive_has_no_stdin(c):
    equal("stdout", c("run", "--rm", "box", "cat", stdin="one\n").want().out, "")


@check
def run_passes_all_output(c):
    result = c.sh("seq 1 100000").want()
    equal("lines", len(result.out.split()), 100000)


@check
def run_terminal(c):
    talk = [("# ", "tty; stty size\n"), ("# ", "exit 5\n")]
    c.terminal("run", "--rm", "-it", "box", "sh", talk=talk).want(5, r"/dev/pts/0\n24 80\n")


@check
def run_terminal_is_the_controlling_one(c):
    talk = [("ready", "\x03")]
    c.terminal("run", "--rm", "-it", "box", "sh", "-c", "trap 'exit 9' INT; echo ready; sleep 1000", talk=talk).want(9)


@check
def run_terminal_is_resized(c):
    """The size that the caller's terminal gets later reaches the container."""
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done"
    pid, master = pty.fork()
    if pid == 0:
        os.execvp("podman", c.command("run", "--rm", "-it", "box", "sh", "-c", script))
    said = ""
    with open(master, "rb", buffering=0) as terminal:
        # It may be asked for before podman listens, so another time, until the container answers.
        rows = 30
        end = time.monotonic() + CALL
        while not re.search(r"\b3\d 99\b", said) and time.monotonic() < end:
            if "ready" in said:
                rows = 30 + (rows + 1) % 10
                fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 99, 0, 0))
            if select.select([master], [], [], 0.2)[0]:
                try:
                    said += os.read(master, 65536).decode()
                except OSError:
                    break
    os.waitpid(pid, 0)
    true(f"size after a change: {said!r}", re.search(r"\b3\d 99\b", said))


@check
def run_detached(c):
    with c.script("detached", "echo out; echo err >&2; sleep 1000") as box:
        equal("status", box.inspect(".State.Status"), "running")
        true("its process", os.readlink(f"/proc/{box.pid}/exe").endswith("/bin/busybox"))
        box.logs("^out$")


@check
def run_detached_terminal_is_logged(c):
    with c.script("detached_tty", "tty; sleep 1000", "--tty") as box:
        box.logs("/dev/pts/0")


@check
def run_detached_removes_itself(c):
    c("run", "--detach", "--rm", "--name", "short", "box", "true").want()
    until("container to be gone", lambda: c("container", "exists", "short").code == 1)


@check
def run_writes_ids(c):
    shutil.rmtree("/tmp/ids", ignore_errors=True)
    os.mkdir("/tmp/ids")
    flags = ["--cidfile", "/tmp/ids/cid", "--pidfile", "/tmp/ids/pid", "--conmon-pidfile", "/tmp/ids/conmon"]
    with c.box("ids", *flags) as box:
        equal("cidfile", open("/tmp/ids/cid").read().strip(), box.inspect(".Id"))
        equal("pidfile", int(open("/tmp/ids/pid").read()), box.pid)
        conmon = int(open("/tmp/ids/conmon").read())
        equal("parent of the container", int(status_of(box.pid)["PPid"]), conmon)


@check
def run_replaces(c):
    with c.box("replaced", "--stop-timeout", "0") as box:
        first = box.pid
        c("run", "--detach", "--replace", "--name", "replaced", "box", "sleep", "1000").want()
        true("another process", box.pid != first)
        gone(first)


@check
def run_passes_signals_on(c):
    with c.started("run", "--name", "proxy", "box", "sh", "-c", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done") as run:
        equal("stdout", run.stdout.readline(), "ready\n")
        run.send_signal(signal.SIGTERM)
        equal("exit status", run.wait(CALL), 9)
    c("rm", "proxy").want()


@check
def run_timeout_kills(c):
    begin = time.monotonic()
    c("run", "--name", "timeout", "--timeout", "1", "box", "sleep", "1000")
    true("no end after 60 s", time.monotonic() - begin < 60)
    equal("running", c("inspect", "--format", "{{.State.Running}}", "timeout").out, "false\n")
    c("rm", "timeout").want()


@check
def status_of_a_killed_run(c):
    with c.started("run", "--name", "killed_run", "box", "sh", "-c", "echo ready; sleep 1000") as run:
        equal("stdout", run.stdout.readline(), "ready\n")
        c("kill", "killed_run").want()
        equal("exit status", run.wait(CALL), 137)
    c("rm", "killed_run").want()


@check
def status_of_a_program_killed_inside(c):
    c.sh("sh -c 'kill -KILL $$'; exit $?").want(137)


@check
def status_127_without_program(c):
    for word in ("nosuch", "/bin/nosuch"):
        c("run", "--rm", "box", word).want(127, err="(?i)no such file or directory|executable file not found")


@check
def status_126_without_permission(c):
    c("run", "--rm", "box", "/bin/text").want(126, err="(?i)permission denied")


@check
def status_126_for_a_directory(c):
    c("run", "--rm", "box", "/etc").want(126, err="(?i)permission denied|is a directory")


@check
def status_125_for_podman(c):
    c("run", "--rm", "--nosuch", "box", "true").want(125)
    c("run", "--rm", "--pull", "never", "nosuch", "true").want(125)


@check
def status_of_a_missing_workdir(c):
    c("run", "--rm", "--workdir", "/nosuch", "box", "true").want(126, err="/nosuch")


@check
def failed_run_leaves_nothing(c):
    """The container of a run that failed is gone, and its cgroup."""
    c("run", "--name", "failed", "box", "/bin/text").want(126)
    name = c("inspect", "--format", "{{.Id}}", "failed").out.strip()
    c("rm", "failed").want()
    true("an id", name)
    for path, names, _ in os.walk("/sys/fs/cgroup"):
        true(f"no cgroup in {path}", not any(name in one for one in names))


@check
def error_names_the_runtime(c):
    """podman found the one error line in the JSON log, and says whose it is."""
    c("run", "--rm", "--sysctl", "net.nosuch=1", "box", "true").want(127, err=rf"Error: {c.runtime}: .*nosuch")


@check
def error_of_a_limit_tells_the_file(c):
    c("run", "--rm", "--cpu-rt-runtime", "100", "box", "true").want(126, err=r"cpu\.rt_runtime_us")


@check
def error_of_too_little_memory(c):
    c("run", "--rm", "--memory", "4k", "box", "true").want(126, err="memory.limit")


@check
def entrypoint(c):
    c("run", "--rm", "--entrypoint", '["sh", "-c"]', "box", "echo from $0").want(0, "^from sh$")


@check
def environment(c):
    with open("/tmp/env", "w") as file:
        file.write("FILE=from file\nFROM_HOST\n")
    flags = ["--env", "A=one two", "--env", "EMPTY=", "--env-file", "/tmp/env", "--hostname", "name"]
    result = c("run", "--rm", *flags, "box", "env", env={"FROM_HOST": "host"}).want()
    env = dict(line.split("=", 1) for line in result.out.splitlines())
    for name, value in {"A": "one two", "EMPTY": "", "FILE": "from file", "FROM_HOST": "host", "container": "podman"}.items():
        equal(name, env.get(name), value)
    equal("HOME", env["HOME"], "/root")
    equal("HOSTNAME", env["HOSTNAME"], "name")


@check
def environment_of_the_host(c):
    c("run", "--rm", "--env-host", "box", "env", env={"ONLY_HERE": "yes"}).want(0, "(?m)^ONLY_HERE=yes$")
    env = c("run", "--rm", "--unsetenv-all", "box", "/bin/env", env={"ONLY_HERE": "yes"}).want().out
    true(f"nothing of the host: {env}", "ONLY_HERE" not in env)


@check
def workdir(c):
    c("run", "--rm", "--workdir", "/var", "box", "pwd").want(0, "^/var$")


@check
def hostname(c):
    c.sh("hostname; cat /etc/hostname", "--hostname", "name.example").want(0, r"^name\.example\nname\.example$")


@check
def umask(c):
    c.sh("umask; touch /a; stat -c %a /a", "--umask", "0077").want(0, r"^0077\n600$")
    c.sh("umask").want(0, "^0022$")


@check
def timezone(c):
    c.sh("readlink -f /etc/localtime; date +%Z", "--tz", "Asia/Tokyo").want(0, "JST")


@check
def personality(c):
    c("run", "--rm", "--personality", "LINUX32", "box", "uname", "-m").want(0, "^i686$")


@check
def init_reaps(c):
    with c.script("with_init", "(sleep 0 &); exec sleep 1000", "--init") as box:
        true("podman's init", "init" in box.sh("tr '\\0' ' ' </proc/1/cmdline").want().out.split()[0])
        until("no zombie", lambda: "Z" not in box.exec("ps", "-o", "stat").want().out)


@check
def descriptors_are_not_inherited(c):
    """Stray descriptors of podman's caller do not reach the container."""
    line = " ".join(map(str, c.command("run", "--rm", "box", "ls", "-l", "/proc/self/fd")))
    result = call("bash", "-c", f"exec 5</etc/passwd 9</etc/group; {line}").want()
    equal("descriptors", [int(line.split()[8]) for line in result.out.splitlines()[1:]], [0, 1, 2, 3])


@check
def descriptors_are_preserved(c):
    line = " ".join(map(str, c.command("run", "--rm", "--preserve-fds", "2", "box", "sh", "-c")))
    result = call("bash", "-c", f"exec 3<<<three 4<<<four; {line} 'cat <&3; cat <&4'").want()
    equal("what they gave", result.out, "three\nfour\n")


@check
def sockets_are_activated(c):
    """LISTEN_FDS: the sockets are the container's 3 and on, LISTEN_PID is 1."""
    line = " ".join(map(str, c.command("run", "--rm", "box", "sh", "-c")))
    script = f"exec 3<<<three; export LISTEN_FDS=1 LISTEN_PID=$$; exec {line} 'echo $LISTEN_FDS $LISTEN_PID; cat <&3'"
    equal("stdout", call("bash", "-c", script).want().out, "1 1\nthree\n")


@check
def systemd_mode(c):
    result = c("run", "--rm", "--systemd", "always", "box", "cat", "/proc/self/mountinfo").want()
    for place in ("/run", "/run/lock", "/tmp", "/var/log/journal"):
        true(f"tmpfs on {place}", re.search(rf" / {place} .* - tmpfs ", result.out))


@check
def annotations_reach_the_config(c):
    with c.box("annotated", "--annotation", "org.example.a=b") as box:
        equal("annotation", config_of(box)["annotations"]["org.example.a"], "b")


@bench
def bench_run(c, runtime):
    """podman run --rm"""
    c("run", "--rm", "box", "true", runtime=runtime).want()


if __name__ == "__main__":
    main(Podman)
