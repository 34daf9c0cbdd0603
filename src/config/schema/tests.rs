//! The schema and the reader agree about what a file may hold.

use serde_json::{Value, json};

use super::super::{FixedEnvironment, Options, examine};
use super::checker::accepts;
use super::*;

fn base() -> Value {
    json!({
        "hub": {"token": "t"},
        "endpoints": [{"id": "a", "profile": "generic-cli", "cli": {"command": "sh"}}],
    })
}

fn reader_accepts(value: &Value) -> bool {
    let environment = FixedEnvironment::new([("HOME", "/home/test"), ("LEVEL", "debug")]);
    let text = value.to_string();
    let examination = examine(&text, "test.json", &environment, Options::default());
    examination.problems.errors.is_empty()
}

/// Both say the same of the base with the value at `pointer` replaced.
fn both(pointer: &str, value: Value) -> (bool, bool) {
    let mut file = base();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    file.pointer_mut(parent).unwrap()[key] = value;
    (accepts(&schema(), &file), reader_accepts(&file))
}

#[test]
fn the_example_is_accepted_and_a_typo_in_any_of_its_keys_is_not() {
    let example: Value =
        serde_json::from_str(include_str!("../../../config.example.json")).unwrap();
    let schema = schema();
    assert!(accepts(&schema, &example));
    let free = ["env", "headers", "tags"];
    let mut tried = 0;
    for pointer in objects(&example, "") {
        if free.iter().any(|key| pointer.ends_with(key)) {
            continue;
        }
        for key in example.pointer(&pointer).unwrap().as_object().unwrap().keys() {
            let mut wrong = example.clone();
            let object = wrong.pointer_mut(&pointer).unwrap().as_object_mut().unwrap();
            let value = object.remove(key).unwrap();
            object.insert(format!("{key}x"), value);
            assert!(!accepts(&schema, &wrong), "{pointer}/{key}x");
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

fn objects(value: &Value, pointer: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(object) => {
            object.iter().map(|(key, child)| (format!("{pointer}/{key}"), child)).collect()
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .map(|(index, child)| (format!("{pointer}/{index}"), child))
            .collect(),
        _ => Vec::new(),
    };
    let below = children.iter().flat_map(|(pointer, child)| objects(child, pointer));
    let own = value.is_object().then(|| pointer.to_owned());
    own.into_iter().chain(below).collect()
}

#[test]
fn schema_and_reader_say_the_same() {
    for (pointer, value, good) in [
        ("/$schema", json!("./schema.json"), true),
        ("/runtime", json!({"default_timeout": "1h30m", "idle_timeout": 2.5}), true),
        ("/runtime", json!({"default_timeout": "soon"}), false),
        ("/runtime", json!({"default_timeout": true}), false),
        ("/runtime", json!({"max_sessions": 0}), false),
        ("/runtime", json!({"max_sessions": "ten"}), false),
        ("/runtime", json!({"log_level": "debug"}), true),
        ("/runtime", json!({"log_level": "${LEVEL}"}), true),
        ("/runtime", json!({"log_level": "loud"}), false),
        ("/runtime", json!({"event_bus_size": 5}), true),
        ("/runtime", json!({"send_buffer_size": 5}), false),
        ("/hub", json!({}), false),
        ("/hub", json!({"token": "t", "token_credential": "c"}), false),
        ("/hub", json!({"token": "t", "send_buffer_size": 5}), true),
        ("/hub", json!({"token": "t", "tls_skip_verify": "yes"}), false),
        ("/endpoints", json!([]), false),
        ("/agents", json!([]), false),
        ("/endpoints/0/cli", json!({"command": ""}), false),
        ("/endpoints/0/cli", json!({"command": "sh", "args": ["-i", 1]}), false),
        ("/endpoints/0/cli", json!({"command": "sh", "env": {"A": "b"}}), true),
        ("/endpoints/0/cli", json!({"command": "sh", "env": {"A": 1}}), false),
        ("/endpoints/0/job", json!({"command": "sh"}), false),
        ("/endpoints/0/profile", json!("generic-job"), false),
        ("/endpoints/0/claude_code", json!({}), true),
        ("/endpoints/0/security", json!({"permission_mode": "dontAsk"}), true),
        ("/endpoints/0/security", json!({"allowed_tcp_ports": [443, 0]}), false),
        ("/endpoints/0/limits", json!({"max_open_files": 2}), false),
    ] {
        assert_eq!(both(pointer, value.clone()), (good, good), "{pointer}: {value}");
    }
    assert_eq!(both("/endpoints/0/profile", json!("codex")), (true, true));
}

#[test]
fn every_field_is_in_it_with_its_words() {
    let schema = schema();
    for object in OBJECTS {
        let properties = match name_of(object) {
            "file" => &schema["properties"],
            name => &schema["$defs"][name]["properties"],
        };
        for field in object.fields {
            assert_eq!(properties[field.name]["description"], field.doc, "{}", object.path);
        }
    }
}
