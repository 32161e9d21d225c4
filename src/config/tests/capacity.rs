//! Every capacity of the room: N entries are read, N+1 are refused by its name.

use super::{pools, read, read_process};
use crate::error::{At, Cause, Fault};
use crate::limits::{self, Limit};

/// `N` copies of `entry` in the place of `$` in `frame`, `#` in an entry being its number.
fn many(frame: &str, entry: &str, count: usize) -> String {
    let list: Vec<String> = (0..count)
        .map(|number| entry.replace('#', &number.to_string()))
        .collect();
    frame.replace('$', &list.join(","))
}

fn holds(limit: Limit, frame: &str, entry: &str) {
    let mut pools = pools();
    let frame = format!(r#"{{"root":{{"path":"r"}},{frame}}}"#);
    let most = limit.value();
    let good = many(&frame, entry, most);
    let done = read(good.as_bytes(), &mut pools).map(|_| ());
    assert_eq!(done, Ok(()), "{limit:?} {frame}");
    let bad = many(&frame, entry, most + 1);
    let fault = read(bad.as_bytes(), &mut pools).expect_err("one too many");
    assert_eq!(fault.cause(), Cause::Limit(limit), "{frame}");
}

#[test]
fn lists_of_strings() {
    let process = |list: &str| format!(r#""process":{{"cwd":"/",{list}}}"#);
    holds(
        Limit::ENV,
        &process(r#""args":["a"],"env":[$]"#),
        r#""A=#""#,
    );
    holds(Limit::ARGS, &process(r#""args":[$]"#), "\"#\"");
    holds(
        Limit::GROUPS,
        &process(r#""args":["a"],"user":{"additionalGids":[$]}"#),
        "#",
    );
    holds(
        Limit::MOUNT_OPTIONS,
        r#""mounts":[{"destination":"/a","options":["ro"]},{"destination":"/b","options":["ro",$]}]"#
            .replace(r#"["ro"]"#, "[]")
            .replace(r#""ro",$"#, "$")
            .as_str(),
        r#""a#""#,
    );
    let linux = |list: &str| format!(r#""linux":{{"namespaces":[{{"type":"mount"}}],{list}}}"#);
    holds(
        Limit::PATHS,
        &linux(r#""readonlyPaths":[],"maskedPaths":[$]"#),
        r#""/#""#,
    );
    holds(
        Limit::HOOK_WORDS,
        r#""hooks":{"prestart":[{"path":"/a","env":[],"args":[$]}]}"#,
        "\"#\"",
    );
    holds(
        Limit::SECCOMP_NAMES,
        r#""linux":{"seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_LOG","names":[$]}]}}"#,
        r#""n#""#,
    );
    holds(
        Limit::RESOURCE_ROWS,
        r#""linux":{"intelRdt":{"schemata":[$]}}"#,
        r#""L3:0=#""#,
    );
}

#[test]
fn lists_of_objects() {
    holds(Limit::MOUNTS, r#""mounts":[$]"#, r#"{"destination":"/#"}"#);
    holds(
        Limit::HOOKS,
        r#""hooks":{"poststop":[$]}"#,
        r#"{"path":"/#"}"#,
    );
    let linux = |list: &str| format!(r#""linux":{{{list}}}"#);
    holds(
        Limit::DEVICES,
        &linux(r#""devices":[$]"#),
        r#"{"type":"c","path":"/dev/#","major":1,"minor":#}"#,
    );
    let resources = |list: &str| linux(&format!(r#""resources":{{{list}}}"#));
    holds(
        Limit::DEVICE_RULES,
        &resources(r#""devices":[$]"#),
        r#"{"allow":true,"access":"r","minor":#}"#,
    );
    for list in ["throttleReadBpsDevice", "throttleWriteIOPSDevice"] {
        holds(
            Limit::RESOURCE_ROWS,
            &resources(&format!(r#""blockIO":{{"{list}":[$]}}"#)),
            r#"{"major":1,"minor":#,"rate":1}"#,
        );
    }
    holds(
        Limit::RESOURCE_ROWS,
        &resources(r#""blockIO":{"weightDevice":[$]}"#),
        r#"{"major":1,"minor":#,"weight":1}"#,
    );
    holds(
        Limit::RESOURCE_ROWS,
        &resources(r#""hugepageLimits":[$]"#),
        r#"{"pageSize":"2MB","limit":#}"#,
    );
    holds(
        Limit::RESOURCE_ROWS,
        &resources(r#""network":{"priorities":[$]}"#),
        r#"{"name":"e#","priority":1}"#,
    );
    let rule = r#""seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[$]}"#;
    holds(
        Limit::SECCOMP_RULES,
        &linux(rule),
        r#"{"action":"SCMP_ACT_LOG","names":["n#"]}"#,
    );
    let args = rule.replace('$', r#"{"action":"SCMP_ACT_LOG","names":["a"],"args":[$]}"#);
    holds(
        Limit::SECCOMP_ARGS,
        &linux(&args),
        r#"{"index":1,"value":#,"op":"SCMP_CMP_EQ"}"#,
    );
}

#[test]
fn maps() {
    holds(Limit::ANNOTATIONS, r#""annotations":{$}"#, r##""k#":"v""##);
    let linux = |list: &str| format!(r#""linux":{{"namespaces":[{{"type":"network"}}],{list}}}"#);
    holds(
        Limit::SYSCTLS,
        &linux(r#""sysctl":{$}"#),
        r##""net.k#":"v""##,
    );
    holds(
        Limit::NET_DEVICES,
        &linux(r#""netDevices":{$}"#),
        r##""e#":{}"##,
    );
    let resources = |list: &str| linux(&format!(r#""resources":{{{list}}}"#));
    holds(
        Limit::RESOURCE_ROWS,
        &resources(r#""unified":{$}"#),
        r##""k#":"v""##,
    );
    holds(
        Limit::RESOURCE_ROWS,
        &resources(r#""rdma":{$}"#),
        r##""m#":{"hcaObjects":1}"##,
    );
}

#[test]
fn keys() {
    let mut pools = pools();
    // With those of the frame.
    let frame = r#"{"root":{"path":"r"},"x":[{"a":0},{$}]}"#;
    let most = limits::CONFIG_KEYS - 4;
    assert!(read(many(frame, r##""#":0"##, most).as_bytes(), &mut pools).is_ok());
    let bad = many(frame, r##""#":0"##, most + 1);
    let fault = read(bad.as_bytes(), &mut pools).expect_err("one too many");
    assert_eq!(fault.cause(), Cause::Limit(Limit::CONFIG_KEYS));
    let last = bad.find(&format!("\"{most}\"")).map(u32::try_from);
    assert_eq!(last, Some(Ok(byte(&fault))));
}

fn byte(fault: &Fault) -> u32 {
    match fault.at() {
        At::Byte(byte) => byte,
        other => panic!("{other:?}"),
    }
}

#[test]
fn id_mappings() {
    let mapping = r#"{"containerID":#,"hostID":#,"size":1}"#;
    let users = |list: &str| {
        format!(
            r#""linux":{{"namespaces":[{{"type":"user"}}],"uidMappings":[{list}],"gidMappings":[{}]}}"#,
            mapping.replace('#', "0")
        )
    };
    holds(Limit::ID_MAPPINGS, &users("$"), mapping);
    // All lists together: mounts with two mappings each.
    let pair = format!("[{}]", mapping.replace('#', "0"));
    let mount = format!(r#"{{"destination":"/#","uidMappings":{pair},"gidMappings":{pair}}}"#);
    let most = limits::ID_MAPPINGS_ALL / 2;
    let frame = r#"{"root":{"path":"r"},"mounts":[$]}"#;
    let mut pools = pools();
    assert!(read(many(frame, &mount, most).as_bytes(), &mut pools).is_ok());
    let fault = read(many(frame, &mount, most + 1).as_bytes(), &mut pools).expect_err("too many");
    assert_eq!(fault.cause(), Cause::Limit(Limit::ID_MAPPINGS_ALL));
}

#[test]
fn bytes_of_args_and_env() {
    // With its NUL, the first argument takes all but what "A=é" takes: five bytes decoded, nine as written.
    let process = |first: usize| {
        let first = "x".repeat(first);
        format!(r#"{{"cwd":"/","args":["{first}"],"env":["A=\u00e9"]}}"#)
    };
    let mut pools = pools();
    let most = limits::ARG_BYTES - 6;
    assert!(read_process(process(most).as_bytes(), &mut pools).is_ok());
    let fault = read_process(process(most + 1).as_bytes(), &mut pools).expect_err("too many");
    assert_eq!(fault.cause(), Cause::Limit(Limit::ARG_BYTES));
}
