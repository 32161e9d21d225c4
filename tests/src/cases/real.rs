//! Real input: a busybox bundle, a Debian root, an OCI image unpacked by umoci, an edited `spec`, a network by `ip netns`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::case::{Case, case, skip};
use crate::harness::T;
use crate::runtime::Out;

pub const CASES: &[Case] = &[
    case!(busybox),
    case!(busybox_spec_edited_with_jq),
    case!(debian, 300, serial),
    case!(oci_image_by_umoci, 120),
    case!(network_namespace_by_ip, 60),
    case!(bridge_by_ip, 60),
];

/// A root with busybox and a link for each applet.
fn busybox_root(t: &T, root: &Path) {
    let busybox = t.facts.need_tool("busybox");
    for dir in ["bin", "proc", "dev", "sys", "tmp", "etc", "root"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy(&busybox, root.join("bin/busybox")).unwrap();
    let applets = t.tool("busybox", &["--list"]).run().ok().stdout;
    for applet in applets.lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
}

fn busybox_bundle(t: &T) -> Bundle<'_> {
    let bundle = t.bundle();
    fs::remove_dir_all(bundle.rootfs()).unwrap();
    busybox_root(t, &bundle.rootfs());
    bundle
}

fn sh<'t>(bundle: Bundle<'t>, script: &str) -> Bundle<'t> {
    bundle.edit(|c| c["process"]["args"] = json!(["/bin/sh", "-c", script]))
}

fn busybox(t: &T) {
    let out = sh(
        busybox_bundle(t),
        "echo $HOME; id -u; ps | wc -l; mount | head -1; cat /proc/1/comm; exit 42",
    )
    .run();
    assert_eq!(out.code(), 42, "{}", out.stderr);
    assert!(out.stdout.starts_with("/root\n0\n"), "{}", out.stdout);
    let out = sh(busybox_bundle(t), "sleep 100 & echo $$; wait $!")
        .edit(|c| c["root"]["readonly"] = json!(true));
    let c = out.create();
    c.start();
    c.until("1\n");
    c.kill("KILL").ok();
    assert_eq!(c.wait(), 137);
    c.delete();
}

/// As in the documentation of runc: `spec`, then jq.
fn busybox_spec_edited_with_jq(t: &T) {
    let bundle = busybox_bundle(t);
    t.facts.need_tool("jq");
    let dir = bundle.dir.to_string_lossy().into_owned();
    t.bare(&["spec", "--bundle", &dir]).run().ok();
    let edited = |filter: &str| -> Out {
        let config = bundle.dir.join("config.json");
        let original = fs::read(&config).unwrap();
        let out = t
            .tool("jq", &[filter, &config.to_string_lossy()])
            .run()
            .ok();
        fs::write(&config, out.stdout).unwrap();
        let out = t.cmd(&["run", "-b", &dir, &t.id()]).run();
        fs::write(&config, original).unwrap();
        out
    };
    let out = edited(
        r#".process.terminal=false | .process.args=["sh","-c","echo hello; hostname; touch /x 2>&1; exit 3"]"#,
    );
    assert_eq!(out.code(), 3, "{}", out.stderr);
    assert!(out.stdout.starts_with("hello\n"), "{}", out.stdout);
    assert!(
        out.stdout.contains("Read-only file system"),
        "{}",
        out.stdout
    );
    let out = edited(
        r#".process.terminal=false | .process.args=["id"] | .process.user={"uid":7,"gid":8,"additionalGids":[9]} | .hostname="h" | .root.readonly=false"#,
    );
    assert!(
        out.stdout.contains("uid=7 gid=8 groups=9"),
        "{}{}",
        out.stdout,
        out.stderr
    );
    let out = edited(r#".process.terminal=false | .process.args=["mount"]"#);
    for word in [
        "/proc type proc",
        "/dev/shm type tmpfs",
        "/dev/mqueue type mqueue",
        "/dev/pts type devpts",
        "/sys type sysfs",
        "/sys/fs/cgroup",
    ] {
        assert!(out.stdout.contains(word), "no {word} in {}", out.stdout);
    }
    let out = edited(
        r#".process.terminal=false | .process.args=["sh","-c","cat /proc/timer_list; ls /proc/scsi /sys/firmware; cat /proc/keys; echo x > /proc/sys/kernel/hostname"]"#,
    );
    assert!(
        out.stdout
            .trim()
            .lines()
            .all(|line| line.ends_with(':') || line.is_empty()),
        "{}",
        out.stdout
    );
}

/// A minimal Debian, made once and kept under target/.
fn debian_root(t: &T, into: &Path) {
    t.facts.need_tool("mmdebstrap");
    let cache =
        std::env::var_os("OCILET_TESTS_CACHE").map_or_else(crate::runner::cache_dir, PathBuf::from);
    fs::create_dir_all(&cache).unwrap();
    let tarball = cache.join("debian.tar");
    if !tarball.exists() {
        if t.facts.guest {
            crate::case::cannot("a guest has no network to get Debian from");
        }
        let partial = cache.join("partial.tar");
        let out = t
            .tool(
                "mmdebstrap",
                &[
                    "--variant=minbase",
                    "--quiet",
                    "bookworm",
                    &partial.to_string_lossy(),
                ],
            )
            .env("TMPDIR", "/var/tmp")
            .cwd("/")
            .seconds(280)
            .run();
        if out.code() != 0 {
            let _ = fs::remove_file(partial);
            skip(format!(
                "mmdebstrap: {}",
                out.stderr.lines().last().unwrap_or("failed")
            ));
        }
        fs::rename(partial, &tarball).unwrap();
    }
    fs::create_dir_all(into).unwrap();
    t.tool(
        "tar",
        &[
            "-C",
            &into.to_string_lossy(),
            "-xf",
            &tarball.to_string_lossy(),
        ],
    )
    .seconds(100)
    .run()
    .ok();
}

fn debian(t: &T) {
    let bundle = t.bundle();
    fs::remove_dir_all(bundle.rootfs()).unwrap();
    debian_root(t, &bundle.rootfs());
    let dir = bundle.dir.to_string_lossy().into_owned();
    t.bare(&["spec", "--bundle", &dir]).run().ok();
    let mut config: Value =
        serde_json::from_slice(&fs::read(bundle.dir.join("config.json")).unwrap()).unwrap();
    config["process"]["terminal"] = json!(false);
    config["root"]["readonly"] = json!(false);
    config["process"]["args"] = json!([
        "bash",
        "-c",
        "set -e; . /etc/os-release; echo $ID; dpkg -l | grep -c ^ii; perl -e 'print 6*7, \"\\n\"'; ls -l /dev/ptmx; \
         getent passwd root; find / -xdev | wc -l; test -w /dev/null; mktemp >/dev/null; echo done"
    ]);
    fs::write(bundle.dir.join("config.json"), config.to_string()).unwrap();
    let out = t.cmd(&["run", "-b", &dir, &t.id()]).seconds(60).run().ok();
    let lines: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(lines.first(), Some(&"debian"));
    assert!(lines[1].parse::<u32>().unwrap() > 50, "{}", out.stdout);
    assert_eq!(lines[2], "42");
    assert_eq!(lines.last(), Some(&"done"));
    // A package tool works: it forks, locks, changes owners, runs scripts.
    config["process"]["args"] = json!(["dpkg-reconfigure", "-f", "noninteractive", "base-passwd"]);
    let caps = json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_SETUID",
        "CAP_SETGID",
        "CAP_FSETID"
    ]);
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = caps.clone();
    }
    fs::write(bundle.dir.join("config.json"), config.to_string()).unwrap();
    t.cmd(&["run", "-b", &dir, &t.id()]).seconds(60).run().ok();
}

/// An image layout from a local root, no registry, with the config.json that umoci makes.
fn oci_image_by_umoci(t: &T) {
    t.facts.need_tool("umoci");
    let image = t.path("image").to_string_lossy().into_owned();
    let tagged = format!("{image}:latest");
    let umoci = |words: &[&str]| {
        t.tool("umoci", words)
            .seconds(60)
            .env("HOME", "/tmp")
            .run()
            .ok()
    };
    umoci(&["init", "--layout", &image]);
    umoci(&["new", "--image", &tagged]);
    let work = t.path("work").to_string_lossy().into_owned();
    umoci(&["unpack", "--image", &tagged, &work]);
    busybox_root(t, &t.path("work/rootfs"));
    umoci(&["repack", "--image", &tagged, &work]);
    umoci(&[
        "config",
        "--image",
        &tagged,
        "--config.entrypoint",
        "/bin/sh",
        "--config.entrypoint",
        "-c",
        "--config.cmd",
        "echo image $GREETING; id -u; pwd; ls -d /proc/1 /dev/pts/ptmx /sys/kernel; exit 17",
        "--config.env",
        "GREETING=hi",
        "--config.env",
        "PATH=/bin",
        "--config.workingdir",
        "/work/dir",
    ]);
    let bundle = t.path("bundle").to_string_lossy().into_owned();
    umoci(&["unpack", "--image", &tagged, &bundle]);
    let config = Path::new(&bundle).join("config.json");
    let mut value: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    println!(
        "# umoci wrote: ociVersion {}, {} mounts",
        value["ociVersion"],
        value["mounts"].as_array().unwrap().len()
    );
    // umoci asks for a terminal; everything else stays as it wrote it.
    value["process"]["terminal"] = json!(false);
    fs::write(&config, value.to_string()).unwrap();
    let out = t.cmd(&["run", "-b", &bundle, &t.id()]).run();
    assert_eq!(out.code(), 17, "{}{}", out.stdout, out.stderr);
    assert!(
        out.stdout.starts_with("image hi\n0\n/work/dir\n"),
        "{}",
        out.stdout
    );
    assert!(out.stdout.contains("/dev/pts/ptmx"), "{}", out.stdout);
}

/// `ip` in a mount namespace whose /run/netns is ours.
fn ip(t: &T, words: &[&str]) -> Out {
    t.tool("ip", words).run()
}

/// The links and addresses of a case are nobody else's: two runs on one machine do not meet.
fn own_network() {
    crate::kernel::unshare(libc::CLONE_NEWNET).expect("a network namespace");
}

fn network_namespace_by_ip(t: &T) {
    t.facts.need_tool("ip");
    own_network();
    let name = t.tag.clone();
    let (outer, inner) = (format!("{name}a"), format!("{name}b"));
    ip(t, &["netns", "add", &name]).ok();
    let path = format!("/run/netns/{name}");
    let clean = || {
        ip(t, &["link", "del", &outer]);
        ip(t, &["netns", "del", &name]);
        let _ = crate::kernel::unmount("/run/netns");
    };
    let made = ip(
        t,
        &[
            "link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &name,
        ],
    );
    if made.code() != 0 {
        clean();
        crate::case::cannot(format!("no veth: {}", made.stderr.trim_end()));
    }
    ip(t, &["addr", "add", "10.97.3.1/24", "dev", &outer]).ok();
    ip(t, &["link", "set", &outer, "up"]).ok();
    ip(
        t,
        &["-n", &name, "addr", "add", "10.97.3.2/24", "dev", &inner],
    )
    .ok();
    ip(t, &["-n", &name, "link", "set", &inner, "up"]).ok();
    let script = "ip addr | grep -c 10.97.3.2; echo hello | nc -w 3 10.97.3.1 9973";
    let bundle = sh(busybox_bundle(t), script).namespace("network", Some(&path));
    let listener = std::net::TcpListener::bind("10.97.3.1:9973").unwrap();
    let (_, cmd) = bundle.run_cmd(&[]);
    let running = cmd.spawn();
    assert!(
        crate::kernel::readable(std::os::fd::AsRawFd::as_raw_fd(&listener), 5000).unwrap(),
        "nobody called"
    );
    let (mut stream, peer) = listener.accept().unwrap();
    let mut text = [0_u8; 6];
    std::io::Read::read_exact(&mut stream, &mut text).unwrap();
    drop(stream);
    let out = running.wait();
    clean();
    assert_eq!(&text, b"hello\n");
    assert_eq!(peer.ip().to_string(), "10.97.3.2");
    assert!(
        out.stdout.starts_with("1\n"),
        "{}{}",
        out.stdout,
        out.stderr
    );
}

fn bridge_by_ip(t: &T) {
    t.facts.need_tool("ip");
    own_network();
    let name = t.tag.clone();
    let bridge = format!("{name}r");
    let made = ip(t, &["link", "add", &bridge, "type", "bridge"]);
    if made.code() != 0 {
        crate::case::cannot(format!(
            "no bridge in this kernel: {}",
            made.stderr.trim_end()
        ));
    }
    let mut spaces = Vec::new();
    ip(t, &["link", "set", &bridge, "up"]).ok();
    for n in 1..=2 {
        let (space, outer, inner) = (
            format!("{name}n{n}"),
            format!("{name}o{n}"),
            format!("{name}i{n}"),
        );
        ip(t, &["netns", "add", &space]).ok();
        ip(
            t,
            &[
                "link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &space,
            ],
        )
        .ok();
        ip(t, &["link", "set", &outer, "master", &bridge, "up"]).ok();
        ip(
            t,
            &[
                "-n",
                &space,
                "addr",
                "add",
                &format!("10.97.4.{n}/24"),
                "dev",
                &inner,
            ],
        )
        .ok();
        ip(t, &["-n", &space, "link", "set", &inner, "up"]).ok();
        spaces.push(space);
    }
    let path = |n: usize| format!("/run/netns/{}", spaces[n]);
    // With an input that has ended the server would say so, and the client might leave before it has sent anything.
    let server = sh(busybox_bundle(t), "echo up; sleep 100 | nc -l -p 9974")
        .namespace("network", Some(&path(0)))
        .create();
    server.start();
    server.until("up");
    let client = sh(busybox_bundle(t), "for i in 1 2 3 4 5; do echo over the bridge | nc -w 2 10.97.4.1 9974 && exit 0; sleep 1; done; exit 1")
        .namespace("network", Some(&path(1)))
        .run();
    if client.code() == 0 {
        server.until("over the bridge");
    }
    drop(server);
    for space in &spaces {
        ip(t, &["netns", "del", space]);
    }
    ip(t, &["link", "del", &bridge]);
    let _ = crate::kernel::unmount("/run/netns");
    assert_eq!(client.code(), 0, "{}", client.stderr);
}
