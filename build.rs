//! Records the version and commit that `gst-inspect-1.0` shows.

fn main() {
    gst_plugin_version_helper::info();
}
