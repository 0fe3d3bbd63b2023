//! GStreamer plugin that finds faces in video and says how each head is turned.
//!
//! An application that links this crate reads the faces of a buffer with [`meta`].

pub mod align;
mod allocation;
pub mod detect;
mod json;
pub mod meta;
#[cfg(feature = "mqtt")]
mod mqtt;
pub mod overlay;
mod properties;
mod reader;
mod shell;
pub mod track;
mod video;

use gst::glib;

/// Registers the plugin in this process, for a program that links this crate instead of loading the plugin.
///
/// # Errors
/// GStreamer is not initialised, or has refused the plugin or one of its elements.
pub fn plugin_register_static() -> Result<(), glib::BoolError> {
    plugin::plugin_desc::plugin_register_static()
}

fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    // Many programs have no other thread yet when their first element is made; with the first model they have.
    img2pose::telemetry::refuse();
    meta::register();
    detect::register(plugin)?;
    json::register(plugin)?;
    overlay::register(plugin)?;
    align::register(plugin)?;
    #[cfg(feature = "mqtt")]
    mqtt::register(plugin)?;
    track::register(plugin)
}

// The macro's public items carry no documentation.
#[allow(missing_docs)]
mod plugin {
    use super::plugin_init;

    gst::plugin_define!(
        img2pose,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_NAME"),
        // The origin: GStreamer refuses a plugin without one.
        env!("CARGO_PKG_NAME"),
        env!("BUILD_REL_DATE")
    );
}
