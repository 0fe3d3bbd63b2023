//! In which number format a network runs where the user has not said.

use std::ffi::OsStr;
use std::path::Path;

use img2pose::locate::default_model;

/// `int8`, which is several times as fast and moves boxes and poses a little, where being late is worse than that: for live sources, on a
/// processor with instructions for it and without a GPU to use instead, and where the file is there; else what the element chooses.
pub fn default_for(is_live: bool) -> Option<&'static str> {
    let gains = is_live && has_instructions() && !Path::new("/dev/nvidia0").exists();
    (gains && has_quantized_twin()).then_some("int8")
}

/// Whether the processor multiplies 8 bits in one instruction (VNNI); without, the gain is small.
fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx512vnni") || is_x86_feature_detected!("avxvnni");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether the model that comes with the plugin is there in 8 bits, too.
fn has_quantized_twin() -> bool {
    let plugin = gst::Registry::get().find_plugin("img2pose");
    let file = plugin.and_then(|plugin| plugin.filename());
    default_model(file.as_deref()).is_ok_and(|model| is_there_in_8_bits(&model))
}

fn is_there_in_8_bits(model: &Path) -> bool {
    let stem = model.file_stem().and_then(OsStr::to_str);
    stem.is_some_and(|stem| model.with_file_name(format!("{stem}-int8.onnx")).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_that_comes_along_is_there_in_8_bits() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        assert!(is_there_in_8_bits(&models.join("img2pose-slim.onnx")));
        assert!(!is_there_in_8_bits(&models.join("nowhere.onnx")));
    }

    #[test]
    fn files_have_the_numbers_of_the_elements_defaults() {
        assert_eq!(default_for(false), None);
    }
}
