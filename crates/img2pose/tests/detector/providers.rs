//! Execution providers: what is chosen, and how what cannot be had is refused.

use img2pose::{Detector, DetectorOptions, Error, ExecutionProvider, PluginProvider, Precision};
use test_support::shipped_model;

use crate::class_head;

fn open(execution_provider: ExecutionProvider, precision: Precision) -> Result<Detector, Error> {
    Detector::open(
        &shipped_model(),
        DetectorOptions::default()
            .with_execution_provider(execution_provider)
            .with_precision(precision),
    )
}

fn refusal(provider: ExecutionProvider, precision: Precision) -> String {
    let error = open(provider, precision).expect_err("refused");
    assert!(matches!(error, Error::Provider { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(provider.name()) && !text.contains('\n'), "{text}");
    text
}

/// `scripts/test-onnxruntime.sh` runs these tests with several versions of ONNX Runtime, and says here which one it means.
#[test]
fn the_library_has_the_version_that_was_meant() {
    let Some(meant) = std::env::var_os("IMG2POSE_TEST_ONNXRUNTIME") else {
        return;
    };
    let found = img2pose::runtime::load(None, None).unwrap().version();
    assert_eq!(found, meant.to_str().unwrap());
}

#[test]
fn the_cpu_computes_in_fp32_and_int8() {
    assert_eq!(
        open(ExecutionProvider::Cpu, Precision::Auto)
            .unwrap()
            .active_provider(),
        "cpu"
    );
    assert_eq!(
        open(ExecutionProvider::Cpu, Precision::Fp32)
            .unwrap()
            .active_provider(),
        "cpu"
    );
    assert!(
        refusal(ExecutionProvider::Cpu, Precision::Bf16).contains("computes in fp32 or int8, not in bf16")
    );
}

#[test]
fn auto_takes_what_works_and_says_which() {
    let provider = open(ExecutionProvider::Auto, Precision::Auto)
        .unwrap()
        .active_provider();
    assert!(["cuda", "openvino", "cpu"].contains(&provider), "{provider}");
}

/// The library of the tests is the CPU build unless somebody points them elsewhere.
#[test]
fn a_provider_that_the_library_lacks_is_an_error_and_no_fallback() {
    for (provider, package) in [
        (ExecutionProvider::Cuda, "onnxruntime-gpu"),
        (ExecutionProvider::TensorRt, "onnxruntime-gpu"),
        (ExecutionProvider::OpenVino, "onnxruntime-openvino"),
        (ExecutionProvider::WebGpu, "onnxruntime-webgpu"),
    ] {
        match open(provider, Precision::Auto) {
            Ok(detector) => assert_eq!(detector.active_provider(), provider.name()),
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains(provider.name()), "{text}");
                if text.contains("built without it") {
                    assert!(text.contains(package), "{text}");
                }
            }
        }
    }
}

/// Why a library with a provider is not taken.
fn plugin_refusal(plugin: Option<PluginProvider>, device_id: u32) -> String {
    let options = DetectorOptions::default()
        .with_execution_provider(ExecutionProvider::Plugin)
        .with_plugin(plugin)
        .with_device_id(device_id);
    let error = Detector::open(&shipped_model(), options).expect_err("refused");
    assert!(matches!(error, Error::Provider { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("'plugin'") && !text.contains('\n'), "{text}");
    text
}

/// Whether the loaded ONNX Runtime takes plugins.
fn takes_plugins(test: &str) -> bool {
    let version = img2pose::runtime::load(None, None).unwrap().version();
    let minor = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse::<u32>().ok());
    let takes = minor.is_some_and(|minor| minor >= 23);
    if !takes {
        test_support::skip(test, &format!("ONNX Runtime is {version}, plugins need 1.23"));
    }
    takes
}

#[test]
fn plugins_that_are_none_are_refused() {
    if !takes_plugins("plugins_that_are_none_are_refused") {
        return;
    }
    assert!(plugin_refusal(None, 0).contains("provider-library"));
    let text = plugin_refusal(Some(PluginProvider::new("/nowhere/lib.so")), 0);
    assert!(text.contains("/nowhere/lib.so is no file"), "{text}");
    let text = plugin_refusal(Some(PluginProvider::new(shipped_model())), 0);
    assert!(text.contains("img2pose-slim.onnx"), "{text}");
    // A library, with no provider in it.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let library = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let library = library
        .into_iter()
        .find(|path| path.contains("libc.so.6"))
        .expect("the C library");
    for _ in 0..2 {
        let text = plugin_refusal(Some(PluginProvider::new(library)), 0);
        assert!(text.contains(library) && text.contains("cannot load"), "{text}");
    }
}

/// With a library in `IMG2POSE_TEST_PLUGIN`, as `scripts/test-gpu-software.sh` has it.
#[test]
fn plugins_say_what_they_offer() {
    let (Some(library), true) = (
        std::env::var_os("IMG2POSE_TEST_PLUGIN"),
        takes_plugins("plugins_say_what_they_offer"),
    ) else {
        return;
    };
    let runtime = img2pose::runtime::load(None, None).unwrap();
    let devices = img2pose::plugin_devices(runtime, library.as_ref()).unwrap();
    assert_eq!(
        devices,
        img2pose::plugin_devices(runtime, library.as_ref()).unwrap()
    );
    println!("{devices:?}");
    let device = devices.first().expect("a device");
    let plugin = PluginProvider::new(&library);
    for (plugin, number) in [
        (plugin.clone(), 9),
        (plugin.clone().with_name("OtherProvider".to_owned()), 0),
    ] {
        let text = plugin_refusal(Some(plugin), number);
        assert!(
            text.contains("it offers") && text.contains(&device.provider),
            "{text}"
        );
    }
    let options = DetectorOptions::default()
        .with_execution_provider(ExecutionProvider::Plugin)
        .with_plugin(plugin.with_name(device.provider.clone()));
    let detector = Detector::open(&shipped_model(), options).unwrap();
    assert_eq!(detector.active_provider(), "plugin");
}

#[test]
fn options_out_of_range_are_named() {
    for (options, name) in [
        (DetectorOptions::default().with_min_size(0), "min_size"),
        (DetectorOptions::default().with_max_size(20_000), "max_size"),
        (
            DetectorOptions::default().with_min_size(481).with_max_size(480),
            "min_size is 481",
        ),
    ] {
        let text = Detector::open(&shipped_model(), options)
            .err()
            .unwrap()
            .to_string();
        assert!(text.contains(name), "{text}");
    }
    let mut detector = open(ExecutionProvider::Cpu, Precision::Auto).unwrap();
    let before = *detector.selection();
    for (selection, name) in [
        (before.with_score_threshold(1.5), "score_threshold"),
        (before.with_bbox_x_factor(0.0), "bbox_x_factor"),
        (before.with_expand_forehead(f64::NAN), "expand_forehead"),
    ] {
        let text = detector.set_selection(selection).unwrap_err().to_string();
        assert!(text.contains(name), "{text}");
        assert_eq!(*detector.selection(), before, "nothing changes");
    }
}

#[test]
fn a_cancelled_detector_fails_until_it_is_reset() {
    use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
    let mut detector = open(ExecutionProvider::Cpu, Precision::Auto).unwrap();
    let layout = FrameLayout {
        format: PixelFormat::Gray8,
        width: 64,
        height: 48,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Full,
        view: View::PLAIN,
    };
    let pixels = [0; 64 * 48];
    let frame = Frame {
        layout,
        planes: [Plane {
            data: &pixels,
            stride: 64,
        }; 3],
    };
    assert!(detector.detect(&[]).unwrap().is_empty());
    let canceller = detector.canceller();
    canceller.cancel();
    assert!(matches!(detector.detect(&[frame]), Err(Error::Cancelled)));
    assert!(matches!(detector.detect(&[frame]), Err(Error::Cancelled)));
    canceller.reset();
    assert_eq!(detector.detect(&[frame]).unwrap(), [vec![]]);

    // While it runs: the other thread cancels at once, and the run of many frames ends early.
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        canceller.cancel();
    });
    let frames = vec![frame; 40];
    let started = std::time::Instant::now();
    let result = detector.detect(&frames);
    stopper.join().unwrap();
    assert!(
        matches!(result, Err(Error::Cancelled)),
        "after {:?}",
        started.elapsed()
    );
}

/// What a detector says of a model whose weights are finite and whose outputs are not, at load or at a frame of `grey`.
fn failure(name: &str, factor: f32, grey: u8) -> Option<Error> {
    use img2pose::frame::{ColorMatrix, ColorRange, Frame, FrameLayout, PixelFormat, Plane, View};
    let model = class_head::model_with_scaled_weights(name, factor);
    let options = DetectorOptions::default()
        .with_min_size(64)
        .with_execution_provider(ExecutionProvider::Cpu);
    let mut detector = match Detector::load(&model, options) {
        Ok(detector) => detector,
        Err(error) => return Some(error),
    };
    let layout = FrameLayout {
        format: PixelFormat::Gray8,
        width: 64,
        height: 48,
        matrix: ColorMatrix::Bt601,
        range: ColorRange::Full,
        view: View::PLAIN,
    };
    let pixels = [grey; 64 * 48];
    let frame = Frame {
        layout,
        planes: [Plane {
            data: &pixels,
            stride: 64,
        }; 3],
    };
    detector.detect(&[frame]).err()
}

/// Each of these ended well, with no face in any frame, but for the scores.
#[test]
fn regression_outputs_that_are_no_numbers_are_an_error_and_not_an_empty_frame() {
    for (weights, outputs) in [
        ("body.layer4", "features_"),
        ("fpn.layer_blocks.3.0.weight", "features_3"),
        ("fpn.inner_blocks.0.0.weight", "features_0"),
        ("rpn.head.cls_logits.weight", "objectness_"),
        ("rpn.head.bbox_pred.weight", "deltas_"),
        ("class_predictor.cls_score.weight", "class_scores"),
        ("dof_pred.3.weight", "pose_regression"),
    ] {
        let error = failure(weights, f32::MAX, 255).expect(weights);
        assert!(matches!(error, Error::NotFinite { .. }), "{weights}: {error}");
        let text = error.to_string();
        for part in ["scaled.onnx", &format!("'{outputs}"), "fp32", "convert"] {
            assert!(text.contains(part), "{weights}: {text}");
        }
    }
    assert!(failure("body.layer4", 1.0, 255).is_none());
}
