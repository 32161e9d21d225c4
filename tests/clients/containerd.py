"""containerd with its tool ctr and the shim runc.v2: `ctr run` and its options."""

import concurrent.futures

from ctr import *


def spec(change, at):
    """A config.json by hand: that of `ctr oci spec` with changes."""
    with open("/tmp/spec.json", "w") as file:
        one = call("ctr", "oci", "spec").want().json
        one["root"] = {"path": "rootfs"}
        change(one)
        json.dump(one, file)
    shutil.copy("/tmp/spec.json", at)


HEARD = "until [ -e /out/heard ]; do sleep 0.05; done"


@check
def run_prints(c):
    name = c.new()
    words = c.words(["ctr", "run", "--rm"], (), name, ["sh", "-c", f"echo hello; echo oops >&2; {HEARD}"])
    c.spoken(words, name, "(?s)(hello.*oops|oops.*hello)").want(0)


@check
def run_status(c):
    c.sh("exit 7").want(7)


@check
def run_leaves_nothing(c):
    name = c.new()
    c.run(args=["true"], name=name).want()
    Box(c, name, c.space).gone()
    true("no container", name not in c("containers", "list").want().out)


@check
def run_reads_stdin(c):
    name = c.new()
    inside = "read word; echo $word >/out/word; cat; echo end >/out/end"
    line = " ".join(c.words(["ctr", "run", "--rm"], (), name, [])) + f" sh -c '{inside}'"
    # ctr passes on the end of its input only once the task has been made.
    script = f"( echo hello; until [ -s /tmp/{name}/word ]; do sleep 0.05; done ) | {line}"
    call("sh", "-c", script).want()
    for file, text in (("word", "hello\n"), ("end", "end\n")):
        with open(f"/tmp/{name}/{file}") as said:
            equal(file, said.read(), text)


@check
def run_terminal(c):
    words = c.words(["ctr", "run", "--rm", "--tty"], (), c.new(), ["sh"])
    talk = [("# ", f"{SIZE}; tty; ls -l /dev/console\n"), ("# ", "exit 5\n")]
    on_terminal(*words, talk=talk, size=(33, 99)).want(5, r"/dev/pts/0\s+c[^\n]* 136, .* /dev/console")


@check
def run_terminal_interrupted_by_key(c):
    script = "trap 'exit 9' INT; echo up; while :; do sleep 0.1; done"
    words = c.words(["ctr", "run", "--rm", "--tty"], (), c.new(), ["sh", "-c", script])
    on_terminal(*words, talk=[("up", "\x03")]).want(9)


@check
def run_detached_is_seen_from_outside(c):
    with c.up() as box:
        pid, status = box.row()
        equal("status", status, "RUNNING")
        with open(f"/proc/{pid}/cmdline") as file:
            equal("command line", file.read(), "sleep\x001000\x00")
        equal("pid inside", status_of(pid)["NSpid"].split()[-1], "1")
        equal("name of the cgroup", cgroup_file(pid, "memory", "cgroup.procs").split(), [str(pid)])


@check
def runtime_tells_the_state(c):
    with c.up() as box:
        state = c.state(box.name).want().json
        wanted = (box.name, box.pid, "running", f"{RUN}/io.containerd.runtime.v2.task/default/{box.name}")
        equal("state", (state["id"], state["pid"], state["status"], state["bundle"]), wanted)


@check
def run_env(c):
    with open("/tmp/env", "w") as file:
        file.write("THREE=3\n")
    c.sh("echo $ONE-$TWO-$THREE", "--env", "ONE=1", "--env", "TWO=a b", "--env-file", "/tmp/env").want(0, "^1-a b-3$")


@check
def run_cwd(c):
    c.sh("pwd", "--cwd", "/etc").want(0, "^/etc$")


@check
def run_cwd_is_made(c):
    c.sh("pwd", "--cwd", "/a/b").want(0, "^/a/b$")


@check
def run_memory_limit(c):
    with c.up("exec sleep 1000", "--memory-limit", str(64 << 20)) as box:
        equal("limit", cgroup_file(box.pid, "memory", ("memory.limit_in_bytes", "memory.max")), str(64 << 20))


@check
def run_cpus(c):
    with c.up("exec sleep 1000", "--cpus", "0.5") as box:
        quota = cgroup_file(box.pid, "cpu", ("cpu.cfs_quota_us", "cpu.max")).split()[0]
        equal("quota", quota, "50000")


@check
def run_cpu_shares(c):
    with c.up("exec sleep 1000", "--cpu-shares", "512") as box:
        shares = cgroup_file(box.pid, "cpu", ("cpu.shares", "cpu.weight"))
        true(f"shares {shares}", shares in ("512", "20"))


@check
def run_cpu_quota_and_period(c):
    with c.up("exec sleep 1000", "--cpu-quota", "20000", "--cpu-period", "50000") as box:
        texts = [cgroup_file(box.pid, "cpu", (f"cpu.cfs_{one}_us", "cpu.max")) for one in ("quota", "period")]
        equal("quota and period", " ".join(texts).split()[:2], ["20000", "50000"])


@check
def run_in_cgroup_by_path(c):
    name = c.new()
    with c.up("exec sleep 1000", "--cgroup", f"/mine/{name}", name=name) as box:
        with open(f"/proc/{box.pid}/cgroup") as file:
            lines = file.read().splitlines()
        true(lines, any(line.endswith(f"memory:/mine/{name}") or line == f"0::/mine/{name}" for line in lines))
    box.gone(above="mine")


@check
def run_in_default_cgroup_when_path_is_empty(c):
    with c.up("exec sleep 1000", "--cgroup", "") as box:
        with open(f"/proc/{box.pid}/cgroup") as file:
            true("a cgroup of its own", box.name in file.read())


@check
def pid_file(c):
    with c.up("exec sleep 1000", "--pid-file", "/tmp/pidfile") as box:
        with open("/tmp/pidfile") as file:
            equal("pid", int(file.read()), box.pid)


@check
def rootfs_that_is_a_directory(c):
    busybox_root("/tmp/plain")
    words = ["run", "--rm", "--runc-binary", c.runtime, "--rootfs", "/tmp/plain", c.new()]
    c(*words, "/bin/sh", "-c", "echo word >/file").want()
    with open("/tmp/plain/file") as file:
        equal("file", file.read(), "word\n")


@check
def config_by_hand(c):
    def change(one):
        script = "id; hostname; echo $WORD; ulimit -n; cat /proc/sys/net/ipv4/ip_forward; touch /home/file"
        one["process"]["args"] = ["sh", "-c", f"exec >/tmp/out 2>/tmp/err; {script}"]
        one["process"]["env"] = ["PATH=/bin", "WORD=yes"]
        one["process"]["user"] = {"uid": 1000, "gid": 1000, "additionalGids": [2000]}
        one["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}]
        one["hostname"] = "byhand"
        one["linux"]["sysctl"] = {"net.ipv4.ip_forward": "1"}
        one["root"] = {"path": "/tmp/byhand"}

    busybox_root("/tmp/byhand")
    spec(change, "/tmp/byhand.json")
    result = c("run", "--rm", "--runc-binary", c.runtime, "--config", "/tmp/byhand.json", c.new())
    result.with_files("/tmp/byhand/tmp/out", "/tmp/byhand/tmp/err")
    wanted = r"^uid=1000\(user\) gid=1000\(user\) groups=(1000\(user\),)?2000\(extra\)\nbyhand\nyes\n77\n1\n$"
    result.want(1, wanted, "Permission denied")


@check
def config_by_hand_with_hooks(c):
    def change(one):
        one["process"]["args"] = ["/bin/true"]
        one["root"] = {"path": "/tmp/hooked"}
        for kind in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
            hook = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >/dev/null; echo {kind} >>/tmp/hooks"]}
            one.setdefault("hooks", {})[kind] = [hook]

    busybox_root("/tmp/hooked")
    spec(change, "/tmp/hooked.json")
    # createContainer runs in the namespaces of the container but before its root.
    c("run", "--rm", "--runc-binary", c.runtime, "--config", "/tmp/hooked.json", c.new()).want()
    with open("/tmp/hooks") as file:
        equal("hooks", file.read().split(), ["prestart", "createRuntime", "createContainer", "poststart", "poststop"])


@check
def user_namespace(c):
    flags = ["--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536"]
    with c.up("touch /root/file && exec sleep 1000", *flags) as box:
        box.exec("cat", "/proc/self/uid_map", "/proc/self/gid_map").want(0, r"0 +100000 +65536\n +0 +200000 +65536")
        status = status_of(box.pid)
        equal("ids outside", (status["Uid"].split()[0], status["Gid"].split()[0]), ("100000", "200000"))
        box.exec("ls", "-ln", "/root/file").want(0, r"^-rw-r--r-- +1 0 +0 ")


@check
def runc_root(c):
    name = c.new()
    with c.up("exec sleep 1000", "--runc-root", "/run/elsewhere", name=name):
        equal("id", c.state(name, root="/run/elsewhere").want().json["id"], name)
        true("not in the default root", not os.path.exists(f"/run/containerd/runc/default/{name}"))


@check
def annotations_reach_the_runtime(c):
    with c.up("exec sleep 1000", "--annotation", "org.example.word=yes", "--label", "word=no") as box:
        equal("annotation", c.state(box.name).want().json["annotations"]["org.example.word"], "yes")


@check
def missing_executable(c):
    name = c.new()
    result = c.run(args=["nothere"], name=name)
    result.want(1, None, r'OCI runtime create failed: .*exec: "nothere": executable file not found in \$PATH')
    Box(c, name, c.space).gone()


@check
def executable_without_permission(c):
    c.run(args=["/bin/text"]).want(1, None, r'exec: "/bin/text": permission denied')


@check
def missing_executable_by_path(c):
    c.run(args=["/bin/nothere"]).want(1, None, r'exec: "/bin/nothere": .*no such file or directory')


@check
def log_to_file(c):
    name = c.new()
    with c.up("echo hello; echo oops >&2; exec sleep 1000", "--log-uri", f"file:///tmp/{name}/log", name=name) as box:
        box.said("log", "hello")
        box.said("log", "oops")


@check
def log_to_a_program(c):
    name = c.new()
    # A logging program gets the output as descriptors 3 and 4, and says by closing 5 that it is ready.
    with open("/tmp/logger", "w") as file:
        file.write(f"#!/bin/bash\nexec 5>&-\ncat <&3 >/tmp/{name}/log\n")
    os.chmod("/tmp/logger", 0o755)
    with c.up("echo hello; exec sleep 1000", "--log-uri", "binary:///tmp/logger", name=name) as box:
        box.said("log", "hello")


@check
def null_io(c):
    name = c.new()
    c.run("--null-io", args=["sh", "-c", "readlink /proc/1/fd/0 >/out/one"], name=name).want()
    with open(f"/tmp/{name}/one") as file:
        equal("stdin", file.read(), "/dev/null\n")


@check
def fifo_dir(c):
    name = c.new()
    words = c.words(["ctr", "run", "--rm"], ["--fifo-dir", f"/tmp/{name}"], name, ["sh", "-c", f"echo hello; {HEARD}"])
    c.spoken(words, name, "hello").want(0)
    true("fifos", [one for one in os.listdir(f"/tmp/{name}")])


@check
def no_descriptor_leaks_into_the_container(c):
    c.sh("ls /proc/self/fd | tr '\\n' ' '").want(0, "^0 1 2 3 $")


@check
def named_runc_in_path(c):
    name = c.new()
    c("run", "--rm", IMAGE, name, "sh", "-c", "exit 4").want(4)
    with open(f"{NAMED}/log") as file:
        verbs = [line.split() for line in file if name in line.split()]
    true(verbs, any("create" in words for words in verbs) and any("delete" in words for words in verbs))


@check
def many_at_once(c):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for number, result in enumerate(pool.map(lambda number: c.sh(f"echo {number}; exit 3"), range(6))):
            result.want(3, f"^{number}$")


@check
def id_that_is_taken(c):
    with c.up() as box:
        c.run(args=["true"], name=box.name).want(1, None, "already exists")
        equal("status", box.row()[1], "RUNNING")


@bench
def bench_run(c, runtime):
    """ctr run --rm"""
    c.run(args=["true"], runtime=runtime).want()


if __name__ == "__main__":
    main(Containerd)
