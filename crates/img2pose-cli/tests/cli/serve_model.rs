//! `serve-model` writes a repository that servers read.

use std::fs;

use img2pose::Model;
use test_support::{shipped_model, shipped_model_in_8_bits, small_pair_model};

use crate::tool::{Folder, run, text};

#[test]
fn a_repository_is_written_and_versions_are_added() {
    let folder = Folder::new();
    let repository = folder.path("models");
    let model = shipped_model();
    let arguments = ["serve-model", text(&model), text(&repository), "--name", "faces"];
    let ran = run(&arguments);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let contract = Model::open(&model).unwrap().for_server().unwrap().contract;
    assert_eq!(contract.len(), 32);
    for part in [
        contract.as_str(),
        "tritonserver --model-repository=/models",
        "mlserver start ",
        "kserve_model.py ",
        "server-model=faces",
    ] {
        assert!(ran.stdout.contains(part), "no '{part}' in {}", ran.stdout);
    }
    let config = fs::read_to_string(repository.join("faces/config.pbtxt")).unwrap();
    for part in [
        "name: \"faces\"",
        "backend: \"onnxruntime\"",
        "max_batch_size: 0",
        "{ name: \"pixels\" data_type: TYPE_UINT8 dims: [ -1, -1, -1, 3 ] },",
        "{ name: \"pose_regression\" data_type: TYPE_FP32 dims: [ -1, 6 ] },",
        &contract,
    ] {
        assert!(config.contains(part), "no '{part}' in {config}");
    }

    // The same version is not written twice, another one beside it is; the configuration stays.
    run(&arguments).refused(&["faces/1", "--version"]);
    let config_path = repository.join("faces/config.pbtxt");
    fs::write(&config_path, "# tuned\n").unwrap();
    let small = shipped_model_in_8_bits();
    let again = run(&[
        &["serve-model", text(&small)],
        &arguments[2..],
        &["--version", "2"],
    ]
    .concat());
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(again.stderr.contains("is kept"), "{}", again.stderr);
    assert_eq!(fs::read_to_string(&config_path).unwrap(), "# tuned\n");
    assert!(
        !again.stdout.contains(&contract),
        "another file has another contract"
    );
    let mut names: Vec<_> = fs::read_dir(repository.join("faces"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["1", "2", "config.pbtxt"], "nothing unfinished is left");
    let [first, second] = [1, 2].map(|version| {
        let bytes = fs::read(repository.join(format!("faces/{version}/model.onnx"))).unwrap();
        let proto = img2pose_onnx::decode(bytes.into()).unwrap();
        let graph = proto.graph.unwrap();
        let names = graph.input.iter().map(|input| input.name().to_owned());
        names.collect::<Vec<_>>()
    });
    assert_eq!(first, ["pixels", "colours", "image_size"]);
    assert_eq!(first, second);
}

#[test]
fn what_cannot_be_served_is_refused() {
    let folder = Folder::new();
    let (model, repository) = (shipped_model(), folder.path("models"));
    let serve =
        |model: &str, more: &[&str]| run(&[&["serve-model", model, text(&repository)], more].concat());
    for name in ["", "a/b", "..", ".hidden", "a b"] {
        serve(text(&model), &["--name", name]).refused(&["--name", "letters"]);
    }
    serve(text(small_pair_model()), &[]).refused(&["find-and-look", "img2pose network"]);
    assert!(!repository.exists(), "nothing is written");
    fs::write(&repository, "a file").unwrap();
    serve(text(&model), &[]).refused(&["cannot make the folder", "models"]);
}
