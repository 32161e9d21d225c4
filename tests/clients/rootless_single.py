"""podman of an ordinary user without subordinate ids: the container has a single id."""

from users import *


@check
def run_prints_and_has_a_status(c):
    c.sh("echo hello; echo oops >&2; exit 3").want(3, "^hello$", "^oops$")


@check
def the_map_is_one_id(c):
    with c.running("single") as pid:
        equal("the program's ids", ids(pid), (5001, 5001))
        with open(f"/proc/{pid}/uid_map") as file:
            equal("its map", file.read().split(), ["0", "5001", "1"])
        c("exec", "single", "id").want(0, r"^uid=0\(root\) gid=0\(root\)")
        c("exec", "single", "cat", "/proc/self/setgroups").want(0, "^deny$")


@check
def another_user_is_refused(c):
    c("run", "--rm", "--user", "1000", "box", "true").want(126, err="(?i)invalid argument|not mapped|permission denied")
    with c.running("only-root"):
        true("exec fails", c("exec", "--user", "1000", "only-root", "true").code)


@check
def terminals_of_run_and_exec(c):
    talk = [("# ", "tty; stty size\n"), ("# ", "exit 5\n")]
    c.terminal("run", "--rm", "-it", "box", "sh", talk=talk).want(5, r"/dev/pts/0\n24 80\n")
    with c.running("screen"):
        c.terminal("exec", "-it", "screen", "sh", talk=talk).want(5, r"/dev/pts/0\n24 80\n")


@check
def exec_has_status_and_environment(c):
    with c.running("exec"):
        c("exec", "--env", "A=b", "--workdir", "/tmp", "exec", "sh", "-c", "echo $A; pwd; exit 4").want(4, "^b\n/tmp\n$")
        c("exec", "exec", "/no/program").want(127)


@check
def volume_file_belongs_to_the_user(c):
    c.sh("echo kept >/at/file", "-v", "/home/alice:/at").want()
    equal("owner outside", os.stat("/home/alice/file").st_uid, 5001)


@check
def network_and_ports(c):
    script = "mkdir /www; echo well served >/www/page; exec httpd -f -p 80 -h /www"
    with c.running("web", "-p", "18002:80", network="slirp4netns", command=("sh", "-c", script)):
        true("a page", "well served" in until("an answer", lambda: get(18002)))


@check
def stop_and_kill(c):
    script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    with c.running("stop", command=("sh", "-c", script)):
        until("its first words", lambda: "ready" in c("logs", "stop").out)
        c("stop", "--time", "60", "stop").want()
        c.ends("stop", 3)
    with c.running("kill"):
        c("kill", "kill").want()
        c.ends("kill", 137)


@check
def devices_and_mounts(c):
    script = "echo lost >/dev/null && head -c 8 /dev/zero | wc -c; mount -t tmpfs none /tmp"
    c.sh(script).want(1, "^8$", "ermitted|ermission denied")
    c.sh("touch /file", "--read-only").want(1, err="Read-only file system")
    c.sh("touch /scratch/file", "--tmpfs", "/scratch").want()


@check
def pod_shares_its_network(c):
    c("pod", "create", "--name", "pod", "--network", "none").want()
    try:
        for name in ("one", "two"):
            c("run", "--detach", "--pod", "pod", "--name", name, "box", "sleep", "1000").want()
        one, two = (c.inspect(name, "State.Pid") for name in ("one", "two"))
        equal("network", space(one, "net"), space(two, "net"))
    finally:
        c("pod", "rm", "--force", "--time", "0", "pod")


@check
def build_with_the_runtime(c):
    os.makedirs("/home/alice/context")
    with open("/home/alice/context/Containerfile", "w") as file:
        file.write("FROM box\nRUN id -u >/made\nCMD cat /made\n")
    c("build", "--isolation", "oci", "--network", "none", "-t", "made", "/home/alice/context").want()
    c("run", "--rm", "made").want(0, "^0$")


if __name__ == "__main__":
    main(lambda runtimes: Podman(runtimes, None))
