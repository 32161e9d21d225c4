//! config.json that is not what it should be: where, what, and what is allowed. And large documents.

use std::fs;

use serde_json::json;

use crate::case::{Case, cannot, case};
use crate::facts::patience;
use crate::harness::T;

pub const CASES: &[Case] = &[
    case!(malformed_documents, 60),
    case!(malformed_values, 60),
    case!(unknown_properties_are_ignored),
    case!(empty_properties),
    case!(resctrl_that_is_not_there),
    case!(escapes_and_surrogates),
    case!(deep_nesting),
    case!(size_limits),
    case!(time_grows_linearly, 60, serial),
    case!(small_stack),
    case!(config_that_is_no_file),
    case!(versions),
];

/// Writes the text as config.json and creates: (code, message).
fn answer(t: &T, text: &[u8]) -> (i32, String) {
    let bundle = t.bundle();
    fs::write(bundle.dir.join("config.json"), text).unwrap();
    let id = t.id();
    let out = t
        .cmd(&["create", "--bundle", &bundle.dir.to_string_lossy(), &id])
        .run();
    if out.code() == 0 {
        t.cmd(&["delete", "--force", &id]).run();
        let _ = crate::kernel::wait(-1, libc::WNOHANG);
    }
    fs::remove_dir_all(&bundle.dir).unwrap();
    (out.code(), out.stderr)
}

fn only_ocilet(t: &T) {
    if t.foreign() {
        cannot("about ocilet's messages");
    }
}

/// The minimal config, one property per line, so that lines say something.
fn pretty() -> String {
    serde_json::to_string_pretty(&crate::bundle::minimal()).unwrap()
}

fn position(text: &str, needle: &str) -> (usize, usize) {
    let at = text.find(needle).unwrap();
    let line = text[..at].matches('\n').count() + 1;
    let column = at - text[..at].rfind('\n').map_or(0, |n| n + 1) + 1;
    (line, column)
}

/// Name, document, line and column of the fault.
type Malformed = (&'static str, Vec<u8>, Option<(usize, usize)>);

fn malformed_documents(t: &T) {
    only_ocilet(t);
    let good = pretty();
    let table: Vec<Malformed> = vec![
        ("empty", b"".to_vec(), None),
        ("white space", b" \n\t".to_vec(), None),
        ("garbage", b"hello".to_vec(), Some((1, 1))),
        ("an array", b"[]".to_vec(), None),
        ("a string", b"\"x\"".to_vec(), None),
        ("two documents", format!("{good}{{}}").into_bytes(), None),
        ("cut off", good.as_bytes()[..good.len() / 2].to_vec(), None),
        (
            "a trailing comma",
            good.replacen("\"cwd\": \"/\"", "\"cwd\": \"/\",", 1)
                .into_bytes(),
            None,
        ),
        (
            "a missing comma",
            good.replacen("\"1.2.0\",", "\"1.2.0\"", 1).into_bytes(),
            None,
        ),
        (
            "a comment",
            good.replacen('{', "{ // comment\n", 1).into_bytes(),
            Some((1, 3)),
        ),
        (
            "single quotes",
            good.replacen("\"1.2.0\"", "'1.2.0'", 1).into_bytes(),
            Some(position(&good, "\"1.2.0\"")),
        ),
        (
            "a raw newline in a string",
            good.replacen("inside", "in\nside", 1).into_bytes(),
            None,
        ),
        (
            "a bad escape",
            good.replacen("inside", "in\\qside", 1).into_bytes(),
            None,
        ),
        (
            "half a surrogate",
            good.replacen("inside", "\\ud800", 1).into_bytes(),
            None,
        ),
        (
            "a bad number",
            good.replacen("\"uid\": 0", "\"uid\": 01", 1).into_bytes(),
            None,
        ),
        (
            "not a number",
            good.replacen("\"uid\": 0", "\"uid\": NaN", 1).into_bytes(),
            None,
        ),
        (
            "a bad literal",
            good.replacen("false", "False", 1).into_bytes(),
            Some(position(&good, "false")),
        ),
        (
            "bad UTF-8",
            good.replacen("inside", "\u{1}\u{1}", 1)
                .replace('\u{1}', "\u{2}")
                .into_bytes(),
            None,
        ),
        (
            "invalid UTF-8",
            good.as_bytes()
                .iter()
                .map(|&b| if b == b'.' { 0xff } else { b })
                .collect(),
            None,
        ),
        (
            "a byte order mark",
            [b"\xef\xbb\xbf", good.as_bytes()].concat(),
            None,
        ),
        (
            "a duplicate key",
            good.replacen("\"cwd\": \"/\"", "\"cwd\": \"/\", \"cwd\": \"/\"", 1)
                .into_bytes(),
            None,
        ),
        (
            "an escaped duplicate key",
            good.replacen("\"cwd\": \"/\"", "\"cwd\": \"/\", \"c\\u0077d\": \"/\"", 1)
                .into_bytes(),
            None,
        ),
        (
            "garbage in an unknown property",
            good.replacen('{', "{\"x\": any garbage,", 1).into_bytes(),
            None,
        ),
        ("NUL bytes", [good.as_bytes(), b"\0"].concat(), None),
    ];
    for (name, text, place) in table {
        let (code, message) = answer(t, &text);
        println!("# {name}: {}", message.trim_end());
        assert_eq!(code, 1, "{name} was accepted: {message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{name}: {message}");
        assert!(message.contains("config.json"), "{name}: {message}");
        if let Some((line, column)) = place {
            assert!(
                message.contains(&format!("{line}:{column}")),
                "{name} is at {line}:{column}: {message}"
            );
        }
    }
}

fn malformed_values(t: &T) {
    only_ocilet(t);
    let good = pretty();
    // (property as it stands, what it becomes, path in the message, what else the message says)
    let table = [
        (
            "\"ociVersion\": \"1.2.0\"",
            "\"ociVersion\": 1",
            "ociVersion",
            "",
        ),
        ("\"cwd\": \"/\"", "\"cwd\": 5", "process.cwd", ""),
        (
            "\"cwd\": \"/\"",
            "\"cwd\": \"relative\"",
            "process.cwd",
            "absolute",
        ),
        ("\"uid\": 0", "\"uid\": -1", "process.user.uid", ""),
        ("\"uid\": 0", "\"uid\": 4294967295", "process.user.uid", ""),
        ("\"uid\": 0", "\"uid\": 1e3", "process.user.uid", ""),
        ("\"uid\": 0", "\"uid\": 1.0", "process.user.uid", ""),
        ("\"uid\": 0", "\"uid\": \"root\"", "process.user.uid", ""),
        (
            "\"uid\": 0",
            "\"uid\": 0, \"umask\": 512",
            "process.user.umask",
            "",
        ),
        (
            "\"uid\": 0",
            "\"uid\": 0, \"additionalGids\": [1, -2]",
            "process.user.additionalGids[1]",
            "",
        ),
        (
            "\"terminal\": false",
            "\"terminal\": \"no\"",
            "process.terminal",
            "",
        ),
        (
            "\"terminal\": false",
            "\"terminal\": 0",
            "process.terminal",
            "",
        ),
        ("\"PATH=/bin\"", "\"PATH\"", "process.env[0]", ""),
        ("\"PATH=/bin\"", "7", "process.env[0]", ""),
        (
            "\"noNewPrivileges\": true",
            "\"noNewPrivileges\": true, \"rlimits\": [{\"type\": \"RLIMIT_X\", \"soft\": 1, \"hard\": 1}]",
            "process.rlimits[0].type",
            "RLIMIT_X",
        ),
        (
            "\"noNewPrivileges\": true",
            "\"noNewPrivileges\": true, \"oomScoreAdj\": 5000",
            "process.oomScoreAdj",
            "",
        ),
        (
            "\"noNewPrivileges\": true",
            "\"noNewPrivileges\": true, \"ioPriority\": {\"class\": \"X\", \"priority\": 0}",
            "process.ioPriority.class",
            "",
        ),
        (
            "\"noNewPrivileges\": true",
            "\"noNewPrivileges\": true, \"scheduler\": {\"policy\": \"X\"}",
            "process.scheduler.policy",
            "",
        ),
        ("\"path\": \"rootfs\"", "\"path\": \"\"", "root", ""),
        (
            "\"readonly\": false",
            "\"readonly\": \"false\"",
            "root.readonly",
            "",
        ),
        (
            "\"destination\": \"/proc\"",
            "\"destination\": 5",
            "mounts[0].destination",
            "",
        ),
        (
            "\"destination\": \"/proc\"",
            "\"nodestination\": 5",
            "mounts[0]",
            "destination",
        ),
        ("\"nosuid\"", "true", "mounts[1].options[0]", ""),
        (
            "\"type\": \"ipc\"",
            "\"type\": \"ipcs\"",
            "linux.namespaces",
            "ipcs",
        ),
        (
            "\"type\": \"ipc\"",
            "\"type\": \"uts\"",
            "linux.namespaces",
            "",
        ),
        (
            "\"type\": \"ipc\"",
            "\"path\": \"/x\"",
            "linux.namespaces",
            "type",
        ),
        (
            "\"hostname\": \"inside\"",
            "\"hostname\": [\"inside\"]",
            "hostname",
            "",
        ),
        (
            "\"hostname\": \"inside\"",
            "\"hostname\": \"a\\u0000b\"",
            "hostname",
            "NUL",
        ),
        (
            "\"linux\": {",
            "\"annotations\": {\"\": \"x\"}, \"linux\": {",
            "annotations",
            "",
        ),
        (
            "\"linux\": {",
            "\"annotations\": {\"x\": 1}, \"linux\": {",
            "annotations",
            "",
        ),
        (
            "\"linux\": {",
            "\"linux\": {\"rootfsPropagation\": \"up\",",
            "linux.rootfsPropagation",
            "",
        ),
        (
            "\"linux\": {",
            "\"linux\": {\"maskedPaths\": [\"x\"],",
            "linux.maskedPaths[0]",
            "",
        ),
        (
            "\"linux\": {",
            "\"linux\": {\"devices\": [{\"path\": \"/dev/x\", \"type\": \"x\"}],",
            "linux.devices[0].type",
            "",
        ),
        (
            "\"linux\": {",
            "\"linux\": {\"sysctl\": {\"net.x\": 1},",
            "linux.sysctl",
            "",
        ),
        (
            "\"linux\": {",
            "\"linux\": {\"personality\": {\"domain\": \"X\"},",
            "linux.personality.domain",
            "",
        ),
    ];
    for (property, broken, path, word) in table {
        let text = good.replacen(property, broken, 1);
        assert_ne!(text, good, "{property}");
        let (code, message) = answer(t, text.as_bytes());
        println!("# {broken}: {}", message.trim_end());
        assert_eq!(code, 1, "{broken} was accepted: {message}");
        assert!(message.contains(path), "{broken}: no {path} in: {message}");
        assert!(message.contains(word), "{broken}: no {word} in: {message}");
        assert_eq!(message.trim_end().lines().count(), 1, "{broken}: {message}");
        let (line, _) = position(&good, property);
        // What is missing or doubled is complained about at its object, a few lines away.
        let seen: usize = message
            .split("config.json:")
            .nth(1)
            .and_then(|rest| rest.split(':').next()?.parse().ok())
            .unwrap_or(0);
        assert!(
            seen.abs_diff(line) <= 3,
            "{broken} is in line {line}: {message}"
        );
    }
}

fn unknown_properties_are_ignored(t: &T) {
    let out = t
        .bundle()
        .edit(|c| {
            c["x-extension"] =
                json!({"a": [1, 2.5e-3, null, {"deep": "\u{1f600}"}], "process": "no"});
            c["windows"] = json!({"layerFolders": ["x"]});
            c["solaris"] = json!(null);
            c["process"]["commandLine"] = json!("x");
            c["process"]["user"]["username"] = json!("x");
            c["process"]["new"] = json!(-1e300);
            c["linux"]["newThing"] = json!([[[[]]]]);
            c["mounts"][0]["new"] = json!(true);
        })
        .probe(&["echo", "ran"])
        .run()
        .ok();
    assert_eq!(out.stdout, "ran\n");
}

/// Empty ones ask for nothing.
fn empty_properties(t: &T) {
    only_ocilet(t);
    t.bundle()
        .edit(|c| {
            c["hooks"] = json!({"prestart": [], "poststop": []});
            c["linux"]["netDevices"] = json!({});
            c["process"]["apparmorProfile"] = json!("");
        })
        .probe(&["exit"])
        .run()
        .ok();
}

/// What the machine cannot do is an error, not silence.
fn resctrl_that_is_not_there(t: &T) {
    only_ocilet(t);
    if fs::read_dir("/sys/fs/resctrl").is_ok_and(|mut all| all.next().is_some()) {
        cannot("this machine has resctrl");
    }
    for rdt in [
        json!({}),
        json!({"closID": "x"}),
        json!({"l3CacheSchema": "L3:0=f", "enableMonitoring": true}),
    ] {
        t.bundle()
            .edit(|c| c["linux"]["intelRdt"] = rdt)
            .create_fails(&["intelRdt", "/sys/fs/resctrl"]);
    }
}

fn escapes_and_surrogates(t: &T) {
    let bundle = t.bundle();
    bundle.write();
    let text = fs::read_to_string(bundle.dir.join("config.json")).unwrap();
    let text = text
        .replace(
            "\"report\"",
            r#""echo", "\u0041\ud83d\ude00\/\"\\\u00e9\t""#,
        )
        .replace("args", r"\u0061rgs");
    fs::write(bundle.dir.join("config.json"), text).unwrap();
    let out = t
        .cmd(&["run", "-b", &bundle.dir.to_string_lossy(), &t.id()])
        .run()
        .ok();
    assert_eq!(out.stdout, "A\u{1f600}/\"\\é\t\n");
}

fn deep_nesting(t: &T) {
    only_ocilet(t);
    for depth in [100, 100_000, 2_000_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = format!("{{\"x\":{}1{}}}", open.repeat(depth), close.repeat(depth));
            let (code, message) = answer(t, text.as_bytes());
            assert_eq!(code, 1, "{depth}: {message}");
            assert!(
                message.contains("nest") || message.contains("limit"),
                "{depth}: {message}"
            );
        }
    }
    let text = pretty().replacen(
        '{',
        &format!("{{\"x\":{}1{},", "[".repeat(20), "]".repeat(20)),
        1,
    );
    assert_eq!(answer(t, text.as_bytes()).0, 0);
}

fn size_limits(t: &T) {
    crate::coverage::record::whole_documents();
    only_ocilet(t);
    let run = |edit: &dyn Fn(&mut serde_json::Value)| {
        let bundle = t.bundle().edit(edit).probe(&["exit"]);
        bundle.run()
    };
    let many = |n: usize, each: &dyn Fn(usize) -> serde_json::Value| {
        json!((0..n).map(each).collect::<Vec<_>>())
    };
    // Within the limits.
    run(&|c| c["x"] = json!("y".repeat(15 << 20))).ok();
    run(&|c| c["linux"]["maskedPaths"] = many(4096, &|n| json!(format!("/missing/{n}")))).ok();
    run(
        &|c| c["linux"]["resources"] = json!({"devices": many(1024, &|n| json!({"allow": true, "type": "c", "major": n, "access": "m"}))}),
    );
    // One beyond: an error that names the limit.
    run(&|c| c["x"] = json!("y".repeat(16 << 20))).fails(&["config.json"]);
    run(&|c| c["linux"]["maskedPaths"] = many(4097, &|n| json!(format!("/missing/{n}"))))
        .fails(&["4096"]);
    run(&|c| {
        c["mounts"] = many(
            4097,
            &|n| json!({"destination": format!("/m/{n}"), "type": "tmpfs"}),
        )
    })
    .fails(&["4096"]);
    run(&|c| {
        c["linux"]["devices"] = many(
            1025,
            &|n| json!({"path": format!("/dev/x{n}"), "type": "p"}),
        )
    })
    .fails(&["1024"]);
    run(&|c| c["process"]["user"]["additionalGids"] = many(65_537, &|n| json!(n)))
        .fails(&["65536"]);
    run(&|c| c["process"]["env"] = many(65_537, &|n| json!(format!("A{n}=")))).fails(&["65536"]);
    let long: Vec<String> = (0..30).map(|_| "x".repeat(100_000)).collect();
    run(&|c| {
        c["process"]["env"]
            .as_array_mut()
            .unwrap()
            .extend(long.iter().map(|x| json!(format!("A={x}"))))
    })
    .fails(&["2097152"]);
}

fn time_grows_linearly(t: &T) {
    only_ocilet(t);
    let mut times = Vec::new();
    for megabytes in [5, 10] {
        // Many small values: the worst case for a parser, not one long string; and less keys than CONFIG_KEYS.
        let rest: String = (0..megabytes << 15)
            .map(|n| format!("\"k{n:06}\":[{{}},{{}},{{}},{{}},{{}},{{}}],\n"))
            .collect();
        let text = pretty().replacen('{', &format!("{{\"x\":{{{rest}\"z\":0}},"), 1);
        let began = crate::kernel::children_cpu();
        let (code, message) = answer(t, text.as_bytes());
        times.push(crate::kernel::children_cpu() - began);
        assert_eq!(code, 0, "{message}");
        println!("# {} bytes: {:.3} s", text.len(), times.last().unwrap());
    }
    assert!(times[1] < patience(2).as_secs_f64(), "{times:?}");
    assert!(times[1] / times[0] < 3.0, "{times:?}");
}

fn small_stack(t: &T) {
    only_ocilet(t);
    let (_, cmd) = t
        .bundle()
        .probe(&["exit", "3"])
        .edit(|c| {
            c["process"]["rlimits"] =
                json!([{"type": "RLIMIT_STACK", "soft": 8 << 20, "hard": 8 << 20}]);
        })
        .run_cmd(&[]);
    let out = cmd
        .before_exec(|| {
            let limit = libc::rlimit {
                rlim_cur: 64 << 10,
                rlim_max: 64 << 20,
            };
            // SAFETY: limit is a valid rlimit.
            crate::kernel::check(unsafe { libc::setrlimit(libc::RLIMIT_STACK, &raw const limit) })
                .map(drop)
        })
        .run();
    assert_eq!(out.code(), 3, "{}", out.stderr);
}

fn config_that_is_no_file(t: &T) {
    only_ocilet(t);
    let attempt = |make: &dyn Fn(&std::path::Path)| {
        let bundle = t.bundle();
        make(&bundle.dir.join("config.json"));
        t.cmd(&["create", "-b", &bundle.dir.to_string_lossy(), &t.id()])
            .run()
            .fails(&["config.json"]);
    };
    attempt(&|path| fs::create_dir(path).unwrap());
    attempt(&|path| crate::kernel::mknod(path, libc::S_IFIFO | 0o600, 0, 0).unwrap());
    attempt(&|path| std::os::unix::fs::symlink("/dev/zero", path).unwrap());
    attempt(&|path| std::os::unix::fs::symlink("config.json", path).unwrap());
    attempt(&|path| fs::File::create(path).unwrap().set_len(8 << 30).unwrap());
}

fn versions(t: &T) {
    only_ocilet(t);
    for version in ["1.0.0", "1.0.2-dev", "1.3.0", "1.9.9+x"] {
        t.bundle()
            .edit(|c| c["ociVersion"] = json!(version))
            .probe(&["exit"])
            .run()
            .ok();
    }
    // What claims to be of another major version is at most warned about (reading it is the caller's promise).
    for version in ["2.0.0", "0.9.0"] {
        t.bundle()
            .edit(|c| c["ociVersion"] = json!(version))
            .probe(&["exit"])
            .run();
    }
}
