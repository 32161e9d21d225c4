//! `checkpoint` and `restore`: what the command line says becomes a request to criu.
#![forbid(unsafe_code)]

use core::ffi::CStr;

use rustix::fs::{OFlags, fcntl_getfl};

use super::create::{caller, in_bundle, purpose};
use super::flags::Parsed;
use super::state::CGROUPS;
use super::{Call, FAILED, alive, delete};
use crate::bundle;
use crate::criu::{self, Dump, Kind, Message, Request};
use crate::error::{Context, Fault, Rule, Step};
use crate::plan::service::Service;
use crate::run;
use crate::state::Status;
use crate::sys::{OwnedFd, fd, ns, path};
use crate::text::{number, pieces};

/// Flags that criu knows, too: before each the number of its field in `criu_opts`.
const FLAGS: &[u8] = b"\x03leave-running \x04ext-unix-sk \x05tcp-established \x07shell-job \x08file-locks \
                       \x0eparent-path \x10auto-dedup \x12link-remap \x2etcp-skip-in-flight \x30lazy-pages \
                       \x34tcp-close \x35lsm-profile \x3flsm-mount-context";

/// What the flags say; `None` if that makes no sense.
fn request(parsed: &mut Parsed, kind: Kind) -> Result<Option<Request>, Fault> {
    let parent = parsed.value("parent-path");
    if let Some(parent) = parent.filter(|path| path.to_bytes().starts_with(b"/")) {
        parsed.bad_value(parent, "parent-path", "a path from --image-path on");
        return Ok(None);
    }
    let images = parsed.value("image-path").unwrap_or(c"checkpoint");
    let logs = parsed.value("work-path").unwrap_or(images);
    let mut request = Request::new(kind, images, logs)?;
    let options = &mut request.options;
    for flag in pieces(FLAGS, b' ') {
        let (field, name) = flag.split_first().unwrap_or((&0, flag));
        match parsed.value_of(name).map(CStr::to_bytes) {
            None => {}
            // A switch.
            Some(b"") => options.number(*field, 1),
            Some(text) => options.text(*field, &[text]),
        }
    }
    if let Some(parent) = parent {
        // track_mem
        options.number(15, 1);
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        path::openat(request.images(), parent, flags).step(Step::OpenParent)?;
    }
    Ok(more(parsed, &mut request.options).map(|()| request))
}

/// The flags with values that criu knows in another form.
fn more(parsed: &mut Parsed, options: &mut Message<'_>) -> Option<()> {
    let mode = parsed.choice(
        "manage-cgroups-mode",
        "soft full strict ignore",
        "soft, full, strict or ignore",
    )?;
    // `ignore` is 0, the others count on from 3.
    options.number(34, if mode == 3 { 0 } else { mode as u64 + 3 });
    let lock = parsed.choice(
        "network-lock",
        "- iptables nftables skip",
        "iptables, nftables or skip",
    )?;
    if lock > 0 {
        options.number(64, lock as u64);
    }
    parsed.choice("empty-ns", "network", "network")?;
    if parsed.value("empty-ns").is_some() {
        options.number(38, u64::from(ns::flag::NET));
    }
    if let Some(server) = parsed.value("page-server") {
        let Some((address, port)) = server_of(server.to_bytes()) else {
            parsed.bad_value(server, "page-server", "ADDRESS:PORT");
            return None;
        };
        let start = options.open(11);
        options.text(1, &[address]);
        options.number(2, port);
        options.close(start);
    }
    Some(())
}

/// `ADDRESS:PORT`; the address of IPv6 has brackets around it.
fn server_of(text: &[u8]) -> Option<(&[u8], u64)> {
    let colon = text.iter().rposition(|byte| *byte == b':')?;
    let (address, port) = text.split_at_checked(colon)?;
    let inside = address
        .strip_prefix(b"[")
        .and_then(|it| it.strip_suffix(b"]"));
    Some((inside.unwrap_or(address), number(port.get(1..)?, 10)?))
}

/// `--status-fd`: must be there to be written to.
fn status_fd(parsed: &mut Parsed) -> Option<Option<OwnedFd>> {
    let Some(text) = parsed.value("status-fd") else {
        return Some(None);
    };
    let file = number(text.to_bytes(), 10).and_then(|number| {
        let file = fd::take(u32::try_from(number).ok()?).ok()?;
        let flags = fcntl_getfl(&file).ok()?;
        flags
            .intersects(OFlags::WRONLY | OFlags::RDWR)
            .then_some(file)
    });
    if file.is_none() {
        parsed.bad_value(
            text,
            "status-fd",
            "the number of an open descriptor to write to",
        );
    }
    file.map(Some)
}

/// `checkpoint ID`.
pub(super) fn checkpoint(call: &mut Call) -> Result<i32, Fault> {
    let parsed = &mut call.parsed;
    let kind = if parsed.is_on("pre-dump") {
        Kind::PreDump
    } else {
        Kind::Dump
    };
    let goes_on = kind == Kind::PreDump || parsed.is_on("leave-running");
    let Some(status) = status_fd(parsed) else {
        return Ok(FAILED);
    };
    let Some(request) = request(parsed, kind)? else {
        return Ok(FAILED);
    };
    dump(call, request, status)?;
    if goes_on {
        return Ok(0);
    }
    match delete::remove(call, true) {
        // Whoever had it in the foreground was faster.
        Err(fault) if delete::is(&fault, Rule::NoContainer) => Ok(0),
        removed => removed,
    }
}

/// Checkpoints, with the container locked.
fn dump(call: &mut Call, mut request: Request, mut notice: Option<OwnedFd>) -> Result<i32, Fault> {
    let mut scene = call.voice.scene;
    let done = alive::with(call, true, &mut |found| {
        let init = found.record.find_init(found.boot)?;
        let (Status::Running | Status::Paused, Some(init)) = (found.status, init) else {
            return alive::refuse(Step::Checkpoint, Rule::CheckpointState);
        };
        let plan = bundle::look(found.dir, found.record, found.cgroups, &mut scene)?;
        let dump = Dump {
            args: call.args,
            record: found.record,
            init,
            cgroups: found.cgroups,
            plan,
        };
        criu::checkpoint(&dump, &mut request, &mut notice)?;
        CGROUPS.put_back(found.cgroups);
        Ok(0)
    });
    call.voice.scene = scene;
    done
}

/// `restore ID`.
pub(super) fn restore(call: &mut Call) -> Result<i32, Fault> {
    run::protect(call.args, 0)?;
    let purpose = purpose(&call.parsed);
    let caller = caller(&call.parsed)?;
    let Some(mut request) = request(&mut call.parsed, Kind::Restore)? else {
        return Ok(FAILED);
    };
    let given = (Service::default(), 0);
    in_bundle(call, purpose, given, caller, &mut |birth| {
        criu::bring_back(birth, &mut request)
    })
}
