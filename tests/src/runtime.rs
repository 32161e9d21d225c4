//! Calls of the binary under test (or of a host tool) with deadlines, and their answers.
//!
//! Output goes to files, never to pipes: a container that `create` leaves behind holds its stdio, and whoever waits for
//! the end of a pipe would wait for the container.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::caller::Caller;
use crate::coverage::record::Call;
use crate::facts::patience;
use crate::harness::T;
use crate::{kernel, shim};

/// A call that is being prepared.
pub struct Cmd {
    command: Command,
    /// Who makes the call, with the directory of the case and the name of its cgroups.
    caller: Option<(Arc<Caller>, PathBuf, String)>,
    line: String,
    /// The words of a call of the runtime.
    words: Vec<String>,
    out: PathBuf,
    err: PathBuf,
    deadline: Duration,
}

impl Cmd {
    pub fn new(t: &T, program: &Path, args: &[&str]) -> Self {
        let number = t.next();
        let out = t.path(&format!("{number}.out"));
        let err = t.path(&format!("{number}.err"));
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(&t.dir)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("tmpfs"))
            .stderr(File::create(&err).expect("tmpfs"));
        let runtime = program.file_name() == t.ocilet.file_name();
        Self {
            command,
            caller: None,
            line: args.join(" "),
            words: args
                .iter()
                .filter(|_| runtime)
                .map(|&word| word.to_owned())
                .collect(),
            out,
            err,
            deadline: patience(10),
        }
    }

    /// The caller of this run makes it, whatever else is done before.
    pub fn called(mut self, t: &T) -> Self {
        self.caller = Some((t.caller.clone(), t.dir.clone(), t.tag.clone()));
        self
    }

    /// Puts the program under a seccomp filter.
    pub fn filtered(self, filter: Option<shim::Filter>) -> Self {
        match filter {
            Some(filter) => self.before_exec(move || filter.install()),
            None => self,
        }
    }

    /// Runs in the child between fork and exec; only async-signal-safe work.
    pub fn before_exec(
        mut self,
        action: impl FnMut() -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        // SAFETY: the callers' closures make raw syscalls only and allocate nothing.
        unsafe { self.command.pre_exec(action) };
        self
    }

    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    pub fn cwd(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub fn seconds(mut self, seconds: u64) -> Self {
        self.deadline = patience(seconds);
        self
    }

    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    pub fn stdio(mut self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Self {
        self.command.stdin(stdin).stdout(stdout).stderr(stderr);
        self
    }

    /// The call gets this terminal as its controlling terminal and stdio.
    pub fn terminal(self, slave: &OwnedFd) -> Self {
        let stdio = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("dup"));
        let (a, b, c) = (stdio(slave), stdio(slave), stdio(slave));
        self.stdio(a, b, c).before_exec(|| {
            // SAFETY: plain numbers; fd 0 is the terminal by now.
            unsafe {
                kernel::check(libc::setsid())?;
                kernel::check(libc::ioctl(0, libc::TIOCSCTTY, 0)).map(drop)
            }
        })
    }

    /// The call finds `fd` open as `number`.
    pub fn with_fd(self, number: i32, fd: &impl AsRawFd) -> Self {
        let fd = fd.as_raw_fd();
        self.before_exec(move || {
            // SAFETY: plain numbers; dup2 onto itself would keep close-on-exec, hence the flag is dropped explicitly.
            unsafe {
                kernel::check(libc::dup2(fd, number))?;
                kernel::check(libc::fcntl(number, libc::F_SETFD, 0)).map(drop)
            }
        })
    }

    /// Starts without waiting.
    pub fn spawn(mut self) -> Running {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let cwd = self.command.get_current_dir().unwrap_or(Path::new("/"));
        let call = (!words.is_empty()).then(|| Call::new(&words, cwd));
        if let Some((caller, dir, tag)) = &self.caller {
            caller.own(dir);
            caller.own_cgroups(tag);
            let enter = caller.enter();
            // SAFETY: it makes raw system calls only and allocates nothing.
            unsafe { self.command.pre_exec(enter) };
        }
        let child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.line));
        Running {
            child,
            call,
            line: self.line,
            out: self.out,
            err: self.err,
            began: Instant::now(),
            deadline: self.deadline,
        }
    }

    /// Runs to the end.
    pub fn run(self) -> Out {
        self.spawn().wait()
    }
}

/// A call that has been started.
pub struct Running {
    pub child: Child,
    call: Option<Call>,
    line: String,
    pub out: PathBuf,
    pub err: PathBuf,
    began: Instant,
    deadline: Duration,
}

impl Running {
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Waits for the end; a passed deadline fails the case.
    pub fn wait(mut self) -> Out {
        let end = self.began + self.deadline;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("own child") {
                break status;
            }
            if Instant::now() > end {
                let pid = self.pid();
                let place = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
                let _ = self.child.kill();
                let text = fs::read_to_string(&self.err).unwrap_or_default();
                panic!(
                    "`{}` has not ended after {:?} (in {place}); stderr: {text}",
                    self.line, self.deadline
                );
            }
            std::thread::sleep(Duration::from_micros(300));
        };
        self.finish(status)
    }

    fn finish(&mut self, status: ExitStatus) -> Out {
        let (stdout, stderr) = (lossy(&self.out), lossy(&self.err));
        if let Some(call) = self.call.take() {
            call.ended(status, &stdout, &stderr);
        }
        Out {
            line: self.line.clone(),
            status,
            stdout,
            stderr,
            took: self.began.elapsed(),
        }
    }

    /// What has been printed so far.
    pub fn stdout(&self) -> String {
        lossy(&self.out)
    }

    /// Waits until stdout holds the word.
    pub fn until(&self, word: &str) {
        wait_for(&format!("`{word}` from `{}`", self.line), || {
            self.stdout().contains(word)
        });
    }
}

fn lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Polls until the condition holds; fails the case after 5 s.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + patience(5);
    while !holds() {
        assert!(Instant::now() < end, "waited 5 s for {what}");
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// The answer of a call.
#[derive(Debug)]
pub struct Out {
    line: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Out {
    /// Exit code; 1000 + N if the call itself was killed by signal N.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 1000 + self.status.signal().unwrap_or(0))
    }

    /// Asserts success.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(
            self.code() == 0,
            "`{}` gave {}: {}{}",
            self.line,
            self.code(),
            self.stderr,
            self.stdout
        );
        self
    }

    /// Asserts exit code 1 and a message that holds one of the words separated by `|` (all of several arguments).
    #[track_caller]
    pub fn fails(self, words: &[&str]) -> Self {
        self.fails_with(1, words)
    }

    /// The same with another exit code.
    #[track_caller]
    pub fn fails_with(self, code: i32, words: &[&str]) -> Self {
        let text = format!("{}{}", self.stderr, self.stdout);
        assert!(
            self.code() == code,
            "`{}` must fail with {code}, gave {}: {text}",
            self.line,
            self.code()
        );
        assert!(!self.stderr.is_empty(), "`{}` failed in silence", self.line);
        let low = text.to_lowercase();
        for word in words {
            assert!(
                word.split('|')
                    .any(|each| low.contains(&each.to_lowercase())),
                "`{}` must say {word:?}, says: {text}",
                self.line
            );
        }
        self
    }

    /// Every JSON line of stdout.
    pub fn lines(&self) -> Vec<Value> {
        json_lines(&self.stdout)
    }

    /// The first JSON line of stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        self.lines().into_iter().next().unwrap_or_else(|| {
            panic!(
                "`{}` printed no JSON: {} {}",
                self.line, self.stdout, self.stderr
            )
        })
    }
}

/// Every line that is JSON.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}
