"""docker: networks, ports, and the names of hosts."""

from dockerd import *

SERVE = "while echo $$ | nc -l -p 80; do :; done"


def answer(address, port):
    """What a server says at once."""
    with socket.create_connection((address, port), 5) as stream:
        return stream.recv(100).decode()


def address(one):
    return one.inspect(".NetworkSettings.IPAddress")


@check
def net_none(c):
    c.sh("ls /sys/class/net; ip -o addr | wc -l; ping -c 1 -W 1 127.0.0.1 | grep -c received", "--net", "none").want(
        0, "^lo\n[12]\n1$"
    )


@check
def net_host(c):
    with c.up("--net", "host") as one:
        equal("namespace", os.readlink(f"/proc/{one.pid}/ns/net"), os.readlink("/proc/self/ns/net"))
        one.sh("ls /sys/class/net | grep -cx docker0; hostname").want(0, "^1\nworld$")


@check
def net_bridge(c):
    with c.up() as one:
        true("another", os.readlink(f"/proc/{one.pid}/ns/net") != os.readlink("/proc/self/ns/net"))
        one.sh("ip -o -4 addr show eth0").want(0, f" {address(one)}/16 ")
        gateway = one.inspect(".NetworkSettings.Gateway")
        one.sh(f"ip route; ping -c 1 {gateway}").want(0, f"default via {gateway} dev eth0")


@check
def net_between_containers(c):
    with c.up(script=SERVE) as one:
        until("a server", lambda: answer(address(one), 80) == "1\n")
        c.sh(f"until nc {address(one)} 80; do sleep 0.1; done").want(0, "^1$")


@check
def net_of_a_container(c):
    with c.up(script=SERVE) as one, c.up("--net", f"container:{one.name}") as two:
        equal("namespace", *(os.readlink(f"/proc/{each.pid}/ns/net") for each in (one, two)))
        two.sh("until nc 127.0.0.1 80; do sleep 0.1; done").want(0, "^1$")
        equal("host names", two.sh("hostname").out, one.sh("hostname").out)


@check
def net_of_a_container_stays_after_a_restart(c):
    with c.up() as one:
        with c.up("--net", f"container:{one.name}") as two:
            two("restart").want()
            equal("namespace", *(os.readlink(f"/proc/{each.pid}/ns/net") for each in (one, two)))


@check
def published_port(c):
    with c.up("--publish", "127.0.0.1:18080:80", script=SERVE) as one:
        one("port").want(0, r"80/tcp -> 127.0.0.1:18080")
        until("an answer", lambda: answer("127.0.0.1", 18080) == "1\n")
    try:
        answer("127.0.0.1", 18080)
    except OSError:
        return
    raise Failed("an answer of a container that is gone")


@check
def published_all(c):
    with c.up("--publish-all", "--expose", "80", script=SERVE) as one:
        port = int(one("port", "80").want(0, r":\d+").out.split()[0].rpartition(":")[2])
        until("an answer", lambda: answer("127.0.0.1", port) == "1\n")


@check
def link_to_another(c):
    with c.up() as one:
        c.sh("ping -c 1 other && grep other /etc/hosts; env", "--link", f"{one.name}:other").want(
            0, rf"{re.escape(address(one))}\s+other(.*\n)*OTHER_NAME="
        )


@check
def network_of_its_own_with_names(c):
    c("network", "create", "--subnet", "10.99.0.0/24", "own").want()
    try:
        with c.up("--net", "own", "--network-alias", "server", "--ip", "10.99.0.9") as one:
            c.sh(f"cat /etc/resolv.conf; ping -c 1 server && ping -c 1 {one.name}", "--net", "own").want(
                0, r"nameserver 127\.0\.0\.11(.*\n)*.*server \(10\.99\.0\.9\)"
            )
    finally:
        c("network", "rm", "own").want()


@check
def network_connect_to_a_running_one(c):
    c("network", "create", "later").want()
    try:
        with c.up() as one:
            c("network", "connect", "later", one.name).want()
            one.sh("ls /sys/class/net").want(0, "eth0\neth1\n")
            c("network", "disconnect", "later", one.name).want()
            one.sh("ls /sys/class/net | grep -c eth").want(0, "^1$")
    finally:
        c("network", "rm", "later").want()


@check
def hosts_and_resolver(c):
    flags = (
        "--add-host",
        "there:10.1.2.3",
        "--dns",
        "10.9.9.9",
        "--dns-search",
        "example.org",
        "--dns-option",
        "ndots:3",
    )
    c.sh("cat /etc/hosts /etc/resolv.conf", *flags).want(
        0, r"(?s)10\.1\.2\.3\s+there\n.*search example\.org\nnameserver 10\.9\.9\.9\noptions ndots:3"
    )


@check
def hosts_can_be_written(c):
    c.sh("echo 10.7.7.7 new >>/etc/hosts && grep -c 10.7.7.7 /etc/hosts").want(0, "^1$")
    c.sh("echo x >>/etc/hosts", "--read-only").want(1, err="Read-only")


@check
def mac_address(c):
    c.sh("cat /sys/class/net/eth0/address", "--mac-address", "02:42:ac:11:00:99").want(0, "^02:42:ac:11:00:99$")


@check
def ports_below_1024_for_users(c):
    """docker sets net.ipv4.ip_unprivileged_port_start where the container has a network of its own."""
    c.sh("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/net/ipv4/ping_group_range").want(
        0, r"^0\n0\s+2147483647$"
    )
    c.sh("echo x | timeout 1 nc -l -p 80; test $? = 143 && echo listened", "--user", "user").want(0, "^listened$")


if __name__ == "__main__":
    main(Docker)
