"""buildah bud: what a Containerfile makes."""

from buildah_client import *


@check
def bud_runs_in_stages(c):
    text = """FROM box AS first
ARG WHAT
ENV KIND=env
WORKDIR /work
RUN echo $WHAT $KIND $(pwd) >result
FROM box
COPY --from=first /work/result /result
USER user
RUN id -un >/tmp/by
SHELL ["/bin/busybox", "sh", "-c"]
RUN readlink /proc/$$/exe >/tmp/shell
CMD cat /result /tmp/by
"""
    c.build("staged", text, "--build-arg", "WHAT=arg")
    with c.box("staged-box", image="staged"):
        seen = c.sh("staged-box", "cat /result /tmp/by /tmp/shell; id -un").want().out
        equal("what the steps made", seen, "arg env /work\nuser\n/bin/busybox\nuser\n")


@check
def bud_mounts(c):
    text = """FROM box
RUN --mount=type=cache,target=/cache,id=one echo first >>/cache/file
RUN --mount=type=cache,target=/cache,id=one cat /cache/file >/cached
RUN --mount=type=bind,source=input,target=/input cat /input >/bound && ! touch /input
RUN --mount=type=tmpfs,target=/scratch grep ' /scratch ' /proc/self/mountinfo >/mounts
RUN --mount=type=secret,id=word cat /run/secrets/word >/told
"""
    with open("/tmp/word", "w") as file:
        file.write("secret\n")
    c.build("mounts", text, "--secret", "id=word,src=/tmp/word", files={"input": "input\n"})
    with c.box("mounts-box", image="mounts"):
        seen = c.sh("mounts-box", "cat /cached /bound /told /mounts; ls /run/secrets").want().out
        true(seen, re.search(r"^first\ninput\nsecret\n.* /scratch .* - tmpfs .*\n$", seen))


@check
def bud_fails_with_the_step(c):
    c.build("broken", "FROM box\nRUN echo before && exit 9\nRUN echo never\n", code=9)
    c.build("absent", 'FROM box\nRUN ["/no/program"]\n', code=1)


@check
def bud_layers_are_kept(c):
    text = "FROM box\nRUN echo one >/one\nRUN echo two >/two\n"
    c.build("layers", text, "--layers")
    true("cache used", "Using cache" in c.build("layers", text, "--layers").out)


@check
def bud_options_reach_the_steps(c):
    text = "FROM box\nRUN grep CapEff /proc/self/status >/seen; ulimit -n >>/seen; df -k /dev/shm | tail -1 >>/seen\n"
    c.build("options", text, "--cap-add", "net_raw", "--ulimit", "nofile=77:88", "--shm-size", "2m")
    with c.box("options-box", image="options"):
        c.sh("options-box", "cat /seen").want(0, r"^CapEff:\t00000000800425fb\n77\n.* 2048 ")


@check
def bud_of_an_ordinary_user(c):
    """Isolation rootless: buildah is root of a user namespace, and the runtime called there."""
    alice = User("alice", 5001, 500000)
    os.makedirs("/home/alice/context")
    with open("/home/alice/context/Containerfile", "w") as file:
        file.write("FROM scratch\nADD image.tar /\nRUN cat /proc/self/uid_map >/map\nUSER user\nRUN id -un >/tmp/by\n")
    call("cp", "/tmp/image.tar", "/home/alice/context/").want()
    buildah = ["buildah", "--storage-driver", "vfs"]
    flags = ["--isolation", "rootless", "--network", "none", "--runtime", c.runtime]
    alice(*buildah, "bud", *flags, "-t", "made", "/home/alice/context").want()
    alice(*buildah, "from", "--name", "made-box", "made").want()
    alice(*buildah, "run", *flags, "made-box", "sh", "-c", "cat /map /tmp/by; exit 3").want(
        3, r"^ +0 +5001 +1\n +1 +500000 +65536\nuser\n$"
    )


if __name__ == "__main__":
    main(Buildah)
