"""docker build: the classic builder with the default runtime, BuildKit with the `runc` that is in PATH: the runtime."""

from dockerd import *

CALLS = "/tmp/runc-calls"


class Builder(Docker):
    """`runc` in PATH is the runtime under that name, and BuildKit's calls of it are written down."""

    def __init__(self, runtimes):
        os.makedirs("/opt/bin", exist_ok=True)
        with open("/opt/bin/runc", "w") as file:
            runtime = next(iter(runtimes.values()))
            file.write(f'#!/bin/bash\necho "$*" >>{CALLS}\nexec -a runc {runtime} "$@"\n')
        os.chmod("/opt/bin/runc", 0o755)
        super().__init__(runtimes, env={"PATH": f"/opt/bin:{os.environ['PATH']}"})

    def build(self, text, *flags, kit=True, again=False, files=(), **more):
        """`docker build` of a Dockerfile; gives the call, the image is `built`."""
        self.count += 1
        at = f"/tmp/build-{self.count}"
        os.makedirs(at)
        for name, content in {**dict(files), "Dockerfile": text}.items():
            with open(f"{at}/{name}", "w") as file:
                file.write(content)
        flags = (*flags, "--progress", "plain") if kit else flags
        env = {"DOCKER_BUILDKIT": "1" if kit else "0"}
        fresh = () if again else ("--no-cache",)
        return self("build", *fresh, "--tag", "built", *flags, at, env=env, **more)

    def built(self, script, *flags):
        """What a script says in the image that was built."""
        return self("run", "--rm", *flags, "built", "sh", "-c", script).want()


STEPS = """\
FROM box
ARG WHO=nobody
ENV KEY=value
WORKDIR /work/here
COPY file copied
RUN echo "$WHO $KEY $PWD $(id -u) $(cat copied)" >/out
RUN ["/bin/sh", "-c", "echo exec-form >>/out"]
USER user
RUN id -un >/tmp/user && ! touch /etc/new 2>/dev/null
CMD cat /out
"""
STAGES = """\
FROM box AS first
RUN echo made >/made && ln -s /made /link && chown 12:34 /made
FROM box
COPY --from=first --chown=5:6 /made /taken
RUN cat /taken && test ! -e /link
"""


def steps(c, kit):
    c.build(STEPS, "--build-arg", "WHO=me", kit=kit, files={"file": "content"}).want()
    equal("files", c.built("cat /out /tmp/user").out, "me value /work/here 0 content\nexec-form\nuser\n")
    equal("user", c.built("id -u").out, "1000\n")


def stages(c, kit):
    c.build(STAGES, kit=kit).want()
    equal("owner", c.built("stat -c %u:%g /taken; cat /taken").out, "5:6\nmade\n")


@check
def classic_steps(c):
    steps(c, False)


@check
def classic_stages(c):
    stages(c, False)


@check
def classic_failing_step(c):
    c.build("FROM box\nRUN echo before; exit 3\n", kit=False).want(3, "before", "non-zero code: 3")


@check
def classic_step_not_found(c):
    c.build('FROM box\nRUN ["nosuch"]\n', kit=False).want(1, err="nosuch.*executable file not found in")


@check
def classic_network_none_and_limits(c):
    text = "FROM box\nRUN ls /sys/class/net >/net\n"
    text += "RUN cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory.max 2>/dev/null >/max || :\n"
    c.build(text, "--network", "none", "--memory", "64m", kit=False).want()
    equal("interfaces and memory", c.built("cat /net /max").out, f"lo\n{64 << 20}\n")


@check
def kit_steps(c):
    steps(c, True)


@check
def kit_stages(c):
    stages(c, True)


@check
def kit_runs_the_runc_of_path(c):
    open(CALLS, "w").close()
    c.build("FROM box\nRUN cat /proc/self/cgroup >/groups\n").want()
    with open(CALLS) as file:
        calls = file.read()
    true(calls, re.search(r"^--log \S+ --log-format json run --bundle \S+ \w+$", calls, re.M))


@check
def kit_failing_step(c):
    c.build("FROM box\nRUN echo before; exit 3\n").want(1, err="(?s)before.*exit code: 3")


@check
def kit_step_not_found(c):
    c.build('FROM box\nRUN ["nosuch"]\n').want(1, err="nosuch.*executable file not found in")


@check
def kit_leaves_nothing_of_a_failed_step(c):
    c.build("FROM box\nRUN sleep 1000 & exit 1\n").want(1)
    until("no process", lambda: call("pgrep", "-f", "^sleep 1000$").code == 1)
    equal("containers of runc", call("/opt/bin/runc", "list", "--quiet").want().out, "")


@check
def kit_several_stages_at_a_time(c):
    text = "".join(f"FROM box AS s{i}\nRUN echo {i} >/f{i}\n" for i in range(5)) + "FROM box\n"
    c.build(text + "".join(f"COPY --from=s{i} /f{i} /f{i}\n" for i in range(5))).want()
    equal("files", c.built("cat /f*").out, "0\n1\n2\n3\n4\n")


@check
def kit_mount_cache(c):
    text = "FROM box\nRUN --mount=type=cache,target=/cache echo kept >>/cache/file && cp /cache/file /file\n"
    c.build(text).want()
    # --no-cache would empty it.
    c.build(text.replace("echo kept", "echo again"), again=True).want()
    equal("file", c.built("cat /file; ls /cache").out, "kept\nagain\n")


@check
def kit_mount_tmpfs(c):
    c.build(
        "FROM box\nRUN --mount=type=tmpfs,target=/ram grep ' /ram ' /proc/mounts >/mounts && touch /ram/file\n"
    ).want()
    true("a tmpfs", c.built("cat /mounts; ls /ram").out.startswith("tmpfs /ram tmpfs rw"))


@check
def kit_mount_secret(c):
    with open("/tmp/secret", "w") as file:
        file.write("whisper")
    text = "FROM box\nRUN --mount=type=secret,id=word cd /run/secrets && (cat word; stat -c '%u %a' word) >/word\n"
    c.build(text, "--secret", "id=word,src=/tmp/secret").want()
    equal("what was seen", c.built("cat /word; ls /run/secrets").out, "whisper0 400\n")


@check
def kit_mount_bind(c):
    text = "FROM box AS first\nRUN echo given >/given\nFROM box\n"
    text += "RUN --mount=type=bind,from=first,source=/given,target=/seen cat /seen >/out && ! echo x >/seen\n"
    c.build(text).want()
    equal("out", c.built("cat /out").out, "given\n")


@check
def kit_network_none(c):
    c.build("FROM box\nRUN ls /sys/class/net >/net\n", "--network", "none").want()
    equal("interfaces", c.built("cat /net").out, "lo\n")


@check
def kit_network_host(c):
    c.build("FROM box\nRUN readlink /proc/self/ns/net >/net\n", "--network", "host").want()
    equal("namespace", c.built("cat /net").out.strip(), os.readlink("/proc/self/ns/net"))


@check
def kit_has_the_usual_rights(c):
    """The default capabilities, a filter, masked and read-only paths."""
    c.build(
        "FROM box\nRUN cat /proc/self/status >/status; echo 1 >/proc/sys/vm/swappiness || echo closed >>/status\n"
    ).want()
    got = c.built("cat /status").out
    true(got, "CapEff:\t00000000a80425fb\n" in got and "Seccomp:\t2\n" in got and got.endswith("closed\n"))


@check
def kit_hosts_and_shm(c):
    c.build(
        "FROM box\nRUN cat /etc/hosts >/out; df /dev/shm | grep -c shm >>/out\n", "--add-host", "there:10.1.2.3"
    ).want()
    true("hosts", re.search(r"10\.1\.2\.3\s+there(.*\n)*1\n$", c.built("cat /out").out))


if __name__ == "__main__":
    main(Builder)
