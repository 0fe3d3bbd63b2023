//! Names in foreign files, for messages.

use crate::proto::NodeProto;

/// A name in a foreign file, for a message: on one line, and not longer than that.
pub fn shown(name: &str) -> String {
    const MOST: usize = 120;
    let mut text: String = name.chars().take(MOST).flat_map(char::escape_debug).collect();
    if name.chars().nth(MOST).is_some() {
        text.push_str("...");
    }
    text
}

/// A node for a message: its name, or that of what it gives where it has none, and its operator.
pub fn shown_node(node: &NodeProto) -> String {
    let name = match node.output.iter().find(|name| !name.is_empty()) {
        Some(output) if node.name().is_empty() => output,
        _ => node.name(),
    };
    format!("node '{}' ({})", shown(name), shown(node.op_type()))
}
