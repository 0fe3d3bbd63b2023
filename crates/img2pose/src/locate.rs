//! Where the model is that comes with the plugin.

use std::path::{Path, PathBuf};

/// File name of the model that comes with the plugin.
pub const DEFAULT_MODEL: &str = "img2pose-slim.onnx";

/// How many folders above the plugin's own are looked at: from `lib/x86_64-linux-gnu/gstreamer-1.0` to the prefix, and
/// from `target/x86_64-unknown-linux-gnu/debug/deps` to the source tree. Higher up lie the files of others.
const LEVELS: usize = 4;

/// Finds the model that comes with the plugin: beside it, in the `share` folder of its prefix, or in the source
/// tree that it was built in.
///
/// # Errors
/// The places that were looked at.
pub fn default_model(plugin_file: Option<&Path>) -> Result<PathBuf, Vec<PathBuf>> {
    let mut tried = Vec::new();
    // GStreamer may name the plugin under /lib, which is a link to /usr/lib: the prefix is above the real folder.
    let real = plugin_file.and_then(|file| file.canonicalize().ok());
    let mut folders: Vec<&Path> = [plugin_file, real.as_deref()]
        .into_iter()
        .flatten()
        .filter_map(Path::parent)
        .collect();
    folders.dedup();
    for folder in folders {
        let beside = [folder.join("img2pose"), folder.to_owned()].into_iter();
        let above = folder
            .ancestors()
            .skip(1)
            .take(LEVELS)
            .flat_map(|above| [above.join("share/gst-plugin-img2pose"), above.join("models")]);
        for place in beside.chain(above) {
            let model = place.join(DEFAULT_MODEL);
            if model.is_file() {
                return Ok(model);
            }
            tried.push(model);
        }
    }
    Err(tried)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("img2pose-locate-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn put(folder: &Path) -> PathBuf {
        std::fs::create_dir_all(folder).unwrap();
        let model = folder.join(DEFAULT_MODEL);
        std::fs::write(&model, b"").unwrap();
        model
    }

    #[test]
    fn installed_beside_the_plugin_wins_over_the_source_tree() {
        let root = scratch("beside");
        let plugin = root.join("target/debug/libgstimg2pose.so");
        let source = put(&root.join("models"));
        assert_eq!(default_model(Some(&plugin)), Ok(source));
        let beside = put(&root.join("target/debug/img2pose"));
        assert_eq!(default_model(Some(&plugin)), Ok(beside));
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn installed_under_the_prefix() {
        let root = scratch("prefix");
        let plugin = root.join("lib/x86_64-linux-gnu/gstreamer-1.0/libgstimg2pose.so");
        let shared = put(&root.join("share/gst-plugin-img2pose"));
        assert_eq!(default_model(Some(&plugin)), Ok(shared));
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn installed_under_a_prefix_that_a_link_leads_to() {
        let root = scratch("link");
        let folder = root.join("usr/lib/gstreamer-1.0");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("libgstimg2pose.so"), b"").unwrap();
        std::os::unix::fs::symlink(root.join("usr/lib"), root.join("lib")).unwrap();
        let shared = put(&root.join("usr/share/gst-plugin-img2pose"));
        let found = default_model(Some(&root.join("lib/gstreamer-1.0/libgstimg2pose.so"))).unwrap();
        assert_eq!(found.canonicalize().unwrap(), shared.canonicalize().unwrap());
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn does_not_look_all_the_way_up() {
        let root = scratch("levels");
        let deep = root.join("1/2/3/4/5/libgstimg2pose.so");
        put(&root.join("models"));
        let tried = default_model(Some(&deep)).unwrap_err();
        assert_eq!(tried.len(), 2 + 2 * LEVELS);
        let near = put(&root.join("1/share/gst-plugin-img2pose"));
        assert_eq!(default_model(Some(&deep)), Ok(near));
        std::fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn says_where_it_looked() {
        let root = scratch("nowhere");
        let tried = default_model(Some(&root.join("libgstimg2pose.so"))).unwrap_err();
        assert!(tried.contains(&root.join("img2pose").join(DEFAULT_MODEL)));
        assert_eq!(default_model(None), Err(Vec::new()));
        std::fs::remove_dir_all(root).unwrap();
    }
}
