"""The part of the kubelet: containerd's CRI plugin over gRPC, its streams over web sockets, pods and containers."""

import base64
import select
import socket
import urllib.parse

import grpc

from ctr import *

CONFIG = f"""
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/pods"
"""
HANDLER = """
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.NAME]
  runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.NAME.options]
    BinaryName = "PATH"
"""
NETWORK = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "pods0",
            "isGateway": True,
            "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]},
        },
    ],
}


class Refused(Failed):
    """The service has answered with an error."""


class Stream:
    """A stream of exec, attach or port-forward: a web socket whose messages begin with the number of a channel."""

    STDIN, STDOUT, STDERR, STATUS, RESIZE = range(5)

    def __init__(self, url, protocol="v4.channel.k8s.io"):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), CALL)
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
        head += f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        # The server's library asks where a page comes from.
        head += f"Origin: http://{parts.netloc}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
        self.socket.sendall(head.encode())
        self.file = self.socket.makefile("rb")
        self.heads = list(iter(self.file.readline, b"\r\n"))
        if b" 101 " not in self.heads[0]:
            raise Failed(f"no stream: {self.heads}")
        self.said = {}

    def send(self, channel, data):
        data = bytes([channel]) + data
        size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126, *len(data).to_bytes(2, "big")])
        # Binary, the last part of a message, and masked with zeros.
        self.socket.sendall(b"\x82" + size + bytes(4) + data)

    def receive(self):
        """Takes a message; false at the end."""
        head = self.file.read(2)
        if len(head) < 2 or head[0] & 15 == 8:
            return False
        size = head[1] & 127
        if size >= 126:
            size = int.from_bytes(self.file.read(2 if size == 126 else 8), "big")
        data = self.file.read(size)
        if data:
            self.said[data[0]] = self.said.get(data[0], b"") + data[1:]
        return True

    def until(self, wanted, channel=STDOUT):
        """Takes messages until a channel has said something."""
        while not re.search(wanted, self.text(channel)):
            if not self.receive():
                raise Failed(f"{wanted!r} was not said: {self.said}")

    def text(self, channel=STDOUT):
        return self.said.get(channel, b"").decode(errors="replace")

    def end(self):
        """Takes what is left, and gives the exit status that the last channel tells."""
        while self.receive():
            continue
        self.close()
        status = json.loads(self.text(self.STATUS))
        if status["status"] == "Success":
            return 0
        return int(next(one["message"] for one in status["details"]["causes"] if one["reason"] == "ExitCode"))

    def close(self):
        self.file.close()
        self.socket.close()


class Cri(Containerd):
    """containerd with its CRI plugin, and a handler for each runtime."""

    def __init__(self, runtimes, config=""):
        os.makedirs("/etc/cni/pods")
        with open("/etc/cni/pods/10-pods.conflist", "w") as file:
            json.dump(NETWORK, file)
        # The default is `runc`, without a path: what is found under that name.
        paths = {"runc": "", **runtimes}
        handlers = [HANDLER.replace("NAME", name).replace("PATH", path) for name, path in paths.items()]
        super().__init__(runtimes, "k8s.io", CONFIG + "".join(handlers) + config)
        call("protoc", "-I/clients", "--python_out=/tmp", "cri.proto").want()
        sys.path.insert(0, "/tmp")
        import cri_pb2

        self.messages = cri_pb2
        self.handler = next(iter(runtimes))
        until("the runtime is ready", lambda: all(one.status for one in self.rpc("Status").status.conditions))

    def begin(self):
        super().begin()
        self.channel = grpc.insecure_channel(f"unix://{SOCKET}")

    def end(self, number=signal.SIGTERM):
        self.channel.close()
        super().end(number)

    def rpc(self, method, **fields):
        """Calls a method of the service."""
        request = getattr(self.messages, f"{method}Request")(**fields)
        parse = getattr(self.messages, f"{method}Response").FromString
        ask = self.channel.unary_unary(f"/runtime.v1.RuntimeService/{method}", type(request).SerializeToString, parse)
        try:
            return ask(request, timeout=CALL, wait_for_ready=True)
        except grpc.RpcError as error:
            raise Refused(f"{method}: {error.code().name}: {error.details()}") from None

    def refused(self, wanted, method, **fields):
        """Fails unless the service refuses, with that text."""
        try:
            answer = self.rpc(method, **fields)
        except Refused as error:
            if not re.search(wanted, str(error)):
                raise Failed(f"{wanted!r} wanted: {error}") from None
        else:
            raise Failed(f"{method} is not refused: {answer}")

    @contextlib.contextmanager
    def pod(self, handler=None, linux=None, **config):
        """A pod, removed at the end."""
        name = f"pod{next(self.ids)}"
        logs = f"/var/log/pods/{name}"
        os.makedirs(logs)
        config = {
            "metadata": {"name": name, "uid": name, "namespace": "space", "attempt": 0},
            "log_directory": logs,
            "linux": linux or {},
            **config,
        }
        pod = Pod(self, config)
        try:
            pod.start(handler or self.handler)
            yield pod
        finally:
            pod.remove()

    @contextlib.contextmanager
    def box(self, script="exec sleep 1000", **config):
        """A started container in a pod of its own."""
        with self.pod() as pod:
            yield pod.box(script, **config)

    def sh(self, script, **config):
        """A container that runs to its end: its result."""
        with self.pod() as pod:
            return pod.box(script, **config).result()


class Pod:
    """A pod sandbox."""

    def __init__(self, cri, config):
        self.cri, self.config, self.id, self.count = cri, config, None, itertools.count()

    def start(self, handler):
        self.id = self.cri.rpc("RunPodSandbox", config=self.config, runtime_handler=handler).pod_sandbox_id

    def stop(self):
        self.cri.rpc("StopPodSandbox", pod_sandbox_id=self.id)

    def remove(self):
        if self.id:
            self.stop()
            self.cri.rpc("RemovePodSandbox", pod_sandbox_id=self.id)

    @property
    def status(self):
        return self.cri.rpc("PodSandboxStatus", pod_sandbox_id=self.id).status

    @property
    def statistics(self):
        return self.cri.rpc("PodSandboxStats", pod_sandbox_id=self.id).stats

    @property
    def info(self):
        return json.loads(self.cri.rpc("PodSandboxStatus", pod_sandbox_id=self.id, verbose=True).info["info"])

    @property
    def pid(self):
        return self.info["pid"]

    def create(self, *command, name=None, security=None, resources=None, **config):
        """A container, not started."""
        name = name or f"c{next(self.count)}"
        linux = {"security_context": security or {}, "resources": resources or {}}
        config = {
            "metadata": {"name": name, "attempt": 0},
            "image": {"image": IMAGE},
            "command": command,
            "log_path": f"{name}.log",
            "linux": linux,
            **config,
        }
        answer = self.cri.rpc("CreateContainer", pod_sandbox_id=self.id, config=config, sandbox_config=self.config)
        return Container(self, answer.container_id, f"{self.config['log_directory']}/{name}.log")

    def box(self, script="exec sleep 1000", **config):
        """A container, started."""
        box = self.create("sh", "-c", script, **config)
        box.start()
        return box


class Container:
    """A container of a pod."""

    def __init__(self, pod, id, log):
        self.pod, self.cri, self.id, self.log = pod, pod.cri, id, log

    def rpc(self, method, **fields):
        return self.cri.rpc(method, container_id=self.id, **fields)

    def start(self):
        self.rpc("StartContainer")

    @property
    def status(self):
        return self.rpc("ContainerStatus").status

    @property
    def state(self):
        return self.cri.messages.ContainerState.Name(self.status.state).removeprefix("CONTAINER_")

    @property
    def info(self):
        return json.loads(self.rpc("ContainerStatus", verbose=True).info["info"])

    @property
    def pid(self):
        return self.info["pid"]

    def ended(self):
        """Waits for the end: the status."""
        until("the container ends", lambda: self.state == "EXITED")
        return self.status

    def logged(self, stream):
        """What the log has of stdout or stderr."""
        said = ""
        with open(self.log) as file:
            for line in file:
                _, name, part, text = line.rstrip("\n").split(" ", 3)
                if name == stream:
                    said += text + ("\n" if part == "F" else "")
        return said

    def says(self, what, stream="stdout"):
        return until(f"{what!r} in the log", lambda: re.search(what, self.logged(stream)))

    def result(self):
        """The end, as that of a program."""
        code = self.ended().exit_code
        return Result([self.log], code, self.logged("stdout"), self.logged("stderr"))

    def exec(self, *cmd, timeout=0):
        """ExecSync."""
        answer = self.rpc("ExecSync", cmd=cmd, timeout=timeout)
        out, err = answer.stdout.decode(errors="replace"), answer.stderr.decode(errors="replace")
        return Result(["exec", *cmd], answer.exit_code, out, err)

    def stream(self, method, **fields):
        return Stream(self.rpc(method, stdout=True, **fields).url)
