//! `linux.netDevices`: devices of the host that become the container's.

use serde_json::json;

use crate::case::{Case, cannot, case};
use crate::harness::T;
use crate::kernel;

pub const CASES: &[Case] = &[
    case!(network_devices_move),
    case!(network_devices_that_cannot_move),
];

/// A network namespace for this case, with what `ip` makes in it.
fn network(t: &T, lines: &[&str]) {
    // SAFETY: a number.
    kernel::check(unsafe { libc::unshare(libc::CLONE_NEWNET) }).unwrap();
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let out = t.tool("ip", &words).run();
        if out.code() != 0 {
            cannot(format!("ip {line}: {}", out.stderr.trim()));
        }
    }
}

fn ip(t: &T, words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    t.tool("ip", &words).run().ok().stdout
}

/// They go with their permanent global addresses, get their names, and are up; they are gone outside.
fn network_devices_move(t: &T) {
    if t.foreign() {
        cannot("linux.netDevices is newer than Debian's runtimes");
    }
    network(
        t,
        &[
            "link add v0 type veth peer name p0",
            "link add v1 type veth peer name p1",
            "link add v2 type veth peer name p2",
            "addr add 192.0.2.7/24 brd 192.0.2.255 dev v0",
            "addr add 192.0.2.9/32 dev v0 valid_lft 100 preferred_lft 100",
            "addr add 2001:db8::7/64 dev v0 nodad",
            "link set v0 up",
            "link set p0 up",
            "link set p1 up",
            "link set p2 up",
        ],
    );
    let container = t
        .bundle()
        .edit(|c| {
            c["linux"]["netDevices"] =
                json!({"v0": {"name": "eth0"}, "v1": {}, "v2": {"name": "lan%d"}});
        })
        .probe(&[
            "lo",
            "--",
            "dump",
            "/proc/net/fib_trie",
            "--",
            "dump",
            "/proc/net/if_inet6",
            "--",
            "echo",
            "all",
            "said",
            "--",
            "sleep",
        ])
        .create();
    let outside = ip(t, "-o link");
    for name in ["v0", "v1", "v2"] {
        assert!(!outside.contains(&format!(" {name}@")), "{outside}");
    }
    container.start();
    container.until("all said");
    let seen = container.text();
    let names = &container.lines()[0]["names"];
    for name in ["lo", "eth0", "v1", "lan0"] {
        assert!(names.as_array().unwrap().contains(&json!(name)), "{names}");
    }
    assert!(
        seen.contains("192.0.2.7") && !seen.contains("192.0.2.9"),
        "{seen}"
    );
    assert!(seen.contains("20010db8000000000000000000000007"), "{seen}");
    // The other ends have a carrier, since these are up.
    let peers = ip(t, "-o link");
    assert_eq!(peers.matches("LOWER_UP").count(), 3, "{peers}");
    container.delete_force();
}

fn network_devices_that_cannot_move(t: &T) {
    if t.foreign() {
        cannot("linux.netDevices is newer than Debian's runtimes");
    }
    network(t, &["link add v0 type veth peer name p0"]);
    let bundle =
        |devices: serde_json::Value| t.bundle().edit(|c| c["linux"]["netDevices"] = devices);
    bundle(json!({"none0": {}})).create_fails(&["network device none0", "no such device"]);
    // The name is taken inside; the device stays where it is.
    bundle(json!({"v0": {"name": "lo"}})).create_fails(&["network device v0", "file exists"]);
    assert!(ip(t, "-o link").contains(" v0@"));
    bundle(json!({"v0": {}}))
        .without_namespace("network")
        .create_fails(&["netDevices"]);
}
