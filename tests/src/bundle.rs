//! Bundles made of the probe alone, and containers made of them.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::coverage::record;
use crate::harness::T;
use crate::kernel;
use crate::runtime::{Cmd, Out, json_lines, wait_for};
use crate::witness::{self, Mount};

/// A directory with config.json and a rootfs that holds /bin/probe.
pub struct Bundle<'t> {
    pub t: &'t T,
    pub dir: PathBuf,
    pub config: Value,
}

/// The smallest config that gives a useful container: /proc, a tmpfs /dev, five new namespaces, no terminal.
pub fn minimal() -> Value {
    let every: Vec<String> = crate::probe::CAPABILITIES
        .iter()
        .map(|name| format!("CAP_{name}"))
        // CAP_SYS_RESOURCE may be missing on the machine; nothing here needs it.
        .filter(|name| name != "CAP_SYS_RESOURCE")
        .collect();
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": false,
            "user": {"uid": 0, "gid": 0},
            "args": ["/bin/probe", "report"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {"bounding": every, "effective": every, "permitted": every},
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": false},
        "hostname": "inside",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}
        ],
        "linux": {
            "namespaces": [
                {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}, {"type": "network"}
            ]
        }
    })
}

impl T {
    /// A fresh bundle with the minimal config.
    pub fn bundle(&self) -> Bundle<'_> {
        let dir = self.path(&format!("b{}", self.next()));
        let rootfs = dir.join("rootfs");
        for name in ["bin", "proc", "dev", "sys", "etc", "tmp"] {
            fs::create_dir_all(rootfs.join(name)).expect("tmpfs");
        }
        fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("tmpfs");
        let probe = rootfs.join("bin/probe");
        fs::copy("/proc/self/exe", &probe).expect("copy of the probe");
        fs::set_permissions(&probe, fs::Permissions::from_mode(0o755)).expect("tmpfs");
        Bundle {
            t: self,
            dir,
            config: minimal(),
        }
    }

    /// The report of a container made of an edited minimal config.
    #[track_caller]
    pub fn report(&self, edit: impl FnOnce(&mut Value)) -> Value {
        self.bundle().edit(edit).run().ok().json()
    }
}

impl<'t> Bundle<'t> {
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// Edits the config.
    pub fn edit(mut self, edit: impl FnOnce(&mut Value)) -> Self {
        edit(&mut self.config);
        self
    }

    /// Sets `process.args` to the probe with these words; verbs are separated by `--`.
    pub fn probe(self, words: &[&str]) -> Self {
        let mut args = vec!["/bin/probe"];
        args.extend_from_slice(words);
        let args = json!(args);
        self.edit(|c| c["process"]["args"] = args)
    }

    /// Appends a mount.
    pub fn mount(self, destination: &str, kind: &str, source: &str, options: &[&str]) -> Self {
        let entry =
            json!({"destination": destination, "type": kind, "source": source, "options": options});
        self.edit(|c| c["mounts"].as_array_mut().expect("mounts").push(entry))
    }

    /// Appends a mount of pseudoterminals.
    pub fn devpts(self) -> Self {
        let options = [
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
        ];
        self.mount("/dev/pts", "devpts", "devpts", &options)
    }

    pub fn namespace(self, kind: &str, path: Option<&str>) -> Self {
        self.edit(|c| {
            let list = c["linux"]["namespaces"].as_array_mut().expect("namespaces");
            list.retain(|entry| entry["type"] != kind);
            list.push(match path {
                Some(path) => json!({"type": kind, "path": path}),
                None => json!({"type": kind}),
            });
        })
    }

    pub fn without_namespace(self, kind: &str) -> Self {
        self.edit(|c| {
            let list = c["linux"]["namespaces"].as_array_mut().expect("namespaces");
            list.retain(|entry| entry["type"] != kind);
        })
    }

    /// Writes config.json.
    pub fn write(&self) -> &Self {
        let config = self.t.caller.config(&self.config);
        let text = serde_json::to_string_pretty(&config).expect("a JSON value");
        // Replaced in one step: parallel calls read it meanwhile.
        let fresh = self.dir.join(format!("config.{}", self.t.next()));
        fs::write(&fresh, &text).expect("tmpfs");
        record::written(&self.dir, &self.config, &text);
        fs::rename(fresh, self.dir.join("config.json")).expect("tmpfs");
        self
    }

    /// `ocilet run FLAGS ID` on this bundle, prepared.
    pub fn run_cmd(&self, flags: &[&str]) -> (String, Cmd) {
        self.write();
        let id = self.t.id();
        let dir = self.dir.to_string_lossy();
        let mut args = vec!["run", "--bundle", &*dir];
        args.extend_from_slice(flags);
        args.push(&id);
        let cmd = self.t.cmd(&args);
        (id, cmd)
    }

    /// Runs in the foreground to the end.
    pub fn run(&self) -> Out {
        self.run_cmd(&[]).1.run()
    }

    pub fn run_with(&self, flags: &[&str]) -> Out {
        self.run_cmd(flags).1.run()
    }

    /// `ocilet create FLAGS ID` on this bundle, prepared.
    pub fn create_cmd(&self, id: &str, flags: &[&str]) -> Cmd {
        self.write();
        let dir = self.dir.to_string_lossy();
        let mut args = vec!["create", "--bundle", &*dir];
        args.extend_from_slice(flags);
        args.push(id);
        self.t.cmd(&args)
    }

    /// Creates a container that waits for start.
    #[track_caller]
    pub fn create(&self) -> Container<'t> {
        self.create_with(&[])
    }

    #[track_caller]
    pub fn create_with(&self, flags: &[&str]) -> Container<'t> {
        self.create_by(flags, |cmd| cmd)
    }

    /// The same by a call that is changed first.
    #[track_caller]
    pub fn create_by(&self, flags: &[&str], change: impl FnOnce(Cmd) -> Cmd) -> Container<'t> {
        let id = self.t.id();
        let pid_file = self.t.path(&format!("{id}.pid"));
        let pid_name = pid_file.to_string_lossy();
        let mut all = vec!["--pid-file", &*pid_name];
        all.extend_from_slice(flags);
        let running = change(self.create_cmd(&id, &all)).spawn();
        let out = running.out.clone();
        let container = Container {
            t: self.t,
            pid: Cell::new(0),
            out,
            gone: Cell::new(false),
            status: Cell::new(None),
            id,
        };
        running.wait().ok();
        container.read_pid(&pid_file);
        container
    }

    /// Runs detached.
    #[track_caller]
    pub fn detach(&self) -> Container<'t> {
        let container = self.create();
        container.start();
        container
    }

    /// Creation must fail with these words, leaving nothing (which the harness checks at the end too).
    #[track_caller]
    pub fn create_fails(&self, words: &[&str]) -> Out {
        let id = self.t.id();
        let out = self.create_cmd(&id, &[]).run().fails(words);
        assert!(
            !self.t.root.join(&id).exists(),
            "a failed create left its state directory"
        );
        out
    }
}

/// A container that is deleted by force when it goes out of scope.
pub struct Container<'t> {
    pub t: &'t T,
    pub id: String,
    pid: Cell<i32>,
    pub out: PathBuf,
    gone: Cell<bool>,
    status: Cell<Option<i32>>,
}

impl Container<'_> {
    fn read_pid(&self, file: &PathBuf) {
        let text = fs::read_to_string(file).unwrap_or_default();
        let pid = text
            .parse()
            .unwrap_or_else(|_| panic!("pid file holds {text:?}"));
        self.pid.set(pid);
    }

    pub fn pid(&self) -> i32 {
        self.pid.get()
    }

    /// The container has another init by now.
    #[track_caller]
    pub fn restored(&self, pid_file: &PathBuf) {
        self.read_pid(pid_file);
        self.status.set(None);
    }

    fn call(&self, words: &[&str]) -> Out {
        let mut words = words.to_vec();
        words.push(&self.id);
        self.t.cmd(&words).run()
    }

    #[track_caller]
    pub fn start(&self) {
        self.call(&["start"]).ok();
    }

    pub fn start_out(&self) -> Out {
        self.call(&["start"])
    }

    #[track_caller]
    pub fn state(&self) -> Value {
        let out = self.call(&["state"]).ok();
        serde_json::from_str(&out.stdout).expect("state is JSON")
    }

    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or("").to_owned()
    }

    pub fn kill(&self, signal: &str) -> Out {
        self.t.cmd(&["kill", &self.id, signal]).run()
    }

    pub fn delete_out(&self) -> Out {
        let out = self.call(&["delete"]);
        if out.code() == 0 {
            self.gone.set(true);
        }
        out
    }

    #[track_caller]
    pub fn delete(&self) {
        self.delete_out().ok();
    }

    #[track_caller]
    pub fn delete_force(&self) {
        self.call(&["delete", "--force"]).ok();
        self.gone.set(true);
    }

    /// `ocilet exec FLAGS ID /bin/probe WORDS`, prepared.
    pub fn exec_cmd(&self, flags: &[&str], words: &[&str]) -> Cmd {
        let mut all = vec!["exec"];
        all.extend_from_slice(flags);
        all.extend_from_slice(&[&self.id, "/bin/probe"]);
        all.extend_from_slice(words);
        self.t.cmd(&all)
    }

    pub fn exec(&self, flags: &[&str], words: &[&str]) -> Out {
        self.exec_cmd(flags, words).run()
    }

    /// What a process of `exec` finds itself to be.
    #[track_caller]
    pub fn exec_report(&self, flags: &[&str]) -> Value {
        self.exec(flags, &["report"]).ok().json()
    }

    /// Raw wait status of the init, which is a child of this process once its creator has ended.
    #[track_caller]
    pub fn wait_status(&self) -> i32 {
        if let Some(status) = self.status.get() {
            return status;
        }
        wait_for("the end of the container", || {
            self.status.set(kernel::wait(self.pid(), libc::WNOHANG));
            self.status.get().is_some()
        });
        self.status.get().unwrap_or(-1)
    }

    /// Exit code of the init, 128 + N for a signal.
    #[track_caller]
    pub fn wait(&self) -> i32 {
        let status = self.wait_status();
        if libc::WIFEXITED(status) {
            libc::WEXITSTATUS(status)
        } else {
            128 + libc::WTERMSIG(status)
        }
    }

    /// JSON lines that the probe has printed so far.
    pub fn lines(&self) -> Vec<Value> {
        json_lines(&fs::read_to_string(&self.out).unwrap_or_default())
    }

    pub fn text(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Waits for a word in the output, and for the end of its line.
    #[track_caller]
    pub fn until(&self, word: &str) {
        wait_for(&format!("`{word}` from the container"), || {
            let text = self.text();
            text.find(word).is_some_and(|at| text[at..].contains('\n'))
        });
    }

    pub fn mounts(&self) -> Vec<Mount> {
        witness::mountinfo(self.pid()).unwrap_or_default()
    }

    /// The topmost mount at a place, as the host sees it.
    #[track_caller]
    pub fn mount_at(&self, target: &str) -> Mount {
        let mounts = self.mounts();
        witness::mount_at(&mounts, target)
            .unwrap_or_else(|| panic!("nothing is mounted at {target}: {mounts:#?}"))
            .clone()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if !self.gone.get() {
            self.delete_force();
        }
        let _ = kernel::wait(self.pid(), libc::WNOHANG);
    }
}
