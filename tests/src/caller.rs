//! Who calls the runtime in the cases of a run: root of the machine, an ordinary user, or root of a user namespace.
//!
//! The harness stays root of the machine, so that it can look at the result from outside. Only the calls of the runtime
//! change, what lies in the directory of the case (it becomes the caller's), and for an ordinary user the configs, which
//! get a user namespace, without which he can run nothing.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::ops::Range;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::facts::tool;
use crate::kernel::{self, become_user, check};
use crate::witness;

/// The variable through which `run --as` reaches the cases.
pub const VARIABLE: &str = "OCILET_TESTS_AS";

/// The ordinary user.
const USER: u32 = 1000;

/// Where the ids begin that belong to the ordinary user beside his own, or to the namespace.
const FIRST: u32 = 1_000_000;

/// Ids that cases name in mappings of their own; the ordinary user has them as well.
const NAMED: Range<u32> = 100_000..200_000;

/// How many these are: enough for namespaces below the first one.
const COUNT: u32 = 1_000_000;

/// Who calls.
pub enum Caller {
    /// Root of the machine.
    Root,
    /// A user with a range of ids in /etc/subuid, whom newuidmap serves.
    User,
    /// Root of this user namespace, as in a container that holds the runtime.
    Nested(OwnedFd),
}

/// The words for `--as`.
pub fn known(word: &str) -> bool {
    matches!(word, "user" | "userns")
}

/// The lines of the list: the case or group, of whom, why not.
fn list() -> impl Iterator<Item = [&'static str; 3]> {
    let mut reason = "";
    crate::coverage::lines(include_str!("../coverage/callers")).map(move |line| {
        let mut parts = line.split('|').map(str::trim);
        let mut part = || parts.next().unwrap_or_default();
        let (name, who, why) = (part(), part(), part());
        if why != "the same" {
            reason = why;
        }
        [name, who, reason]
    })
}

/// Whether a line of the list is about a case.
fn about(name: &str, case: &str) -> bool {
    name == case || (name.ends_with('/') && case.starts_with(name))
}

/// Why a case cannot be had with the caller of this run.
pub fn cannot(case: &str) -> Option<String> {
    let word = word();
    if word == "user" && tool("newuidmap").is_none() {
        return Some("as an ordinary user: no newuidmap".to_owned());
    }
    let same = |who: &str| who == word || (who == "both" && !word.is_empty());
    let found = list().find(|[name, who, _]| about(name, case) && same(who));
    found.map(|[_, _, why]| format!("as {word}: {why}"))
}

/// Lines of the list that are about no case.
pub fn stale() -> Vec<&'static str> {
    let cases: Vec<String> = crate::cases::all().map(|(case, _)| case).collect();
    let known = |name| cases.iter().any(|case| about(name, case));
    let names = list().map(|[name, ..]| name);
    names.filter(|name| !known(name)).collect()
}

/// What `--as` said: empty for root.
pub fn word() -> String {
    std::env::var(VARIABLE).unwrap_or_default()
}

impl Caller {
    /// Of this run; makes the namespace, or gives the user his ranges in this mount namespace.
    pub fn of_this_run() -> io::Result<Self> {
        match &*word() {
            "user" => {
                let ranges = format!(
                    "ordinary:{FIRST}:{COUNT}\nordinary:{}:{}\n",
                    NAMED.start,
                    NAMED.len()
                );
                // newuidmap serves nobody without a name. An image may have none of these files to be bound over.
                let names = format!("root:x:0:0::/:/bin/sh\nordinary:x:{USER}:{USER}::/:/bin/sh\n");
                kernel::mount("ocilet-tests", "/etc", "tmpfs", 0, "mode=0755")?;
                for (file, text) in [("subuid", &ranges), ("subgid", &ranges), ("passwd", &names)] {
                    fs::write(Path::new("/etc").join(file), text)?;
                }
                Ok(Self::User)
            }
            "userns" => namespace().map(Self::Nested),
            _ => Ok(Self::Root),
        }
    }

    /// Root of the machine, who may do everything.
    pub fn is_root(&self) -> bool {
        matches!(self, Self::Root)
    }

    /// What the id inside of a container, or of the namespace, is on the machine.
    pub fn id(&self, inside: u32) -> u32 {
        match (self, inside) {
            (Self::Root, _) => inside,
            (Self::User, 0) => USER,
            (Self::User, _) => FIRST + inside - 1,
            (Self::Nested(_), _) => FIRST + inside,
        }
    }

    /// What an id is that a mapping of a case names as the host's.
    pub fn named(&self, id: u32) -> u32 {
        match self {
            Self::User => id,
            _ => self.id(id),
        }
    }

    /// Between fork and exec: the process becomes the caller.
    pub fn enter(&self) -> Box<dyn FnMut() -> io::Result<()> + Send + Sync + 'static> {
        match self {
            Self::Root => Box::new(|| Ok(())),
            Self::User => Box::new(|| become_user(USER)),
            Self::Nested(namespace) => {
                let fd = namespace.as_raw_fd();
                Box::new(move || {
                    // SAFETY: a descriptor of this process.
                    check(unsafe { libc::setns(fd, libc::CLONE_NEWUSER) })?;
                    become_user(0)?;
                    kernel::unshare(libc::CLONE_NEWNS)
                })
            }
        }
    }

    /// The binary under test where the caller can execute it.
    pub fn binary(&self, path: &Path, dir: &Path) -> io::Result<PathBuf> {
        if self.is_root() {
            return Ok(path.to_owned());
        }
        let name = path.file_name().unwrap_or_default();
        let own = dir.join("bin");
        fs::create_dir(&own)?;
        let copy = own.join(name);
        fs::copy(path, &copy)?;
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        Ok(copy)
    }

    /// The config as the caller can use it.
    pub fn config(&self, config: &Value) -> Value {
        let mut config = config.clone();
        let Self::User = self else { return config };
        let Some(list) = config["linux"]["namespaces"].as_array_mut() else {
            return config;
        };
        if list.iter().all(|each| each["type"] != "user") {
            list.push(json!({"type": "user"}));
            let map = json!([
                {"containerID": 0, "hostID": USER, "size": 1},
                {"containerID": 1, "hostID": FIRST, "size": COUNT}
            ]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
        }
        config
    }

    /// What the case has put there becomes the caller's.
    pub fn own(&self, dir: &Path) {
        if !self.is_root() {
            let device = fs::metadata(dir).expect("the directory of the case").dev();
            self.own_below(dir, device);
        }
    }

    /// So do the cgroups that he has made.
    pub fn own_cgroups(&self, tag: &str) {
        if !self.is_root() {
            for path in witness::cgroups(tag) {
                self.own_cgroup(&path);
            }
        }
    }

    fn own_cgroup(&self, path: &Path) {
        if fs::metadata(path).is_ok_and(|meta| meta.uid() == 0) {
            // A cgroup that is gone needs no owner.
            let _ = kernel::give_cgroup(path, self.id(0));
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                self.own_cgroup(&entry.path());
            }
        }
    }

    fn own_below(&self, path: &Path, device: u64) {
        let Ok(meta) = fs::symlink_metadata(path) else {
            // A call that still runs has removed it.
            return;
        };
        if meta.dev() != device {
            return;
        }
        let shift = |id: u32| match self {
            Self::User if id == USER || NAMED.contains(&id) => id,
            _ if id < FIRST => self.id(id),
            _ => id,
        };
        let (uid, gid) = (shift(meta.uid()), shift(meta.gid()));
        let changed =
            (uid, gid) != (meta.uid(), meta.gid()) && kernel::chown(path, uid, gid).is_ok();
        // The kernel has taken these bits away.
        if changed && meta.is_file() && meta.mode() & 0o6000 != 0 {
            let _ = fs::set_permissions(path, fs::Permissions::from_mode(meta.mode()));
        }
        if meta.is_dir() {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                self.own_below(&entry.path(), device);
            }
        }
    }

    /// A cgroup that is the caller's becomes what this process sees at /sys/fs/cgroup.
    pub fn delegate(&self, tag: &str) -> io::Result<Option<Delegated>> {
        if self.is_root() {
            return Ok(None);
        }
        Delegated::new(tag, self.id(0)).map(Some)
    }
}

/// A user namespace with ids of its own. It lives as long as the descriptor.
fn namespace() -> io::Result<OwnedFd> {
    let (mut here, mut there) = UnixStream::pair()?;
    // SAFETY: no other thread exists yet; the child makes system calls only.
    let child = check(unsafe { libc::fork() })? as i32;
    if child == 0 {
        drop(here);
        let made = kernel::unshare(libc::CLONE_NEWUSER).is_ok();
        let _ = there.write_all(&[u8::from(made)]);
        let _ = there.read(&mut [0]);
        // SAFETY: ends this process.
        unsafe { libc::_exit(0) }
    }
    drop(there);
    let mut made = [0];
    here.read_exact(&mut made)?;
    if made == [0] {
        return Err(io::Error::other("a user namespace"));
    }
    for file in ["uid_map", "gid_map"] {
        fs::write(
            format!("/proc/{child}/{file}"),
            format!("0 {FIRST} {COUNT}"),
        )?;
    }
    let file = fs::File::open(format!("/proc/{child}/ns/user"))?;
    drop(here);
    kernel::wait(child, 0);
    // Above the numbers that calls are given descriptors as.
    // SAFETY: a descriptor of this process; the new one is nobody else's.
    unsafe {
        let high = check(libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 500))?;
        Ok(OwnedFd::from_raw_fd(high as RawFd))
    }
}

/// A cgroup of version 2 that somebody else may use, seen as the root by this process.
pub struct Delegated {
    /// Where this process was before, opened from there.
    before: fs::File,
    root: fs::File,
    name: String,
}

impl Delegated {
    fn new(tag: &str, id: u32) -> io::Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let name = format!("{tag}d");
        let dir = root.join(&name);
        fs::create_dir(&dir)?;
        let delegated = Self {
            before: fs::OpenOptions::new()
                .write(true)
                .open(root.join("cgroup.procs"))?,
            root: fs::File::open(root)?,
            name,
        };
        fs::write(dir.join("cgroup.procs"), "0")?;
        kernel::unshare(libc::CLONE_NEWCGROUP)?;
        // One file system cannot be mounted twice at a place, whatever its root.
        kernel::unmount(root)?;
        kernel::mount("cgroup2", root, "cgroup2", 0, "")?;
        // Where processes are there can be no controllers for what is below.
        fs::create_dir(root.join("harness"))?;
        fs::write(root.join("harness/cgroup.procs"), "0")?;
        kernel::give_cgroup(root, id)?;
        kernel::give_cgroup(&root.join("harness"), id)?;
        Ok(delegated)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let removed = |dir: i32, name: &str| {
            let name = kernel::c(name);
            // SAFETY: a C string.
            check(unsafe { libc::unlinkat(dir, name.as_ptr(), libc::AT_REMOVEDIR) })
        };
        let _ = self.before.write_all(b"0");
        let _ = fs::remove_dir("/sys/fs/cgroup/harness");
        if let Err(error) = removed(self.root.as_raw_fd(), &self.name) {
            eprintln!("the delegated cgroup {}: {error}", self.name);
        }
    }
}
