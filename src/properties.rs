//! Values of properties.

use gst::glib;

/// The value that GObject hands over for a property, whose name, type and range it has checked.
pub fn value_of<'v, T: glib::value::FromValue<'v>>(value: &'v glib::Value) -> T {
    value
        .get::<T>()
        .unwrap_or_else(|_| unreachable!("GObject has checked the type"))
}
