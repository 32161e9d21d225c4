"""podman of an ordinary user with subordinate ids: programs, ids, exec, signals, what podman tells."""

from users import *

SUBIDS = 500000


@check
def run_prints(c):
    c.sh("echo hello; echo oops >&2").want(0, "^hello$", "^oops$")


@check
def run_reads_stdin(c):
    c("run", "--rm", "-i", "box", "cat", stdin="from outside\n").want(0, "^from outside$")


@check
def run_status_is_that_of_the_program(c):
    c.sh("exit 7").want(7)


@check
def run_status_127_without_the_program(c):
    c("run", "--rm", "box", "/no/program").want(127, err="no such file|not found")


@check
def run_status_126_where_it_cannot_be_executed(c):
    c("run", "--rm", "box", "/bin/text").want(126, err="(?i)permission denied")


@check
def run_status_125_where_podman_refuses(c):
    c("run", "--rm", "--pod", "none-such", "box", "true").want(125)


@check
def run_on_a_terminal(c):
    talk = [("# ", "tty; stty size\n"), ("# ", "exit 5\n")]
    c.terminal("run", "--rm", "-it", "box", "sh", talk=talk).want(5, r"/dev/pts/0\n24 80\n")


@check
def root_of_the_container_is_the_user(c):
    with c.running("ids") as pid:
        equal("the program's ids", ids(pid), (5001, 5001))
        with open(f"/proc/{pid}/uid_map") as file:
            rows = [[int(word) for word in line.split()] for line in file]
        equal("its map", rows, [[0, 5001, 1], [1, SUBIDS, 65536]])
        true("a user namespace of its own", space(pid, "user") != space("self", "user"))


@check
def state_is_in_the_runtime_directory(c):
    with c.running("state"):
        box = c.inspect("state", "Id")
        true("the runtime's state", os.path.isdir(f"{c.user.run}/{c.runtime}/{box}"))
        state = c.user("podman", "unshare", c.runtime, "state", box).want().json
        equal("its status", state["status"], "running")
    true("no state after rm", not os.path.exists(f"{c.user.run}/{c.runtime}/{box}"))


@check
def user_by_number_is_a_subordinate_id(c):
    with c.running("number", "--user", "1000:2000") as pid:
        equal("the program's ids", ids(pid), (SUBIDS + 999, SUBIDS + 1999))


@check
def user_by_name_has_its_groups(c):
    c.sh("id", "--user", "user").want(0, r"uid=1000\(user\) gid=1000\(user\) groups=.*2000\(extra\)")
    c.sh("id -G", "--group-add", "3000").want(0, r"\b3000\b")


@check
def keep_id_is_the_user_inside_and_outside(c):
    with c.running("keep", "--userns", "keep-id") as pid:
        equal("the program's ids", ids(pid), (5001, 5001))
        c("exec", "keep", "id", "-u").want(0, "^5001$")
        c("exec", "--user", "0", "keep", "id", "-u").want(0, "^0$")


@check
def keep_id_with_a_chosen_id(c):
    with c.running("chosen", "--userns", "keep-id:uid=1000,gid=1000") as pid:
        equal("the program's ids", ids(pid), (5001, 5001))
        c("exec", "chosen", "id").want(0, r"uid=1000\(user\) gid=1000")


@check
def nomap_leaves_the_user_out(c):
    c.sh("cat /proc/self/uid_map", "--userns", "nomap").want(0, r"^ *0 +1 +65536\n$")


@check
def uidmap_of_ones_own(c):
    flags = ["--uidmap", "0:1:1000", "--gidmap", "0:1:1000"]
    with c.running("mapped", *flags) as pid:
        equal("the program's ids", ids(pid), (SUBIDS, SUBIDS))


@check
def userns_auto(c):
    c.sh("cat /proc/self/uid_map; id -u", "--userns", "auto:size=4096").want(0, r"^ *0 +\d+ +4096\n0\n$")


@check
def exec_prints_and_has_a_status(c):
    with c.running("exec") as pid:
        c("exec", "exec", "sh", "-c", "echo in; echo no >&2; exit 9").want(9, "^in$", "^no$")
        c("exec", "exec", "/no/program").want(127)
        c("exec", "exec", "/bin/text").want(126)
        c("exec", "exec", "/etc").want(126)
        c("exec", "exec", "readlink", "/proc/1/ns/pid").want(0, re.escape(space(pid, "pid")))


@check
def exec_takes_user_env_and_workdir(c):
    with c.running("options"):
        flags = ["--user", "1000:2000", "--env", "A=b c", "--workdir", "/tmp"]
        c("exec", *flags, "options", "sh", "-c", 'id -u; id -g; echo "$A"; pwd').want(0, "^1000\n2000\nb c\n/tmp\n$")


@check
def exec_on_a_terminal(c):
    with c.running("screen"):
        talk = [("# ", "tty; stty size\n"), ("# ", "exit 6\n")]
        c.terminal("exec", "-it", "screen", "sh", talk=talk).want(6, r"/dev/pts/0\n24 80\n")


@check
def exec_detached(c):
    with c.running("behind"):
        c("exec", "--detach", "behind", "sh", "-c", "echo done >/tmp/mark").want()
        until("its file", lambda: c("exec", "behind", "cat", "/tmp/mark").out == "done\n")


@check
def exec_reads_stdin(c):
    with c.running("reads"):
        c("exec", "-i", "reads", "cat", stdin="given\n").want(0, "^given$")


@check
def stop_is_a_signal_first(c):
    script = "trap 'echo stopped; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    with c.running("stop", command=("sh", "-c", script)):
        until("its first words", lambda: "ready" in c("logs", "stop").out)
        c("stop", "--time", "60", "stop").want()
        c.ends("stop", 3)
        c("logs", "stop").want(0, "stopped")


@check
def stop_kills_what_does_not_listen(c):
    with c.running("deaf", command=("sh", "-c", "trap '' TERM; while :; do sleep 1; done")) as pid:
        c("stop", "--time", "0", "deaf").want()
        c.ends("deaf", 137)
        true("the process is gone", not os.path.exists(f"/proc/{pid}"))


@check
def kill_sends_the_signal(c):
    script = "trap 'echo usr1; exit 4' USR1; echo ready; while :; do sleep 0.1; done"
    with c.running("kill", command=("sh", "-c", script)):
        until("its first words", lambda: "ready" in c("logs", "kill").out)
        c("kill", "--signal", "USR1", "kill").want()
        c.ends("kill", 4)


@check
def rm_force_leaves_no_process(c):
    with c.running("gone", command=("sh", "-c", "sleep 1000 & sleep 1000")) as pid:
        inside = space(pid, "pid")
        c("rm", "--force", "--time", "0", "gone").want()
        c("container", "exists", "gone").want(1)

        def left():
            found = []
            for entry in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError):
                    found += [entry] * (space(entry, "pid") == inside)
            return found

        until("no process of it", lambda: not left())


@check
def restart_is_a_new_process(c):
    with c.running("again") as pid:
        c("restart", "--time", "0", "again").want()
        new = c.inspect("again", "State.Pid")
        true("another process", new != pid and ids(new) == (5001, 5001))


@check
def create_then_start_and_attach(c):
    c("create", "--name", "two-steps", "--network", "none", "box", "sh", "-c", "echo attached; exit 8").want()
    c("start", "--attach", "two-steps").want(8, "^attached$")
    c("rm", "two-steps").want()


@check
def attach_to_a_terminal(c):
    with c.running("attach", "-it", command=("sh",)):
        c.terminal("attach", "attach", talk=[("", "echo at; tty\n"), (r"at\r\n/dev/pts/0\r\n", "exit 2\n")]).want()
        c.ends("attach", 2)


@check
def logs_follow_to_the_end(c):
    with c.running("logs", command=("sh", "-c", "echo one; sleep 0.3; echo two >&2")):
        c("logs", "--follow", "logs").want(0, "^one$", "^two$")


@check
def top_and_ps_show_the_processes(c):
    with c.running("top"):
        c("top", "top", "pid", "huser", "comm").want(0, r"(?m)^1 +5001 +sleep$")
        c("ps", "--filter", "name=top", "--format", "{{.Names}} {{.Status}}").want(0, "^top Up")


@check
def configuration_names_the_runtime(c):
    with open("/home/alice/containers.conf", "w") as file:
        file.write(f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "{PATHS[c.runtime]}"\n')
    podman = [*c.user.words, "CONTAINERS_CONF=/home/alice/containers.conf", "podman"]
    call(*podman, "run", "--detach", "--name", "default", "--network", "none", "box", "sleep", "1000").want()
    true("the runtime's state", os.path.isdir(f"{c.user.run}/{c.runtime}/{c.inspect('default', 'Id')}"))
    call(*podman, "rm", "--force", "--time", "0", "default").want()


@check
def inspect_names_runtime_and_process(c):
    with c.running("inspect") as pid:
        equal("runtime", c.inspect("inspect", "OCIRuntime"), c.runtime)
        with open(f"/proc/{pid}/cmdline") as file:
            equal("the process", file.read(), "sleep\x001000\x00")
        with open(c.inspect("inspect", "PidFile")) as file:
            equal("the pid file", file.read().strip(), str(pid))


@bench
def bench_run(c, runtime):
    """podman run --rm of an ordinary user"""
    c("run", "--rm", "--network", "none", "box", "true", runtime=runtime).want()


if __name__ == "__main__":
    main(lambda runtimes: Podman(runtimes, SUBIDS))
