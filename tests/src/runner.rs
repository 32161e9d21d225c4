//! Runs the cases, each in a process group of its own, and prints TAP.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::case::Case;
use crate::coverage::record::DOCUMENTS;
use crate::coverage::sum::Sum;
use crate::facts::patience;
use crate::{cases, kernel, witness};

struct Options {
    words: Vec<String>,
    without: Vec<String>,
    ocilet: PathBuf,
    jobs: usize,
    must_work: bool,
    coverage: bool,
}

/// The binary that `cargo build --release` makes, beside wherever this one is.
pub fn default_ocilet() -> PathBuf {
    if let Some(path) = std::env::var_os("OCILET") {
        return path.into();
    }
    let beside = std::env::current_exe().unwrap_or_default();
    beside
        .ancestors()
        .map(|dir| dir.join("release/ocilet"))
        .chain(std::iter::once(PathBuf::from("target/release/ocilet")))
        .chain(std::iter::once(PathBuf::from("/bin/ocilet")))
        .find(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from("/usr/bin/ocilet"))
}

/// Where slow input is kept between runs: beside the build products, or in a guest's own /tmp.
pub fn cache_dir() -> PathBuf {
    let exe = std::env::current_exe().unwrap_or_default();
    exe.ancestors()
        .find(|dir| dir.file_name().is_some_and(|name| name == "target"))
        .map_or_else(
            || PathBuf::from("/var/tmp/ocilet-tests"),
            |dir| dir.join("tests-cache"),
        )
}

fn options(args: &[String]) -> Option<Options> {
    let mut options = Options {
        words: Vec::new(),
        without: Vec::new(),
        ocilet: default_ocilet(),
        jobs: 2,
        coverage: false,
        must_work: std::env::var_os("OCILET_MUST_WORK").is_some_and(|value| value == "1"),
    };
    let mut args = args.iter();
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--tap" => {}
            "--coverage" => options.coverage = true,
            "--filter" => options.words.push(args.next()?.clone()),
            "--skip" => options.without.push(args.next()?.clone()),
            "--ocilet" => options.ocilet = std::path::absolute(args.next()?).ok()?,
            "--jobs" => options.jobs = args.next()?.parse().ok()?,
            // Handed to the cases through the environment.
            // SAFETY: no other thread exists yet.
            "--cgroup" => unsafe { std::env::set_var("OCILET_TESTS_CGROUP", args.next()?) },
            "--as" => {
                let word = args.next()?;
                crate::caller::known(word).then_some(())?;
                // SAFETY: no other thread exists yet.
                unsafe { std::env::set_var(crate::caller::VARIABLE, word) }
            }
            "--shim" => {
                let profile = args.next()?;
                crate::shim::profile(profile)?;
                // SAFETY: no other thread exists yet.
                unsafe { std::env::set_var("OCILET_TESTS_SHIM", profile) }
            }
            _ => return None,
        }
    }
    Some(options)
}

fn chosen(options: &Options) -> Vec<(String, &'static Case)> {
    cases::all()
        .filter(|(name, _)| {
            options.words.is_empty() || options.words.iter().any(|word| name.contains(word))
        })
        .filter(|(name, _)| !options.without.iter().any(|word| name.contains(word)))
        .collect()
}

/// `list`.
pub fn list(args: &[String]) -> ExitCode {
    let Some(options) = options(args) else {
        return ExitCode::from(2);
    };
    for (name, _) in chosen(&options) {
        println!("{name}");
    }
    ExitCode::SUCCESS
}

#[derive(Default)]
struct Tally {
    number: usize,
    passed: usize,
    failed: usize,
    skipped: usize,
    used: Sum,
}

/// `run`.
pub fn run(args: &[String]) -> ExitCode {
    let Some(options) = options(args) else {
        eprintln!("run: see `ocilet-tests` for the flags");
        return ExitCode::from(2);
    };
    if !options.ocilet.is_file() {
        eprintln!("run: no {}", options.ocilet.display());
        return ExitCode::from(2);
    }
    documents(&options);
    // SAFETY: plain numbers.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let (serial, parallel): (VecDeque<_>, VecDeque<_>) = chosen(&options)
        .into_iter()
        .partition(|(_, case)| case.serial);
    let cases = serial.len() + parallel.len();
    println!("1..{}", cases + usize::from(options.coverage));
    let tally = Mutex::new(Tally::default());
    for (queue, jobs) in [(parallel, options.jobs.max(1)), (serial, 1)] {
        let queue = Mutex::new(queue);
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    loop {
                        let next = queue.lock().expect("no panics here").pop_front();
                        let Some((name, case)) = next else { break };
                        one(&name, case, &options, &tally);
                    }
                });
            }
        });
    }
    // What the cases orphaned has come to us; the namespaces of the cases are gone with their processes.
    for (pid, state) in witness::descendants(std::process::id().cast_signed()) {
        println!("# stray process {pid} ({state}) killed");
        let _ = kernel::kill(pid, libc::SIGKILL);
    }
    let _ = std::fs::remove_dir("/tmp/ocilet-tests");
    let mut tally = tally.into_inner().expect("no panics here");
    coverage(&options, &mut tally);
    println!(
        "{} passed, {} failed, {} skipped",
        tally.passed, tally.failed, tally.skipped
    );
    ExitCode::from(u8::from(tally.failed > 0))
}

/// The place for the documents that the cases come by, if somebody wants them; empty for the run that counts.
fn documents(options: &Options) {
    let Some(dir) = std::env::var_os(DOCUMENTS) else {
        return;
    };
    if options.coverage {
        let _ = std::fs::remove_dir_all(&dir);
    }
    std::fs::create_dir_all(&dir).expect("a directory for documents");
}

/// What all cases together have used. Of some cases alone it says nothing.
fn coverage(options: &Options, tally: &mut Tally) {
    if !options.words.is_empty() || !options.without.is_empty() {
        return;
    }
    let wrong = std::mem::take(&mut tally.used).judge(&options.ocilet);
    if !options.coverage {
        println!(
            "# coverage: {} findings, which do not count here",
            wrong.len()
        );
        return;
    }
    tally.number += 1;
    if wrong.is_empty() {
        tally.passed += 1;
        println!("ok {} - coverage", tally.number);
        return;
    }
    tally.failed += 1;
    println!("not ok {} - coverage", tally.number);
    for line in wrong {
        println!("    {line}");
    }
}

/// Runs one case and returns (result word, text of the result line, everything it printed).
fn supervise(name: &str, case: &Case, options: &Options) -> (String, String, String) {
    let output = File::from(kernel::memfd("output").expect("memfd"));
    let copy = || Stdio::from(output.try_clone().expect("dup"));
    let mut child = Command::new("/proc/self/exe")
        .args(["case", name, "--ocilet"])
        .arg(&options.ocilet)
        .stdin(Stdio::null())
        .stdout(copy())
        .stderr(copy())
        .process_group(0)
        .spawn()
        .expect("own binary");
    // The case keeps its own deadline; this one is for a supervisor that hangs.
    let end = Instant::now() + patience(case.seconds + 20);
    let ended = loop {
        if child.try_wait().expect("own child").is_some() {
            break true;
        }
        if Instant::now() > end {
            let _ = kernel::kill(-child.id().cast_signed(), libc::SIGKILL);
            let _ = child.wait();
            break false;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let mut text = String::new();
    let mut file = &output;
    let mut bytes = Vec::new();
    let _ = file.seek(SeekFrom::Start(0));
    let _ = file.read_to_end(&mut bytes);
    text += &String::from_utf8_lossy(&bytes);
    let result = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("RESULT "))
        .unwrap_or(if ended { "fail died" } else { "fail hangs" });
    let (word, rest) = result.split_once(' ').unwrap_or((result, ""));
    (word.to_owned(), rest.to_owned(), text.clone())
}

fn one(name: &str, case: &Case, options: &Options, tally: &Mutex<Tally>) {
    let began = Instant::now();
    let (word, reason, text) = match crate::caller::cannot(name) {
        Some(reason) => ("excused".to_owned(), reason, String::new()),
        None => supervise(name, case, options),
    };
    let millis = began.elapsed().as_millis();
    let mut tally = tally.lock().expect("no panics here");
    tally.number += 1;
    let number = tally.number;
    match word.as_str() {
        "pass" => {
            tally.passed += 1;
            tally.used.add(name, &text);
            println!("ok {number} - {name} # {millis} ms");
            for line in text.lines().filter(|line| line.starts_with("# ")) {
                println!("{line}");
            }
        }
        "excused" => {
            tally.skipped += 1;
            println!("ok {number} - {name} # SKIP environment: {reason}");
        }
        "skip" if !options.must_work => {
            tally.skipped += 1;
            println!("ok {number} - {name} # SKIP {reason}");
        }
        _ => {
            tally.failed += 1;
            println!("not ok {number} - {name} # {millis} ms {word} {reason}");
            for line in text.lines().filter(|line| !line.starts_with("RESULT")) {
                println!("    {line}");
            }
        }
    }
}
