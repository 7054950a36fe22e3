//! What is not there yet is refused with one clear line; it is never left out in silence.
//!
//! Each of these goes away with the change that brings the feature.

use runtime_tests::{Container, is_runc, require};
use serde_json::{Value, json};

fn refused(field: &str, change: impl FnOnce(&mut Value)) {
    require!(!is_runc(), "runc supports it");
    let container = Container::new("later").args(["true"]).edit(change);
    container.create().refused().says(field);
    container.run().refused().says(field);
}

#[test]
fn user_namespace_is_refused() {
    refused("user", |config| {
        config["linux"]["namespaces"].as_array_mut().expect("a list").push(json!({ "type": "user" }));
        config["linux"]["uidMappings"] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
        config["linux"]["gidMappings"] = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    });
}

#[test]
fn id_mapped_mount_is_refused() {
    refused("mounts[7]", |config| {
        config["mounts"].as_array_mut().expect("a list").push(json!({
            "destination": "/mnt", "type": "bind", "source": "/usr", "options": ["bind", "idmap"],
            "uidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65_536 }],
            "gidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65_536 }],
        }));
    });
}
