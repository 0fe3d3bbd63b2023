//! A program that ends while its pipelines play ends at once, in silence.
//!
//! Each case is this program once more, as a child that plays and ends in one of the ways in which programs end.

#[path = "detect/support/mod.rs"]
#[allow(dead_code)] // Written for the other tests.
mod support;

use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use gst::prelude::*;
use support::*;

/// What the child reads its case from.
const CASE: &str = "IMG2POSE_PROCESS_END_CASE";
/// The longest time from the end that a child announces to its real end. A run takes some hundredths of a second.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
const REPETITIONS: usize = 4;

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
    fn fork() -> i32;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
}

/// A pipeline that keeps the model busy; `more`: properties. The default model, because with the small one of the tests a
/// run hardly ever meets a static of ONNX Runtime's that is gone.
fn busy(more: &str) -> gst::Pipeline {
    init();
    let description = format!(
        "videotestsrc ! video/x-raw,format=GRAY8,width=320,height=240 ! img2posedetect name=detect model={} \
         batch-size=1 {more} ! fakesink name=sink",
        text(&test_support::shipped_model())
    );
    let pipeline = gst::parse::launch(&description).unwrap();
    pipeline.downcast().unwrap()
}

/// Plays until batches run one after the other.
fn play(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).unwrap();
    let detect = pipeline.by_name("detect").unwrap();
    wait_until("batches run", || stat(&detect, "batches") >= 2);
}

/// The parent counts from here.
fn announce() {
    println!("ends now");
}

fn end() -> ! {
    announce();
    std::process::exit(0)
}

static PIPELINE: Mutex<Option<gst::Pipeline>> = Mutex::new(None);

/// What a destructor of a program's own static does: after the plugin has been told of the end.
extern "C" fn stop_pipeline() {
    let pipeline = PIPELINE.lock().unwrap().take().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
}

/// What a program does that finishes its recording at the end.
extern "C" fn finish_pipeline() {
    let pipeline = PIPELINE.lock().unwrap().take().unwrap();
    pipeline.send_event(gst::event::Eos::new());
    let end = pipeline.bus().unwrap().timed_pop_filtered(
        gst::ClockTime::from_seconds(30),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    if end.is_none_or(|end| end.type_() != gst::MessageType::Eos) {
        eprintln!("no EOS");
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

fn register(function: extern "C" fn()) {
    // SAFETY: the function can be called at any time; a panic in it ends the process, which the parent sees.
    assert_eq!(unsafe { atexit(function) }, 0);
}

/// The child's part.
#[test]
#[ignore = "started by the other tests"]
fn child() {
    let Ok(case) = std::env::var(CASE) else { return };
    match case.as_str() {
        "exit" => {
            let pipeline = busy("");
            play(&pipeline);
            end();
        }
        "return from main" => {
            let pipeline = busy("");
            play(&pipeline);
            std::mem::forget(pipeline);
            announce();
        }
        "several elements" => {
            let pipelines = [
                busy("model-instance-id=shared"),
                busy("model-instance-id=shared"),
                busy(""),
            ];
            pipelines.iter().for_each(play);
            end();
        }
        "probe downstream" | "probe upstream" => {
            let pipeline = busy("");
            let detect = pipeline.by_name("detect").unwrap();
            let pad = match case.as_str() {
                "probe downstream" => detect.static_pad("src"),
                _ => detect.static_pad("sink"),
            };
            let probed = detect.clone();
            pad.unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                if stat(&probed, "batches") >= 2 {
                    end();
                }
                gst::PadProbeReturn::Ok
            });
            pipeline.set_state(gst::State::Playing).unwrap();
            std::thread::sleep(TIME_LIMIT);
        }
        "stopped afterwards" | "finished afterwards" => {
            // Registered before the plugin has registered anything, so it is called later.
            register(match case.as_str() {
                "stopped afterwards" => stop_pipeline,
                _ => finish_pipeline,
            });
            let pipeline = busy("");
            play(&pipeline);
            *PIPELINE.lock().unwrap() = Some(pipeline);
            end();
        }
        "while a model is loaded" => {
            let pipeline = busy("");
            play(&pipeline);
            std::thread::spawn(|| {
                loop {
                    let pipeline = busy("");
                    // Fails when the process ends.
                    let _ = pipeline.set_state(gst::State::Paused);
                    pipeline.set_state(gst::State::Null).unwrap();
                }
            });
            std::thread::sleep(Duration::from_millis(100));
            end();
        }
        // No other model has been loaded, nor ONNX Runtime itself.
        case if case.starts_with("the first load ") => {
            let pause = case.rsplit(' ').next().unwrap().parse().unwrap();
            // Before the thread: GStreamer loads its plugins here, each of which links GObject. A library that is loaded
            // while the process ends initialises GObject a second time (`_dl_fini` forgets who was initialised), which
            // aborts. That is a matter between the program, GStreamer and the C library; ours begins with the model.
            let pipeline = busy("");
            std::thread::spawn(move || {
                // Fails when the process ends.
                let _ = pipeline.set_state(gst::State::Playing);
                std::thread::sleep(TIME_LIMIT);
            });
            std::thread::sleep(Duration::from_millis(pause));
            end();
        }
        "a forked child ends first" => {
            let pipeline = busy("");
            play(&pipeline);
            // SAFETY: the child calls nothing but `exit` and what is registered there.
            let process = unsafe { fork() };
            if process == 0 {
                std::process::exit(3);
            }
            let mut status = 0;
            // SAFETY: the status is written into a variable of ours.
            assert_eq!(unsafe { waitpid(process, &mut status, 0) }, process);
            assert_eq!(status, 3 << 8, "the child's exit code");
            // Here everything goes on.
            let detect = pipeline.by_name("detect").unwrap();
            let before = stat(&detect, "batches");
            wait_until("batches run", || stat(&detect, "batches") >= before + 2);
            end();
        }
        other => panic!("no case '{other}'"),
    }
}

/// Runs the child several times: it ends in time, with success and in silence.
fn ends_well(case: &str) {
    assert_eq!(noise(case), [""; 0], "{case}: on stderr");
}

/// Runs the child several times, which ends in time and with success. What those print that print something.
fn noise(case: &str) -> Vec<String> {
    let mut noise = Vec::new();
    for _ in 0..REPETITIONS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "child", "--nocapture", "--test-threads=1"])
            .env(CASE, case)
            // What ONNX Runtime sends and where: a thread of its own, for which the destructor of a static waits; in the
            // child of a fork, where threads do not exist, for ever.
            .env("ORT_DISABLE_TELEMETRY", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("ends now") {
            line.clear();
            let read = std::io::BufRead::read_line(&mut output, &mut line).unwrap();
            assert!(
                read > 0,
                "{case}: the child has not come to its end: {:?}",
                child.wait_with_output()
            );
        }
        let announced = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if announced.elapsed() > ENDS_WITHIN {
                child.kill().unwrap();
                panic!("{case}: the child does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut errors = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut errors).unwrap();
        assert!(status.success(), "{case}: {status}, on stderr: {errors}");
        if !errors.is_empty() {
            noise.push(errors);
        }
    }
    noise
}

/// ONNX Runtime used to print errors: its statics were destroyed while it worked.
#[test]
fn exit_while_playing() {
    ends_well("exit");
}

#[test]
fn return_from_main_while_playing() {
    ends_well("return from main");
}

#[test]
fn exit_with_several_elements_and_a_shared_model() {
    ends_well("several elements");
}

#[test]
fn exit_in_a_pad_probe() {
    ends_well("probe downstream");
    ends_well("probe upstream");
}

#[test]
fn a_pipeline_that_is_stopped_after_that() {
    ends_well("stopped afterwards");
}

/// A recording ends well: what was not looked at does not pass.
#[test]
fn a_pipeline_that_is_finished_after_that() {
    ends_well("finished afterwards");
}

#[test]
fn exit_while_a_model_is_loaded() {
    ends_well("while a model is loaded");
}

/// A third of the programs that ended a fifth of a second after their start printed errors, and some crashed: ONNX Runtime makes most
/// of its statics while it loads its first model. What is left is the time between two registrations of the function that
/// waits for it: a fraction of a millisecond, more on a machine that gives the thread no time. One child of the eighty may meet it.
#[test]
fn exit_while_the_first_model_is_loaded() {
    let noise: Vec<String> = (20..=400)
        .step_by(20)
        .flat_map(|pause| noise(&format!("the first load {pause}")))
        .collect();
    assert!(noise.len() <= 1, "{noise:#?}");
}

#[test]
fn a_forked_child_that_ends() {
    ends_well("a forked child ends first");
}
