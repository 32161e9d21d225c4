//! Documents that other programs have written.

use super::reprint::{Reprint, normal};
use super::{documents, name, pools, read, read_process, read_resources, sentence};
use crate::error::Fault;
use serde_json::Value;

/// Keys that real documents have and that mean nothing to a runtime of Linux containers.
fn prune(value: &mut Value) {
    let Value::Object(map) = value else { return };
    for key in ["windows", "solaris", "vm", "zos", "future", "x"] {
        map.remove(key);
    }
    for (pointer, keys) in [
        ("/process", ["commandLine", ""]),
        ("/process/user", ["username", ""]),
        ("/linux/intelRdt", ["enableCMT", "enableMBM"]),
    ] {
        if let Some(Value::Object(map)) = value.pointer_mut(pointer) {
            map.remove(keys[0]);
            map.remove(keys[1]);
        }
    }
    // Names that are not known are counted, not kept; u is another name for c.
    if let Some(Value::Array(names)) = value.pointer_mut("/process/capabilities/bounding") {
        names.retain(|name| name != "CAP_NEW_IN_2030" && name != "chown");
    }
    if let Some(kind) = value.pointer_mut("/linux/devices/0/type")
        && kind == "u"
    {
        *kind = Value::from("c");
    }
}

fn compare(file: &str, doc: &[u8]) {
    let mut pools = pools();
    let mut wanted: Value = serde_json::from_slice(doc).expect("JSON");
    prune(&mut wanted);
    let complain = |fault: Fault| format!("{file}: {}", sentence(doc, &fault));
    let kind = if file.contains("-process-") {
        "process"
    } else if file.contains("-resources-") {
        "resources"
    } else {
        "config"
    };
    let got = match kind {
        "process" => {
            let process = read_process(doc, &mut pools)
                .map_err(complain)
                .expect("a good document");
            Reprint { doc, pools: &pools }.process(&process)
        }
        "resources" => {
            let resources = read_resources(doc, &mut pools)
                .map_err(complain)
                .expect("a good document");
            Reprint { doc, pools: &pools }.resources(&resources)
        }
        _ => {
            let config = read(doc, &mut pools)
                .map_err(complain)
                .expect("a good document");
            Reprint { doc, pools: &pools }.config(&config)
        }
    };
    same(file, &normal(&wanted), &normal(&got), "");
}

/// The first difference, with its path.
fn same(file: &str, wanted: &Value, got: &Value, path: &str) {
    match (wanted, got) {
        (Value::Object(left), Value::Object(right)) => {
            for (key, value) in left {
                let right = right.get(key).unwrap_or(&Value::Null);
                same(file, value, right, &format!("{path}.{key}"));
            }
            for key in right.keys() {
                assert!(left.contains_key(key), "{file}: {path}.{key} was invented");
            }
        }
        _ => assert_eq!(wanted, got, "{file}: {path}"),
    }
}

#[test]
fn good_documents_are_read_as_serde_json_reads_them() {
    for (path, doc) in documents("tests/config/good") {
        compare(name(&path), &doc);
    }
}

#[test]
fn real_documents_are_read_as_serde_json_reads_them() {
    let files = documents("tests/corpus");
    assert!(files.len() >= 105, "{} documents", files.len());
    for (path, doc) in files {
        compare(name(&path), &doc);
    }
}
