use super::*;

#[test]
fn every_property_has_its_default() {
    gst::init().unwrap();
    let settings = Settings::default();
    for spec in Settings::param_specs() {
        if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
            continue;
        }
        let value = settings.get(spec.name());
        assert_eq!(
            format!("{value:?}"),
            format!("{:?}", spec.default_value()),
            "{}",
            spec.name()
        );
    }
}

#[test]
fn what_is_set_is_read_back() {
    gst::init().unwrap();
    let mut settings = Settings::default();
    for (name, value) in [
        ("model", "/m.onnx".to_value()),
        ("model-instance-id", "cameras".to_value()),
        ("onnxruntime-library", "/lib.so".to_value()),
        ("batch-size", 3u32.to_value()),
        ("batch-timeout", 5u64.to_value()),
        ("max-queued-batches", 7u32.to_value()),
        ("min-size", 96u32.to_value()),
        ("max-size", 960u32.to_value()),
        ("score-threshold", 0.25f32.to_value()),
        ("max-faces", 2i32.to_value()),
        ("bbox-x-factor", 1.5f64.to_value()),
        ("bbox-y-factor", 1.25f64.to_value()),
        ("expand-forehead", 0.75f64.to_value()),
        ("inference-interval", 2u32.to_value()),
        ("reuse-faces", true.to_value()),
        ("qos", true.to_value()),
        ("stats-interval", 9u64.to_value()),
        ("num-threads", 6u32.to_value()),
        ("execution-provider", ExecutionProvider::Cpu.to_value()),
        ("provider-library", "/p.so".to_value()),
        ("provider-name", "P".to_value()),
        ("provider-options", "a=1".to_value()),
        ("precision", Precision::Bf16.to_value()),
        ("device-id", 1u32.to_value()),
    ] {
        settings.set(name, &value);
        let read = settings.get(name);
        assert_eq!(format!("{read:?}"), format!("{value:?}"), "{name}");
    }
    assert_eq!(settings.capacity(), 24);
    assert_eq!(settings.selection().max_faces, Some(2));
    assert_eq!(settings.batch_timeout, Some(ClockTime::from_nseconds(5)));
}

/// The library's table is where a provider is added; what `gst-inspect-1.0` lists is to follow it.
#[test]
fn the_execution_providers_are_those_of_the_library() {
    gst::init().unwrap();
    let class = glib::EnumClass::new::<ExecutionProvider>();
    let listed: Vec<(&str, &str)> = class
        .values()
        .iter()
        .map(|value| (value.nick(), value.name()))
        .collect();
    let mut known: Vec<(&str, &str)> = std::iter::once(img2pose::ExecutionProvider::Auto)
        .chain(img2pose::ExecutionProvider::all())
        .map(|provider| (provider.name(), provider.description()))
        .collect();
    known.sort_by_key(|(name, _)| listed.iter().position(|(nick, _)| nick == name));
    assert_eq!(listed, known);
    for value in class.values() {
        let provider = value.to_value(&class).get::<ExecutionProvider>().unwrap();
        let inner = img2pose::ExecutionProvider::from(provider);
        assert_eq!(inner.name(), value.nick());
    }
}

#[test]
fn an_empty_text_is_unset() {
    gst::init().unwrap();
    for spec in Settings::param_specs() {
        let is_text = spec.value_type() == glib::Type::STRING;
        if !is_text || !spec.flags().contains(glib::ParamFlags::WRITABLE) {
            continue;
        }
        let mut settings = Settings::default();
        settings.set(spec.name(), &"x".to_value());
        assert_ne!(settings, Settings::default(), "{}", spec.name());
        settings.set(spec.name(), &"".to_value());
        assert_eq!(settings, Settings::default(), "{}", spec.name());
    }
}

#[test]
fn what_can_change_while_playing_says_so() {
    gst::init().unwrap();
    for spec in Settings::param_specs() {
        if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
            continue;
        }
        let playing = spec.flags().contains(gst::PARAM_FLAG_MUTABLE_PLAYING);
        assert_eq!(
            playing,
            Settings::effect(spec.name()) != Effect::Start,
            "{}",
            spec.name()
        );
    }
}

#[test]
fn provider_options_are_names_and_values() {
    gst::init().unwrap();
    let mut settings = Settings::default();
    settings.set("provider-options", &"a=1".to_value());
    assert_eq!(settings.plugin(), Ok(None), "without a library they mean nothing");
    settings.set("provider-library", &"/p.so".to_value());
    settings.set("provider-name", &"P".to_value());
    settings.set("provider-options", &" a = 1, path=/x=y,".to_value());
    let plugin = settings.plugin().unwrap().unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(plugin.options, [pair("a", "1"), pair("path", "/x=y")]);
    assert_eq!(
        (plugin.library, plugin.name),
        ("/p.so".into(), Some("P".to_owned()))
    );
    for bad in ["a", "=1", "a=1,b"] {
        settings.set("provider-options", &bad.to_value());
        let error = settings.plugin().unwrap_err();
        assert!(
            error.contains("provider-options") && error.contains("NAME=VALUE"),
            "{error}"
        );
    }
}
