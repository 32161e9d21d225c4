"""Kubernetes' interface to containerd: what a handler, a RuntimeClass of Kubernetes, can be configured to."""

from pods import *

# (of the handler, of its options)
HANDLERS = {
    "nopivot": ("", "NoPivotRoot = true"),
    "keyring": ("", "NoNewKeyring = true"),
    "elsewhere": ("", 'Root = "/run/elsewhere"'),
    "annotated": ('pod_annotations = ["example/*"]\n  container_annotations = ["example/*"]', ""),
    "bare": ("privileged_without_host_devices = true", ""),
    "based": ('base_runtime_spec = "/etc/containerd/base.json"', ""),
    "owned": ("", "IoUid = 1000\n    IoGid = 1000"),
}
PRIVILEGED = {"security_context": {"privileged": True}}


def made(runtimes):
    """The client with these handlers; their runtime's name is that of the script that notes how it is called."""
    config = ""
    for name, (handler, options) in HANDLERS.items():
        text = HANDLER.replace("NAME", name).replace("PATH", f"{NAMED}/runc")
        config += text.replace("  [plugins", f"  {handler}\n  [plugins") + f"    {options}\n"
    spec = call("ctr", "oci", "spec").want().json
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "cat >>/tmp/hook"]}
    spec["hooks"] = {"createRuntime": [hook]}
    spec["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}]
    os.makedirs("/etc/containerd", exist_ok=True)
    with open("/etc/containerd/base.json", "w") as file:
        json.dump(spec, file)
    return Cri(runtimes, config)


def calls(id):
    """The command lines that named a container."""
    with open(f"{NAMED}/log") as file:
        return [line for line in file if id in line]


@check
def without_pivot_root(c):
    with c.pod(handler="nopivot") as pod:
        box = pod.box("touch /file && ls /; pwd")
        box.result().want(0, r"(?s)bin\n.*file\n.*/\n")
        true(calls(box.id), any(" create " in line and " --no-pivot " in line for line in calls(box.id)))


@check
def without_a_new_keyring(c):
    with c.pod(handler="keyring") as pod:
        box = pod.box("exit 0")
        equal("exit code", box.ended().exit_code, 0)
        true(calls(box.id), any(" create " in line and " --no-new-keyring " in line for line in calls(box.id)))


@check
def with_another_root_of_state(c):
    with c.pod(handler="elsewhere") as pod:
        box = pod.box()
        equal("pid", c.state(box.id, space="k8s.io", root="/run/elsewhere").want().json["pid"], box.pid)


@check
def with_annotations(c):
    annotations = {"example/one": "1", "other/two": "2"}
    with c.pod(handler="annotated", annotations=annotations) as pod:
        box = pod.box(annotations={"example/three": "3"})
        state = c.state(pod.id, space="k8s.io").want().json
        equal("of the pod", (state["annotations"].get("example/one"), state["annotations"].get("other/two")), ("1", None))
        state = c.state(box.id, space="k8s.io").want().json
        equal("of the container", state["annotations"].get("example/three"), "3")


@check
def privileged_without_devices_of_the_host(c):
    with c.pod(handler="bare", linux=PRIVILEGED) as pod:
        box = pod.box("ls /dev/fuse /dev/kmsg; ls /dev/null", security={"privileged": True})
        box.result().want(0, "^/dev/null\n$")


@check
def with_a_specification_to_begin_with(c):
    with c.pod(handler="based") as pod:
        box = pod.box("ulimit -n")
        box.result().want(0, "^77$")
        with open("/tmp/hook") as file:
            true("the hook is given the state", f'"{box.id}"' in file.read())


@check
def with_an_owner_of_the_streams(c):
    with c.pod(handler="owned") as pod:
        pod.box("stat -Lc %g /proc/self/fd/1; echo hello >/dev/stdout").result().want(0, "^1000\nhello\n$")


if __name__ == "__main__":
    main(made)
