"""Kubernetes' interface to containerd: pods and containers from their start to their removal, limits, statistics."""

import concurrent.futures

from pods import *

# Ends when it is asked to.
TERM = "trap 'echo term; exit 3' TERM; echo up; while :; do sleep 0.05; done"


def ns(pid, kind):
    return os.readlink(f"/proc/{pid}/ns/{kind}")


def runtime_knows(c, id):
    """Whether the runtime itself has a container of that id."""
    return c.state(id, space="k8s.io").code == 0


def task_knows(c, id):
    return any(line.startswith(id) for line in c("tasks", "list").want().out.splitlines())


@check
def version_and_readiness(c):
    equal("name", c.rpc("Version").runtime_name, "containerd")
    ready = {one.type: one.status for one in c.rpc("Status").status.conditions}
    equal("ready", ready, {"RuntimeReady": True, "NetworkReady": True})


@check
def pod_is_ready(c):
    with c.pod(labels={"app": "one"}, annotations={"note": "two"}) as pod:
        status = pod.status
        equal("state", status.state, 0)
        equal("handler", status.runtime_handler, c.handler)
        equal("labels", (dict(status.labels), dict(status.annotations)), ({"app": "one"}, {"note": "two"}))
        true(status.network.ip, status.network.ip.startswith("10.88."))
        with open(f"/proc/{pod.pid}/cmdline") as file:
            equal("program", file.read(), "/pause\0-P\0")
        equal("runtime's state", c.state(pod.id, space="k8s.io").want().json["pid"], pod.pid)


@check
def pod_tells_its_configuration(c):
    with c.pod() as pod:
        info = pod.info
        equal("binary", info["runtimeOptions"].get("binary_name", info["runtimeOptions"].get("BinaryName")), c.runtime)
        equal("type", info["runtimeType"], "io.containerd.runc.v2")
        equal("arguments", info["runtimeSpec"]["process"]["args"], ["/pause", "-P"])


@check
def pod_of_the_default_handler(c):
    with c.pod() as pod:
        other = Pod(c, {**pod.config, "metadata": {"name": "default", "uid": "default", "namespace": "space"}})
        other.start("")
        try:
            other.box("echo hello").result().want(0, "^hello$")
            if c.handler != "runc":
                with open(f"{NAMED}/log") as file:
                    true("called as runc", other.id in file.read())
        finally:
            other.remove()


@check
def pod_of_an_unknown_handler(c):
    config = {"metadata": {"name": "unknown", "uid": "unknown", "namespace": "space"}}
    c.refused("no runtime for .*nosuch.* is configured", "RunPodSandbox", config=config, runtime_handler="nosuch")


@check
def pod_stops(c):
    with c.pod() as pod:
        pid = pod.pid
        box = pod.box()
        other = box.pid
        pod.stop()
        equal("state", pod.status.state, 1)
        equal("container", box.state, "EXITED")
        true("no processes", not os.path.exists(f"/proc/{pid}") and not os.path.exists(f"/proc/{other}"))
        true("the runtime has forgotten both", not runtime_knows(c, pod.id) and not runtime_knows(c, box.id))


@check
def pod_is_removed(c):
    with c.pod() as pod:
        pod.box()
    c.refused("NOT_FOUND|not found", "PodSandboxStatus", pod_sandbox_id=pod.id)
    true("no task", not task_knows(c, pod.id))
    for place in ("", "*/"):
        until("no cgroup", lambda: not glob.glob(f"/sys/fs/cgroup/{place}k8s.io/{pod.id}"))


@check
def pod_whose_sandbox_is_killed(c):
    with c.pod() as pod:
        os.kill(pod.pid, signal.SIGKILL)
        until("the pod is not ready", lambda: pod.status.state == 1)


@check
def pods_are_listed(c):
    with c.pod(labels={"app": "listed"}) as one, c.pod(labels={"app": "other"}):
        found = c.rpc("ListPodSandbox", filter={"label_selector": {"app": "listed"}}).items
        equal("by label", [item.id for item in found], [one.id])
        found = c.rpc("ListPodSandbox", filter={"id": one.id, "state": {"state": "SANDBOX_READY"}}).items
        equal("by id and state", [item.id for item in found], [one.id])


@check
def pod_has_a_host_name_and_dns(c):
    with c.pod(hostname="myhost", dns_config={"servers": ["10.0.0.1"], "searches": ["a.example"]}) as pod:
        box = pod.box()
        box.exec("hostname").want(0, "^myhost$")
        box.exec("cat", "/etc/hostname").want(0, "^myhost$")
        box.exec("cat", "/etc/resolv.conf").want(0, r"(?s)search a\.example.*nameserver 10\.0\.0\.1")


@check
def pod_has_a_network(c):
    with c.pod() as pod:
        box = pod.box()
        equal("network of the pod", ns(box.pid, "net"), ns(pod.pid, "net"))
        box.exec("ip", "address", "show", "eth0").want(0, rf"inet {re.escape(pod.status.network.ip)}/16")
        box.exec("ping", "-c", "1", "-W", "30", "10.88.0.1").want()


@check
def pod_with_sysctls(c):
    with c.pod(linux={"sysctls": {"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}}) as pod:
        files = ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/shm_rmid_forced"]
        pod.box().exec("cat", *files).want(0, "^1\n1\n$")


@check
def pod_below_a_cgroup(c):
    with c.pod(linux={"cgroup_parent": "/kubepods/mine"}) as pod:
        box = pod.box(resources={"memory_limit_in_bytes": 64 << 20})
        for one in (pod, box):
            with open(f"/proc/{one.pid}/cgroup") as file:
                text = file.read()
            true(text, f"/kubepods/mine/{one.id}\n" in text)


@check
def container_is_created_started_stopped_removed(c):
    with c.pod() as pod:
        box = pod.create("sh", "-c", TERM)
        equal("state", box.state, "CREATED")
        true("no task", not task_knows(c, box.id))
        box.start()
        equal("state", box.state, "RUNNING")
        box.says("up")
        pid = box.pid
        box.rpc("StopContainer", timeout=60)
        equal("state", box.state, "EXITED")
        status = box.status
        equal("end", (status.exit_code, status.reason), (3, "Error"))
        true("times", 0 < status.created_at < status.started_at < status.finished_at)
        true("no process", not os.path.exists(f"/proc/{pid}"))
        box.rpc("RemoveContainer")
        c.refused("NOT_FOUND|not found", "ContainerStatus", container_id=box.id)


@check
def container_that_is_never_started(c):
    with c.pod() as pod:
        box = pod.create("true")
        box.rpc("RemoveContainer")
        equal("containers", list(c.rpc("ListContainers", filter={"pod_sandbox_id": pod.id}).containers), [])


@check
def container_that_does_not_want_to_stop(c):
    with c.box("trap '' TERM; echo up; while :; do sleep 0.05; done") as box:
        box.says("up")
        box.rpc("StopContainer", timeout=1)
        equal("exit code", box.status.exit_code, 137)
        # Once more does no harm.
        box.rpc("StopContainer", timeout=1)


@check
def container_is_removed_while_it_runs(c):
    with c.box() as box:
        pid = box.pid
        box.rpc("RemoveContainer")
        true("no process", not os.path.exists(f"/proc/{pid}"))
        true("the runtime has forgotten it", not runtime_knows(c, box.id))


@check
def container_ends_well(c):
    with c.box("exit 0") as box:
        status = box.ended()
        equal("end", (status.exit_code, status.reason), (0, "Completed"))


@check
def container_ends_badly(c):
    with c.box("exit 9") as box:
        status = box.ended()
        equal("end", (status.exit_code, status.reason), (9, "Error"))


@check
def container_is_killed(c):
    with c.box() as box:
        os.kill(box.pid, signal.SIGKILL)
        equal("exit code", box.ended().exit_code, 137)


@check
def container_runs_out_of_memory(c):
    # dd, and nothing beside it: the kernel kills the first process of the container.
    with c.pod() as pod:
        command = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M"]
        box = pod.create(*command, resources={"memory_limit_in_bytes": 16 << 20})
        box.start()
        status = box.ended()
        equal("exit code", status.exit_code, 137)
        until("the reason", lambda: box.status.reason == "OOMKilled")


@check
def containers_are_listed(c):
    with c.pod() as pod:
        one = pod.box(labels={"which": "one"})
        two = pod.box("exit 0", labels={"which": "two"})
        two.ended()

        def listed(**filter):
            rows = c.rpc("ListContainers", filter={"pod_sandbox_id": pod.id, **filter}).containers
            return sorted(row.id for row in rows)

        equal("all", listed(), sorted([one.id, two.id]))
        equal("running", listed(state={"state": "CONTAINER_RUNNING"}), [one.id])
        equal("exited", listed(state={"state": "CONTAINER_EXITED"}), [two.id])
        equal("by label", listed(label_selector={"which": "two"}), [two.id])


@check
def command_arguments_directory_environment(c):
    config = {
        "args": ["sh", "-c", "echo $WORD; pwd"],
        "envs": [{"key": "WORD", "value": "two words"}],
        "working_dir": "/etc",
    }
    with c.pod() as pod:
        box = pod.create("env", **config)
        box.start()
        box.result().want(0, "^two words\n/etc\n$")


@check
def missing_executable(c):
    with c.pod() as pod:
        box = pod.create("nothere")
        c.refused(r'exec: "nothere": executable file not found in \$PATH', "StartContainer", container_id=box.id)
        status = box.status
        equal("end", (box.state, status.exit_code, status.reason), ("EXITED", 128, "StartError"))
        true(status.message, "executable file not found" in status.message)
        true("the runtime has forgotten it", not runtime_knows(c, box.id))


@check
def executable_without_permission(c):
    with c.pod() as pod:
        box = pod.create("/bin/text")
        c.refused("permission denied", "StartContainer", container_id=box.id)


@check
def limits_are_in_the_cgroup(c):
    resources = {"memory_limit_in_bytes": 64 << 20, "cpu_shares": 512, "cpu_quota": 50000, "cpu_period": 100000}
    with c.pod() as pod:
        box = pod.box(resources={**resources, "cpuset_cpus": "0"})
        equal("memory", cgroup_file(box.pid, "memory", ("memory.limit_in_bytes", "memory.max")), str(64 << 20))
        true("shares", cgroup_file(box.pid, "cpu", ("cpu.shares", "cpu.weight")) in ("512", "20"))
        quota = [cgroup_file(box.pid, "cpu", (f"cpu.cfs_{one}_us", "cpu.max")) for one in ("quota", "period")]
        equal("quota", " ".join(quota).split()[:2], ["50000", "100000"])
        equal("processors", cgroup_file(box.pid, "cpuset", "cpuset.cpus"), "0")


@check
def limits_are_updated(c):
    with c.pod() as pod:
        box = pod.box(resources={"memory_limit_in_bytes": 64 << 20})
        linux = {"memory_limit_in_bytes": 32 << 20, "cpu_shares": 256, "cpu_quota": 30000, "cpu_period": 60000}
        box.rpc("UpdateContainerResources", linux={**linux, "cpuset_cpus": "0"})
        equal("memory", cgroup_file(box.pid, "memory", ("memory.limit_in_bytes", "memory.max")), str(32 << 20))
        true("shares", cgroup_file(box.pid, "cpu", ("cpu.shares", "cpu.weight")) in ("256", "10"))
        quota = [cgroup_file(box.pid, "cpu", (f"cpu.cfs_{one}_us", "cpu.max")) for one in ("quota", "period")]
        equal("quota", " ".join(quota).split()[:2], ["30000", "60000"])
        equal("processors", cgroup_file(box.pid, "cpuset", "cpuset.cpus"), "0")


@check
def limits_are_updated_before_the_start(c):
    with c.pod() as pod:
        box = pod.create("sleep", "1000", resources={"memory_limit_in_bytes": 64 << 20})
        box.rpc("UpdateContainerResources", linux={"memory_limit_in_bytes": 32 << 20})
        box.start()
        equal("memory", cgroup_file(box.pid, "memory", ("memory.limit_in_bytes", "memory.max")), str(32 << 20))


@check
def oom_score(c):
    with c.pod() as pod:
        box = pod.box(resources={"oom_score_adj": 500})
        with open(f"/proc/{box.pid}/oom_score_adj") as file:
            equal("score", file.read(), "500\n")


@check
def statistics_of_a_container(c):
    with c.box("while :; do :; done") as box:
        until("time is used", lambda: box.rpc("ContainerStats").stats.cpu.usage_core_nano_seconds.value)
        stats = box.rpc("ContainerStats").stats
        equal("id", stats.attributes.id, box.id)
        true("memory", stats.memory.usage_bytes.value > 0)
        listed = c.rpc("ListContainerStats", filter={"pod_sandbox_id": box.pod.id}).stats
        equal("listed", [one.attributes.id for one in listed], [box.id])


@check
def statistics_of_a_pod(c):
    with c.pod(linux={"cgroup_parent": "/kubepods/counted"}) as pod:
        box = pod.box()
        until("memory is used", lambda: pod.statistics.linux.memory.usage_bytes.value)
        stats = pod.statistics
        ids = (stats.attributes.id, [one.attributes.id for one in stats.linux.containers])
        equal("ids", ids, (pod.id, [box.id]))


@check
def daemon_restarts(c):
    with c.pod() as pod:
        box = pod.box("until [ -e /end ]; do sleep 0.05; done; exit 11")
        pid = box.pid
        c.restart()
        until("the pod is known", lambda: pod.status.state == 0)
        equal("container", (box.state, box.pid), ("RUNNING", pid))
        box.exec("touch", "/end").want()
        equal("exit code", box.ended().exit_code, 11)


@check
def daemon_is_killed_and_a_container_ends_meanwhile(c):
    with c.pod() as pod:
        box = pod.box()
        pid = box.pid
        c.end(signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        until("the process has ended", lambda: not os.path.exists(f"/proc/{pid}"))
        c.begin()
        until("its end is known", lambda: box.state == "EXITED")
        equal("exit code", box.status.exit_code, 137)
        pod.box("echo again").result().want(0, "^again$")


@check
def many_containers_at_once(c):
    with c.pod() as pod, concurrent.futures.ThreadPoolExecutor(6) as pool:
        results = pool.map(lambda number: pod.box(f"echo {number}; exit {number}").result(), range(6))
        for number, result in enumerate(results):
            result.want(number, f"^{number}$")


@check
def container_starts_again_as_the_next_attempt(c):
    with c.pod() as pod:
        for attempt in (0, 1):
            box = pod.create("true", metadata={"name": "same", "attempt": attempt})
            box.start()
            equal("exit code", box.ended().exit_code, 0)
        rows = c.rpc("ListContainers", filter={"pod_sandbox_id": pod.id}).containers
        equal("attempts", sorted(row.metadata.attempt for row in rows), [0, 1])


@bench
def bench_pod(c, runtime):
    """CRI: a pod with a container that ends, and its removal"""
    with c.pod(handler=runtime) as pod:
        pod.box("exit 0").ended()


if __name__ == "__main__":
    main(Cri)
