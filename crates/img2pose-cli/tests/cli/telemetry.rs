//! ONNX Runtime leaves nothing in the user's home: its builds on PyPI keep a device id and a database of events there.

use crate::tool::{Folder, command, ran, text};

#[test]
fn no_device_id_is_left_by_the_tool() {
    let folder = Folder::new();
    let model = test_support::shipped_model();
    let mut command = command(&["check", text(&model)]);
    command
        .env("HOME", folder.path(""))
        // What keeps it quiet otherwise: the tests' own environment, and that of CI.
        .env_remove("ORT_DISABLE_TELEMETRY")
        .env_remove("XDG_CACHE_HOME")
        .env_remove("CI")
        .env_remove("GITHUB_ACTIONS");
    ran(command).succeeded();
    assert_eq!(folder.names(), [""; 0]);
}
