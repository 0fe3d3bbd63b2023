//! The commands of the documents work: pipelines run to their end, with a short clip in the place of files and cameras;
//! of other commands, the script, the example, the element and the options exist.

use std::path::{Path, PathBuf};
use std::process::Command;

use gst::prelude::*;

use crate::describe;
use crate::process::alone;

/// The folder of the sources, with its documents.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The documents that users read, as paths from [`ROOT`].
fn documents() -> Vec<PathBuf> {
    let mut documents: Vec<_> = ["README.md", "CONTRIBUTING.md", "models/README.md"]
        .map(PathBuf::from)
        .into();
    let docs = std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    documents.extend(
        docs.map(|entry| Path::new("docs").join(entry.unwrap().file_name()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
    );
    documents.sort();
    documents
}

struct Line {
    document: String,
    text: String,
}

/// Lines of code blocks, indented or fenced, without their comments; continued lines are one.
fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for document in documents() {
        let text = std::fs::read_to_string(Path::new(ROOT).join(&document)).unwrap();
        let (mut fenced, mut program) = (false, false);
        for line in text.replace("\\\n", " ").lines() {
            if line.starts_with("```") {
                fenced = !fenced;
                // No command lines; what is in Python, `meta_examples.rs` runs.
                program = ["```python", "```rust"].contains(&line);
            } else if let Some(code) = line.strip_prefix("    ").or(fenced.then_some(line))
                && !program
            {
                let code = code.split(" # ").next().unwrap_or_default();
                let text = code.split_whitespace().collect::<Vec<_>>().join(" ");
                lines.push(Line {
                    document: document.display().to_string(),
                    text,
                });
            }
        }
    }
    lines
}

/// What comes after the program in the commands that begin with it.
fn commands(program: &str) -> Vec<(String, String)> {
    lines()
        .into_iter()
        .filter_map(|line| {
            let rest = line.text.strip_prefix(program)?;
            Some((line.document, rest.trim().to_owned()))
        })
        .collect()
}

#[test]
fn no_pipeline_is_overlooked() {
    for line in lines() {
        assert!(
            !line.text.contains(" ! ") || line.text.starts_with("gst-launch-1.0 "),
            "{}: {}",
            line.document,
            line.text
        );
    }
}

#[test]
fn every_pipeline_runs() {
    alone("commands::every_pipeline_runs", || {
        describe::init();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commands");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let clip = folder.join("clip.mkv");
        run(&format!(
            "videotestsrc num-buffers=8 ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! jpegenc \
             ! matroskamux ! filesink location={}",
            clip.display()
        ))
        .unwrap();
        run(&format!(
            "videotestsrc num-buffers=1 ! video/x-raw,format=I420,width=320,height=240 ! jpegenc ! filesink location={}",
            folder.join("photo.jpg").display()
        ))
        .unwrap();
        // What the documents write are relative paths.
        std::env::set_current_dir(&folder).unwrap();
        let pipelines = commands("gst-launch-1.0 ");
        assert!(pipelines.len() >= 10, "found only {pipelines:?}");
        for (document, pipeline) in pipelines {
            let stand_in = substituted(&pipeline, &clip);
            if let Err(error) = run(&stand_in) {
                panic!("{document}: {pipeline}\nrun as: {stand_in}\n{error}");
            }
            for written in pipeline
                .split_whitespace()
                .filter_map(|word| word.strip_prefix("location="))
            {
                if written.ends_with(".jsonl") {
                    let bytes = std::fs::read(written).unwrap();
                    assert!(!bytes.is_empty(), "{document}: {pipeline}: {written} is empty");
                    std::fs::remove_file(written).unwrap();
                }
            }
        }
    });
}

/// The pipeline with things at hand in the place of what a user brings.
fn substituted(pipeline: &str, clip: &Path) -> String {
    let clip = clip.display();
    // It needs a cargo feature and a broker; `tests/mqtt` has both.
    let pipeline = match pipeline.split_once("img2posemqtt") {
        Some((before, _)) => format!("{before} fakesink"),
        None => pipeline.to_owned(),
    };
    pipeline
        .replace(['\'', '"'], "")
        .split_whitespace()
        .filter(|word| !["-q", "-v", "-m", "-e", "add-reference-timestamp-meta=true"].contains(word))
        .map(|word| match word {
            "v4l2src" if pipeline.contains("image/jpeg") => {
                "videotestsrc is-live=true num-buffers=8 ! video/x-raw,width=320,height=240,framerate=25/1 ! jpegenc".to_owned()
            }
            word if word.starts_with("image/jpeg,") => "image/jpeg".to_owned(),
            "v4l2src" => {
                "videotestsrc is-live=true num-buffers=8 ! video/x-raw,width=320,height=240,framerate=25/1"
                    .to_owned()
            }
            // They need a cargo feature and a server; `crates/server-tests` has both.
            word if word.starts_with("server-") => String::new(),
            "autovideosink" | "fdsink" => "fakesink".to_owned(),
            "model=model.onnx" => format!("model={ROOT}/models/img2pose-slim.onnx"),
            "rtspsrc" => "filesrc".to_owned(),
            word if word.starts_with("location=rtsp://") => format!("location={clip}"),
            word if word.starts_with("uri=rtsp://") => format!("uri=file://{clip}"),
            word if word.starts_with("location=") && word.ends_with(".mp4") => format!("location={clip}"),
            // Only for those who have one.
            "execution-provider=webgpu" => "execution-provider=cpu".to_owned(),
            // A smaller network image: what is found does not matter here.
            "img2posedetect" => "img2posedetect min-size=128".to_owned(),
            word => word.to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Runs a pipeline to its end; the first error or warning, or that it does not end.
fn run(pipeline: &str) -> Result<(), String> {
    let element = gst::parse::launch_full(pipeline, None, gst::ParseFlags::FATAL_ERRORS)
        .map_err(|error| error.to_string())?;
    let pipeline = element
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let _ = pipeline.set_state(gst::State::Playing); // Why it fails lies on the bus.
    let ended = loop {
        let Some(message) = pipeline
            .bus()
            .unwrap()
            .timed_pop(gst::ClockTime::from_seconds(600))
        else {
            break Err("it does not end".to_owned());
        };
        match message.view() {
            gst::MessageView::Eos(_) => break Ok(()),
            gst::MessageView::Error(error) => break Err(format!("{} ({:?})", error.error(), error.debug())),
            gst::MessageView::Warning(warning) => break Err(format!("warning: {}", warning.error())),
            _ => {}
        }
    };
    pipeline.set_state(gst::State::Null).unwrap();
    ended
}

#[test]
fn elements_that_are_inspected_exist() {
    describe::init();
    let inspected = commands("gst-inspect-1.0 ");
    assert!(!inspected.is_empty());
    for (document, element) in inspected {
        assert!(
            gst::ElementFactory::find(&element).is_some(),
            "{document}: {element}"
        );
    }
}

#[test]
fn scripts_exist_and_have_the_options() {
    let mut found = 0;
    for line in lines() {
        let inner = line
            .text
            .strip_prefix("eval \"$(")
            .and_then(|rest| rest.strip_suffix(")\""))
            .unwrap_or(&line.text);
        let mut words = inner.split_whitespace();
        let Some(script) = words
            .next()
            .filter(|word| word.starts_with("scripts/") || word.starts_with(".ci/"))
        else {
            continue;
        };
        found += 1;
        let text = std::fs::read_to_string(Path::new(ROOT).join(script))
            .unwrap_or_else(|error| panic!("{}: {script}: {error}", line.document));
        for option in words.filter(|word| word.starts_with("--")) {
            let option = option.split('=').next().unwrap_or(option);
            assert!(
                text.contains(option),
                "{}: {script} has no option {option}",
                line.document
            );
        }
    }
    assert!(found >= 5, "{found}");
}

#[test]
fn cargo_commands_name_what_there_is() {
    // Of this crate, or of one in `crates`.
    let exists = |path: String| {
        let crates = std::fs::read_dir(Path::new(ROOT).join("crates")).unwrap();
        crates
            .map(|entry| entry.unwrap().path())
            .chain([PathBuf::from(ROOT)])
            .any(|folder| folder.join(&path).exists())
    };
    let mut found = 0;
    for (document, command) in commands("cargo ") {
        found += 1;
        let words: Vec<_> = command.split_whitespace().collect();
        for pair in words.windows(2) {
            let known = match pair[0] {
                "--example" => {
                    exists(format!("examples/{}.rs", pair[1]))
                        || exists(format!("examples/{}/main.rs", pair[1]))
                }
                "--test" => {
                    exists(format!("tests/{}.rs", pair[1])) || exists(format!("tests/{}/main.rs", pair[1]))
                }
                "--bench" => exists(format!("benches/{}.rs", pair[1])),
                "-p" => {
                    pair[1] == "gst-plugin-img2pose" || Path::new(ROOT).join("crates").join(pair[1]).exists()
                }
                _ => true,
            };
            assert!(known, "{document}: cargo {command}");
        }
    }
    assert!(found > 0);
}

#[test]
fn the_tool_has_the_commands_and_options() {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("img2pose");
    if !program.exists() {
        let why = format!("{} is not built", program.display());
        return test_support::skip("the_tool_has_the_commands_and_options", &why);
    }
    let mut found = 0;
    for (document, command) in commands("img2pose ") {
        found += 1;
        let mut words = command.split_whitespace();
        let name = words.next().unwrap();
        let output = Command::new(&program).args([name, "--help"]).output().unwrap();
        let help = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{document}: img2pose {command}");
        for option in words.filter(|word| word.starts_with('-')) {
            assert!(
                help.contains(option),
                "{document}: img2pose {name} has no option {option}"
            );
        }
    }
    assert!(found > 0);
}

/// The name from before the first release.
#[test]
fn no_document_calls_the_tool_by_its_old_name() {
    assert_eq!(commands("img2pose-export "), []);
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let mut found = 0;
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "docs/guide.md",
        "docs/metadata.md",
        "docs/pose.md",
        "docs/json-lines.md",
    ];
    for document in documents {
        let path = Path::new(ROOT).join(document);
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            found += 1;
            let target = path
                .parent()
                .unwrap()
                .join(link.split('#').next().unwrap_or(link));
            assert!(target.exists(), "{document}: {link}");
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    for document in documents() {
        let document = Path::new(ROOT).join(document);
        let text = std::fs::read_to_string(&document).unwrap();
        let targets = text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split([')', '#']).next());
        for target in targets.filter(|target| !target.is_empty() && !target.contains("://")) {
            let path = document.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {target}", document.display());
            followed += 1;
        }
    }
    assert!(followed > 20, "only {followed} links were found");
}
