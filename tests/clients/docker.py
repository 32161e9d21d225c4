"""docker: run and exec, their streams, terminals and exit statuses."""

from dockerd import *


@check
def run_prints(c):
    c.sh("echo hello; echo oops >&2").want(0, "^hello$", "^oops$")


@check
def run_status(c):
    c.sh("exit 7").want(7)


@check
def run_reads_stdin(c):
    c("run", "--rm", "-i", "box", "wc", "-c", stdin="x" * 300000).want(0, r"^300000$")


@check
def run_writes_much(c):
    equal("characters", len(c.sh("yes 0123456789abcde | head -n 65536").want().out), 1 << 20)


@check
def run_no_such_runtime_is_125(c):
    c("run", "--rm", "--runtime", "none", "box", "true").want(125, err="nknown runtime")


@check
def run_bad_flag_is_125(c):
    c("run", "--no-such-flag", "box").want(125)


@check
def run_not_executable_is_126(c):
    c("run", "--rm", "box", "/bin/text").want(126, err=r"OCI runtime create failed.*permission denied")


@check
def run_directory_is_126(c):
    c("run", "--rm", "box", "/tmp").want(126, err=r"/tmp.*(permission denied|is a directory)")


@check
def run_not_found_in_path_is_127(c):
    c("run", "--rm", "box", "nosuch").want(127, err=r"nosuch.*executable file not found in")


@check
def run_no_such_file_is_127(c):
    c("run", "--rm", "box", "/bin/nosuch").want(127, err=r"/bin/nosuch.*no such file or directory")


@check
def run_failed_leaves_no_container(c):
    """A container that did not start can be looked at, and its runtime has kept nothing of it."""
    one = Container(c, (), "", verb=("create",))
    c("create", "--name", one.name, "box", "nosuch").want()
    try:
        c("start", one.name).want(1, err="executable file not found")
        equal("exit code", one.inspect(".State.ExitCode"), 127)
        true("an error", "nosuch" in one.inspect(".State.Error"))
        equal("pid", one.inspect(".State.Pid"), 0)
    finally:
        one("rm").want()


@check
def run_signal_status_is_128_and_the_signal(c):
    with c.up(script="echo up; exec sleep 1000") as one:
        one.log_has("up")
        c("kill", "--signal", "KILL", one.name).want()
        one.has_status("exited", 137)


@check
def run_terminal(c):
    wait = "until [ \"$(stty size)\" = '24 80' ]; do sleep 0.1; done; tty; stty size; test -t 2 && echo all\n"
    talk = [("# ", wait), ("24 80\nall\n", "exit 5\n")]
    talk = [(expression.replace("\n", "\r\n"), text) for expression, text in talk]
    on_terminal(*c.words("run", "--rm", "-it", "box", "sh"), talk=talk).want(5, "/dev/pts/0\n")


@check
def run_terminal_is_console(c):
    with c.up("--tty", script="tty; ls -l /dev/console; sleep 1000") as one:
        one.log_has(r"/dev/pts/0\s+crw.*5,\s+1|/dev/pts/0\s+crw.*136,\s+0")


@check
def run_terminal_interrupt(c):
    words = c.words("run", "--rm", "-it", "box", "sh", "-c", "trap 'exit 9' INT; echo up; while sleep 0.1; do :; done")
    on_terminal(*words, talk=[("up", "\x03")]).want(9)


@check
def run_terminal_detach_keys(c):
    one = Container(c)
    words = c.words("run", "--name", one.name, "-it", "box", "sh", "-c", "echo up; read line; exit 4")
    try:
        on_terminal(*words, talk=[("up", "\x10\x11")]).want(0)
        equal("status", one.inspect(".State.Status"), "running")
        on_terminal(*c.words("attach", one.name), talk=[("", "line\n")]).want(4)
    finally:
        one.__exit__()


@check
def terminal_resize(c):
    with c.up("--tty", script="echo up; while sleep 0.1; do stty size; done") as one:
        one.log_has("up")
        c.post(f"/containers/{one.name}/resize?h=33&w=99")
        one.log_has("33 99")


@check
def run_environment(c):
    c.sh("echo $ONE-$TWO-$HOME-$HOSTNAME-$PATH", "--env", "ONE=1", "--env", "TWO=a b", "--hostname", "h").want(
        0, "^1-a b-/root-h-/usr/local/sbin:"
    )


@check
def run_entrypoint_and_workdir(c):
    c("run", "--rm", "--workdir", "/made/here", "--entrypoint", "/bin/pwd", "box").want(0, "^/made/here$")


@check
def run_is_init_of_a_clean_process_tree(c):
    c.sh("echo $$; set -- /proc/[0-9]*; echo $#; ls /proc/self/fd | wc -w").want(0, r"^1\n1\n4\n$")


@check
def run_init_reaps(c):
    """--init: docker-init is process 1, mounted by docker."""
    c.sh("echo $$; cat /proc/1/comm; kill -9 $$", "--init").want(137, r"^\d+\ndocker-init\n")


@check
def run_sig_proxy(c):
    """`docker run` in the foreground passes signals on."""
    one = Container(c)
    words = c.words(
        "run", "--rm", "--name", one.name, "box", "sh", "-c", "trap 'exit 6' HUP; while sleep 0.1; do echo up; done"
    )
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as docker:
        equal("first line", docker.stdout.readline(), "up\n")
        docker.send_signal(signal.SIGHUP)
        docker.stdout.read()
        equal("exit status", docker.wait(CALL), 6)


@check
def exec_prints(c):
    with c.up() as one:
        one.sh("echo hello; echo oops >&2").want(0, "^hello$", "^oops$")


@check
def exec_status(c):
    with c.up() as one:
        one.sh("exit 3").want(3)
        one.sh("kill -9 $$").want(137)


@check
def exec_reads_stdin(c):
    with c.up() as one:
        c("exec", "-i", one.name, "wc", "-c", stdin="y" * 200000).want(0, "^200000$")


@check
def exec_not_found_is_126_or_127(c):
    """runc's sentence, and the status that docker makes of it."""
    with c.up() as one:
        got = c("exec", one.name, "nosuch")
        true(got, got.code in (126, 127) and re.search("nosuch.*executable file not found", got.out + got.err))
        got = c("exec", one.name, "/bin/nosuch")
        true(got, got.code in (126, 127) and re.search("/bin/nosuch.*no such file or directory", got.out + got.err))


@check
def exec_not_executable_is_126(c):
    with c.up() as one:
        got = c("exec", one.name, "/bin/text").want(126)
        true(got, "permission denied" in got.out + got.err)


@check
def exec_bad_workdir_fails(c):
    with c.up() as one:
        got = c("exec", "--workdir", "/nosuch", one.name, "true")
        true(got, got.code in (126, 127) and "no such file or directory" in got.out + got.err)
        got = c("exec", "--workdir", "/etc/passwd", one.name, "true")
        true(got, got.code in (126, 127) and "not a directory" in got.out + got.err)


@check
def exec_terminal(c):
    with c.up() as one:
        wait = "until [ \"$(stty size)\" = '24 80' ]; do sleep 0.1; done; tty; exit 5\n"
        words = c.words("exec", "-it", one.name, "sh")
        on_terminal(*words, talk=[("# ", wait)]).want(5, r"\n/dev/pts/\d+\n")


@check
def exec_environment_and_workdir(c):
    with c.up("--env", "ONE=1") as one:
        flags = ("--env", "TWO=2", "--workdir", "/tmp")
        one.sh("echo $ONE-$TWO-$PWD", *flags).want(0, "^1-2-/tmp$")


@check
def exec_user(c):
    with c.up() as one:
        one.sh("id; grep CapEff /proc/self/status", "--user", "user").want(
            0, r"uid=1000\(user\) gid=1000\(user\) groups=1000\(user\),2000\(extra\)\nCapEff:\t0{16}"
        )
        one.sh("id -u; id -g", "--user", "7:8").want(0, "^7\n8\n$")


@check
def exec_privileged(c):
    with c.up() as one:
        of_container = int(status_of(one.pid)["CapEff"], 16)
        got = int(one.sh("grep CapEff /proc/self/status", "--privileged").want().out.split()[1], 16)
        equal("CAP_SYS_ADMIN", (of_container >> 21 & 1, got >> 21 & 1), (0, 1))
        equal("what the container has", got & of_container, of_container)


@check
def exec_detached(c):
    with c.up() as one:
        c("exec", "--detach", one.name, "sh", "-c", "echo $PPID >/tmp/out; exec sleep 1234").want()
        until("the process", lambda: "sleep 1234" in one("top").out)
        one.sh("cat /tmp/out").want(0, "^0$")


@check
def exec_joins_all_namespaces(c):
    with c.up() as one:
        for kind in ("mnt", "pid", "net", "ipc", "uts"):
            wanted = os.readlink(f"/proc/{one.pid}/ns/{kind}")
            one.sh(f"readlink /proc/self/ns/{kind}").want(0, re.escape(wanted))


@check
def exec_joins_the_cgroup(c):
    with c.up() as one:
        c("exec", "--detach", one.name, "sleep", "1235").want()

        def seen():
            rows = one("top", "-o", "pid,args").want().out.splitlines()
            return next(row.split()[0] for row in rows if "sleep 1235" in row)

        paths = [open(f"/proc/{pid}/cgroup").read() for pid in (one.pid, until("the process", seen))]
        equal("cgroups", paths[1], paths[0])


@check
def exec_ends_with_the_container(c):
    with c.up() as one:
        with subprocess.Popen(
            c.words("exec", one.name, "sh", "-c", "echo up; exec sleep 1000"), stdout=subprocess.PIPE
        ) as exec_:
            exec_.stdout.readline()
            c("kill", one.name).want()
            equal("exit status", exec_.wait(CALL), 137)


@check
def exec_many_at_a_time(c):
    with c.up() as one:
        words = c.words("exec", one.name, "sh", "-c", "echo up; exit 4")
        several = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(6)]
        equal("what they said", [each.communicate(timeout=CALL)[0] for each in several], ["up\n"] * 6)
        equal("statuses", [each.returncode for each in several], [4] * 6)


@check
def exec_inspected(c):
    """The list of execs in `inspect` is emptied when they have ended."""
    with c.up() as one:
        c("exec", "--detach", one.name, "sh", "-c", "until test -e /tmp/go; do sleep 0.1; done").want()
        until("an exec", lambda: one.inspect(".ExecIDs"))
        one.sh("touch /tmp/go").want()
        until("no exec", lambda: one.inspect(".ExecIDs") is None)


@check
def exec_no_container_and_stopped(c):
    c("exec", "nobody", "true").want(1, err="No such container")
    with c.up(script="exit 0") as one:
        one.has_status("exited", 0)
        c("exec", one.name, "true").want(1, err="is not running")


@bench
def bench_run(c, runtime):
    """docker run --rm"""
    c("run", "--rm", "--net", "none", "--runtime", f"own-{runtime}", "box", "true").want()


@bench
def bench_life(c, runtime):
    """docker create, start, rm --force"""
    c("create", "--name", "bench", "--net", "none", "--runtime", f"own-{runtime}", "box", "sleep", "1000").want()
    c("start", "bench").want()
    c("rm", "--force", "bench").want()


@bench
def bench_exec(c, runtime):
    """docker exec"""
    name = f"bench-{runtime}"
    if name not in c.kept:
        c.kept.add(name)
        c(
            "run", "--detach", "--name", name, "--net", "none", "--runtime", f"own-{runtime}", "box", "sleep", "10000"
        ).want()
    c("exec", name, "true").want()


if __name__ == "__main__":
    main(Docker)
