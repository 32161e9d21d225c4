//! `linux.netDevices`: network devices of the host move into the container's network namespace, with the addresses that
//! are theirs for good, under the names they are to have, and are set up.
//!
//! The parent does it, which has rights over both namespaces. Afterwards they belong to the container: they are not
//! managed and not moved back; when its namespace ends, the kernel gives the physical ones back.
#![forbid(unsafe_code)]

use heapless::Vec;
use rustix::fs::OFlags;
use rustix::net::netdevice::{index_to_name_inlined, name_to_index};

use super::caller::Init;
use super::route::{
    CREATE, GET_ADDRESS, NEW_ADDRESS, NEW_LINK, Request, Route, attributes, number,
};
use crate::error::{At, Context, Errno, Fault, Step};
use crate::fs::proc::Proc;
use crate::limits::{FULL, Limit, NET_ADDRESSES};
use crate::plan::Plan;
use crate::sys::{AsFd, AsRawFd, OwnedFd, ns, path};

/// IFLA_IFNAME, IFLA_NET_NS_FD.
const NAME: u16 = 3;
const NAMESPACE: u16 = 28;
const UP: u32 = 1;
/// Sets attributes of a link that is there.
const SET_LINK: u16 = NEW_LINK + 3;

/// The addresses of one device, each as the request that makes it again.
type Addresses = Vec<Request, NET_ADDRESSES>;

/// Moves all of them.
#[inline(never)] // its locals would lie in the frame of its caller
pub(super) fn hand_over(plan: &Plan, init: &Init) -> Result<(), Fault> {
    if !FULL {
        return Ok(());
    }
    let way = Way::open(init).step(Step::MoveDevice)?;
    for (host, name) in &plan.net_devices {
        let text = |name| core::str::from_utf8(plan.arena.bytes(name)).unwrap_or_default();
        way.go(text(*host), text(*name))
            .map_err(|fault| fault.with_at(At::Arena(host.at)))?;
    }
    Ok(())
}

/// From one namespace to the other.
struct Way {
    outside: Route,
    inside: Route,
    target: OwnedFd,
}

impl Way {
    fn open(init: &Init) -> Result<Self, Errno> {
        let proc = Proc::open().map_err(|fault| fault.errno().unwrap_or(Errno::NOSYS))?;
        let target = proc.namespace(init.number(), c"ns/net")?;
        let own = path::openat(proc.fd(), c"self/ns/net", OFlags::RDONLY)?;
        let outside = Route::open()?;
        // A socket stays where it was opened.
        ns::setns(target.as_fd(), ns::flag::NET)?;
        let inside = Route::open();
        ns::setns(own.as_fd(), ns::flag::NET)?;
        Ok(Self {
            outside,
            inside: inside?,
            target,
        })
    }

    /// Moves one device.
    fn go(&self, host: &str, name: &str) -> Result<(), Fault> {
        let step = Step::MoveDevice;
        let old = name_to_index(self.outside.fd(), host).step(step)?;
        // The kernel chooses the number in a name like `eth%d`; then the device is known by its index, which it keeps
        // where that is free.
        let template = name.contains('%');
        let taken = if template {
            index_to_name_inlined(self.inside.fd(), old).is_ok()
        } else {
            name_to_index(self.inside.fd(), name).is_ok()
        };
        if taken {
            return Err(Errno::EXIST).step(step);
        }
        let mut addresses = Addresses::new();
        self.addresses(old, &mut addresses)?;
        let mut word = [0; 16];
        if let Some(place) = word.get_mut(..name.len()) {
            place.copy_from_slice(name.as_bytes());
        }
        let mut request = link(old, 0);
        request.attribute(NAMESPACE, &self.target.as_raw_fd().to_ne_bytes());
        request.attribute(NAME, &word);
        self.outside.ask(request).step(step)?;
        let new = if template {
            old
        } else {
            name_to_index(self.inside.fd(), name).step(step)?
        };
        for mut address in addresses {
            address.set(4, new);
            self.inside.ask(address).step(step)?;
        }
        self.inside.ask(link(new, UP)).step(step)
    }

    /// Collects the addresses of a device that are permanent and global: others were given by somebody who stays
    /// outside.
    fn addresses(&self, device: u32, into: &mut Addresses) -> Result<(), Fault> {
        const PERMANENT: u8 = 0x80;
        const UNIVERSE: u8 = 0;
        let mut room = true;
        let mut take = |kind: u16, content: &[u8]| {
            if let [family, prefix, flags, scope, ..] = *content
                && kind == NEW_ADDRESS
                && number(content, 4) == device
                && flags & PERMANENT != 0
                && scope == UNIVERSE
            {
                let fixed = [family, prefix, 0, UNIVERSE, 0, 0, 0, 0];
                let mut request = Request::new(NEW_ADDRESS, CREATE, &fixed);
                attributes(content.get(8..).unwrap_or(&[]), &mut |kind, value| {
                    // IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST; the label has the old name in it, lifetimes are for ever.
                    if matches!(kind, 1 | 2 | 4) {
                        request.attribute(kind, value);
                    }
                });
                room &= into.push(request).is_ok();
            }
        };
        let request = Request::new(GET_ADDRESS, 0, &[0; 8]);
        self.outside
            .list(request, &mut take)
            .step(Step::MoveDevice)?;
        if room {
            Ok(())
        } else {
            Err(Fault::limit(
                Step::MoveDevice,
                Limit::NET_ADDRESSES,
                At::Nothing,
            ))
        }
    }
}

/// A request about a device that sets these of its flags: `struct ifinfomsg`.
fn link(index: u32, flags: u32) -> Request {
    let mut request = Request::new(SET_LINK, 0, &[0; 16]);
    request.set(4, index);
    request.set(8, flags);
    request.set(12, flags);
    request
}
