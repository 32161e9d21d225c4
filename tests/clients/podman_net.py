"""podman's networks, namespaces that containers share, pods, and Kubernetes' YAML."""

from podman_client import *

SHARED = {"pid": "pid", "ipc": "ipc", "network": "net", "uts": "uts", "cgroupns": "cgroup"}


def interfaces(box):
    """The names of a container's network interfaces."""
    with open(f"/proc/{box.pid}/net/dev") as file:
        return sorted(line.split(":")[0].strip() for line in file if ":" in line)


@check
def network_none(c):
    with c.box("net_none", "--network", "none") as box:
        equal("interfaces", interfaces(box), ["lo"])
        box.sh("ip link show lo").want(0, "LOOPBACK,UP")
        true("a namespace of its own", namespace(box.pid, "net") != namespace("self", "net"))


@check
def network_host(c):
    with c.box("net_host", "--network", "host") as box:
        equal("namespace", namespace(box.pid, "net"), namespace("self", "net"))
        box.exec("hostname").want(0, "^world$")


@check
def network_bridge(c):
    with c.box("net_bridge") as box:
        equal("interfaces", interfaces(box), ["eth0", "lo"])
        address = box.inspect(".NetworkSettings.IPAddress")
        box.exec("ip", "-4", "address", "show", "eth0").want(0, re.escape(f"inet {address}/16"))
        box.exec("ip", "route").want(0, "default via")


@check
def network_reaches_another(c):
    with c.script("net_server", "echo page >/index.html; exec httpd -f -p 80 -h /") as server:
        address = server.inspect(".NetworkSettings.IPAddress")
        until("the page", lambda: c("run", "--rm", "box", "wget", "-qO-", f"http://{address}/").out == "page\n")


@check
def network_publishes_ports(c):
    with c.script("net_port", "echo page >/index.html; exec httpd -f -p 80 -h /", "--publish", "127.0.0.1:8089:80"):
        until("the page", lambda: call("wget", "-qO-", "http://127.0.0.1:8089/").out == "page\n")


@check
def network_by_name(c):
    c("network", "create", "--subnet", "10.77.0.0/24", "own").want()
    try:
        flags = ["--network", "own", "--ip", "10.77.0.7", "--mac-address", "02:00:00:00:00:07"]
        with c.box("net_own", *flags) as box:
            box.exec("ip", "address", "show", "eth0").want(0, "(?s)02:00:00:00:00:07.*10.77.0.7/24")
            c("network", "connect", "podman", "net_own").want()
            equal("interfaces", interfaces(box), ["eth0", "eth1", "lo"])
            c("network", "disconnect", "podman", "net_own").want()
            equal("interfaces", interfaces(box), ["eth0", "lo"])
    finally:
        c("network", "rm", "own").want()


@check
def network_of_user_mode(c):
    with c.box("net_slirp", "--network", "slirp4netns") as box:
        equal("interfaces", interfaces(box), ["lo", "tap0"])


@check
def network_of_a_path(c):
    call("ip", "netns", "add", "prepared").want()
    try:
        with c.box("net_path", "--network", "ns:/run/netns/prepared") as box:
            equal("inode", os.stat(f"/proc/{box.pid}/ns/net").st_ino, os.stat("/run/netns/prepared").st_ino)
    finally:
        call("ip", "netns", "del", "prepared").want()


@check
def network_survives_restart(c):
    with c.box("net_restart", "--stop-timeout", "0") as box:
        c("restart", "net_restart").want()
        equal("interfaces", interfaces(box), ["eth0", "lo"])


@check
def names_of_hosts(c):
    flags = ["--add-host", "other:10.1.2.3", "--dns", "10.9.8.7", "--dns-search", "example.org", "--dns-option", "ndots:3"]
    out = c.sh("cat /etc/hosts /etc/resolv.conf", *flags).want().out
    for wanted in (r"10\.1\.2\.3\s+other", r"nameserver 10\.9\.8\.7", r"search example\.org", r"options ndots:3"):
        true(f"{wanted} in {out}", re.search(wanted, out))
    c.sh("cat /etc/hosts", "--no-hosts").want(1)


@check
def namespaces_are_own(c):
    with c.box("ns_own") as box:
        for kind in ("pid", "ipc", "net", "uts", "mnt"):
            true(kind, namespace(box.pid, kind) != namespace("self", kind))
        equal("user", namespace(box.pid, "user"), namespace("self", "user"))


@check
def namespaces_of_the_host(c):
    for flag, kind in SHARED.items():
        with c.box("ns_host", f"--{flag}", "host") as box:
            equal(kind, namespace(box.pid, kind), namespace("self", kind))
            box.exec("true").want()


@check
def namespaces_of_another(c):
    """pid, ipc and network of a container for a second one, and only the one asked for."""
    with c.box("ns_first", "--ipc", "shareable") as one:
        for flag in ("pid", "ipc", "network"):
            with c.box("ns_second", f"--{flag}", "container:ns_first") as two:
                for other in ("pid", "ipc", "net"):
                    same = namespace(one.pid, other) == namespace(two.pid, other)
                    equal(f"{other} with --{flag}", same, other == SHARED[flag])


@check
def pid_namespace_of_another_is_seen(c):
    with c.box("pid_first", command=["sleep", "995"]), c.box("pid_second", "--pid", "container:pid_first") as two:
        two.exec("ps").want(0, r"(?m)^\s+1 .*sleep 995$")
        c("kill", "pid_second").want()
        two.status("exited")
        c("exec", "pid_first", "true").want()


@check
def pid_namespace_of_the_host_is_seen(c):
    with c.box("pid_host", "--pid", "host") as box:
        equal("namespace", namespace(box.pid, "pid"), namespace("self", "pid"))
        box.exec("ps").want(0, rf"(?m)^\s*{box.pid} ")


@check
def cgroup_namespace(c):
    with c.box("cgroupns", "--cgroupns", "private") as box:
        lines = box.exec("cat", "/proc/self/cgroup").want().out.splitlines()
        true(f"roots only: {lines}", all(line.endswith(":/") for line in lines if "pids" in line or line.startswith("0::")))


@check
def pod_shares_namespaces(c):
    c("pod", "create", "--name", "pod", "--hostname", "podhost").want()
    with pod_removed(c, "pod"), c.box("pod_one", "--pod", "pod") as one, c.box("pod_two", "--pod", "pod") as two:
        for kind in ("net", "ipc", "uts"):
            equal(kind, namespace(one.pid, kind), namespace(two.pid, kind))
        for kind in ("pid", "mnt"):
            true(kind, namespace(one.pid, kind) != namespace(two.pid, kind))
        two.exec("hostname").want(0, "^podhost$")
        rows = c("pod", "inspect", "pod").want().json
        equal("containers", rows["NumContainers"], 3)
        equal("state", rows["State"], "Running")


@contextlib.contextmanager
def pod_removed(c, name):
    try:
        yield
    finally:
        c("pod", "rm", "--force", "--time", "0", name).want()


@check
def pod_shares_pid_namespace(c):
    c("pod", "create", "--name", "pod_pid", "--share", "pid,net").want()
    with pod_removed(c, "pod_pid"), c.box("pod_pid_one", "--pod", "pod_pid") as one:
        infra = Box(c, c("pod", "inspect", "--format", "{{.InfraContainerID}}", "pod_pid").want().out.strip())
        equal("pid", namespace(one.pid, "pid"), namespace(infra.pid, "pid"))
        true("ipc", namespace(one.pid, "ipc") != namespace(infra.pid, "ipc"))


@check
def pod_life(c):
    c("pod", "create", "--name", "pod_life").want()
    with pod_removed(c, "pod_life"), c.box("pod_life_one", "--pod", "pod_life", "--stop-timeout", "0") as one:
        c("pod", "pause", "pod_life").want()
        one.status("paused")
        c("pod", "unpause", "pod_life").want()
        first = one.pid
        c("pod", "restart", "pod_life").want()
        true("another process", one.pid != first)
        c("pod", "top", "pod_life").want(0, "sleep 1000")
        c("pod", "stats", "--no-stream", "pod_life").want(0, "pod_life_one")
        c("pod", "kill", "pod_life").want()
        one.status("exited")
        c("pod", "start", "pod_life").want()
        c("pod", "stop", "--time", "0", "pod_life").want()
        one.status("exited")


@check
def pod_limits_its_containers(c):
    c("pod", "create", "--name", "pod_limits", "--cpus", "0.5", "--memory", "256m").want()
    with pod_removed(c, "pod_limits"), c.box("pod_limits_one", "--pod", "pod_limits") as one:
        hierarchy = "" if V2 else "memory"
        with open(f"/proc/{one.pid}/cgroup") as file:
            path = next(line.split(":", 2)[2].strip() for line in file if line.split(":")[1] == hierarchy)
        pod = os.path.dirname(path)
        true(f"the pod's cgroup: {pod}", re.fullmatch("/libpod_parent/[0-9a-f]{64}", pod))
        with open(f"/sys/fs/cgroup/{hierarchy}{pod}/{MEMORY[V2]}") as file:
            equal("limit of the pod", file.read(), f"{256 << 20}\n")


@check
def pod_with_user_namespace(c):
    c("pod", "create", "--name", "pod_user", "--uidmap", "0:200000:2000").want()
    with pod_removed(c, "pod_user"), c.box("pod_user_one", "--pod", "pod_user") as one:
        one.sh("cat /proc/self/uid_map").want(0, r"^\s+0\s+200000\s+2000$")
        one.sh("ip link show eth0").want(0, "UP")


@check
def pod_with_init_container(c):
    c("pod", "create", "--name", "pod_init").want()
    with pod_removed(c, "pod_init"):
        c("create", "--pod", "pod_init", "--init-ctr", "always", "--name", "before", "box", "true").want()
        c("create", "--pod", "pod_init", "--name", "after", "box", "sleep", "1000").want()
        c("pod", "start", "pod_init").want()
        before, after = Box(c, "before"), Box(c, "after")
        equal("states", [before.inspect(".State.Status"), after.inspect(".State.Status")], ["exited", "running"])


@check
def pod_without_infra(c):
    c("pod", "create", "--name", "pod_bare", "--infra=false").want()
    with pod_removed(c, "pod_bare"), c.box("pod_bare_one", "--pod", "pod_bare") as one:
        equal("containers", c("pod", "inspect", "--format", "{{.NumContainers}}", "pod_bare").want().out, "1\n")
        one.exec("true").want()


POD = """
apiVersion: v1
kind: Pod
metadata:
  name: played
spec:
  hostname: played
  restartPolicy: Never
  containers:
  - name: main
    image: localhost/box:latest
    command: [/bin/sh, -c, "/bin/cat /data/note; exec /bin/sleep 1000"]
    env:
    - {name: WORD, value: spoken}
    securityContext:
      runAsUser: 1000
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL], add: [KILL]}
    resources:
      limits: {memory: 64Mi}
    volumeMounts:
    - {name: data, mountPath: /data}
  volumes:
  - name: data
    hostPath: {path: /tmp/played, type: Directory}
"""


@check
def kube_play(c):
    os.makedirs("/tmp/played", exist_ok=True)
    with open("/tmp/played/note", "w") as file:
        file.write("note\n")
    with open("/tmp/played.yaml", "w") as file:
        file.write(POD)
    c("play", "kube", "/tmp/played.yaml").want()
    try:
        box = Box(c, "played-main")
        box.logs("^note$")
        status = status_of(box.pid)
        equal("uid", status["Uid"].split()[0], "1000")
        equal("bounding set", int(status["CapBnd"], 16), 1 << 5)
        equal("memory", cgroup_file(box.pid, "memory", MEMORY), str(64 << 20))
        # Of an image without PATH there is none.
        script = "echo $WORD; /bin/hostname; /bin/touch /new"
        box.exec("/bin/sh", "-c", script).want(1, "^spoken\nplayed\n$", "Read-only")
    finally:
        c("play", "kube", "--down", "/tmp/played.yaml").want()


@check
def kube_generate(c):
    with c.box("generated", "--env", "WORD=spoken"):
        out = c("generate", "kube", "generated").want().out
        for wanted in ("kind: Pod", "name: generated", "value: spoken"):
            true(f"{wanted} in {out}", wanted in out)


@bench
def bench_run_in_pod(c, runtime):
    """podman run -d and rm -f in a pod"""
    name = f"bench_pod_{runtime}"
    if c("pod", "exists", name).code:
        c("pod", "create", "--name", name, runtime=runtime).want()
        c("pod", "start", name, runtime=runtime).want()
    c("run", "--detach", "--pod", name, "--name", f"in_{name}", "box", "sleep", "1000", runtime=runtime).want()
    c("rm", "--force", "--time", "0", f"in_{name}", runtime=runtime).want()


if __name__ == "__main__":
    main(Podman)
