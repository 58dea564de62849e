//! `nightrun user`.

use crate::support::daemon::{Installation, quiet_port};

fn installation() -> Installation {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("users");
    let broker =
        format!("listen = \"127.0.0.1:{}\"\nusers_file = \"{}\"", quiet_port(), file.display());
    Installation::with(folder, 0, &broker)
}

#[test]
fn users_are_added_listed_and_removed() {
    let installation = installation();
    let password = installation.run(["user", "add", "default/carer/amy"]).succeeded();
    assert_eq!(password.trim_end().len(), 26, "{password}");
    let ran = installation.run(["user", "add", "defualt/carer/amy"]);
    assert!(ran.err.contains("has no contract defualt"), "a slip of the finger: {}", ran.err);
    ran.succeeded();
    installation.run(["user", "remove", "defualt/carer/amy"]).succeeded();
    let given = ["user", "add", "board", "--password-file", "-"];
    let ran = installation.run_with_input(given, "correct horse battery\n");
    assert_eq!(ran.succeeded(), "");
    let ran = installation.run(["user", "add", "default/carer/amy"]);
    ran.failed(1, &["there is a user of this name", "--replace"]);
    let again = installation.run(["user", "add", "default/carer/amy", "--replace"]).succeeded();
    assert_ne!(again, password);
    assert_eq!(installation.run(["user", "list"]).succeeded(), "board\ndefault/carer/amy\n");
    let file = std::fs::read_to_string(installation.path("users")).expect("text");
    assert!(!file.contains(again.trim_end()) && !file.contains("horse"), "{file}");
    assert_eq!(installation.run(["user", "remove", "board"]).succeeded(), "");
    installation.run(["user", "remove", "board"]).failed(1, &["no user of this name"]);
    assert_eq!(installation.run(["user", "list"]).succeeded(), "default/carer/amy\n");
}

#[test]
fn what_cannot_be_done_with_users() {
    let installation = installation();
    for name in ["amy smith", "default/amy", "default/carer/+", ""] {
        let ran = installation.run(["user", "add", name]);
        ran.failed(2, &["a user's name is CONTRACT/carer/CARER, CONTRACT/device/DEVICE"]);
    }
    for name in ["nightrun", "nightrun-publish"] {
        installation.run(["user", "add", name]).failed(1, &["the daemon itself", "client_id"]);
    }
    let given = ["user", "add", "board", "--password-file", "-"];
    installation.run_with_input(given, "short\n").failed(1, &["12 to", "--password-file"]);
    installation.write("users", "board:hunter2\n");
    let ran = installation.run(["user", "add", "default/carer/amy"]);
    ran.failed(1, &["broker.users_file", "line 1", "no Argon2id hash"]);
    assert!(!ran.err.contains("hunter2"));
    let without = Installation::embedded();
    without.run(["user", "list"]).failed(1, &["set broker.users_file"]);
}
