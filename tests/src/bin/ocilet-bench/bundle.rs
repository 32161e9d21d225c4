//! The bundle: what `spec` writes, and a root with one static program.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use super::{Place, filter, measure};

/// Makes the bundle in a new temporary directory.
pub fn make(ocilet: &Path) -> Place {
    let dir = env::temp_dir().join(format!("ocilet-bench-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a temporary directory");
    let target = CString::new(dir.as_os_str().as_bytes()).expect("no NUL");
    measure::mount(c"tmpfs", &target, c"tmpfs", 0);
    let place = Place { dir };
    let root = place.bundle().join("rootfs");
    for name in ["bin", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(name)).expect("a temporary directory");
    }
    config(ocilet, &place.bundle());
    program(
        &place.dir,
        "int main(void) { return 0; }",
        &root.join("bin/true"),
    );
    let pause = "#include <unistd.h>\nint main(void) { return pause(); }";
    program(&place.dir, pause, &root.join("bin/sleep"));
    filter::program(&place.dir, &root.join("bin/calls"));
    for (name, profile) in [
        (FILTERED, moby()),
        (LOOPS, Value::Null),
        (ASLEEP, Value::Null),
        (FILTERED_LOOPS, moby()),
    ] {
        variant(&place, name, profile);
    }
    // Where busybox stands in, it wants to know for how long.
    place.words(ASLEEP, &["/bin/sleep", "1000"]);
    place
}

/// The same with Moby's default profile.
pub const FILTERED: &str = "filtered";
/// With a program that waits.
pub const ASLEEP: &str = "asleep";
/// For the loops of `filter.rs`, without and with it.
pub const LOOPS: &str = "loops";
pub const FILTERED_LOOPS: &str = "filtered-loops";

/// `linux.seccomp` as dockerd writes it for a container without additional capabilities.
fn moby() -> Value {
    let text = include_bytes!("../../../corpus/docker-config-02.json");
    let mut config: Value = serde_json::from_slice(text).expect("JSON");
    config["linux"]["seccomp"].take()
}

/// A bundle with the same root.
fn variant(place: &Place, name: &str, profile: Value) {
    let dir = place.dir.join(name);
    fs::create_dir_all(&dir).expect("a temporary directory");
    let text = fs::read(place.bundle().join("config.json")).expect("config.json");
    let mut value: Value = serde_json::from_slice(&text).expect("JSON");
    value["root"]["path"] = place.bundle().join("rootfs").to_string_lossy().into();
    value["linux"]["seccomp"] = profile;
    fs::write(dir.join("config.json"), value.to_string()).expect("config.json");
}

impl Place {
    /// Gives the bundle other words to run.
    pub fn words(&self, name: &str, words: &[&str]) {
        let path = self.dir.join(name).join("config.json");
        let text = fs::read(&path).expect("config.json");
        let mut value: Value = serde_json::from_slice(&text).expect("JSON");
        value["process"]["args"] = words.into();
        fs::write(&path, value.to_string()).expect("config.json");
    }
}

/// The default config, `terminal` false and `args` /bin/true.
fn config(ocilet: &Path, bundle: &Path) {
    let made = Command::new(ocilet)
        .arg("spec")
        .current_dir(bundle)
        .status();
    assert!(made.is_ok_and(|status| status.success()), "ocilet spec");
    let path = bundle.join("config.json");
    let text = fs::read(&path).expect("config.json");
    let mut value: Value = serde_json::from_slice(&text).expect("JSON");
    // Debian's crun knows no later version.
    value["ociVersion"] = "1.0.2".into();
    value["process"]["terminal"] = false.into();
    value["process"]["args"] = vec!["/bin/true"].into();
    fs::write(&path, value.to_string()).expect("config.json");
}

/// A program that does nothing costs least of what is not the runtime's; busybox serves where there is no compiler.
fn program(dir: &Path, text: &str, target: &Path) {
    let source = dir.join("program.c");
    fs::write(&source, text).expect("a temporary file");
    let made = Command::new("musl-gcc")
        .args(["-static", "-Os", "-s", "-o"])
        .args([target, source.as_path()])
        .status();
    if !made.is_ok_and(|status| status.success()) {
        fs::copy("/bin/busybox", target).expect("musl-gcc or /bin/busybox");
    }
}
