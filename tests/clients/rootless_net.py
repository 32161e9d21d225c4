"""podman of an ordinary user with subordinate ids: networks, namespaces shared with others, pods, builds."""

from users import *

SUBIDS = 500000
SERVER = ("sh", "-c", "mkdir /www; echo well served >/www/page; exec httpd -f -p 80 -h /www")


@check
def network_none_has_only_lo(c):
    c.sh("ls /sys/class/net; ip -o addr show lo").want(0, r"^lo\n.*127\.0\.0\.1/8")


@check
def network_host_is_the_machines(c):
    with c.running("host", network="host") as pid:
        equal("network", space(pid, "net"), space("self", "net"))
        c("exec", "host", "sh", "-c", "mount | grep ' /sys '").want(0, "/sys")


@check
def network_slirp4netns_reaches_the_world(c):
    with socket.create_server(("127.0.0.1", 18001)) as server:
        words = ["run", "--rm", "--network", "slirp4netns:allow_host_loopback=true", "box", "nc", "10.0.2.2", "18001"]
        with subprocess.Popen(c.words(*words), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as box:
            server.settimeout(CALL)
            peer, _ = server.accept()
            peer.sendall(b"through slirp\n")
            peer.close()
            equal("what nc has read", box.communicate(timeout=CALL)[0], b"through slirp\n")


@check
def ports_are_published(c):
    with c.running("web", "-p", "18002:80", network="slirp4netns", command=SERVER):
        true("a page", "well served" in until("an answer", lambda: get(18002)))
        c("port", "web").want(0, "80/tcp -> 0.0.0.0:18002")


@check
def ports_by_slirp4netns_itself(c):
    with c.running("slirp", "-p", "18003:80", network="slirp4netns:port_handler=slirp4netns", command=SERVER):
        true("a page", "well served" in until("an answer", lambda: get(18003)))


@check
def network_of_another_container(c):
    with c.running("first") as first:
        with c.running("second", network="container:first") as second:
            equal("network", space(second, "net"), space(first, "net"))


@check
def pid_and_ipc_of_another_container(c):
    with c.running("owner", "--ipc", "shareable") as first:
        with c.running("guest", "--pid", "container:owner", "--ipc", "container:owner") as second:
            for name in ("pid", "ipc"):
                equal(name, space(second, name), space(first, name))


@check
def namespaces_of_the_host(c):
    # podman binds the host's /dev/mqueue where the ipc namespace is the host's.
    names = ["pid", "uts"] + ["ipc"] * os.path.exists("/dev/mqueue")
    with c.running("outside", *(f"--{name}=host" for name in names)) as pid:
        for name in names:
            equal(name, space(pid, name), space("self", name))
        c("exec", "outside", "hostname").want(0, "^world$")


@check
def hostname_hosts_and_dns(c):
    flags = ["--hostname", "named", "--add-host", "other:10.1.2.3", "--dns", "10.9.8.7"]
    c("run", "--rm", *flags, "box", "sh", "-c", "hostname; cat /etc/hosts /etc/resolv.conf").want(
        0, r"(?s)^named\n.*10\.1\.2\.3\s+other.*nameserver 10\.9\.8\.7"
    )


@check
def pod_shares_its_namespaces(c):
    c("pod", "create", "--name", "pod", "--network", "none").want()
    try:
        for name in ("pod-one", "pod-two"):
            c("run", "--detach", "--pod", "pod", "--name", name, "box", "sleep", "1000").want()
        one, two = (c.inspect(name, "State.Pid") for name in ("pod-one", "pod-two"))
        for name in ("net", "ipc", "uts", "user"):
            equal(name, space(one, name), space(two, name))
        true("pids of their own", space(one, "pid") != space(two, "pid"))
        c("pod", "stop", "--time", "0", "pod").want()
        until("its end", lambda: c("pod", "inspect", "pod").json["State"] in ("Exited", "Stopped"))
    finally:
        c("pod", "rm", "--force", "--time", "0", "pod")


@check
def network_bridge_of_the_user(c):
    c("network", "create", "own").want()
    try:
        with c.running("server", "-p", "18004:80", network="own", command=SERVER) as pid:
            true("a network of its own", space(pid, "net") != space("self", "net"))
            c("exec", "server", "ip", "-o", "addr", "show", "eth0").want(0, r"inet 10\.89\.")
            true("a page", "well served" in until("an answer", lambda: get(18004)))
            c("run", "--rm", "--network", "own", "box", "wget", "-qO-", "http://server/page").want(0, "well served")
    finally:
        c("network", "rm", "--force", "own")


@check
def pod_publishes_ports(c):
    c("pod", "create", "--name", "web", "-p", "18005:80").want()
    try:
        c("run", "--detach", "--pod", "web", "box", *SERVER).want()
        true("a page", "well served" in until("an answer", lambda: get(18005)))
    finally:
        c("pod", "rm", "--force", "--time", "0", "web")


@check
def pod_shares_its_processes(c):
    c("pod", "create", "--name", "family", "--share", "pid,net", "--network", "none").want()
    try:
        c("run", "--detach", "--pod", "family", "--name", "brother", "box", "sleep", "1234").want()
        c("run", "--rm", "--pod", "family", "box", "ps", "-o", "args").want(0, "sleep 1234")
    finally:
        c("pod", "rm", "--force", "--time", "0", "family")


@check
def play_kube(c):
    containers = [{"name": "one", "image": "localhost/box", "command": ["/bin/sleep", "1000"]}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "kube"}, "spec": {"containers": containers}}
    with open("/home/alice/kube.yaml", "w") as file:
        json.dump(pod, file)
    try:
        c("play", "kube", "--network", "none", "/home/alice/kube.yaml").want()
        equal("the program's ids", ids(c.inspect("kube-one", "State.Pid")), (5001, 5001))
    finally:
        c("play", "kube", "--down", "/home/alice/kube.yaml")


@check
def build_with_the_runtime(c):
    os.makedirs("/home/alice/context")
    with open("/home/alice/context/Containerfile", "w") as file:
        file.write(
            "FROM box\nRUN id -u >/made && cat /proc/self/uid_map >>/made\nUSER user\n"
            "RUN id -un >/tmp/by\nRUN --mount=type=tmpfs,target=/scratch touch /scratch/file\nCMD cat /made /tmp/by\n"
        )
    c("build", "--isolation", "oci", "--network", "none", "-t", "made", "/home/alice/context").want()
    c("run", "--rm", "made").want(0, rf"^0\n +0 +5001 +1\n +1 +{SUBIDS} +65536\nuser\n$")


@check
def build_fails_with_the_program(c):
    os.makedirs("/home/alice/broken")
    with open("/home/alice/broken/Containerfile", "w") as file:
        file.write("FROM box\nRUN exit 9\n")
    c("build", "--isolation", "oci", "--network", "none", "/home/alice/broken").want(9, err="exit status 9")


if __name__ == "__main__":
    main(lambda runtimes: Podman(runtimes, SUBIDS))
