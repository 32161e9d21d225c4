//! A parsed document as JSON again, so that serde_json's reading of the original can be held against it.

use crate::config::*;
use serde_json::{Map, Value, json};

pub(super) struct Reprint<'a> {
    pub(super) doc: &'a [u8],
    pub(super) pools: &'a Pools,
}

/// The value without what says nothing: null, false, 0, and empty strings, lists and objects in objects; sets sorted.
pub(super) fn normal(value: &Value) -> Value {
    const SETS: [&str; 7] = [
        "bounding",
        "effective",
        "inheritable",
        "permitted",
        "ambient",
        "flags",
        "architectures",
    ];
    match value {
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                let mut value = normal(value);
                if SETS.contains(&key.as_str())
                    && let Value::Array(list) = &mut value
                {
                    list.sort_by_key(Value::to_string);
                    list.dedup();
                }
                if key == "fileMode"
                    && let Some(mode) = value.as_u64()
                {
                    value = json!(mode & 0o7777);
                }
                let nothing = match &value {
                    Value::Null | Value::Bool(false) => true,
                    Value::Number(number) => number.to_string() == "0",
                    Value::String(text) => text.is_empty(),
                    Value::Array(list) => list.is_empty(),
                    Value::Object(map) => map.is_empty(),
                    Value::Bool(true) => false,
                };
                // The wildcard and its other spelling.
                let wildcard = matches!(key.as_str(), "major" | "minor") && value == json!(-1)
                    || key == "type" && value == "a";
                if !nothing && !wildcard {
                    out.insert(key.clone(), value);
                }
            }
            Value::Object(out)
        }
        Value::Array(list) => Value::Array(list.iter().map(normal).collect()),
        other => other.clone(),
    }
}

impl Reprint<'_> {
    fn text(&self, text: Text) -> Value {
        json!(String::from_utf8(text.bytes(self.doc).collect()).expect("UTF-8"))
    }

    fn maybe(&self, text: Option<Text>) -> Value {
        text.map_or(Value::Null, |text| self.text(text))
    }

    fn texts(&self, list: List, pool: &[Text]) -> Value {
        list.of(pool).iter().map(|text| self.text(*text)).collect()
    }

    fn pairs(&self, list: List, pool: &[Pair]) -> Value {
        let mut map = Map::new();
        for pair in list.of(pool) {
            let key = String::from_utf8(pair.key.bytes(self.doc).collect()).expect("UTF-8");
            assert!(map.insert(key, self.text(pair.value)).is_none());
        }
        Value::Object(map)
    }

    fn name(names: Names, number: u8) -> Value {
        let word = names.word(number).expect("a known number");
        json!(format!("{}{word}", names.prefix()))
    }

    fn bits(names: Names, bits: u64) -> Value {
        (0..64)
            .filter(|bit| bits & (1 << bit) != 0)
            .map(|bit| Self::name(names, bit))
            .collect()
    }

    fn caps(bits: Option<u64>) -> Value {
        bits.map_or(Value::Null, |bits| Self::bits(Names::Capability, bits))
    }

    fn mappings(&self, list: List) -> Value {
        let entry =
            |m: &IdMapping| json!({"containerID": m.container, "hostID": m.host, "size": m.size});
        list.of(&self.pools.id_mappings).iter().map(entry).collect()
    }

    pub(super) fn config(&self, config: &Config) -> Value {
        let mount = |m: &Mount| {
            json!({
                "destination": self.text(m.destination),
                "source": self.maybe(m.source),
                "type": self.maybe(m.kind),
                "options": self.texts(m.options, &self.pools.mount_options),
                "uidMappings": self.mappings(m.uid_mappings),
                "gidMappings": self.mappings(m.gid_mappings),
            })
        };
        let mounts: Value = config
            .mounts
            .of(&self.pools.mounts)
            .iter()
            .map(mount)
            .collect();
        json!({
            "ociVersion": self.text(config.oci_version),
            "root": config.root.map(|root| json!({"path": self.text(root.path), "readonly": root.readonly})),
            "process": config.process.map(|process| self.process(&process)),
            "hostname": self.maybe(config.hostname),
            "domainname": self.maybe(config.domainname),
            "mounts": mounts,
            "hooks": config.hooks.map(|hooks| json!({
                "prestart": self.hooks(hooks.prestart),
                "createRuntime": self.hooks(hooks.create_runtime),
                "createContainer": self.hooks(hooks.create_container),
                "startContainer": self.hooks(hooks.start_container),
                "poststart": self.hooks(hooks.poststart),
                "poststop": self.hooks(hooks.poststop),
            })),
            "annotations": self.pairs(config.annotations, &self.pools.annotations),
            "linux": config.linux.map(|linux| self.linux(&linux)),
        })
    }

    fn hooks(&self, list: List) -> Value {
        let words = &self.pools.hook_words;
        let hook = |hook: &Hook| {
            json!({
                "path": self.text(hook.path),
                "args": self.texts(hook.args, words),
                "env": hook.env.map(|env| self.texts(env, words)),
                "timeout": hook.timeout,
            })
        };
        list.of(&self.pools.hooks).iter().map(hook).collect()
    }

    pub(super) fn process(&self, process: &Process) -> Value {
        let rlimit = |r: &Rlimit| json!({"type": Self::name(Names::Rlimit, r.resource), "soft": r.soft, "hard": r.hard});
        let rlimits: Value = process
            .rlimits
            .of(&self.pools.rlimits)
            .iter()
            .map(rlimit)
            .collect();
        json!({
            "terminal": process.terminal,
            "consoleSize": process.console_size.map(|size| json!({"height": size.height, "width": size.width})),
            "cwd": self.text(process.cwd),
            "env": self.texts(process.env, &self.pools.env),
            "args": self.texts(process.args, &self.pools.args),
            "user": {
                "uid": process.user.uid,
                "gid": process.user.gid,
                "umask": process.user.umask,
                "additionalGids": process.user.additional_gids.of(&self.pools.groups),
            },
            "capabilities": process.capabilities.map(|caps| json!({
                "bounding": Self::caps(caps.bounding),
                "effective": Self::caps(caps.effective),
                "inheritable": Self::caps(caps.inheritable),
                "permitted": Self::caps(caps.permitted),
                "ambient": Self::caps(caps.ambient),
            })),
            "rlimits": rlimits,
            "noNewPrivileges": process.no_new_privileges,
            "apparmorProfile": self.maybe(process.apparmor_profile),
            "selinuxLabel": self.maybe(process.selinux_label),
            "oomScoreAdj": process.oom_score_adj,
            "scheduler": process.scheduler.map(|s| json!({
                "policy": Self::name(Names::SchedPolicy, s.policy),
                "nice": s.nice,
                "priority": s.priority,
                "flags": Self::bits(Names::SchedFlag, s.flags),
                "runtime": s.runtime,
                "deadline": s.deadline,
                "period": s.period,
            })),
            "ioPriority": process.io_priority.map(|io| json!({
                "class": Self::name(Names::IoClass, io.class),
                "priority": io.priority,
            })),
            "execCPUAffinity": process.exec_cpu_affinity.map(|a| json!({
                "initial": self.maybe(a.initial),
                "final": self.maybe(a.last),
            })),
        })
    }

    fn linux(&self, linux: &Linux) -> Value {
        let p = self.pools;
        let namespace = |n: &Namespace| json!({"type": Self::name(Names::Namespace, n.kind as u8), "path": self.maybe(n.path)});
        let namespaces: Value = linux
            .namespaces
            .of(&p.namespaces)
            .iter()
            .map(namespace)
            .collect();
        let device = |d: &Device| {
            json!({
                "type": Self::name(Names::Device, d.kind as u8 * 2),
                "path": self.text(d.path),
                "major": d.major,
                "minor": d.minor,
                "fileMode": d.file_mode,
                "uid": d.uid,
                "gid": d.gid,
            })
        };
        let devices: Value = linux.devices.of(&p.devices).iter().map(device).collect();
        let mut net = Map::new();
        for device in linux.net_devices.of(&p.net_devices) {
            let host = self.text(device.host);
            let host = host.as_str().expect("a string").to_owned();
            net.insert(host, json!({"name": self.maybe(device.name)}));
        }
        let offset =
            |o: Option<TimeOffset>| o.map(|o| json!({"secs": o.secs, "nanosecs": o.nanosecs}));
        json!({
            "namespaces": namespaces,
            "uidMappings": self.mappings(linux.uid_mappings),
            "gidMappings": self.mappings(linux.gid_mappings),
            "timeOffsets": linux.time_offsets.map(|t| json!({
                "boottime": offset(t.boottime),
                "monotonic": offset(t.monotonic),
            })),
            "devices": devices,
            "netDevices": net,
            "cgroupsPath": self.maybe(linux.cgroups_path),
            "resources": linux.resources.map(|resources| self.resources(&resources)),
            "sysctl": self.pairs(linux.sysctl, &p.sysctl),
            "seccomp": linux.seccomp.map(|seccomp| self.seccomp(&seccomp)),
            "rootfsPropagation": linux.rootfs_propagation.map(|m| Self::name(Names::Propagation, m as u8)),
            "maskedPaths": self.texts(linux.masked_paths, &p.paths),
            "readonlyPaths": self.texts(linux.readonly_paths, &p.paths),
            "mountLabel": self.maybe(linux.mount_label),
            "personality": linux.personality.map(|x| json!({"domain": if x.linux32 { "LINUX32" } else { "LINUX" }})),
            "intelRdt": linux.intel_rdt.map(|rdt| json!({
                "closID": self.maybe(rdt.clos_id),
                "l3CacheSchema": self.maybe(rdt.l3_cache_schema),
                "memBwSchema": self.maybe(rdt.mem_bw_schema),
                "schemata": self.texts(rdt.schemata, &p.schemata),
                "enableMonitoring": rdt.enable_monitoring,
            })),
            "memoryPolicy": linux.memory_policy.map(|m| json!({
                "mode": Self::name(Names::MemPolicy, m.mode),
                "nodes": self.maybe(m.nodes),
                "flags": Self::bits(Names::MemPolicyFlag, m.flags),
            })),
        })
    }

    #[allow(clippy::too_many_lines, reason = "one object, key by key")]
    pub(super) fn resources(&self, r: &Resources) -> Value {
        let p = self.pools;
        let rule = |d: &DeviceRule| {
            let letters = [(1, 'r'), (2, 'w'), (4, 'm')];
            let access: String = letters
                .iter()
                .filter(|(bit, _)| d.access & bit != 0)
                .map(|(_, letter)| letter)
                .collect();
            json!({
                "allow": d.allow,
                "type": Self::name(Names::DeviceRule, d.kind),
                "major": d.major,
                "minor": d.minor,
                "access": access,
            })
        };
        let rules: Value = r.devices.of(&p.device_rules).iter().map(rule).collect();
        let throttle = |list: List| -> Value {
            let entry =
                |t: &ThrottleDevice| json!({"major": t.major, "minor": t.minor, "rate": t.rate});
            list.of(&p.throttle_devices).iter().map(entry).collect()
        };
        let weight = |w: &WeightDevice| json!({"major": w.major, "minor": w.minor, "weight": w.weight, "leafWeight": w.leaf_weight});
        let huge =
            |h: &HugepageLimit| json!({"pageSize": self.text(h.page_size), "limit": h.limit});
        let hugepages: Value = r
            .hugepage_limits
            .of(&p.hugepage_limits)
            .iter()
            .map(huge)
            .collect();
        let priority = |n: &NetPriority| json!({"name": self.text(n.name), "priority": n.priority});
        let mut rdma = Map::new();
        for entry in r.rdma.of(&p.rdma) {
            let device = self.text(entry.device);
            let device = device.as_str().expect("a string").to_owned();
            rdma.insert(
                device,
                json!({"hcaHandles": entry.hca_handles, "hcaObjects": entry.hca_objects}),
            );
        }
        json!({
            "devices": rules,
            "memory": r.memory.map(|m| json!({
                "limit": m.limit,
                "reservation": m.reservation,
                "swap": m.swap,
                "kernel": m.kernel,
                "kernelTCP": m.kernel_tcp,
                "swappiness": m.swappiness,
                "disableOOMKiller": m.disable_oom_killer,
                "useHierarchy": m.use_hierarchy,
                "checkBeforeUpdate": m.check_before_update,
            })),
            "cpu": r.cpu.map(|c| json!({
                "shares": c.shares,
                "quota": c.quota,
                "burst": c.burst,
                "period": c.period,
                "realtimeRuntime": c.realtime_runtime,
                "realtimePeriod": c.realtime_period,
                "idle": c.idle,
                "cpus": self.maybe(c.cpus),
                "mems": self.maybe(c.mems),
            })),
            "pids": r.pids.map(|pids| json!({"limit": pids.limit})),
            "blockIO": r.block_io.map(|b| json!({
                "weight": b.weight,
                "leafWeight": b.leaf_weight,
                "weightDevice": b.weight_devices.of(&p.weight_devices).iter().map(weight).collect::<Value>(),
                "throttleReadBpsDevice": throttle(b.read_bps),
                "throttleWriteBpsDevice": throttle(b.write_bps),
                "throttleReadIOPSDevice": throttle(b.read_iops),
                "throttleWriteIOPSDevice": throttle(b.write_iops),
            })),
            "hugepageLimits": hugepages,
            "network": r.network.map(|n| json!({
                "classID": n.class_id,
                "priorities": n.priorities.of(&p.net_priorities).iter().map(priority).collect::<Value>(),
            })),
            "rdma": rdma,
            "unified": self.pairs(r.unified, &p.unified),
        })
    }

    fn seccomp(&self, s: &Seccomp) -> Value {
        let p = self.pools;
        let action = |action: SeccompAction| Self::name(Names::SeccompAction, action as u8);
        let arg = |a: &SeccompArg| {
            json!({
                "index": a.index,
                "value": a.value,
                "valueTwo": a.value_two,
                "op": Self::name(Names::SeccompOp, a.op as u8),
            })
        };
        let rule = |r: &SeccompRule| {
            json!({
                "names": self.texts(r.names, &p.seccomp_names),
                "action": action(r.action),
                "errnoRet": r.errno,
                "args": r.args.of(&p.seccomp_args).iter().map(arg).collect::<Value>(),
            })
        };
        json!({
            "defaultAction": s.default_action.map(action),
            "defaultErrnoRet": s.default_errno,
            "architectures": Self::bits(Names::Arch, s.architectures),
            "flags": s.flags.map(|flags| Self::bits(Names::SeccompFlag, flags)),
            "listenerPath": self.maybe(s.listener_path),
            "listenerMetadata": self.maybe(s.listener_metadata),
            "syscalls": s.rules.of(&p.seccomp_rules).iter().map(rule).collect::<Value>(),
        })
    }
}
